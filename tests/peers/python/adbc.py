"""Runs one case of the published ADBC driver for Flight SQL against a server and prints what it saw as one JSON line.

Usage: adbc.py CASE URI [ARGUMENTS]. Nothing here knows pgflight: it is what a user of the driver writes.
"""

import glob
import json
import os
import sys
import warnings

import adbc_driver_flightsql.dbapi as flightsql
import adbc_driver_manager
import pyarrow as pa
import pyarrow.ipc

MODES = ["create", "append", "replace", "create_append"]
ROWS = pa.table({"id": pa.array([1, 2], pa.int64()), "name": pa.array(["a", None], pa.string())})
MESSAGE_SIZE = "adbc.flight.sql.client_option.with_max_msg_size"


def connect(uri, autocommit=True, **options):
    return flightsql.connect(uri, db_kwargs=options, autocommit=autocommit)


def status(error):
    return getattr(getattr(error, "status_code", None), "name", type(error).__name__)


def attempt(work):
    try:
        return work()
    except adbc_driver_manager.Error as error:
        return status(error)


def modes(uri):
    told = {}
    with connect(uri) as connection, connection.cursor() as cursor:
        for mode in MODES:
            for there in (False, True):
                table = f"{mode}_{there}".lower()
                if there:
                    cursor.adbc_ingest(table, ROWS, mode="create")
                told[table] = [attempt(lambda: cursor.adbc_ingest(table, ROWS, mode=mode)) for _ in range(2)]
    return told


def polars(uri):
    import polars as pl

    frame = pl.DataFrame({"id": [1, 2], "name": ["a", None], "kind": pl.Series(["x", "y"], dtype=pl.Categorical)})
    told = []
    with connect(uri) as connection:
        for how in ["fail", "append", "replace"]:
            told.append(frame.write_database("by_polars", connection, engine="adbc", if_table_exists=how))
        told.append(attempt(lambda: frame.write_database("by_polars", connection, engine="adbc", if_table_exists="fail")))
    return told


def million(uri):
    def batches():
        for start in range(0, 1_000_000, 50_000):
            ids = pa.array(range(start, start + 50_000), pa.int64())
            yield pa.record_batch({"id": ids, "name": ids.cast(pa.string())})

    reader = pa.RecordBatchReader.from_batches(pa.schema({"id": pa.int64(), "name": pa.string()}), batches())
    with connect(uri) as connection, connection.cursor() as cursor:
        return cursor.adbc_ingest("million", reader, mode="create")


def empty(uri):
    schema = ROWS.schema
    kinds = {
        "no_batch": pa.RecordBatchReader.from_batches(schema, []),
        "no_rows": pa.RecordBatchReader.from_batches(schema, [pa.RecordBatch.from_pylist([], schema)]),
        "empty_table": schema.empty_table(),
    }
    told = {}
    with connect(uri) as connection, connection.cursor() as cursor:
        for table, rows in kinds.items():
            try:
                told[table] = cursor.adbc_ingest(table, rows, mode="create")
            except adbc_driver_manager.Error as error:
                told[table] = f"{status(error)}: {error}"
    return told


def dictionaries(uri):
    words = pa.array(["red", None, "blue", "red"]).dictionary_encode()
    numbers = pa.DictionaryArray.from_arrays(pa.array([1, 0, None, 1], pa.int8()), pa.array([10, 20], pa.int64()))
    with connect(uri) as connection, connection.cursor() as cursor:
        return cursor.adbc_ingest("dictionaries", pa.table({"word": words, "number": numbers}), mode="create")


def files(uri, directory):
    """Ingests each Arrow file of a directory into a table of its name; tells what the driver itself cannot carry."""
    told = {}
    with connect(uri) as connection:
        for path in sorted(glob.glob(os.path.join(directory, "*.arrow"))):
            table = os.path.basename(path).removesuffix(".arrow")
            with connection.cursor() as cursor:
                try:
                    told[table] = cursor.adbc_ingest(table, pa.ipc.open_file(path).read_all(), mode="create")
                except Exception as error:  # what does not reach the server fails in many ways
                    told[table] = f"{status(error)}: {error}"
    return told


def broken(uri):
    def batches():
        yield ROWS.to_batches()[0]
        raise ValueError("the source is gone")

    reader = pa.RecordBatchReader.from_batches(ROWS.schema, batches())
    connection = connect(uri)
    cursor = connection.cursor()
    try:
        cursor.adbc_ingest("broken", reader, mode="create")
        told = "went through"
    except Exception as error:
        told = f"{status(error)}: {error}"
    cursor.close()
    connection.close()
    return told


