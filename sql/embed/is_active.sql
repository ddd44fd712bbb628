-- Whether a configuration is still the one that rows are embedded by: $1 integer configuration.
-- Result: active boolean.
select active from pgflight.embed_config where id = $1
