//! What a stream asks of its table: its shape, how its values are written, what may be changed for it. Pure.

use arrow::datatypes::{Field, Schema};

use crate::codec::encode::{CopyPlan, EncodeOptions, PlanError};
use crate::ingest::request::LoadRequest;
use crate::model::command::MigrateCommand;
use crate::model::extension::PG_TYPE_KEYS;
use crate::model::geoarrow;
use crate::model::ident::Ident;
use crate::model::installed::Installed;
use crate::model::options::{ColumnTypes, NulBytes, TypeProfile};
use crate::model::pg_name;
use crate::model::pg_type::PgType;
use crate::model::table::{TableShape, TargetColumn};
use crate::model::type_map::default_type_on;
use crate::model::wanted::{WantedOptions, wanted_table};
use crate::planner::policy::Policy;
use crate::postgres::error::Error;

/// What a stream asks of its table.
pub(super) struct Wish<'a> {
    pub(super) wanted: TableShape,
    pub(super) encode: EncodeOptions,
    pub(super) policy: Policy,
    schema: &'a Schema,
}

/// Whether what a stream asks for depends on what its database has.
pub(super) fn depends_on_installed(schema: &Schema, profile: TypeProfile) -> bool {
    profile == TypeProfile::Native && schema.fields().iter().any(|field| geoarrow::concerns(field))
}

impl<'a> Wish<'a> {
    /// The shape that the stream asks for in a database that has these extensions.
    pub(super) fn of(request: &'a LoadRequest, policy: Policy, has: &Installed) -> Result<Self, Error> {
        let options = &request.options;
        let wanted = WantedOptions {
            profile: options.type_profile,
            primary_key: options.primary_key.clone(),
            column_types: options.migrate_rules.column_types.clone(),
        };
        Self::new(&request.schema, &wanted, options.nul_bytes, policy, has)
    }

    /// The shape that a command asks for.
    pub(super) fn of_command(command: &'a MigrateCommand, policy: Policy, has: &Installed) -> Result<Self, Error> {
        let wanted = WantedOptions {
            profile: command.profile,
            primary_key: command.primary_key.clone(),
            column_types: command.rules.column_types.clone(),
        };
        Self::new(&command.schema, &wanted, NulBytes::default(), policy, has)
    }

    fn new(
        schema: &'a Schema,
        wanted: &WantedOptions,
        nul_bytes: NulBytes,
        policy: Policy,
        has: &Installed,
    ) -> Result<Self, Error> {
        let encode = EncodeOptions {
            nul_bytes,
            type_profile: wanted.profile,
        };
        Ok(Self {
            wanted: wanted_table(schema, wanted, &|field| {
                column_type(has, field, &wanted.column_types, &encode)
            })?,
            encode,
            policy,
            schema,
        })
    }

    /// Whether the encoder can write a column of the stream into one of some type.
    pub(super) fn accepts(&self) -> impl Fn(usize, &PgType) -> Result<(), String> {
        |column, ty| {
            let field = self.schema.fields().get(column).ok_or("no such column")?;
            can_encode(field, ty, &self.encode)
        }
    }
}

/// The type of the column that is created for a field: the one that is asked for, or that it was read from, where its
/// metadata name one that takes it, else the type map's. The Go plugin knows no such names.
fn column_type(has: &Installed, field: &Field, asked: &ColumnTypes, options: &EncodeOptions) -> Result<PgType, String> {
    if let Some(ty) = asked.get(field.name()) {
        return can_encode(field, ty, options).map(|()| ty.clone());
    }
    let default = || Ok(default_type_on(has, field, options.type_profile));
    let named = PG_TYPE_KEYS.iter().find_map(|key| field.metadata().get(key));
    let Some(named) = named.filter(|_| options.type_profile == TypeProfile::Native) else {
        return default();
    };
    match pg_name::parse_on(has, named) {
        Some(ty) if can_encode(field, &ty, options).is_ok() => Ok(ty),
        _ => default(),
    }
}

/// Whether the encoder has an exact way from this field to a column of this type.
fn can_encode(field: &Field, ty: &PgType, options: &EncodeOptions) -> Result<(), String> {
    let name = Ident::new("x").map_err(|error| error.to_string())?;
    let column = TargetColumn {
        name,
        ty: ty.clone(),
        nullable: true,
    };
    let planned = CopyPlan::new(&Schema::new(vec![field.clone()]), &[column], options);
    match planned {
        Ok(_) => Ok(()),
        Err(PlanError::Pairs(pairs)) => {
            let why = pairs
                .into_iter()
                .map(|pair| format!("{} cannot be stored exactly in {}{}", pair.arrow, pair.pg, pair.why));
            Err(why.collect::<Vec<_>>().join("; "))
        }
        Err(other) => Err(other.to_string()),
    }
}
