//! Finding a column by its name without a look at each: tables have up to 1,600, and a plan asks for each of them a dozen times.
//!
//! An index is made at the first look and says only where to look first: what stands there is compared, so columns that were
//! changed since then are found all the same.

use std::collections::HashMap;
use std::sync::OnceLock;

use super::ident::Ident;

/// Columns up to which a look at each is as quick.
const FEW: usize = 32;

/// Where columns of a list are, by their names. Says nothing of its own: any two are equal, and a copy begins anew.
#[derive(Default)]
pub struct ByName(OnceLock<HashMap<Ident, usize>>);

impl ByName {
    /// The column of that name.
    pub(crate) fn find<'a, C>(&self, columns: &'a [C], name: &Ident, name_of: impl Fn(&C) -> &Ident) -> Option<&'a C> {
        if columns.len() > FEW {
            let places = self.0.get_or_init(|| {
                let named = columns.iter().enumerate();
                named.map(|(at, column)| (name_of(column).clone(), at)).collect()
            });
            let first = places.get(name).and_then(|at| columns.get(*at));
            if let Some(column) = first.filter(|column| name_of(column) == name) {
                return Some(column);
            }
        }
        columns.iter().find(|column| name_of(column) == name)
    }
}

impl Clone for ByName {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl PartialEq for ByName {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for ByName {}

impl std::fmt::Debug for ByName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ByName")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_found_also_after_they_were_changed() {
        let name = |n: usize| Ident::new(format!("c{n}")).unwrap();
        let mut columns: Vec<Ident> = (0..1600).map(name).collect();
        let by_name = ByName::default();
        let find = |columns: &[Ident], wanted: &Ident| by_name.find(columns, wanted, |name| name).cloned();
        assert!((0..1600).all(|n| find(&columns, &name(n)) == Some(name(n))));
        columns.remove(0);
        columns.push(name(1600));
        columns.swap(3, 1000);
        assert_eq!(find(&columns, &name(0)), None);
        assert!((1..=1600).all(|n| find(&columns, &name(n)) == Some(name(n))));
    }
}
