"""Puts one table twice through plain Flight: by a path descriptor and by a JSON command. Prints each result as a line."""

import datetime as dt
import json
import sys
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
        "seen": pa.array(
            [dt.datetime(2024, 5, 6, 7, 8, 9, 123456, UTC), dt.datetime(1969, 12, 31, 23, 59, 59, 999999, UTC), None],
            pa.timestamp("us", "UTC"),
        ),
        "tags": pa.array([["a", None], [], None], pa.list_(pa.string())),
        "raw": pa.array([b"\x00\xff", b"", None], pa.binary()),
        "ok": pa.array([True, False, None], pa.bool_()),
    }
)


def put(client, descriptor):
    writer, reader = client.do_put(descriptor, table.schema)
    writer.write_table(table)
    writer.done_writing()
    print(reader.read().to_pybytes().decode())
    writer.close()


client = flight.connect(sys.argv[1])
put(client, flight.FlightDescriptor.for_path("by_path"))
put(client, flight.FlightDescriptor.for_command(json.dumps({"table": "by_command", "schema": "public"})))
