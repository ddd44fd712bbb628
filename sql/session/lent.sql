-- What a server says about a session that a pooler lends us. Parameters: none.
-- Result: one row: superuser bool, version int, in_recovery bool, read_only bool, isolation text.
-- What other programs left in the session does not count, so the values are those that it would be reset to.
with reset as (
  select s.name, s.reset_val from pg_catalog.pg_settings s
  where s.name in ('default_transaction_read_only', 'default_transaction_isolation')
)
select (select r.rolsuper from pg_catalog.pg_roles r where r.rolname operator(pg_catalog.=) session_user)
      and not exists (select from pg_catalog.pg_db_role_setting d, lateral pg_catalog.unnest(d.setconfig) as c (line)
        where c.line operator(pg_catalog.~~) 'role=%') as superuser,
    pg_catalog.current_setting('server_version_num')::pg_catalog.int4 as version,
    pg_catalog.pg_is_in_recovery() as in_recovery,
    (select reset_val operator(pg_catalog.=) 'on' from reset
      where name operator(pg_catalog.=) 'default_transaction_read_only') as read_only,
    (select reset_val from reset where name operator(pg_catalog.=) 'default_transaction_isolation') as isolation
