"""Puts a table through plain Flight and reads it back in every way that pyarrow has; prints a line for each that is right."""

import base64
import datetime as dt
import json
import sys
import uuid
from decimal import Decimal

import pyarrow as pa
import pyarrow.flight as flight

UTC = dt.timezone.utc
table = pa.table(
    {
        "id": pa.array([1, 2, 3], pa.int64()),
        "name": pa.array(["Ünï", None, ""], pa.string()),
        "price": pa.array([Decimal("12.50"), Decimal("-0.01"), None], pa.decimal128(10, 2)),
        "born": pa.array([dt.date(2020, 2, 29), dt.date(1969, 12, 31), None], pa.date32()),
        "seen": pa.array([dt.datetime(2024, 5, 6, 7, 8, 9, 123456, UTC), None, None], pa.timestamp("us", "UTC")),
        "tags": pa.array([["a", None], [], None], pa.list_(pa.string())),
        "raw": pa.array([b"\x00\xff", b"", None], pa.binary()),
        "ok": pa.array([True, False, None], pa.bool_()),
        "key": pa.array([uuid.UUID(int=1).bytes, None, uuid.UUID(int=2).bytes], pa.uuid()),
        "at": pa.array([dt.time(1, 2, 3, 4), None, None], pa.time64("us")),
        "ratio": pa.array([0.5, None, float("inf")], pa.float64()),
    }
)
client = flight.connect(sys.argv[1])
path = flight.FlightDescriptor.for_path("peer")
writer, reader = client.do_put(path, table.schema)
writer.write_table(table)
writer.done_writing()
reader.read()
writer.close()

info = client.get_flight_info(path)
name = json.loads(info.app_metadata)["table"]
locations = sum(len(endpoint.locations) for endpoint in info.endpoints)
print(f"info {name} {len(info.schema)} columns, {len(info.endpoints)} endpoint, {locations} locations")
read = client.do_get(info.endpoints[0].ticket).read_all()
if read.sort_by("id").equals(table):
    print("rows equal")
else:
    print(read.schema, table.schema)
if client.get_schema(path).schema.equals(info.schema) and read.schema.equals(info.schema):
    print("schema equal")
some = client.do_get(flight.Ticket(json.dumps({"table": "peer", "columns": ["name", "id"], "limit": 2}))).read_all()
print(f"columns {some.schema.names} {some.num_rows} rows")
wanted = pa.schema([pa.field("id", pa.int16()), pa.field("name", pa.large_string()), pa.field("seen", pa.string())])
ticket = {"table": "peer", "arrow_schema": base64.b64encode(wanted.serialize()).decode()}
if client.do_get(flight.Ticket(json.dumps(ticket))).read_all().schema.equals(wanted):
    print("exact schema given")
print(f"listed {['.'.join(part.decode() for part in listed.descriptor.path) for listed in client.list_flights()]}")
try:
    client.get_flight_info(flight.FlightDescriptor.for_path("nope"))
except (flight.FlightServerError, KeyError) as error:
    assert "no table public.nope" in str(error), error
    print("no table: FlightServerError or ArrowKeyError")
