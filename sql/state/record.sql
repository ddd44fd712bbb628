-- $1 integer: notes that a migration was applied.
insert into pgflight.migration (version) values ($1)
