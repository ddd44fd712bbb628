-- bit strings
select
  B'10100101'::bit(8) as bit_eight,
  B'101'::bit(3) as bit_three,
  B'1111000011'::varbit as varbit_ten,
  B''::varbit as varbit_empty,
  B'101'::varbit(5) as varbit_three,
  B'1'::bit as bit_one