def large(uri):
    batch = pa.table({"bytes": pa.array([b"x" * (1 << 20)] * 20, pa.binary())})
    with connect(uri) as connection, connection.cursor() as cursor:
        by_default = attempt(lambda: cursor.adbc_ingest("large", batch, mode="create"))
    with connect(uri, **{MESSAGE_SIZE: str(64 << 20)}) as connection, connection.cursor() as cursor:
        return [by_default, cursor.adbc_ingest("large", batch, mode="create_append")]


def transactions(uri):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        connection = connect(uri, autocommit=False)
    with connection, connection.cursor() as cursor:
        cursor.adbc_ingest("committed", ROWS, mode="create")
        told = {"warnings": [str(warning.message) for warning in caught]}
        try:
            connection.rollback()
            told["rollback"] = "went through"
        except adbc_driver_manager.Error as error:
            told["rollback"] = f"{status(error)}: {error}"
    return told


def objects(uri):
    told = {}
    with connect(uri) as connection:
        for depth in ["catalogs", "db_schemas", "tables", "all"]:
            told[depth] = connection.adbc_get_objects(depth=depth).read_all().to_pylist()
        filtered = connection.adbc_get_objects(depth="tables", db_schema_filter="sh%", table_name_filter="ord%")
        told["filtered"] = filtered.read_all().to_pylist()
        told["types"] = connection.adbc_get_table_types()
        told["schema"] = [
            f"{field.name} {field.type}" for field in connection.adbc_get_table_schema("orders", db_schema_filter="shop")
        ]
        told["missing"] = attempt(lambda: connection.adbc_get_table_schema("nothing"))
        told["catalog"] = connection.adbc_current_catalog
        told["current"] = connection.adbc_current_db_schema
        connection.adbc_current_db_schema = told["current"]
        def other():
            connection.adbc_current_db_schema = "elsewhere"
        told["other"] = attempt(other)
        told["info"] = connection.adbc_get_info()
    return told


def odd_names(uri):
    rows = pa.table({"a \"b\" c": [1], "select": [2], "Ünï": [3]})
    with connect(uri) as connection, connection.cursor() as cursor:
        return cursor.adbc_ingest('t"; drop table x; --', rows, mode="create", db_schema_name="a schema")


def refused(uri):
    told = {}
    with connect(uri) as connection, connection.cursor() as cursor:
        try:
            cursor.execute("select 1")
            told["query"] = "went through"
        except adbc_driver_manager.Error as error:
            told["query"] = f"{status(error)}: {error}"
        try:
            cursor.adbc_ingest("t", ROWS, mode="create", temporary=True)
            told["temporary"] = "went through"
        except adbc_driver_manager.Error as error:
            told["temporary"] = f"{status(error)}: {error}"
    return told


def queries(uri):
    import polars as pl

    told = {}
    with connect(uri) as connection:
        with connection.cursor() as cursor:
            cursor.execute("create table t (id bigint primary key, name text, price numeric(10,2))")
            cursor.executemany("insert into t values ($1, $2, $3)", [(1, "a", "1.50"), (2, None, "2.25"), (3, "c", None)])
        with connection.cursor() as cursor:
            cursor.execute("select * from t order by id")
            table = cursor.fetch_arrow_table()
            told["schema"] = [f"{field.name} {field.type}" for field in table.schema]
            told["rows"] = [[str(value) for value in row.values()] for row in table.to_pylist()]
        with connection.cursor() as cursor:
            cursor.execute("select name from t where id = $1", (3,))
            told["parameter"] = cursor.fetchall()
        with connection.cursor() as cursor:
            cursor.execute("select id from t where false")
            told["nothing"] = [cursor.fetch_arrow_table().num_rows, [column[0] for column in cursor.description]]
        with connection.cursor() as cursor:
            told["error"] = attempt(lambda: cursor.execute("select * from missing"))
        with connection.cursor() as cursor:
            cursor.execute("select n, repeat('x', 100) as filling from generate_series(1, 200000) n")
            told["many"] = sum(batch.num_rows for batch in cursor.fetch_record_batch())
        with connection.cursor() as cursor:
            partitions, schema = cursor.adbc_execute_partitions("select 7::bigint as seven")
            told["partitions"] = [len(partitions), schema.names]
            cursor.adbc_read_partition(partitions[0])
            told["partition"] = cursor.fetchall()
        with connection.cursor() as cursor:
            try:
                cursor.execute("select * from missing")
            except adbc_driver_manager.Error as error:
                told["details"] = dict(error.details).get(b"x-pg-sqlstate", b"").decode()
        told["polars"] = pl.read_database("select sum(id)::bigint as total from t", connection).item()
    return told


