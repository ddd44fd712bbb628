//! GeoArrow columns and PostGIS: which columns are created, what they and existing ones get, and that what was read is written
//! as the same. The servers of other tests have no PostGIS, so most of this runs on Debian's, where apt can bring it.

mod there;

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BinaryArray, BinaryViewArray, LargeStringArray, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema};
use serde_json::{Value, json};

use super::get;
use crate::support::cluster::Cluster;
use crate::support::database::Database;
use crate::support::flight::{Flight, command};
use crate::support::server::Server;

const EPSG_4326: &str = r#"{"crs": {"type": "GeographicCRS", "id": {"authority": "EPSG", "code": 4326}}}"#;
const ON_GLOBE: &str = r#"{"crs": "OGC:CRS84", "crs_type": "authority_code", "edges": "spherical"}"#;
const NAMELESS: &str = r#"{"crs": {"type": "ProjectedCRS", "name": "mine"}}"#;

/// The columns of a table, by name and type, wherever the types live.
const SHAPE: &str = "select string_agg(attname || ' ' || replace(format_type(atttypid, atttypmod), 'gis.', ''), ', ' order by attnum) \
     from pg_attribute where attnum > 0 and attrelid = 't'::regclass";

/// A database with PostGIS in a schema that `search_path` does not name.
async fn with_postgis() -> Database {
    let database = Database::create_at(Cluster::contrib()).await;
    database
        .execute("create schema gis; create extension postgis schema gis")
        .await;
    database
}

fn column(name: &str, extension: &str, metadata: &str, array: ArrayRef) -> (Field, ArrayRef) {
    let keys = [
        ("ARROW:extension:name", extension),
        ("ARROW:extension:metadata", metadata),
    ];
    let field = Field::new(name, array.data_type().clone(), true);
    let keys = keys.map(|(key, value)| (key.to_owned(), value.to_owned()));
    (field.with_metadata(keys), array)
}

fn wkb(name: &str, metadata: &str, values: &[Option<&[u8]>]) -> (Field, ArrayRef) {
    column(
        name,
        "geoarrow.wkb",
        metadata,
        Arc::new(BinaryArray::from(values.to_vec())),
    )
}

fn wkt(name: &str, metadata: &str, values: &[Option<&str>]) -> (Field, ArrayRef) {
    column(
        name,
        "geoarrow.wkt",
        metadata,
        Arc::new(StringArray::from(values.to_vec())),
    )
}

fn batch(columns: Vec<(Field, ArrayRef)>) -> RecordBatch {
    let (fields, arrays): (Vec<Field>, Vec<ArrayRef>) = columns.into_iter().unzip();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).expect("columns of one length")
}

/// ISO's form of a point, big-endian.
fn point(x: f64, y: f64) -> Vec<u8> {
    [&[0, 0, 0, 0, 1][..], &x.to_be_bytes(), &y.to_be_bytes()].concat()
}

/// Two rows, the second NULL, of every kind of column.
fn every_column() -> RecordBatch {
    let here = point(1.5, -2.0);
    let two = [Some(here.as_slice()), None];
    let texts = [Some("LINESTRING Z (0 0 1, 1 1 2)"), None];
    let values: ArrayRef = Arc::new(StringArray::from(texts.to_vec()));
    let dictionary = DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Utf8));
    batch(vec![
        wkb("plain", "", &two),
        wkb("crs", EPSG_4326, &two),
        wkb("globe", ON_GLOBE, &two),
        wkb("nameless", NAMELESS, &two),
        wkt("line", EPSG_4326, &texts),
        wkt("nameless_text", NAMELESS, &texts),
        column(
            "view",
            "geoarrow.wkb",
            "{}",
            Arc::new(BinaryViewArray::from(two.to_vec())),
        ),
        column(
            "large",
            "geoarrow.wkt",
            "{}",
            Arc::new(LargeStringArray::from(texts.to_vec())),
        ),
        column(
            "often",
            "geoarrow.wkt",
            "{}",
            cast(&values, &dictionary).expect("it can be cast"),
        ),
    ])
}

const WITH_POSTGIS: &str = "plain geometry, crs geometry, globe geography, nameless bytea, line geometry, nameless_text text, \
     view geometry, large geometry, often geometry";
