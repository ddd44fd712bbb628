// Queries of Flight SQL from Node.js, by the published client of LanceDB. It queries only, and speaks without TLS.
//
//     npm ci && node tour.mjs 127.0.0.1:8815 <user> <token>
//
// The server needs `flight_sql.queries: read-only`. Without `auth.tokens` any user and token will do.

import { createRequire } from "node:module";

// The package's module for `import` looks for its proto files by `__dirname`, which modules do not have.
const { Client } = createRequire(import.meta.url)("@lancedb/arrow-flight-sql-client");

const [host, username = "anyone", password = "none"] = process.argv.slice(2);

try {
  const client = await Client.connect({ host, username, password });
  const query = async (sql) => (await client.query(sql)).collectToObjects();

  const people = await query(
    "select n::bigint as id, 'name ' || n as name, n / 2.0::float8 as half, nullif(n, 2)::int as odd, n = 1 as first from generate_series(1, 3) n",
  );
  for (const row of people) {
    console.log(`row ${row.id} ${row.name} ${row.half} ${row.odd} ${row.first}`);
  }
  const many = await query("select n, repeat('x', 100) as filling from generate_series(1, 100000) n");
  console.log(`read ${many.length} rows`);
  console.log(`read ${(await query("select 1 as one where false")).length} rows`);
  await query("select * from missing").catch((error) => console.log(`error ${error.code} ${error.details}`));
} catch (error) {
  console.log(`refused ${error.code} ${error.details ?? error.message}`);
}
// The client has no call that closes its connection.
process.exit(0);
