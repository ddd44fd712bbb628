//! The proof that somebody's rights were looked at, without which a destination does nothing. Only [`super`] makes it.

use std::ops::Deref;

use crate::model::caller::Caller;
use crate::model::ident::Ident;

/// A caller who may do what is asked in the same call.
#[derive(Clone, Debug)]
pub struct Permit {
    caller: Caller,
    role: Option<Ident>,
}

impl Permit {
    pub(super) fn of(caller: &Caller) -> Self {
        Self {
            caller: caller.clone(),
            role: None,
        }
    }

    pub(super) fn bound_to(caller: &Caller, role: Option<Ident>) -> Self {
        Self {
            caller: caller.clone(),
            role,
        }
    }

    /// The role that the caller's statements of SQL run as; `None` for the destination's own.
    pub fn role(&self) -> Option<&Ident> {
        self.role.as_ref()
    }
}

impl Deref for Permit {
    type Target = Caller;

    fn deref(&self) -> &Caller {
        &self.caller
    }
}