const WITHOUT: &str = "plain bytea, crs bytea, globe bytea, nameless bytea, line text, nameless_text text, view bytea, \
     large text, often text";

async fn put(server: &Server, options: Value, batch: &RecordBatch) -> Result<Value, tonic::Status> {
    let mut options = options;
    options["table"] = json!("t");
    Flight::connect(server)
        .await
        .put(command(options), std::slice::from_ref(batch))
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn without_postgis_geometries_are_bytes_and_text() {
    let database = Database::create().await;
    let server = Server::start(&database).await;
    for profile in ["native", "cloudquery"] {
        database.execute("drop table if exists t").await;
        // The Go plugin knows no views, large texts or dictionaries of its own.
        let all = every_column();
        let columns: Vec<usize> = if profile == "native" {
            (0..9).collect()
        } else {
            (0..6).collect()
        };
        let batch = all.project(&columns).expect("columns that there are");
        put(&server, json!({"type_profile": profile}), &batch).await.unwrap();
        let shape: Vec<&str> = WITHOUT.split(", ").take(columns.len()).collect();
        assert_eq!(database.value(SHAPE).await, shape.join(", "), "{profile}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(
    not(contrib_server),
    ignore = "no apt of Debian 12 to bring PostGIS, and PGFLIGHT_TEST_CONTRIB names no server"
)]
async fn columns_are_created_with_the_types_of_postgis_and_what_is_read_from_them_is_written_as_the_same() {
    let database = with_postgis().await;
    let server = Server::start(&database).await;
    for commit in ["atomic", "batch"] {
        database.execute("drop table if exists t, own").await;
        // The second load finds the columns, the third adds them.
        for _ in 0..2 {
            put(&server, json!({"commit": commit}), &every_column()).await.unwrap();
        }
        assert_eq!(database.value(SHAPE).await, WITH_POSTGIS);
        database
            .execute("alter table t drop column line, drop column globe")
            .await;
        put(&server, json!({"commit": commit}), &every_column()).await.unwrap();
        let shown = "select count(*), string_agg(concat_ws('|', gis.st_asewkt(plain), gis.st_asewkt(crs), gis.st_asewkt(globe), \
             gis.st_asewkt(line), gis.st_asewkt(view), gis.st_asewkt(large), gis.st_asewkt(often)), ',') \
             from t where globe is not null";
        let line = "LINESTRING(0 0 1,1 1 2)";
        assert_eq!(
            database.value(shown).await,
            format!(
                "1|POINT(1.5 -2)|SRID=4326;POINT(1.5 -2)|SRID=4326;POINT(1.5 -2)|SRID=4326;{line}|POINT(1.5 -2)|{line}|{line}"
            )
        );
        assert_eq!(database.value("select count(*) from t where plain is null").await, "3");
        let read = get(&server, json!({"table": "t"})).await.unwrap();
        let own = json!({"table": "own", "commit": commit});
        Flight::connect(&server)
            .await
            .put(command(own), std::slice::from_ref(&read))
            .await
            .unwrap();
        let again = get(&server, json!({"table": "own"})).await.unwrap();
        assert_eq!(again, read);
    }
    database.execute("drop table t").await;
    let columns: Vec<usize> = (0..6).collect();
    let batch = every_column().project(&columns).expect("columns that there are");
    put(&server, json!({"type_profile": "cloudquery"}), &batch)
        .await
        .unwrap();
    let shape: Vec<&str> = WITHOUT.split(", ").take(6).collect();
    assert_eq!(
        database.value(SHAPE).await,
        shape.join(", "),
        "the Go plugin knows no PostGIS"
    );
    server.stop().await;
}

/// Texts that PostGIS reads as well.
const TEXTS: &[&str] = &[
    "POINT(0.1 -1e-320)",
    "SRID=3857;POINT ZM(1 2 3 4)",
    "POINT(1 2 3)",
    "POINTM(1 2 3)",
    "POINT Z EMPTY",
    "LINESTRING(123456789.123456789 0.30000000000000004,2.2250738585072014e-308 1.7976931348623157e308)",
    "POLYGON((0 0,4 0,4 4,0 0),(1 1,2 1,2 2,1 1))",
    "MULTIPOINT(1 2,(3 4))",
    "MULTIPOINT((1 2),EMPTY)",
    "MULTILINESTRING((0 0,1 1),EMPTY)",
    "MULTIPOLYGON Z(((0 0 1,4 0 1,4 4 1,0 0 1)))",
    "GEOMETRYCOLLECTION Z(POINT(1 2 3),LINESTRING EMPTY)",
    "GEOMETRYCOLLECTION(GEOMETRYCOLLECTION(POINT M(1 2 3)))",
    "COMPOUNDCURVE(CIRCULARSTRING(0 0,1 1,2 0),(2 0,3 0))",
    "CURVEPOLYGON(COMPOUNDCURVE(CIRCULARSTRING(0 0,1 1,2 0),(2 0,0 0)))",
    "MULTISURFACE(((0 0,1 0,1 1,0 0)),CURVEPOLYGON((5 5,6 5,6 6,5 5)))",
    "POLYHEDRALSURFACE Z(((0 0 0,0 1 0,1 1 0,0 0 0)))",
    "TIN(((0 0,0 1,1 1,0 0)),((0 0,1 1,1 0,0 0)))",
    "TRIANGLE EMPTY",
    "CURVEPOLYGON EMPTY",
    "GEOMETRYCOLLECTION M EMPTY",
];

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(
    not(contrib_server),
    ignore = "no apt of Debian 12 to bring PostGIS, and PGFLIGHT_TEST_CONTRIB names no server"
)]
async fn text_and_binary_are_the_geometries_that_postgis_makes_of_them() {
    let database = with_postgis().await;
    let server = Server::start(&database).await;
    let texts: Vec<Option<&str>> = TEXTS.iter().copied().map(Some).collect();
    let same: ArrayRef = Arc::new(StringArray::from(texts.clone()));
    let both = batch(vec![
        wkt("g", "{}", &texts),
        (Field::new("wkt", DataType::Utf8, true), same),
    ]);
    put(&server, json!({}), &both).await.unwrap();
    let different = "select wkt from t where g::text <> gis.st_geomfromewkt(wkt)::text";
    assert_eq!(database.lines(different).await, [""; 0]);
    assert_eq!(database.value("select count(*) from t").await, TEXTS.len().to_string());
    // ISO's binary in both byte orders, as PostGIS writes it.
    for order in ["XDR", "NDR"] {
        let lines =
            format!("select encode(gis.st_asbinary(g, '{order}'), 'hex') from t where gis.st_srid(g) = 0 order by wkt");
        let bytes: Vec<Vec<u8>> = database.lines(&lines).await.iter().map(|line| unhex(line)).collect();
        let values: Vec<Option<&[u8]>> = bytes.iter().map(|bytes| Some(bytes.as_slice())).collect();
        database.execute("drop table if exists iso").await;
        let into = command(json!({"table": "iso"}));
        let one = batch(vec![wkb("g", "{}", &values)]);
        Flight::connect(&server).await.put(into, &[one]).await.unwrap();
        let rest = "select g::text from t where gis.st_srid(g) = 0 except all select g::text from iso";
        assert_eq!(database.lines(rest).await, [""; 0], "{order}");
    }
    server.stop().await;
}

fn unhex(digits: &str) -> Vec<u8> {
    let digits: Vec<u32> = digits
        .chars()
        .map(|c| c.to_digit(16).expect("a hexadecimal digit"))
        .collect();
    let byte = |pair: &[u32]| u8::try_from(pair[0] << 4 | pair[1]).expect("two digits");
    digits.chunks_exact(2).map(byte).collect()
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(
    not(contrib_server),
    ignore = "no apt of Debian 12 to bring PostGIS, and PGFLIGHT_TEST_CONTRIB names no server"
)]
async fn tables_of_postgis_are_copied_by_reading_and_writing_them() {
    let database = with_postgis().await;
    database
        .execute(
            "create table t (a gis.geometry, b gis.geometry(PointZ,4326), c gis.geography, d gis.geography(LineString,4326), \
             e gis.geometry[], f gis.geometry(Geometry,3857)); set search_path to public, gis; \
             insert into t values ('SRID=25832;POINT(1 2)', 'SRID=4326;POINT(1 2 3)', 'SRID=4269;POINT(3 4)', \
             'LINESTRING(0 0,1 1)', array['POINT(1 2)', null, 'SRID=4326;LINESTRING EMPTY']::geometry[], 'SRID=3857;TIN EMPTY'), \
             ('CURVEPOLYGON(CIRCULARSTRING(0 0,1 1,2 0,1 -1,0 0))', null, 'POLYGON((0 0,1 0,1 1,0 0))', null, '{}', \
             'SRID=3857;MULTIPOINT(EMPTY,1 2)'); set search_path to public",
        )
        .await;
    let server = Server::start(&database).await;
    let read = get(&server, json!({"table": "t"})).await.unwrap();
    let before = database.value(SHAPE).await;
    let into = |table: &str| command(json!({"table": table}));
    let mut flight = Flight::connect(&server).await;
    flight.put(into("own"), std::slice::from_ref(&read)).await.unwrap();
    let shape = SHAPE.replace("'t'", "'own'");
    assert_eq!(database.value(&shape).await, before);
    let differing = "select a::text, b::text, c::text, d::text, e::text, f::text from t except all \
         select a::text, b::text, c::text, d::text, e::text, f::text from own";
    assert_eq!(database.lines(differing).await, [""; 0]);
    let again = get(&server, json!({"table": "own"})).await.unwrap();
    assert_eq!(again, read);
    server.stop().await;
}

/// What PostGIS sent, and values that differ from it in one byte.
fn near_misses() -> Vec<Vec<u8>> {
    let golden = include_str!("../../golden/geometry.hex").lines();
    let sent = golden.map(|line| unhex(line.split_once(' ').expect("a name and digits").1)[4..].to_vec());
    let changed = |value: Vec<u8>| {
        let at =
            (0..value.len()).flat_map(|at| [0x00, 0x01, 0x02, 0x0f, 0x20, 0x7f, 0x80, 0xff].map(|other| (at, other)));
        let changed = at.map(|(at, other)| {
            let mut changed = value.clone();
            changed[at] ^= other;
            changed
        });
        changed.collect::<Vec<_>>()
    };
    sent.flat_map(changed).collect()
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(
    not(contrib_server),
    ignore = "no apt of Debian 12 to bring PostGIS, and PGFLIGHT_TEST_CONTRIB names no server"
)]
async fn what_is_taken_is_what_postgis_reads_from_the_same_bytes() {
    let database = with_postgis().await;
    let server = Server::start(&database).await;
    for ty in ["geometry", "geography"] {
        let mut bytes = near_misses();
        // Which SRIDs are a globe's is known to PostGIS alone, and another fails the load.
        let known =
            |value: &[u8]| value[4] & 0x20 == 0 || [4326u32, 4269].iter().any(|srid| value[5..9] == srid.to_le_bytes());
        bytes.retain(|value| ty == "geometry" || known(value));
        let values: Vec<Option<&[u8]>> = bytes.iter().map(|bytes| Some(bytes.as_slice())).collect();
        let raw: ArrayRef = Arc::new(BinaryArray::from(values.clone()));
        let raw = (Field::new("raw", DataType::Binary, true), raw);
        database
            .execute(&format!(
                "drop table if exists t; drop schema if exists pgflight cascade; create table t (g gis.{ty}, raw bytea)"
            ))
            .await;
        let options = json!({"on_bad_row": "reject", "max_rejects": bytes.len(), "commit": "batch"});
        let answer = put(&server, options, &batch(vec![wkb("g", "{}", &values), raw]))
            .await
            .unwrap();
        let theirs = "select distinct reason from pgflight.reject where reason not like '%cannot be stored in%'";
        assert_eq!(
            database.lines(theirs).await,
            [""; 0],
            "{ty}, PostGIS refuses what was taken: {answer}"
        );
        let other = format!("select count(*) from t where g::text <> raw::gis.{ty}::text");
        assert_eq!(
            database.value(&other).await,
            "0",
            "{ty}, PostGIS reads another value: {answer}"
        );
    }
    server.stop().await;
}
