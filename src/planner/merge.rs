//! SQL of an upsert through a staging table: staging DDL, COPY and the merge itself. Pure text from typed names.
//!
//! `INSERT .. SELECT .. ON CONFLICT` and not MERGE: only the former is safe when two writers insert the same key. The
//! staging table has no constraints (a conflict there would lose rows) and one more column, the row's position in the
//! stream, by which the last row of a key wins. Sorting by key gives all writers one lock order.

use super::parts::Part;
use crate::model::ident::{Ident, TableName};
use crate::model::pg_type::PgType;
use crate::model::table::{Collation, TargetColumn};

/// Name of the staging column that holds a row's position, where no column of the stream has it.
const ORDINAL: &str = "_pgflight_ordinal";
/// Bytes of a wide row that stay in the staging table's page, as many as can. Values are then compressed and moved out of line
/// once, by the target, and not first for a table that lives for a moment.
const STAGE_TUPLE_TARGET: u16 = 8160;

/// A setting of the transaction that counts rows which a merge leaves untouched.
const UNCHANGED: &str = "pgflight.unchanged";
/// Adds one to it; evaluated once for each of them.
const COUNT_ONE: &str = "pg_catalog.set_config('pgflight.unchanged', \
    (pg_catalog.current_setting('pgflight.unchanged')::pg_catalog.int8 operator(pg_catalog.+) 1)::pg_catalog.text, true)";

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
    fn condition(self, ordinal: &str) -> String {
        match self {
            Self::All => String::new(),
            Self::Between => format!(" where {ordinal} >= $1 and {ordinal} < $2"),
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
    /// Key columns in which different texts may be equal; the staging table compares them so, too.
    pub collations: Vec<(Ident, Collation)>,
    /// Whether rows that are equal already stay untouched.
    pub skip_unchanged: bool,
    /// Whether rows that stay untouched are counted, see [`Self::count_unchanged`].
    pub counts_unchanged: bool,
    /// Column by which the newer of two rows of a key is kept; without it the last one that comes.
    pub version: Option<Ident>,
    /// Whether a column is `GENERATED ALWAYS AS IDENTITY`.
    pub overriding: bool,
    /// The staging tables; temporary, so one set per session. Each has some of the columns, and the position.
    pub parts: Vec<Part>,
}

impl Merge {
    /// Creates the staging table of this session. It is empty again after every commit, or gone.
    pub fn create_stage(&self, ends_with_transaction: bool) -> String {
        let create = |part: &Part| {
            let columns = self.columns_of(part);
            let columns = columns.iter().map(|column| {
                format!(
                    "{} {}{}",
                    column.name.quoted(),
                    stage_type(&column.ty),
                    self.collate(column)
                )
            });
            format!(
                "create temporary table {} ({}, {} bigint) with (toast_tuple_target = {STAGE_TUPLE_TARGET}) on commit {}",
                part.name.quoted(),
                columns.collect::<Vec<_>>().join(", "),
                self.ordinal(),
                if ends_with_transaction { "drop" } else { "delete rows" }
            )
        };
        self.parts.iter().map(create).collect::<Vec<_>>().join("; ")
    }

    /// The COPY that fills a staging table; its rows have the ordinal as last field.
    pub fn copy_into_stage(&self, part: &Part) -> String {
        format!(
            "copy {} ({}, {}) from stdin with (format binary)",
            temporary(part),
            names(&self.columns_of(part)),
            self.ordinal()
        )
    }

    fn collate(&self, column: &TargetColumn) -> String {
        let collation = self.collation(&column.name);
        collation.map_or_else(String::new, |collation| format!(" collate {}", collation.quoted()))
    }

    fn collation(&self, column: &Ident) -> Option<&Collation> {
        let mut found = self.collations.iter().filter(|(name, _)| name == column);
        found.next().map(|(_, collation)| collation)
    }

    fn columns_of(&self, part: &Part) -> Vec<TargetColumn> {
        part.columns
            .iter()
            .filter_map(|at| self.columns.get(*at).cloned())
            .collect()
    }

    /// The staging column with a row's position.
    fn ordinal(&self) -> String {
        let mut name = ORDINAL.to_owned();
        while self.columns.iter().any(|column| column.name.as_str() == name) {
            name.push('_');
        }
        format!("\"{name}\"")
    }

    /// Fills the emptied target with the staged rows, in stream order.
    pub fn refill(&self, staged: Staged) -> String {
        let columns = names(&self.columns);
        format!(
            "insert into {} ({columns}){} select {columns} from {}{} order by {}",
            self.table.quoted(),
            self.overriding_words(),
            self.stage(),
            staged.condition(&self.ordinal()),
            self.ordinal()
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
             select {columns} from (select distinct on ({key}) * from {}{} order by {key}{newest}, {} desc) as pgflight_staged \
             on conflict ({key}) {}",
            self.table.quoted(),
            self.stage(),
            staged.condition(&self.ordinal()),
            self.ordinal(),
            self.on_conflict()
        )
    }

    /// Counts the rows that a move of these staged rows has for the target, and begins the count of those it leaves untouched.
    pub fn count_staged(&self, staged: Staged) -> String {
        let key: Vec<String> = self.key.iter().map(Ident::quoted).collect();
        let rows = match key.is_empty() {
            true => format!("select from {}{}", self.stage(), staged.condition(&self.ordinal())),
            false => format!(
                "select distinct {} from {}{}",
                key.join(", "),
                self.stage(),
                staged.condition(&self.ordinal())
            ),
        };
        format!("select count(*), pg_catalog.set_config('{UNCHANGED}', '0', true) from ({rows}) as pgflight_staged")
    }

    /// The rows that a merge left untouched since [`Self::count_staged`].
    pub fn count_unchanged(&self) -> String {
        format!("select pg_catalog.current_setting('{UNCHANGED}')::pg_catalog.int8")
    }

    /// Makes single rows of the staging table cheap to find, for as long as bad ones are looked for.
    pub fn index_stage(&self) -> String {
        let ordinal = self.ordinal();
        let create = |part: &Part| {
            format!(
                "create index {} on {} ({ordinal})",
                index(part).quoted(),
                temporary(part)
            )
        };
        self.parts.iter().map(create).collect::<Vec<_>>().join("; ")
    }

    /// Undoes [`Self::index_stage`].
    pub fn drop_stage_index(&self) -> String {
        let drop = |part: &Part| format!("drop index pg_temp.{}", index(part).quoted());
        self.parts.iter().map(drop).collect::<Vec<_>>().join("; ")
    }

    /// Position and values, as JSON, of the staged rows with the positions `$1`.
    pub fn staged_values(&self) -> String {
        format!(
            "select {0}, (select pg_catalog.row_to_json(r)::text from (select {1}) as r) from {2} where {0} = any ($1)",
            self.ordinal(),
            names(&self.columns),
            self.stage()
        )
    }

    fn overriding_words(&self) -> &'static str {
        match self.overriding {
            true => " overriding system value",
            false => "",
        }
    }

    /// The staged rows, with all their columns.
    fn stage(&self) -> String {
        let mut parts = self.parts.iter().map(temporary);
        let first = parts.next().unwrap_or_default();
        let ordinal = self.ordinal();
        parts.fold(first, |rows, part| format!("{rows} join {part} using ({ordinal})"))
    }

    fn on_conflict(&self) -> String {
        let rest: Vec<&TargetColumn> = self
            .columns
            .iter()
            .filter(|column| {
                !self.key.contains(&column.name)
                    || differs_though_equal(&column.ty)
                    || self.collation(&column.name).is_some()
            })
            .collect();
        if rest.is_empty() && !self.counts_unchanged {
            return "do nothing".to_owned();
        }
        // A count takes an update, if one that never happens.
        let nothing = rest.is_empty();
        let rest = match nothing {
            true => self.columns.iter().collect(),
            false => rest,
        };
        let set: Vec<String> = rest
            .iter()
            .map(|column| format!("{0} = excluded.{0}", column.name.quoted()))
            .collect();
        let mut text = format!("do update set {}", set.join(", "));
        let mut conditions = Vec::new();
        if nothing {
            conditions.push("false".to_owned());
        }
        if let Some(version) = &self.version {
            let version = version.quoted();
            conditions.push(format!(
                "(pgflight_target.{version} is null or excluded.{version} >= pgflight_target.{version})"
            ));
        }
        if self.skip_unchanged && !nothing {
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
        match (conditions.join(" and "), self.counts_unchanged) {
            (condition, _) if condition.is_empty() => {}
            (condition, false) => text.push_str(&format!(" where {condition}")),
            (condition, true) => text.push_str(&format!(
                " where case when {condition} then true else {COUNT_ONE} is null end"
            )),
        }
        text
    }
}

fn temporary(part: &Part) -> String {
    format!("pg_temp.{}", part.name.quoted())
}

fn index(part: &Part) -> Ident {
    // The staging table's name is ours and far below the limit.
    Ident::new(format!("{}_at", part.name.as_str())).unwrap_or_else(|_| part.name.clone())
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
/// point to it. So is text, unless its key has a nondeterministic collation.
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
mod tests;
