"""A light CloudQuery client on the published stubs: discovery, Init, migrate, insert, deletions, Read, Close.

Usage: cloudquery_write.py HOST:PORT. Prints one JSON object of what it saw.
"""

import json
import sys

import grpc
import pyarrow as pa
from cloudquery.discovery_v1 import discovery_pb2, discovery_pb2_grpc
from cloudquery.plugin_v3 import plugin_pb2, plugin_pb2_grpc


def stream(schema, *batches):
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema) as writer:
        for batch in batches:
            writer.write_batch(batch)
    return sink.getvalue().to_pybytes()


def main(address):
    channel = grpc.insecure_channel(address)
    versions = discovery_pb2_grpc.DiscoveryStub(channel).GetVersions(discovery_pb2.GetVersions.Request())
    plugin = plugin_pb2_grpc.PluginStub(channel)
    write = plugin_pb2.Write
    key = {"cq:extension:primary_key": "true"}
    schema = pa.schema(
        [pa.field("id", pa.int64(), nullable=False, metadata=key), pa.field("name", pa.string())],
        metadata={"cq:table_name": "from_python", "cq:table_description": "made by a test"},
    )
    rows = pa.record_batch([pa.array(range(100)), pa.array([f"name {n}" for n in range(100)])], schema=schema)
    seen = {
        "versions": list(versions.versions),
        "name": plugin.GetName(plugin_pb2.GetName.Request()).name,
        "schema": json.loads(plugin.GetSpecSchema(plugin_pb2.GetSpecSchema.Request()).json_schema)["$ref"],
        "test": plugin.TestConnection(plugin_pb2.TestConnection.Request(spec=b"{}")).success,
    }
    plugin.Init(plugin_pb2.Init.Request(spec=b"null", invocation_id="5d1f4b2e-0000-0000-0000-000000000000"))
    requests = [write.Request(migrate_table=write.MessageMigrateTable(table=stream(schema)))]
    requests += [
        write.Request(insert=write.MessageInsert(record=stream(schema, rows.slice(at, 10)))) for at in range(0, 100, 10)
    ]
    value = stream(pa.schema([("id", pa.int64())]), pa.record_batch([pa.array([7])], names=["id"]))
    predicate = plugin_pb2.Predicate(operator="EQ", column="id", record=value)
    group = plugin_pb2.PredicatesGroup(grouping_type="AND", predicates=[predicate])
    requests.append(
        write.Request(delete_record=write.MessageDeleteRecord(table_name="from_python", where_clause=[group]))
    )
    plugin.Write(iter(requests))
    names = []
    for answer in plugin.Read(plugin_pb2.Read.Request(table=stream(schema))):
        with pa.ipc.open_stream(answer.record) as reader:
            names += reader.read_next_batch().column("name").to_pylist()
    seen["read"] = len(names)
    seen["seven"] = "name 7" in names
    try:
        plugin.Write(iter([write.Request(insert=write.MessageInsert(record=b"junk"))]))
    except grpc.RpcError as error:
        seen["junk"] = error.code().name
    plugin.Close(plugin_pb2.Close.Request())
    print(json.dumps(seen))


main(sys.argv[1])
