//! Who may do what with which table: access rules and the decision by them. Nothing is allowed once there is a rule, except
//! what a rule gives. Decides only; who asks is `ingest::guard`.

mod pattern;
#[cfg(test)]
mod tests;

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use pattern::{Pattern, TablePattern};

use super::caller::Principal;
use super::ident::{Ident, TableName};

/// How anonymous callers are called in rules.
pub const ANONYMOUS: &str = "anonymous";

/// What a program is told of a refusal by the rules.
pub const NO_RIGHT: &str = "NO_RIGHT";

/// What somebody may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum Right {
    /// Add rows.
    Append,
    /// Upsert rows.
    Overwrite,
    /// Put other rows, or another table, in the place of all.
    Replace,
    /// Delete stale rows and records.
    Delete,
    /// Create the table and change its shape.
    Migrate,
    /// Read rows.
    Read,
    /// Run statements of SQL.
    Query,
    /// Bring a database or embeddings of one's own.
    Admin,
}

impl Right {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Append,
        Self::Overwrite,
        Self::Replace,
        Self::Delete,
        Self::Migrate,
        Self::Read,
        Self::Query,
        Self::Admin,
    ];

    /// Its name in the configuration.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Append => "append",
            Self::Overwrite => "overwrite",
            Self::Replace => "replace",
            Self::Delete => "delete",
            Self::Migrate => "migrate",
            Self::Read => "read",
            Self::Query => "query",
            Self::Admin => "admin",
        }
    }

    /// Whether it is about single tables.
    pub const fn is_of_tables(self) -> bool {
        !matches!(self, Self::Query | Self::Admin)
    }

    const fn deed(self) -> &'static str {
        match self {
            Self::Append => "append rows to",
            Self::Overwrite => "overwrite rows of",
            Self::Replace => "replace",
            Self::Delete => "delete rows of",
            Self::Migrate => "create or change",
            Self::Read => "read",
            Self::Query => "run statements of SQL",
            Self::Admin => "bring a database or embeddings of its own",
        }
    }
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Whom it is for.
    pub principal: Pattern,
    /// Which tables it is about.
    pub tables: Vec<TablePattern>,
    /// What it gives.
    pub may: Vec<Right>,
    /// The role of the database that statements of SQL run as.
    pub role: Option<Ident>,
}

/// All rules; without any, everything is allowed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules(Vec<Rule>);

/// What a change of a table meets where its caller may not make one: the reason, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Barred(String);

impl fmt::Display for Barred {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Something that no rule allows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.sentence())]
pub struct Denied {
    who: Principal,
    right: Option<Right>,
    /// The table that it is about.
    pub table: Option<TableName>,
}

impl Denied {
    fn sentence(&self) -> String {
        let who = match &self.who {
            Principal::Anonymous => "an anonymous caller".to_owned(),
            Principal::Named(name) => format!("principal {name:?}"),
        };
        let name = name_of(&self.who);
        match (self.right, &self.table) {
            (Some(right), Some(table)) => format!(
                "{who} may not {} {table}: no rule of auth.rules gives it the right {word} there; add one with principal {name:?}, tables [{table:?}] and may [{word}]",
                right.deed(),
                word = right.word(),
                table = table.to_string(),
            ),
            (Some(right), None) => format!(
                "{who} may not {}: no rule of auth.rules gives it the right {word}; add one with principal {name:?} and may [{word}]",
                right.deed(),
                word = right.word(),
            ),
            (None, _) => format!(
                "{who} may do nothing here: no rule of auth.rules is for it; add one with principal {name:?}, its tables and what it may do"
            ),
        }
    }
}

fn name_of(who: &Principal) -> &str {
    match who {
        Principal::Anonymous => ANONYMOUS,
        Principal::Named(name) => name,
    }
}

impl Rules {
    /// These rules.
    pub fn new(rules: Vec<Rule>) -> Self {
        Self(rules)
    }

    /// Whether there is none, so that everybody may do everything.
    pub fn is_open(&self) -> bool {
        self.0.is_empty()
    }

    fn of<'a>(&'a self, who: &'a Principal) -> impl Iterator<Item = &'a Rule> {
        self.0.iter().filter(|rule| rule.principal.fits(name_of(who)))
    }

    /// Whether somebody has a right to a table.
    pub fn allow(&self, who: &Principal, right: Right, table: &TableName) -> bool {
        let fits = |rule: &Rule| rule.may.contains(&right) && rule.tables.iter().any(|pattern| pattern.fits(table));
        self.is_open() || self.of(who).any(fits)
    }

    /// Refuses what somebody may not do with a table.
    ///
    /// # Errors
    /// [`Denied`].
    pub fn check(&self, who: &Principal, right: Right, table: &TableName) -> Result<(), Denied> {
        match self.allow(who, right, table) {
            true => Ok(()),
            false => Err(Denied {
                who: who.clone(),
                right: Some(right),
                table: Some(table.clone()),
            }),
        }
    }

    /// Whether somebody may know of a table: whoever has any right to it.
    pub fn shows(&self, who: &Principal, table: &TableName) -> bool {
        let mut rights = Right::ALL.into_iter().filter(|right| right.is_of_tables());
        rights.any(|right| self.allow(who, right, table))
    }

    /// Refuses a table that somebody may not know of.
    ///
    /// # Errors
    /// [`Denied`], of the right to read.
    pub fn check_shows(&self, who: &Principal, table: &TableName) -> Result<(), Denied> {
        match self.shows(who, table) {
            true => Ok(()),
            false => self.check(who, Right::Read, table),
        }
    }

    /// Whether somebody may know of a schema.
    pub fn shows_schema(&self, who: &Principal, schema: &str) -> bool {
        let reaches = |rule: &Rule| {
            rule.may.iter().any(|right| right.is_of_tables())
                && rule.tables.iter().any(|pattern| pattern.reaches(schema))
        };
        self.is_open() || self.of(who).any(reaches)
    }

    /// What stops changes of a table's shape, where somebody may not make them.
    pub fn barred(&self, who: &Principal, table: &TableName) -> Option<Barred> {
        let denied = self.check(who, Right::Migrate, table).err()?;
        Some(Barred(denied.to_string()))
    }

    /// Refuses somebody for whom there is no rule at all.
    ///
    /// # Errors
    /// [`Denied`].
    pub fn check_known(&self, who: &Principal) -> Result<(), Denied> {
        match self.is_open() || self.of(who).next().is_some() {
            true => Ok(()),
            false => Err(Denied {
                who: who.clone(),
                right: None,
                table: None,
            }),
        }
    }

    /// Refuses somebody without a right that is about no table.
    ///
    /// # Errors
    /// [`Denied`].
    pub fn check_admin(&self, who: &Principal) -> Result<(), Denied> {
        self.giving(who, Right::Admin).map(drop)
    }

    /// The role that somebody's statements run as; `None` for the server's own.
    ///
    /// # Errors
    /// [`Denied`], where none may be run.
    pub fn role(&self, who: &Principal) -> Result<Option<&Ident>, Denied> {
        Ok(self.giving(who, Right::Query)?.and_then(|rule| rule.role.as_ref()))
    }

    /// The first rule that gives a right; `None` where there are no rules.
    fn giving(&self, who: &Principal, right: Right) -> Result<Option<&Rule>, Denied> {
        if self.is_open() {
            return Ok(None);
        }
        let found = self
            .0
            .iter()
            .find(|rule| rule.principal.fits(name_of(who)) && rule.may.contains(&right));
        found.map(Some).ok_or_else(|| Denied {
            who: who.clone(),
            right: Some(right),
            table: None,
        })
    }
}
