"""A CloudQuery source on the published Python SDK. Its rows are the same in every run: `cloudquery_source.py serve --address ...`."""

import datetime
import json
import sys

import pyarrow as pa
from cloudquery.sdk import plugin, schema, serve
from cloudquery.sdk.scheduler import Scheduler, TableResolver
from cloudquery.sdk.types import JSONType, UUIDType


class Parents(TableResolver):
    def __init__(self, table, spec, below):
        super().__init__(table=table, child_resolvers=below)
        self.spec = spec

    def resolve(self, client, parent_resource):
        for number in range(1, self.spec["rows"] + 1):
            row = {"id": number, "revision": self.spec["revision"], "identity": f"00000000-0000-4000-8000-{number:012d}"}
            # Every third row has nothing where nothing is allowed.
            if number % 3:
                row.update(
                    name=f'row {number}, "quoted" \\ ünïcode \U0001f41f', ratio=number / 7, even=number % 2 == 0,
                    document={"z": [1, 2.5, None, "<&>"], "n": number}, at=datetime.datetime(2024, 2, 29, 23, 59, 58, 123456),
                    day="2024-02-29", raw=bytes([0, 255, number]))
            yield row


class Children(TableResolver):
    def resolve(self, client, parent_resource):
        number = parent_resource.item["id"]
        for position in range(2):
            yield {"parent": number, "position": position, "text": f"child {position} of {number}"}


def tables():
    children = schema.Table("py_children", [
        schema.Column("parent", pa.int64(), primary_key=True, not_null=True),
        schema.Column("position", pa.int64(), primary_key=True, not_null=True),
        schema.Column("text", pa.string()),
    ])
    parents = schema.Table("py_parents", [
        schema.Column("id", pa.int64(), primary_key=True, not_null=True),
        schema.Column("revision", pa.int64()),
        schema.Column("identity", UUIDType()),
        schema.Column("name", pa.string()),
        schema.Column("ratio", pa.float64()),
        schema.Column("even", pa.bool_()),
        schema.Column("document", JSONType()),
        schema.Column("at", pa.timestamp("us", tz="UTC")),
        schema.Column("day", pa.date32()),
        schema.Column("raw", pa.binary()),
    ], description="Rows of a Python source", relations=[children])
    children.parent = parents
    return [parents]


class Client:
    def id(self):
        return "python"


class Source(plugin.Plugin):
    def __init__(self):
        super().__init__("python", "v1.0.0", opts=plugin.plugin.Options(team="pgflight", kind="source"))
        self.spec = {}

    def set_logger(self, logger):
        self.logger = logger

    def init(self, spec, no_connection=False):
        self.spec = {"rows": 0, "revision": 0, **({} if no_connection else json.loads(spec))}
        self.scheduler = Scheduler(concurrency=10, logger=self.logger)

    def get_tables(self, options):
        return schema.filter_dfs(tables(), options.tables, options.skip_tables)

    def sync(self, options):
        chosen = self.get_tables(plugin.TableOptions(tables=options.tables, skip_tables=options.skip_tables))
        resolvers = [Parents(table, self.spec, [Children(below) for below in table.relations]) for table in chosen]
        return self.scheduler.sync(Client(), resolvers, options.deterministic_cq_id)

    def close(self):
        pass


serve.PluginCommand(Source()).run(sys.argv[1:])
