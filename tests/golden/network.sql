-- inet, cidr and hardware addresses
select
  '10.1.2.3'::inet as inet_v4,
  '10.1.2.3/24'::inet as inet_v4_host,
  '2001:db8::1'::inet as inet_v6,
  '2001:db8::1/64'::inet as inet_v6_net,
  '::ffff:1.2.3.4'::inet as inet_mapped,
  '0.0.0.0/0'::inet as inet_all,
  '10.1.2.0/24'::cidr as cidr_v4,
  '2001:db8::/32'::cidr as cidr_v6,
  '10.1.2.3/32'::cidr as cidr_host,
  '08:00:2b:01:02:03'::macaddr as mac_colons,
  '0800.2b01.0203'::macaddr as mac_dots,
  '08:00:2b:01:02:03:04:05'::macaddr8 as mac8_eight,
  '08:00:2b:01:02:03'::macaddr8 as mac8_six,
  '00:00:00:00:00:00'::macaddr as mac_zero
