//! What watches a table's rows: triggers, rewrite rules, foreign keys. Pure data.

use crate::model::ident::Ident;

/// A trigger of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundTrigger {
    /// Name.
    pub name: Ident,
    /// `pg_trigger.tgtype` bits: 1 row, 2 before, 4 insert, 8 delete, 16 update, 32 truncate, 64 instead.
    pub kind: i16,
    /// Whether it fires in ordinary sessions.
    pub enabled: bool,
}

/// A trigger that sees each row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowTrigger {
    /// The trigger.
    pub trigger: FoundTrigger,
    /// Whether all it does is to leave out updates that change nothing (`suppress_redundant_updates_trigger`).
    pub only_redundant: bool,
}

/// A rewrite rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundRule {
    /// Name.
    pub name: Ident,
    /// The command that it rewrites.
    pub event: RowCommand,
    /// Whether it is carried out in ordinary sessions.
    pub enabled: bool,
}

/// A command that changes rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowCommand {
    /// INSERT.
    Insert,
    /// UPDATE.
    Update,
    /// DELETE.
    Delete,
}

impl RowCommand {
    /// As SQL has it.
    pub fn words(self) -> &'static str {
        match self {
            Self::Insert => "INSERT",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
        }
    }
}

/// A foreign key between two tables of which at least one is this table or a part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundReference {
    /// Schema of the constraint.
    pub schema: Ident,
    /// Name of the constraint.
    pub name: Ident,
    /// The table whose rows name others, as Postgres prints it.
    pub from: String,
    /// Whether that is the table itself or a part of it.
    pub within: bool,
    /// Whether SET CONSTRAINTS can put its check off to the COMMIT.
    pub deferrable: bool,
}

impl FoundTrigger {
    const ROW: i16 = 1;
    const BEFORE: i16 = 2;
    const INSERT: i16 = 4;
    const UPDATE: i16 = 16;
    const INSTEAD: i16 = 64;

    /// Whether it replaces INSERT on a view, which is what lets COPY write to one.
    pub fn is_instead_of_insert(&self) -> bool {
        self.enabled && self.kind & Self::INSTEAD != 0 && self.kind & Self::INSERT != 0
    }

    /// Whether it sees each row before it is stored, and so may fill columns that the stream lacks.
    pub fn may_fill_columns(&self) -> bool {
        const ALL: i16 = FoundTrigger::ROW | FoundTrigger::BEFORE | FoundTrigger::INSERT;
        self.enabled && self.kind & ALL == ALL
    }

    /// Whether it fires on INSERT.
    pub fn is_on_insert(&self) -> bool {
        self.enabled && self.kind & Self::INSERT != 0
    }

    /// Whether it fires once for each statement that may update, also where that updates nothing.
    pub fn is_on_update_statement(&self) -> bool {
        self.enabled && self.kind & Self::ROW == 0 && self.kind & Self::UPDATE != 0
    }

    /// Whether it can leave out rows that are inserted or, with `updates`, updated.
    fn may_suppress(&self, updates: bool) -> bool {
        let event = Self::INSERT | if updates { Self::UPDATE } else { 0 };
        self.enabled && self.kind & (Self::BEFORE | Self::INSTEAD) != 0 && self.kind & event != 0
    }
}

impl RowTrigger {
    /// Whether it can leave out rows that are inserted or, with `updates`, updated.
    pub fn may_suppress(&self, updates: bool) -> bool {
        !self.only_redundant && self.trigger.may_suppress(updates)
    }
}
