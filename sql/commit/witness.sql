-- The oldest session beside this one that we may see: asked before a COMMIT, to be looked for after it.
-- Result: no row where there is none, else pid text, started text (seconds since 1970).
select pid::text as pid, extract(epoch from backend_start)::text as started
from pg_catalog.pg_stat_activity
where backend_start is not null and pid <> pg_catalog.pg_backend_pid()
order by backend_start
limit 1
