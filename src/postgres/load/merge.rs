//! SQL of an upsert through a staging table: staging DDL, COPY and the merge itself. Pure text from typed names.
//!
//! `INSERT .. SELECT .. ON CONFLICT` and not MERGE: only the former is safe when two writers insert the same key. The
//! staging table has no constraints (a conflict there would lose rows) and one more column, the row's position in the
//! stream, by which the last row of a key wins. Sorting by key gives all writers one lock order.

use crate::model::ident::{Ident, TableName};
use crate::model::pg_type::PgType;
use crate::model::table::TargetColumn;

/// Name of the staging column that holds a row's position; `_pgflight` is ours in a staging table only.
const ORDINAL: &str = "\"_pgflight_ordinal\"";
/// Bytes of a wide row that stay in the staging table's page, as many as can. Values are then compressed and moved out of line
/// once, by the target, and not first for a table that lives for a moment.
const STAGE_TUPLE_TARGET: u16 = 8160;

/// `copy "s"."t" ("a", "b") from stdin with (format binary)`.
pub fn copy_into(table: &TableName, columns: &[TargetColumn]) -> String {
    format!(
        "copy {} ({}) from stdin with (format binary)",
        table.quoted(),
        names(columns)
    )
}

/// Which staged rows a statement takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Staged {
    /// All of them.
    All,
    /// Those whose position is from `$1` to below `$2`.
    Between,
}

impl Staged {
    fn condition(self) -> String {
        match self {
            Self::All => String::new(),
            Self::Between => format!(" where {ORDINAL} >= $1 and {ORDINAL} < $2"),
        }
    }
}

/// An upsert of one stream into one table.
#[derive(Clone, Debug)]
pub struct Merge {
    /// Target, with schema.
    pub table: TableName,
    /// Columns of the stream.
    pub columns: Vec<TargetColumn>,
    /// Columns of the unique index that rows are matched by.
    pub key: Vec<Ident>,
    /// Whether rows that are equal already stay untouched.
    pub skip_unchanged: bool,
    /// Column by which the newer of two rows of a key is kept; without it the last one that comes.
    pub version: Option<Ident>,
    /// Whether a column is `GENERATED ALWAYS AS IDENTITY`.
    pub overriding: bool,
    /// Name of the staging table; temporary, so one per session.
    pub stage: Ident,
}

impl Merge {
    /// Creates the staging table of this session. It is empty again after every commit, or gone.
    pub fn create_stage(&self, ends_with_transaction: bool) -> String {
        let columns: Vec<String> = self
            .columns
            .iter()
            .map(|column| format!("{} {}", column.name.quoted(), stage_type(&column.ty)))
            .collect();
        format!(
            "create temporary table {} ({}, {ORDINAL} bigint) with (toast_tuple_target = {STAGE_TUPLE_TARGET}) on commit {}",
            self.stage.quoted(),
            columns.join(", "),
            if ends_with_transaction { "drop" } else { "delete rows" }
        )
    }

    /// The COPY that fills the staging table; its rows have the ordinal as last field.
    pub fn copy_into_stage(&self) -> String {
        format!(
            "copy {} ({}, {ORDINAL}) from stdin with (format binary)",
            self.stage(),
            names(&self.columns)
        )
    }

    /// Fills the emptied target with the staged rows, in stream order.
    pub fn refill(&self, staged: Staged) -> String {
        let columns = names(&self.columns);
        format!(
            "insert into {} ({columns}){} select {columns} from {}{} order by {ORDINAL}",
            self.table.quoted(),
            self.overriding_words(),
            self.stage(),
            staged.condition()
        )
    }

    /// Moves the staged rows into the target.
    pub fn merge(&self, staged: Staged) -> String {
        let columns = names(&self.columns);
        let key: Vec<String> = self.key.iter().map(Ident::quoted).collect();
        let key = key.join(", ");
        let overriding = self.overriding_words();
        let newest = match &self.version {
            None => String::new(),
            Some(version) => format!(", {} desc nulls last", version.quoted()),
        };
        format!(
            "insert into {} as pgflight_target ({columns}){overriding} \
             select {columns} from (select distinct on ({key}) * from {}{} order by {key}{newest}, {ORDINAL} desc) as pgflight_staged \
             on conflict ({key}) {}",
            self.table.quoted(),
            self.stage(),
            staged.condition(),
            self.on_conflict()
        )
    }

    /// Makes single rows of the staging table cheap to find, for as long as bad ones are looked for.
    pub fn index_stage(&self) -> String {
        format!("create index {} on {} ({ORDINAL})", self.index().quoted(), self.stage())
    }

    /// Undoes [`Self::index_stage`].
    pub fn drop_stage_index(&self) -> String {
        format!("drop index pg_temp.{}", self.index().quoted())
    }

