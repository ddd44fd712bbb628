-- Embeddings: a vector table that is built anew for another model, to take the place of the one that serves.
alter table pgflight.embed_table add column successor integer references pgflight.embed_table on delete set null;
-- Its successor has taken its place. Whoever still has the old configuration notes for the successor.
alter table pgflight.embed_table add column retired boolean not null default false;
-- The tables that hear of changed rows: one itself, unless it is retired, and those that take its place.
create view pgflight.embed_heir as
with recursive heirs (of, id, successor, retired) as (
    select t.id, t.id, t.successor, t.retired from pgflight.embed_table t
    union all
    select h.of, t.id, t.successor, t.retired from heirs h join pgflight.embed_table t on t.id = h.successor
)
select of, id from heirs where not retired
