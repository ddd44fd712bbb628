-- Who holds locks on a relation, or the migration lock of a table, so that a wait that failed can be explained.
-- (pg_blocking_pids answers only while the wait lasts, and this session is the one that waited.)
-- Parameters: $1 oid   the relation, 0 for none
--             $2 int8  key of the migration lock
-- Result: pid int4, role text, application text, state text, mode text, seconds float8 (age of its transaction).
-- Texts of statements are left out: they can hold row values.
select l.pid, a.usename::pg_catalog.text as role, a.application_name as application, a.state,
       pg_catalog.string_agg(distinct l.mode, ', ') as mode,
       coalesce(extract(epoch from pg_catalog.clock_timestamp() operator(pg_catalog.-) min(a.xact_start)), 0)::pg_catalog.float8
         as seconds
from pg_catalog.pg_locks l
left join pg_catalog.pg_stat_activity a on a.pid operator(pg_catalog.=) l.pid
where l.granted
  and l.pid operator(pg_catalog.<>) pg_catalog.pg_backend_pid()
  and l.database operator(pg_catalog.=) (select d.oid from pg_catalog.pg_database d
                                         where d.datname operator(pg_catalog.=) pg_catalog.current_database())
  and ((l.locktype operator(pg_catalog.=) 'relation' and l.relation operator(pg_catalog.=) $1::pg_catalog.oid)
    or (l.locktype operator(pg_catalog.=) 'advisory' and l.objsubid operator(pg_catalog.=) 1
        and ((l.classid::pg_catalog.int8 operator(pg_catalog.<<) 32) operator(pg_catalog.|) l.objid::pg_catalog.int8)
            operator(pg_catalog.=) $2::pg_catalog.int8))
group by l.pid, a.usename, a.application_name, a.state
order by seconds desc
limit 10
