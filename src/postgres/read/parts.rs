//! A table in parts that are read at once, each row in exactly one: ranges of pages, of the table or of all its partitions, under one
//! exported snapshot. Which session keeps that snapshot is in `snapshots`.
//!
//! All parts name the table itself and never a partition, so rights and row security are those of the table. The tables that have its
//! rows are named by their numbers: one that is attached while parts are read would be in those only that begin later.

use tokio_postgres::types::{ToSql, Type};

use super::open::{Readable, Schemas, find};
use super::snapshots::Snapshots;
use crate::ingest::ports::Parts;
use crate::ingest::ports::ReadRequest;
use crate::ingest::ports::part::Part;
use crate::planner::found::RelationKind;
use crate::postgres::error::Error;
use crate::postgres::pool::{Connection, Connections};
use crate::postgres::queries;
use crate::sql::Sql;

/// Most parts of a table.
const MOST_PARTS: u32 = 256;
/// Most tables below one; their numbers are in each ticket.
const MOST_TABLES: usize = 1_000;
/// With fewer sessions there would be none to read while one keeps the snapshot.
const FEWEST_SESSIONS: usize = 3;

const NO_PAGES: &str =
    "only tables of Postgres' own kind, and partitioned ones of these, that the role may read whole, are read in parts";

/// The same read in up to so many parts.
///
/// # Errors
/// As for the read.
pub(crate) async fn parts(
    connections: &Connections,
    schemas: Schemas<'_>,
    snapshots: &Snapshots,
    request: &ReadRequest,
    wanted: u32,
) -> Result<Parts, Error> {
    let whole = |why| Ok(Parts::whole(request.clone(), why));
    if request.limit.is_some() {
        return whole("a read with a limit is one part");
    }
    if connections.max_size() < FEWEST_SESSIONS {
        return whole("reading in parts takes a pool of three connections (pool.max_size)");
    }
    let Some(place) = snapshots.place() else {
        return whole("as many snapshots as may be are kept for other reads");
    };
    let mut connection = connections.get_long().await?;
    let seen = find(&*connection.scope().await?, &request.table, schemas).await?;
    seen.plan(request)?;
    if !matches!(seen.table.kind, RelationKind::Table | RelationKind::Partitioned) {
        return whole(NO_PAGES);
    }
    connection.mark_dirty();
    let failed = |source| Error::statement(format!("reading {}", seen.name), source).of(&seen.name);
    let found = pages(&connection, &seen).await.map_err(failed)?;
    let cuts = cuts(&found.pages, wanted.min(MOST_PARTS));
    if !found.splits || found.tables.len() > MOST_TABLES || cuts.is_empty() {
        connection.client().batch_execute("rollback").await.map_err(failed)?;
        connection.mark_clean();
        return whole(match found.splits {
            true => "it is too small, or has too many partitions, to be read in parts",
            false => NO_PAGES,
        });
    }
    let reads = reads(request, &seen, &found, &cuts);
    snapshots.keep(connection, place, found.snapshot, reads.len());
    Ok(Parts { reads, whole: None })
}

struct Pages {
    snapshot: String,
    tables: Vec<u32>,
    pages: Vec<u64>,
    splits: bool,
}

/// Begins the transaction that keeps the snapshot, the lock before it as for a read, and looks.
async fn pages(connection: &Connection, seen: &Readable) -> Result<Pages, tokio_postgres::Error> {
    let client = connection.client();
    let begin = Sql::new("set local idle_in_transaction_session_timeout = 0; lock table ")
        .table(&seen.name)
        .then(" in access share mode");
    let begin = format!(
        "begin isolation level repeatable read, read only; {}{}",
        connection.tenure().values(),
        begin.as_str()
    );
    client.batch_execute(&begin).await?;
    let exported = client.query_typed("select pg_catalog.pg_export_snapshot()", &[]);
    let parameters: &[(&(dyn ToSql + Sync), Type)] = &[(&seen.table.oid, Type::OID)];
    let looked = client.query_typed(queries::READ_PAGES, parameters);
    let (exported, looked) = futures::future::try_join(exported, looked).await?;
    let mut found = Pages {
        snapshot: String::new(),
        tables: Vec::new(),
        pages: Vec::new(),
        splits: false,
    };
    if let (Some(exported), Some(row)) = (exported.first(), looked.first()) {
        let pages: Vec<i64> = row.try_get("pages")?;
        found = Pages {
            snapshot: exported.try_get(0)?,
            tables: row.try_get("tables")?,
            pages: pages
                .into_iter()
                .map(|pages| u64::try_from(pages).unwrap_or(0))
                .collect(),
            splits: row.try_get::<_, Option<bool>>("splits")?.unwrap_or(false),
        };
    }
    Ok(found)
}

