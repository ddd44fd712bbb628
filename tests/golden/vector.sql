-- pgvector types
-- setup: create extension vector;
select
  '[1,-2.5,0]'::vector(3) as vector_some,
  '[3]'::vector as vector_one,
  '[1,-2.5,0]'::halfvec(3) as halfvec_some,
  '{1:1.5,4:-2}/5'::sparsevec(5) as sparsevec_some,
  '{}/3'::sparsevec(3) as sparsevec_zero
