-- What `pgflight check` reports about the server, the login and the target schema.
-- $1 text: schema named in the configuration, or null for the first of search_path
-- $2 text: schema of pgflight's own tables
-- columns: version, version_num, product, database, role, in_recovery, read_only, may_create_schema,
--          may_create_temporary, target_schema (null: none), target_exists, may_create_table, state_exists, may_use_state,
--          vector_installed, vector_available (versions or null), settings (name=value, name order)
select
    pg_catalog.current_setting('server_version') as version,
    pg_catalog.current_setting('server_version_num')::pg_catalog.int4 as version_num,
    pg_catalog.version() as product,
    pg_catalog.current_database()::pg_catalog.text as database,
    current_user::pg_catalog.text as role,
    pg_catalog.pg_is_in_recovery() as in_recovery,
    pg_catalog.current_setting('transaction_read_only') = 'on' as read_only,
    pg_catalog.has_database_privilege(pg_catalog.current_database(), 'create') as may_create_schema,
    pg_catalog.has_database_privilege(pg_catalog.current_database(), 'temporary') as may_create_temporary,
    coalesce($1, pg_catalog.current_schema()::pg_catalog.text) as target_schema,
    target.oid is not null as target_exists,
    coalesce(pg_catalog.has_schema_privilege(target.oid, 'create')
        and pg_catalog.has_schema_privilege(target.oid, 'usage'), false) as may_create_table,
    state.oid is not null as state_exists,
    coalesce(pg_catalog.has_schema_privilege(state.oid, 'create')
        and pg_catalog.has_schema_privilege(state.oid, 'usage'), false) as may_use_state,
    (select e.extversion from pg_catalog.pg_extension e where e.extname = 'vector') as vector_installed,
    (select a.default_version from pg_catalog.pg_available_extensions a where a.name = 'vector') as vector_available,
    array(
        select s.name || '=' || s.setting || coalesce(s.unit, '')
        from pg_catalog.pg_settings s
        where s.name in ('checkpoint_timeout', 'fsync', 'idle_in_transaction_session_timeout', 'lock_timeout',
            'max_connections', 'max_wal_size', 'shared_buffers', 'statement_timeout', 'synchronous_commit', 'wal_level')
        order by s.name
    ) as settings
from (values (1)) as one (row)
left join pg_catalog.pg_namespace target on target.nspname = coalesce($1, pg_catalog.current_schema()::pg_catalog.text)
left join pg_catalog.pg_namespace state on state.nspname = $2
