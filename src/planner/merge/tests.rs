//! The SQL of merges, word for word.

use super::*;
use crate::planner::parts::parts;

fn merge(key: &[&str], columns: &[(&str, PgType)]) -> Merge {
    let ident = |name: &str| Ident::new(name).unwrap();
    let columns = columns.iter().map(|(name, ty)| TargetColumn {
        name: ident(name),
        ty: ty.clone(),
        nullable: true,
    });
    let columns: Vec<TargetColumn> = columns.collect();
    Merge {
        table: TableName::qualified(ident("S"), ident("t\"x")),
        parts: parts(&ident("pgflight_stage_1"), &columns),
        columns,
        key: key.iter().map(|name| ident(name)).collect(),
        collations: Vec::new(),
        skip_unchanged: true,
        counts_unchanged: false,
        version: None,
        overriding: false,
    }
}

#[test]
fn texts_that_a_key_finds_equal_are_equal_in_the_staging_table_and_are_written() {
    let mut merge = merge(&["k"], &[("k", PgType::Text), ("v", PgType::Text)]);
    let ident = |name: &str| Ident::new(name).unwrap();
    let collation = Collation {
        schema: ident("public"),
        name: ident("ci\"x"),
    };
    merge.collations.push((ident("k"), collation));
    assert!(merge.create_stage(true).starts_with(
        "create temporary table \"pgflight_stage_1\" (\"k\" text collate \"public\".\"ci\"\"x\", \"v\" text, "
    ));
    assert!(
        merge
            .merge(Staged::All)
            .contains("do update set \"k\" = excluded.\"k\", \"v\" = excluded.\"v\" ")
    );
}

#[test]
fn the_last_row_of_a_key_wins_and_equal_rows_are_left_alone() {
    let merge = merge(
        &["id"],
        &[("id", PgType::Int8), ("v", PgType::Text), ("j", PgType::Json)],
    );
    assert_eq!(
        merge.merge(Staged::All),
        "insert into \"S\".\"t\"\"x\" as pgflight_target (\"id\", \"v\", \"j\") \
         select \"id\", \"v\", \"j\" from (select distinct on (\"id\") * from pg_temp.\"pgflight_stage_1\" \
         order by \"id\", \"_pgflight_ordinal\" desc) as pgflight_staged \
         on conflict (\"id\") do update set \"v\" = excluded.\"v\", \"j\" = excluded.\"j\" \
         where row(pgflight_target.\"v\", pgflight_target.\"j\")::record operator(pg_catalog.*<>) \
         row(excluded.\"v\", excluded.\"j\")::record"
    );
}

#[test]
fn with_a_version_column_the_newer_row_is_kept() {
    let mut merge = merge(&["id"], &[("id", PgType::Int8), ("v", PgType::Int8)]);
    merge.version = Some(Ident::new("v").unwrap());
    merge.skip_unchanged = false;
    let sql = merge.merge(Staged::All);
    assert!(
        sql.contains("order by \"id\", \"v\" desc nulls last, \"_pgflight_ordinal\" desc"),
        "{sql}"
    );
    assert!(
        sql.ends_with("where (pgflight_target.\"v\" is null or excluded.\"v\" >= pgflight_target.\"v\")"),
        "{sql}"
    );
}

#[test]
fn a_swap_refills_in_stream_order() {
    let mut merge = merge(&[], &[("a", PgType::Int4)]);
    merge.overriding = true;
    assert_eq!(
        merge.refill(Staged::All),
        "insert into \"S\".\"t\"\"x\" (\"a\") overriding system value select \"a\" \
         from pg_temp.\"pgflight_stage_1\" order by \"_pgflight_ordinal\""
    );
}

#[test]
fn a_table_of_key_columns_only_has_nothing_to_update() {
    let merge = merge(&["a", "b"], &[("a", PgType::Int4), ("b", PgType::Int4)]);
    assert!(
        merge
            .merge(Staged::All)
            .ends_with("on conflict (\"a\", \"b\") do nothing"),
        "{}",
        merge.merge(Staged::All)
    );
}

#[test]
fn key_columns_are_written_where_equal_values_read_differently() {
    let numeric = PgType::Array(Box::new(PgType::Numeric(None)));
    let merge = merge(&["a", "n"], &[("a", PgType::Int4), ("n", numeric)]);
    assert!(
        merge.merge(Staged::All).ends_with(
            "on conflict (\"a\", \"n\") do update set \"n\" = excluded.\"n\" \
             where row(pgflight_target.\"n\")::record operator(pg_catalog.*<>) row(excluded.\"n\")::record"
        ),
        "{}",
        merge.merge(Staged::All)
    );
}

#[test]
fn the_staging_table_has_the_columns_and_the_ordinal_and_no_constraint() {
    let merge = merge(
        &["a"],
        &[
            ("a", PgType::Varchar(Some(3))),
            ("b", PgType::Array(Box::new(PgType::Int4))),
        ],
    );
    assert_eq!(
        merge.create_stage(false),
        "create temporary table \"pgflight_stage_1\" (\"a\" varchar(3), \"b\" integer[], \
         \"_pgflight_ordinal\" bigint) with (toast_tuple_target = 8160) on commit delete rows"
    );
    assert_eq!(
        merge.copy_into_stage(&merge.parts[0]),
        "copy pg_temp.\"pgflight_stage_1\" (\"a\", \"b\", \"_pgflight_ordinal\") from stdin with (format binary)"
    );
}
