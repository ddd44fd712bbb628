"""Ingests and reads the rows of an Arrow file by the ADBC driver for PostgreSQL and by that for Flight SQL, in turn.

Usage: ways.py POSTGRES_URI FLIGHT_URI FILE RUNS SERVER_PID. Prints a line for each way: its name, its median of seconds with each driver,
and the ratio. Both drivers get the same batches, made before the clock starts, and their tables are made by the same statements.
"""

import concurrent.futures
import statistics
import sys
import time

import adbc_driver_flightsql.dbapi as flightsql
import adbc_driver_postgresql.dbapi as postgresql
import pyarrow as pa
import pyarrow.ipc

HEADER = "adbc.flight.sql.rpc.call_header.pgflight-"
PARTS = 4

postgres_uri, flight_uri, file, runs, server = sys.argv[1:]
runs = int(runs)
with pa.memory_map(file) as source:
    rows = pa.ipc.open_file(source).read_all()
# Types that both drivers take; texts come as views from the generator.
rows = rows.cast(pa.schema([field.with_type(pa.string()) if pa.types.is_string_view(field.type) else field for field in rows.schema]))
batches = rows.combine_chunks().to_batches(max_chunksize=50_000)


def reader():
    return pa.RecordBatchReader.from_batches(rows.schema, batches)


def connect(driver):
    return postgresql.connect(postgres_uri, autocommit=True) if driver == "postgresql" else flightsql.connect(flight_uri, autocommit=True)


def run(*statements):
    with postgresql.connect(postgres_uri, autocommit=True) as connection, connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def ingest(mode, **headers):
    def work(driver):
        with connect(driver) as connection, connection.cursor() as cursor:
            if driver == "flightsql" and headers:
                cursor.adbc_statement.set_options(**{HEADER + name.replace("_", "-"): value for name, value in headers.items()})
            assert cursor.adbc_ingest("t", reader(), mode=mode) in (rows.num_rows, -1)

    return work


def fetch(driver):
    with connect(driver) as connection, connection.cursor() as cursor:
        cursor.execute("select * from filled")
        return cursor.fetch_arrow_table().num_rows


def fetch_parts(driver):
    """In parts where the driver has them; the other reads as it can."""
    if driver == "postgresql":
        return fetch(driver)
    with connect(driver) as connection, connection.cursor() as cursor:
        cursor.adbc_statement.set_options(**{HEADER + "partitions": str(PARTS)})
        partitions, _ = cursor.adbc_execute_partitions("select * from filled")

    def read(partition):
        with connect(driver) as connection, connection.cursor() as cursor:
            cursor.adbc_read_partition(partition)
            return cursor.fetch_arrow_table().num_rows

    with concurrent.futures.ThreadPoolExecutor(PARTS) as readers:
        return sum(readers.map(read, partitions))


def read(work):
    def checked(driver):
        found = work(driver)
        assert found == rows.num_rows, f"{driver} read {found} rows"

    return checked


def peak():
    with open(f"/proc/{server}/status") as status:
        return next(int(line.split()[1]) // 1024 for line in status if line.startswith("VmHWM"))


GONE = ["drop table if exists t", "checkpoint"]
EMPTY = ["drop table if exists t", "create table t (like filled)", "checkpoint"]
WAYS = [
    ("create", GONE, ingest("create")),
    ("append", EMPTY, ingest("append")),
    ("append, 2 lanes in ours", EMPTY, ingest("append", commit="batch", lanes="2")),
    ("read", [], read(fetch)),
    (f"read, {PARTS} parts in ours", [], read(fetch_parts)),
]

# The table that is read, and the pattern of those that are appended to: as pgflight makes it.
run("drop table if exists t, filled")
ingest("create")("flightsql")
run("alter table t rename to filled", "vacuum analyze filled")
first = peak()

seconds = {(name, driver): [] for name, _, _ in WAYS for driver in ("postgresql", "flightsql")}
for turn in range(runs):
    for name, before, work in WAYS:
        # Whoever comes first may find a colder cache, so they take turns.
        for driver in ("postgresql", "flightsql") if turn % 2 == 0 else ("flightsql", "postgresql"):
            run(*before)
            start = time.monotonic()
            work(driver)
            seconds[name, driver].append(time.monotonic() - start)

print(f"{rows.num_rows} rows, {runs} runs, medians; peak memory of the server {first} MiB after one load, {peak()} MiB after all")
print(f"{'way':<26} {'ADBC PostgreSQL, s':>20} {'Flight SQL, s':>15} {'ratio':>7}")
for name, _, _ in WAYS:
    theirs, ours = (statistics.median(seconds[name, driver]) for driver in ("postgresql", "flightsql"))
    print(f"{name:<26} {theirs:>20.3f} {ours:>15.3f} {theirs / ours:>7.2f}")
