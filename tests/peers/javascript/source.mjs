// A CloudQuery source on the published JavaScript SDK. Its rows are the same in every run.
import { newPlugin, newUnimplementedDestination } from "@cloudquery/plugin-sdk-javascript/plugin/plugin";
import { createServeCommand } from "@cloudquery/plugin-sdk-javascript/plugin/serve";
import { sync } from "@cloudquery/plugin-sdk-javascript/scheduler";
import { createColumn } from "@cloudquery/plugin-sdk-javascript/schema/column";
import { parentColumnResolver, pathResolver } from "@cloudquery/plugin-sdk-javascript/schema/resolvers";
import { createTable, filterTables } from "@cloudquery/plugin-sdk-javascript/schema/table";
import { JSONType } from "@cloudquery/plugin-sdk-javascript/types/json";
import { UUIDType } from "@cloudquery/plugin-sdk-javascript/types/uuid";
import { Bool, Field, Float64, Int64, List, TimestampMillisecond, Utf8 } from "@apache-arrow/esnext-esm";

const column = (name, type, more = {}) => createColumn({ name, type, resolver: pathResolver(name), ...more });

const parents = (spec) => async (_client, _parent, stream) => {
  for (let id = 1; id <= spec.rows; id++) {
    const row = { id, revision: spec.revision, identity: `00000000-0000-4000-8000-${String(id).padStart(12, "0")}` };
    // Every third row has nothing where nothing is allowed.
    if (id % 3 !== 0) {
      Object.assign(row, {
        name: `row ${id}, "quoted" \\ ünïcode \u{1f41f}`,
        ratio: id / 7,
        even: id % 2 === 0,
        document: { z: [1, 2.5, null, "<&>"], n: id },
        at: "2024-02-29T23:59:58.123Z",
        tags: ["a,b", "", 'c"d', String(id)],
      });
    }
    stream.write(row);
  }
};

const children = async (_client, parent, stream) => {
  for (const position of [0, 1]) {
    stream.write({ position, text: `child ${position} of ${parent.getItem().id}` });
  }
};

const tables = (spec) => [
  createTable({
    name: "js_parents",
    description: "Rows of a JavaScript source",
    resolver: parents(spec),
    columns: [
      column("id", new Int64(), { primaryKey: true, notNull: true }),
      column("revision", new Int64()),
      column("identity", new UUIDType()),
      column("name", new Utf8()),
      column("ratio", new Float64()),
      column("even", new Bool()),
      column("document", new JSONType()),
      column("at", new TimestampMillisecond("UTC")),
      column("tags", new List(new Field("item", new Utf8(), true))),
    ],
    relations: [
      createTable({
        name: "js_children",
        resolver: children,
        columns: [
          createColumn({ name: "parent", type: new Int64(), resolver: parentColumnResolver("id"), primaryKey: true }),
          column("position", new Int64(), { primaryKey: true }),
          column("text", new Utf8()),
        ],
      }),
    ],
  }),
];

const newClient = async (logger, text, { noConnection }) => {
  const spec = { rows: 0, revision: 0, ...(noConnection ? {} : JSON.parse(text)) };
  const all = tables(spec);
  const chosen = ({ tables: names, skipTables, skipDependentTables }) =>
    filterTables(all, names, skipTables, skipDependentTables);
  const client = {
    id: () => "javascript",
    close: async () => {},
    tables: async (options) => chosen(options),
    sync: (options) =>
      sync({
        logger,
        client,
        stream: options.stream,
        tables: chosen(options),
        deterministicCQId: options.deterministicCQId,
        concurrency: 100,
      }),
    ...newUnimplementedDestination(),
  };
  return client;
};

createServeCommand(newPlugin("javascript", "v1.0.0", newClient, { team: "pgflight", kind: "source" })).parse();