fn reads(request: &ReadRequest, seen: &Readable, found: &Pages, cuts: &[u32]) -> Vec<ReadRequest> {
    let begins = std::iter::once(None).chain(cuts.iter().copied().map(Some));
    let ends = cuts.iter().copied().map(Some).chain(std::iter::once(None));
    let read = |(number, (from, to))| ReadRequest {
        table: seen.name.clone(),
        part: Some(Part {
            snapshot: found.snapshot.clone(),
            number,
            from,
            to,
            tables: found.tables.clone(),
        }),
        ..request.clone()
    };
    (0..).zip(begins.zip(ends)).map(read).collect()
}

/// The pages at which parts begin, but for the first: each has about as many pages, counted over all tables.
fn cuts(tables: &[u64], parts: u32) -> Vec<u32> {
    let below = |page: u64| -> u64 { tables.iter().map(|pages| page.min(*pages)).sum() };
    let longest = tables.iter().copied().max().unwrap_or(0);
    let all = below(longest);
    let mut cuts = Vec::new();
    for number in 1..u64::from(parts) {
        let wanted = u128::from(all) * u128::from(number);
        let (mut low, mut high) = (0, longest);
        while low < high {
            let middle = low + (high - low) / 2;
            match u128::from(below(middle)) * u128::from(parts) < wanted {
                true => low = middle + 1,
                false => high = middle,
            }
        }
        // A part without pages has no rows.
        let last = cuts.last().copied().unwrap_or(0);
        if let Ok(cut) = u32::try_from(low)
            && cut > last
            && low < longest
        {
            cuts.push(cut);
        }
    }
    cuts
}

/// What a SELECT reads of a table for one part, behind FROM.
pub(super) fn only(sql: Sql, table: &crate::model::ident::TableName, part: &Part) -> Sql {
    let tid = |sql: Sql, page: u32| sql.literal(&format!("({page},0)")).then("::pg_catalog.tid");
    let list: Vec<String> = part.tables.iter().map(u32::to_string).collect();
    sql.table(table)
        .then(" where tableoid operator(pg_catalog.=) any (")
        .literal(&format!("{{{}}}", list.join(",")))
        .then("::pg_catalog.oid[])")
        .when(part.from, |sql, page| {
            tid(sql.then(" and ctid operator(pg_catalog.>=) "), page)
        })
        .when(part.to, |sql, page| {
            tid(sql.then(" and ctid operator(pg_catalog.<) "), page)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_have_about_as_many_pages_each() {
        assert_eq!(cuts(&[100], 4), [25, 50, 75]);
        assert_eq!(cuts(&[10, 1000], 2), [495]);
        assert_eq!(cuts(&[100, 100, 100], 3), [34, 67]);
    }

    #[test]
    fn a_small_table_has_fewer_parts_and_an_empty_one_is_whole() {
        assert_eq!(cuts(&[3], 8), [1, 2]);
        assert_eq!(cuts(&[1], 8), Vec::<u32>::new());
        assert_eq!(cuts(&[], 8), Vec::<u32>::new());
        assert_eq!(cuts(&[0, 0], 8), Vec::<u32>::new());
        assert_eq!(cuts(&[5], 1), Vec::<u32>::new());
    }
}
