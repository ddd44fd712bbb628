-- Names a table's vector table anew, and says whether a successor has taken its place: $1 integer table, $2 text name, $3 boolean retired.
update pgflight.embed_table set target_name = $2, retired = $3 where id = $1
