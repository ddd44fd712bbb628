-- Newest migration of our own tables that was applied; 0 before the first.
-- Result: version integer.
select coalesce(pg_catalog.max(version), 0) as version from pgflight.migration
