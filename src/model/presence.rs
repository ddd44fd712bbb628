//! What a client expects of a table before its load begins: whether it may be there already, and whether it has to be. Pure.

/// What is done about a table that is there, or is not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Presence {
    /// Where there is none.
    pub if_absent: IfAbsent,
    /// Where there is one.
    pub if_present: IfPresent,
}

/// What is done where there is no table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IfAbsent {
    /// It is created.
    #[default]
    Create,
    /// The load is refused.
    Fail,
}

/// What is done where there is a table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IfPresent {
    /// It takes the rows, as the load's options say.
    #[default]
    Take,
    /// The load is refused.
    Fail,
    /// It ends up as if it had just been created for these rows.
    Renew,
}
