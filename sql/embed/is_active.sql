-- Whether a configuration is still the one that rows are embedded by; it stays so to the end of the transaction.
-- $1 integer configuration.
-- Result: active boolean.
select active from pgflight.embed_config where id = $1
for share