    /// Position and values, as JSON, of the staged rows with the positions `$1`.
    pub fn staged_values(&self) -> String {
        format!(
            "select {ORDINAL}, (select pg_catalog.row_to_json(r)::text from (select {}) as r) from {} where {ORDINAL} = any ($1)",
            names(&self.columns),
            self.stage()
        )
    }

    fn index(&self) -> Ident {
        // The staging table's name is ours and far below the limit.
        Ident::new(format!("{}_at", self.stage.as_str())).unwrap_or_else(|_| self.stage.clone())
    }

    fn overriding_words(&self) -> &'static str {
        match self.overriding {
            true => " overriding system value",
            false => "",
        }
    }

    fn stage(&self) -> String {
        format!("pg_temp.{}", self.stage.quoted())
    }

    fn on_conflict(&self) -> String {
        let rest: Vec<&TargetColumn> = self
            .columns
            .iter()
            .filter(|column| !self.key.contains(&column.name) || differs_though_equal(&column.ty))
            .collect();
        if rest.is_empty() {
            return "do nothing".to_owned();
        }
        let set: Vec<String> = rest
            .iter()
            .map(|column| format!("{0} = excluded.{0}", column.name.quoted()))
            .collect();
        let mut text = format!("do update set {}", set.join(", "));
        let mut conditions = Vec::new();
        if let Some(version) = &self.version {
            let version = version.quoted();
            conditions.push(format!(
                "(pgflight_target.{version} is null or excluded.{version} >= pgflight_target.{version})"
            ));
        }
        if self.skip_unchanged {
            let row = |alias: &str| {
                let cells = rest.iter().map(|column| format!("{alias}.{}", column.name.quoted()));
                format!("row({})::record", cells.collect::<Vec<_>>().join(", "))
            };
            // By the bytes, because equality is coarser than what is stored: 1.0 = 1.00, also in jsonb, 0 = -0, and
            // 'a' = 'A' where a collation says so. It needs no operator of the types and unpacks no value that differs in size.
            conditions.push(format!(
                "{} operator(pg_catalog.*<>) {}",
                row("pgflight_target"),
                row("excluded")
            ));
        }
        if !conditions.is_empty() {
            text.push_str(" where ");
            text.push_str(&conditions.join(" and "));
        }
        text
    }
}

fn names(columns: &[TargetColumn]) -> String {
    let names: Vec<String> = columns.iter().map(|column| column.name.quoted()).collect();
    names.join(", ")
}

/// The staging column's type: domains become their base type, whose checks the target makes anyway.
fn stage_type(ty: &PgType) -> String {
    match ty {
        PgType::Domain(domain) => stage_type(&domain.base),
        other => other.to_string(),
    }
}

/// Whether two values of a type can be equal and read differently, so that a key column must be written too: 1.0 and 1.00, 0 and
/// -0, a month and 30 days. Other keys are left out, because an UPDATE that names a key locks its row against foreign keys that
/// point to it. So is text: only under a nondeterministic collation is it equal to another, and that is not looked up.
fn differs_though_equal(ty: &PgType) -> bool {
    match ty {
        PgType::Domain(domain) => differs_though_equal(&domain.base),
        PgType::Array(element) => differs_though_equal(element),
        PgType::Range(range) | PgType::Multirange(range) => differs_though_equal(&range.subtype),
        PgType::Composite(row) => row.fields.iter().any(|(_, ty)| differs_though_equal(ty)),
        // With a scale, all values have its digits.
        PgType::Numeric(modifier) => modifier.is_none(),
        // Without a length, blanks at the end are kept and do not count.
        PgType::Bpchar(length) => length.is_none(),
        PgType::Float4 | PgType::Float8 | PgType::Interval | PgType::LimitedInterval(_) | PgType::Jsonb => true,
        PgType::Citext(_) | PgType::Vector(_, _) | PgType::HalfVec(_, _) | PgType::SparseVec(_, _) => true,
        PgType::Geometry(_, _) | PgType::Geography(_, _) | PgType::Other(_) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merge(key: &[&str], columns: &[(&str, PgType)]) -> Merge {
        let ident = |name: &str| Ident::new(name).unwrap();
        let columns = columns.iter().map(|(name, ty)| TargetColumn {
            name: ident(name),
            ty: ty.clone(),
            nullable: true,
        });
        Merge {
            table: TableName::qualified(ident("S"), ident("t\"x")),
            columns: columns.collect(),
            key: key.iter().map(|name| ident(name)).collect(),
            skip_unchanged: true,
            version: None,
            overriding: false,
            stage: ident("pgflight_stage_1"),
        }
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
            merge.copy_into_stage(),
            "copy pg_temp.\"pgflight_stage_1\" (\"a\", \"b\", \"_pgflight_ordinal\") from stdin with (format binary)"
        );
    }
}
