//! Kinds of keys and tables that not every server has, or that other rows of the catalog tell of: on every version.

use serde_json::json;

use super::{Case, case, hold};
use crate::support::cluster::{self, Cluster};
use crate::support::database::Database;
use crate::support::server::Server;

async fn on(version: u16, cases: &[Case]) {
    let database = Database::create_in(Cluster::shared(version)).await;
    let server = Server::start_with(database.uri(), json!({})).await;
    hold(&database, &server, cases).await;
}

#[rustfmt::skip]
const PUBLISHED: &[Case] = &[
    // A partition that is published and has no identity, by its own name, by its parent's, and by a publication of all there is.
    case("(id bigint primary key, v text) partition by range (id); create table p partition of t default; alter table p replica identity nothing; create publication NAME for table p", "overwrite", ("#id v = 1 a", "!sends each UPDATE of its rows"), ("id", "1")),
    case("(id bigint primary key, v text) partition by range (id); create table p partition of t default; alter table p replica identity nothing; create publication NAME for table t", "overwrite", ("#id v = 1 a", "!sends each UPDATE of its rows"), ("id", "1")),
    case("(id bigint primary key, v text) partition by range (id); create table p partition of t default; alter table p replica identity nothing; create publication NAME for table t with (publish_via_partition_root = true)", "overwrite", ("#id v = 1 a", "!sends each UPDATE of its rows"), ("id", "1")),
    case("(id bigint primary key, v text) partition by range (id); create table m partition of t default partition by range (id); create table p partition of m default; alter table p replica identity nothing; create publication NAME for table m", "overwrite", ("#id v = 1 a", "!sends each UPDATE of its rows"), ("id", "1")),
    case("(id bigint primary key, _cq_source_name text, _cq_sync_time timestamptz) partition by range (id); create table p partition of t default; alter table p replica identity nothing; create publication NAME for table t with (publish = 'delete')", "overwrite-delete-stale source_name=s sync_time=2026-01-01T00:00:00Z", ("#id = 1", "!sends each DELETE of its rows"), ("id", "1")),
    // Partitions that have one, or whose publication sends no such rows.
    case("(id bigint primary key, v text) partition by range (id); create table p partition of t default; create publication NAME for table t", "overwrite", ("#id v = 1 a", "(1,a)"), ("#id v = 1 b", "(1,b)")),
    case("(id bigint primary key, v text) partition by range (id); create table p partition of t default; alter table p replica identity nothing; create publication NAME for table p with (publish = 'insert')", "overwrite", ("#id v = 1 a", "(1,a)"), ("#id v = 1 b", "(1,b)")),
    case("(id bigint, v text) partition by range (id); create table p partition of t default; alter table p replica identity nothing; create publication NAME for table p", "append", ("#id v = 1 a", "(1,a)"), ("#id v = 2 b", "(1,a) (1,a) (2,b)")),
];

#[tokio::test(flavor = "multi_thread")]
async fn an_overwrite_of_partitions_that_are_published_is_refused_as_one_of_a_table_is() {
    for &version in cluster::versions() {
        on(version, PUBLISHED).await;
    }
}

#[rustfmt::skip]
const TEMPORAL: &[Case] = &[
    case("(id int4range, valid daterange, v text, primary key (id, valid without overlaps))", "overwrite", ("id valid v = [1,2) [2020-01-01,2021-01-01) a", "!temporal or not complete"), ("id, valid", "'[1,2)', '[2020-01-01,2021-01-01)'")),
    case("(id int4range, valid daterange, v text, unique (id, valid without overlaps))", "overwrite migrate_mode=off primary_key=[\"id\",\"valid\"]", ("id valid v = [1,2) [2020-01-01,2021-01-01) a", "!no unique index is exactly over these columns"), ("id, valid", "'[1,2)', '[2020-01-01,2021-01-01)'")),
    case("(id int4range, valid daterange, v text, code bigint unique, primary key (id, valid without overlaps))", "overwrite primary_key=[\"code\"]", ("id valid v #code = [1,2) [2020-01-01,2021-01-01) a 7", "(\"[1,2)\",\"[2020-01-01,2021-01-01)\",a,7)"), ("id valid v #code = [1,2) [2020-01-01,2021-01-01) b 7", "(\"[1,2)\",\"[2020-01-01,2021-01-01)\",b,7)")),
    case("(id int4range, valid daterange, v text, primary key (id, valid without overlaps))", "replace", ("id valid v = [1,2) [2020-01-01,2021-01-01) a", "(\"[1,2)\",\"[2020-01-01,2021-01-01)\",a)"), ("id valid v = [3,4) [2020-01-01,2021-01-01) b", "(\"[3,4)\",\"[2020-01-01,2021-01-01)\",b)")),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_key_without_overlaps_matches_no_rows_and_another_key_of_its_table_does() {
    // The kind is new in PostgreSQL 18.
    for &version in cluster::versions().iter().filter(|version| **version >= 18) {
        on(version, TEMPORAL).await;
    }
}

#[rustfmt::skip]
const SPELLINGS: &[Case] = &[
    case("(v text, k text collate ci primary key)", "overwrite", ("k v = a 1 | A 2 | b 3", "(2,A) (3,b)"), ("k v = a 4", "(3,b) (4,a)")),
    case("(v text, k text collate ci primary key)", "replace", ("k v = a 1 | b 2", "(1,a) (2,b)"), ("k v = A 3", "(3,A)")),
    case("(v text, k text collate ci primary key)", "replace", ("k v = a 1 | A 2", "?23505"), ("k", "'x'")),
    // The index has the collation, not the column.
    case("(v text, k text); create unique index on t (k collate ci)", "overwrite migrate_mode=off primary_key=[\"k\"]", ("k v = a 1 | A 2", "(2,A)"), ("k v = a 3", "(3,a)")),
    case("(v text, n bigint, k text collate ci, primary key (n, k))", "overwrite", ("#n k v = 1 a 1 | 1 A 2 | 2 a 3", "(2,1,A) (3,2,a)"), ("#n k v = 1 a 4", "(3,2,a) (4,1,a)")),
    // Keys alone, and a version.
    case("(k text collate ci primary key)", "overwrite", ("k = a | A", "(A)"), ("k = a", "(a)")),
    case("(k text collate ci primary key, v bigint)", "overwrite version_column=v", ("k #v = a 2 | A 1", "(a,2)"), ("k #v = A 3", "(A,3)")),
];

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(
    not(contrib_server),
    ignore = "no apt of Debian 12 to bring a server with ICU, and PGFLIGHT_TEST_CONTRIB names none"
)]
async fn texts_that_a_key_finds_equal_are_one_key_spelled_as_the_last_row_does() {
    let database = Database::create_at(Cluster::contrib()).await;
    database
        .execute("create collation ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false)")
        .await;
    let server = Server::start_with(database.uri(), json!({})).await;
    hold(&database, &server, SPELLINGS).await;
}
