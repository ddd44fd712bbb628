//! Columns that are there before a stream: what they keep, what they refuse, and which rows they do not get.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field};
use serde_json::json;
use tonic::Code;

use super::{EPSG_4326, NAMELESS, ON_GLOBE, SHAPE, batch, point, put, with_postgis, wkb, wkt};
use crate::support::flight::{Flight, command};
use crate::support::server::Server;

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(
    not(contrib_server),
    ignore = "no apt of Debian 12 to bring PostGIS, and PGFLIGHT_TEST_CONTRIB names no server"
)]
async fn columns_that_are_there_keep_their_types_in_every_mode() {
    let database = with_postgis().await;
    let server = Server::start(&database).await;
    let here = point(1.0, 2.0);
    let rows = batch(vec![
        wkb("bytes", EPSG_4326, &[Some(&here)]),
        wkt("words", EPSG_4326, &[Some("POINT(1 2)")]),
        wkb("there", EPSG_4326, &[Some(&here)]),
        wkt("told", "", &[Some("POINT(1 2)")]),
        wkb("round", EPSG_4326, &[Some(&here)]),
        wkt("flat", ON_GLOBE, &[Some("POINT(1 2)")]),
    ]);
    for mode in ["off", "safe", "forced"] {
        database
            .execute(
                "drop table if exists t; create table t (bytes bytea, words text, there gis.geometry(Point,4326), \
                 told gis.geometry(Geometry,4326), round gis.geography(Point,4326), flat gis.geometry)",
            )
            .await;
        let before = database.value(SHAPE).await;
        let options = json!({"table": "t", "migrate_mode": mode});
        let mut flight = Flight::connect(&server).await;
        let plan = json!({"table": "t", "migrate_mode": mode, "dry_run": true, "arrow_schema": schema_of(&rows)});
        let report = flight.act("pgflight.migrate", plan).await.unwrap();
        assert_eq!(report["steps"], json!([]), "{mode}: {report}");
        flight.put(command(options), std::slice::from_ref(&rows)).await.unwrap();
        assert_eq!(database.value(SHAPE).await, before, "{mode}");
        let shown = "select encode(bytes, 'hex'), words, gis.st_asewkt(there), gis.st_asewkt(told), gis.st_asewkt(round), \
             gis.st_asewkt(flat) from t";
        let at = "SRID=4326;POINT(1 2)";
        assert_eq!(
            database.value(shown).await,
            format!("00000000013ff00000000000004000000000000000|POINT(1 2)|{at}|{at}|{at}|{at}"),
            "{mode}"
        );
    }
    server.stop().await;
}

fn schema_of(batch: &RecordBatch) -> String {
    use base64::Engine as _;
    let options = arrow::ipc::writer::IpcWriteOptions::default();
    let message = arrow_flight::IpcMessage::try_from(arrow_flight::SchemaAsIpc::new(&batch.schema(), &options));
    base64::engine::general_purpose::STANDARD.encode(message.expect("the schema can be encoded").0)
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(
    not(contrib_server),
    ignore = "no apt of Debian 12 to bring PostGIS, and PGFLIGHT_TEST_CONTRIB names no server"
)]
async fn a_crs_that_a_column_cannot_have_is_refused_before_any_row() {
    let database = with_postgis().await;
    let server = Server::start(&database).await;
    let here = point(1.0, 2.0);
    let column = "drop table if exists t; create table t (g gis.geometry(Point,3857)); \
         insert into t values ('SRID=3857;POINT(5 6)')";
    let unknown = "its CRS has no SRID that is known here: name it by EPSG";
    let other = "its CRS has the SRID 4326 and the column 3857: transform the coordinates";
    for (metadata, sentence) in [(NAMELESS, unknown), (EPSG_4326, other)] {
        let one = batch(vec![wkb("g", metadata, &[Some(&here)])]);
        for mode in ["off", "safe"] {
            database.execute(column).await;
            let refused = put(&server, json!({"migrate_mode": mode}), &one).await;
            let status = refused.expect_err("it does not fit");
            assert_eq!(status.code(), Code::FailedPrecondition, "{status:?}");
            assert!(status.message().contains(sentence), "{mode}: {}", status.message());
            assert_eq!(
                database.value("select gis.st_asewkt(g) from t").await,
                "SRID=3857;POINT(5 6)"
            );
        }
    }
    // Forced as ever: a column that keeps every value as it becomes another does so, the table of any other is moved aside.
    let forced = json!({"migrate_mode": "forced"});
    let one = batch(vec![wkb("g", EPSG_4326, &[Some(&here)])]);
    put(&server, forced.clone(), &one).await.unwrap();
    assert_eq!(database.value(SHAPE).await, "g geometry");
    let both = "select string_agg(gis.st_asewkt(g), ',' order by gis.st_srid(g)) from t";
    assert_eq!(database.value(both).await, "SRID=3857;POINT(5 6),SRID=4326;POINT(1 2)");
    let one = batch(vec![wkb("g", NAMELESS, &[Some(&here)])]);
    put(&server, forced, &one).await.unwrap();
    assert_eq!(database.value(SHAPE).await, "g bytea");
    let aside = "select format('%I', relname) from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r' and relname <> 't'";
    let aside = database.value(aside).await;
    assert_eq!(database.value(&format!("select count(*) from {aside}")).await, "2");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(
    not(contrib_server),
    ignore = "no apt of Debian 12 to bring PostGIS, and PGFLIGHT_TEST_CONTRIB names no server"
)]
async fn bad_geometries_are_rejected_and_the_others_loaded() {
    let database = with_postgis().await;
    let server = Server::start(&database).await;
    let here = point(1.0, 2.0);
    let (beyond, cut) = (point(181.0, 0.0), &here[..20]);
    let behind = [&here[..], b"x"].concat();
    let binary: Vec<Option<&[u8]>> = vec![
        Some(&here),
        Some(cut),
        Some(b""),
        Some(&behind),
        None,
        Some(&here),
        Some(&beyond),
    ];
    let texts = [
        Some("POINT(1 2)"),
        None,
        None,
        None,
        Some("POINT(1 2) POINT(3 4)"),
        Some("SRID=3857;POINT(1 2)"),
        None,
    ];
    let rows: ArrayRef = Arc::new(Int64Array::from_iter_values(0..7));
    let rows = batch(vec![
        (Field::new("id", DataType::Int64, true), rows),
        wkb("b", ON_GLOBE, &binary),
        wkt("w", EPSG_4326, &texts),
    ]);
    for commit in ["atomic", "batch"] {
        database
            .execute("drop table if exists t; drop schema if exists pgflight cascade")
            .await;
        let answer = put(&server, json!({"on_bad_row": "reject", "commit": commit}), &rows)
            .await
            .unwrap();
        assert_eq!(database.lines("select id from t").await, ["0"], "{answer}");
        let noted = "select row_in_stream, sqlstate, column_name from pgflight.reject order by 1";
        assert_eq!(
            database.lines(noted).await,
            [
                "1|22P03|b",
                "2|22P03|b",
                "3|22P03|b",
                "4|22P02|w",
                "5|22023|w",
                "6|22023|b"
            ]
        );
    }
    let status = put(&server, json!({}), &rows).await.expect_err("a bad row");
    assert!(
        status.message().contains("the bytes are not well-known binary"),
        "{}",
        status.message()
    );
    server.stop().await;
}
