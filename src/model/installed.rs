//! What a database has beyond a bare server, as far as the types of created columns depend on it.

use super::ident::Ident;
use super::pg_type::{PgType, TypeHome};

/// Extensions whose types columns are created with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Installed {
    /// The schema of PostGIS.
    pub postgis: Option<Ident>,
}

impl Installed {
    /// PostGIS' type for plane geometries, or for those on the globe.
    pub fn geometry(&self, on_globe: bool, modifier: Option<String>) -> Option<PgType> {
        let home = TypeHome {
            schema: Some(self.postgis.clone()?),
            ..TypeHome::default()
        };
        Some(if on_globe {
            PgType::Geography(modifier, home)
        } else {
            PgType::Geometry(modifier, home)
        })
    }
}