def login(uri, user, password, authority=""):
    options = {"adbc.flight.sql.client_option.tls_root_certs": open(authority).read()} if authority else {}

    def ingest(**credentials):
        with connect(uri, **options, **credentials) as connection, connection.cursor() as cursor:
            return cursor.adbc_ingest("t", ROWS, mode="create_append")

    return {
        "none": attempt(ingest),
        "password": attempt(lambda: ingest(username=user, password=password)),
        "wrong": attempt(lambda: ingest(username=user, password="wrong")),
        "bearer": attempt(lambda: ingest(**{"adbc.flight.sql.authorization_header": f"Bearer {password}"})),
    }


def headers(uri):
    option = "adbc.flight.sql.rpc.call_header.pgflight-"
    rows = pa.table({"id": pa.array([2, 3], pa.int64()), "name": pa.array(["b", "b"])})
    with connect(uri) as connection:
        with connection.cursor() as cursor:
            cursor.adbc_statement.set_options(**{option + "primary-key": "id"})
            cursor.adbc_ingest("keyed", ROWS, mode="create")
        with connection.cursor() as cursor:
            cursor.adbc_statement.set_options(**{option + "write-mode": "overwrite"})
            by_header = cursor.adbc_ingest("keyed", rows, mode="append")
        with connection.cursor() as cursor:
            noted = ROWS.replace_schema_metadata({"pgflight.write_mode": "overwrite"})
            return [by_header, cursor.adbc_ingest("keyed", noted, mode="append")]


def polars_million(uri, user, password, authority):
    import polars as pl

    rows = 1_000_000
    n = pl.col("id")
    frame = pl.DataFrame({"id": pl.int_range(rows, eager=True)}).with_columns(
        name=pl.lit("name ") + n.cast(pl.String),
        price=n.cast(pl.Decimal(12, 2)) + pl.lit("0.25").cast(pl.Decimal(12, 2)),
        day=(n % 20000).cast(pl.Int32).cast(pl.Date),
        at=n.cast(pl.Datetime("us", "UTC")),
        kind=pl.when(n % 3 < 2).then(pl.lit("a")),
    )
    # The driver takes messages up to 16 MiB, and polars hands over what it has in one piece.
    options = {
        "username": user,
        "password": password,
        "adbc.flight.sql.client_option.tls_root_certs": open(authority).read(),
        MESSAGE_SIZE: str(256 << 20),
    }
    told = {}
    with connect(uri, **options) as connection:
        told["written"] = frame.write_database("frame", connection, engine="adbc")
        told["again"] = frame.write_database("frame", connection, engine="adbc", if_table_exists="append")
        read = pl.read_database("select * from frame", connection)
        told["read"] = read.height
        one = read.unique("id").sort("id")
        told["equal"] = one.equals(frame.with_columns(one["id"])) and one.height == rows
    return told


def partitions(uri):
    import concurrent.futures

    header = {"adbc.flight.sql.rpc.call_header.pgflight-partitions": "4"}
    told = {}
    with connect(uri) as connection, connection.cursor() as cursor:
        cursor.adbc_statement.set_options(**header)
        parts, schema = cursor.adbc_execute_partitions("select * from big")
        told["partitions"], told["schema"] = len(parts), schema.names

    def read(part):
        with connect(uri) as connection, connection.cursor() as cursor:
            cursor.adbc_read_partition(part)
            return cursor.fetch_arrow_table()["n"]

    with concurrent.futures.ThreadPoolExecutor(len(parts)) as readers:
        columns = [column for part in readers.map(read, parts) for column in part.to_pylist()]
    told["rows"], told["distinct"] = len(columns), len(set(columns))
    # As an option of the connection the header comes with all calls, also those that it means nothing to.
    with connect(uri, **header) as connection, connection.cursor() as cursor:
        told["other"] = len(cursor.adbc_execute_partitions("select n from big where n < 10")[0])
        told["ingested"] = cursor.adbc_ingest("beside", ROWS, mode="create")
    return told


print(json.dumps(globals()[sys.argv[1]](*sys.argv[2:]), default=str))
