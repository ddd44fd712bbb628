-- Whether this session takes writes, and if not, whether that is a standby's nature or a setting.
-- Result: read_only bool, in_recovery bool, role text, database text.
select pg_catalog.current_setting('transaction_read_only')::pg_catalog.bool as read_only,
       pg_catalog.pg_is_in_recovery() as in_recovery,
       current_user::pg_catalog.text as role,
       pg_catalog.current_database()::pg_catalog.text as database
