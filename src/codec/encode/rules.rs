//! The registry as types see it whose values have parts: an element, a bound or an attribute is planned by the rule of its own
//! type. Handed in, because the registry knows the types and they do not know it.

use super::EncodeOptions;
use super::column::Planned;
use super::source::Source;
use crate::model::pg_type::PgType;

/// Plans one column or one part of it.
pub(super) type Rule = fn(&Source<'_>, &PgType, &Rules<'_>) -> Planned;

/// All rules, and the choices of the stream.
#[derive(Clone, Copy)]
pub(crate) struct Rules<'a> {
    rule: Rule,
    /// Choices about values.
    pub(crate) options: &'a EncodeOptions,
}

impl<'a> Rules<'a> {
    pub(super) fn new(rule: Rule, options: &'a EncodeOptions) -> Self {
        Self { rule, options }
    }

    /// Plans a part of a value.
    pub(crate) fn plan(&self, source: &Source<'_>, target: &PgType) -> Planned {
        (self.rule)(source, target, self)
    }
}
