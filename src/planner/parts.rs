//! Into how many staging tables a stream's columns go: one, unless the position has no room beside them. Pure.
//!
//! A table has 1600 columns and a row 8160 bytes at most, and a row of a staging table has the position beyond what the target's row
//! has. What fits the target must fit there, whatever of it is NULL, so columns go on in a further table where they could fill a row.

use crate::model::ident::Ident;
use crate::model::pg_type::PgType;
use crate::model::table::TargetColumn;
use crate::model::wanted::MAX_COLUMNS;

/// Bytes of a page's largest row without its header, the bits for NULLs of 1600 columns, and the position.
const ROOM: usize = 8160 - 24 - 200 - 8;

/// One staging table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its name.
    pub name: Ident,
    /// Which columns of the stream it has.
    pub columns: Vec<usize>,
}

/// The staging tables for these columns, the first of them called `name`.
pub fn parts(name: &Ident, columns: &[TargetColumn]) -> Vec<Part> {
    let mut parts = vec![Part {
        name: name.clone(),
        columns: Vec::new(),
    }];
    let mut bytes = 0;
    for (at, column) in columns.iter().enumerate() {
        let more = most_bytes(&column.ty);
        let number = parts.len();
        let Some(part) = parts.last_mut() else { break };
        if part.columns.len() + 1 < MAX_COLUMNS && bytes + more <= ROOM {
            part.columns.push(at);
            bytes += more;
            continue;
        }
        bytes = more;
        parts.push(Part {
            // The name is ours and far below the limit.
            name: Ident::new(format!("{}_{number}", name.as_str())).unwrap_or_else(|_| name.clone()),
            columns: vec![at],
        });
    }
    parts
}

/// Bytes of a value that never leave its row, with what may lie between it and the one before.
fn most_bytes(ty: &PgType) -> usize {
    match ty {
        PgType::Bool | PgType::SingleChar | PgType::Int2 | PgType::Int4 | PgType::Int8 => 8,
        PgType::Float4 | PgType::Float8 | PgType::Money(_) | PgType::Oid | PgType::Xid | PgType::Cid => 8,
        PgType::Xid8 | PgType::PgLsn | PgType::Date | PgType::Time(_) | PgType::Timestamp(_) => 8,
        PgType::TimestampTz(_) | PgType::MacAddr | PgType::MacAddr8 | PgType::Enum(_) => 8,
        PgType::Uuid | PgType::TimeTz(_) | PgType::Interval | PgType::LimitedInterval(_) | PgType::Point => 16,
        PgType::Line | PgType::Circle => 24,
        PgType::Lseg | PgType::Box => 32,
        PgType::Name | PgType::Other(_) => 64,
        PgType::Domain(domain) => most_bytes(&domain.base),
        // Of variable length: longer ones are moved out.
        _ => 24,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(count: usize, ty: &PgType) -> Vec<usize> {
        let column = |at: usize| TargetColumn {
            name: Ident::new(format!("c{at}")).unwrap(),
            ty: ty.clone(),
            nullable: true,
        };
        let columns: Vec<TargetColumn> = (0..count).map(column).collect();
        let parts = parts(&Ident::new("s").unwrap(), &columns);
        let all: Vec<usize> = parts.iter().flat_map(|part| part.columns.clone()).collect();
        assert_eq!(all, (0..count).collect::<Vec<_>>(), "each column is in one part");
        parts.iter().map(|part| part.columns.len()).collect()
    }

    #[test]
    fn columns_go_into_one_table_until_they_could_fill_a_row() {
        assert_eq!(split(77, &PgType::Name), [77]);
        assert_eq!(split(330, &PgType::Text), [330]);
        assert_eq!(split(331, &PgType::Text), [330, 1]);
        assert_eq!(split(1600, &PgType::Int8), [991, 609]);
        assert_eq!(split(1600, &PgType::Bool).len(), 2);
    }
}
