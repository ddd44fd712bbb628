//! Why the catalog could not be read, for the errors that take it in.

use std::fmt;

use crate::model::class::Class;
use crate::model::ident::TableName;
use crate::postgres::error::driver;

/// Why the catalog could not be read.
///
/// It has no `Display`: a text made of it would no longer tell a lost connection from a refusal. `?` takes it whole into
/// [`crate::postgres::error::Error`] and [`crate::postgres::migrate::MigrateError`], which have its words.
#[derive(Debug)]
pub struct CatalogError {
    about: About,
    fault: CatalogFault,
}

#[derive(Debug)]
enum About {
    Table(TableName),
    Else(&'static str),
}

/// What went wrong.
#[derive(Debug)]
pub enum CatalogFault {
    /// No schema was given and `search_path` names none that exists.
    NoSchema,
    /// The catalog's answer was not understood.
    Shape(String),
    /// Postgres refused the query, or the connection broke.
    Db(tokio_postgres::Error),
}

impl From<tokio_postgres::Error> for CatalogFault {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Db(error)
    }
}

impl CatalogError {
    pub(super) fn of_table(table: TableName, fault: CatalogFault) -> Self {
        let about = About::Table(table);
        Self { about, fault }
    }

    /// An error of a look at something else than a table.
    pub(in crate::postgres) fn of(what: &'static str, fault: CatalogFault) -> Self {
        let about = About::Else(what);
        Self { about, fault }
    }

    /// The kind of failure.
    pub(in crate::postgres) fn class(&self) -> Class {
        match &self.fault {
            CatalogFault::NoSchema => Class::NotFound,
            CatalogFault::Shape(_) => Class::Internal,
            CatalogFault::Db(source) => driver::class(source),
        }
    }

    /// What the driver said, where it said something.
    pub(in crate::postgres) fn postgres(&self) -> Option<&tokio_postgres::Error> {
        match &self.fault {
            CatalogFault::Db(source) => Some(source),
            _ => None,
        }
    }

    /// The table, where its schema is known.
    pub(in crate::postgres) fn table(&self) -> Option<&TableName> {
        match &self.about {
            About::Table(table) if table.schema.is_some() => Some(table),
            _ => None,
        }
    }

    /// For the `Display` of errors that hold this one.
    pub(in crate::postgres) fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.about {
            About::Table(table) => write!(f, "looking up table {table} failed: ")?,
            About::Else(what) => write!(f, "looking up {what} failed: ")?,
        }
        match &self.fault {
            CatalogFault::NoSchema => f.write_str(
                "no schema: `search_path` names no schema that exists; name one in the request or set `schema` in the configuration",
            ),
            CatalogFault::Shape(why) => write!(f, "the catalog's answer was not understood: {why}"),
            CatalogFault::Db(source) => f.write_str(&driver::words_or_grant(
                source,
                "the role needs USAGE on its schema and SELECT on it",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Display;
    use std::marker::PhantomData;

    use super::*;

    struct Asked<T>(PhantomData<T>);

    trait Otherwise {
        const HAS_DISPLAY: bool = false;
    }

    impl<T> Otherwise for T {}

    impl<T: Display> Asked<T> {
        const HAS_DISPLAY: bool = true;
    }

    #[test]
    fn no_text_can_be_made_of_a_failed_look_at_the_catalog() {
        let has_display = [
            Asked::<tokio_postgres::Error>::HAS_DISPLAY,
            Asked::<CatalogError>::HAS_DISPLAY,
            Asked::<CatalogFault>::HAS_DISPLAY,
        ];
        assert_eq!(has_display, [true, false, false]);
    }
}
