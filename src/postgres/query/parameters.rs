//! Values of parameters: Arrow rows become what Postgres takes in binary, by the rules that hold for rows of a load.

use arrow::array::RecordBatch;
use bytes::{Buf, Bytes, BytesMut};
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};

use crate::codec::encode::{CopyPlan, EncodeOptions};
use crate::model::ident::Ident;
use crate::model::pg_type::PgType;
use crate::model::table::TargetColumn;
use crate::postgres::error::Error;

/// One value, as it travels.
#[derive(Debug)]
pub(super) struct Value(Option<Bytes>);

impl ToSql for Value {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        Ok(match &self.0 {
            None => IsNull::Yes,
            Some(bytes) => {
                out.extend_from_slice(bytes);
                IsNull::No
            }
        })
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

/// The rows of values for a statement with parameters of these types; one row without values where it has none.
pub(super) fn values(batch: Option<&RecordBatch>, types: &[PgType]) -> Result<Vec<Vec<Value>>, Error> {
    let given = batch.map_or(0, RecordBatch::num_columns);
    if given != types.len() {
        return Err(Error::Parameters {
            why: format!("the statement has {} parameters and {given} were given", types.len()),
        });
    }
    let Some(batch) = batch.filter(|_| !types.is_empty()) else {
        return Ok(vec![Vec::new()]);
    };
    let names = (1..=types.len()).map(|n| Ident::new(format!("${n}")).map_err(|error| fault(&error)));
    let targets = names.zip(types).map(|(name, ty)| {
        Ok(TargetColumn {
            name: name?,
            ty: ty.clone(),
            nullable: true,
        })
    });
    let targets = targets.collect::<Result<Vec<_>, Error>>()?;
    let plan = CopyPlan::new(&batch.schema(), &targets, &EncodeOptions::default()).map_err(|error| fault(&error))?;
    let bound = plan.bind(batch).map_err(|error| fault(&error))?;
    let mut encoded = BytesMut::new();
    let mut row = 0;
    while row < bound.rows() {
        row = bound
            .encode(row, usize::MAX, 0, &mut encoded)
            .map_err(|error| fault(&error))?;
    }
    let mut encoded = encoded.freeze();
    let torn = || Error::Internal("encoded parameters end early".to_owned());
    (0..bound.rows())
        .map(|_| taken(&mut encoded, types.len()).ok_or_else(torn))
        .collect()
}

/// One row of a COPY: a count, and for each field its length and bytes.
fn taken(encoded: &mut Bytes, fields: usize) -> Option<Vec<Value>> {
    encoded.try_get_i16().ok()?;
    let field = |_| {
        let length = encoded.try_get_i32().ok()?;
        Some(Value(match usize::try_from(length) {
            Err(_) => None,
            Ok(length) if length <= encoded.len() => Some(encoded.split_to(length)),
            Ok(_) => return None,
        }))
    };
    (0..fields).map(field).collect()
}

fn fault(error: &dyn std::error::Error) -> Error {
    Error::Parameters { why: error.to_string() }
}
