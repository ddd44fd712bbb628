//! What reaches a destination behind a guard, and what does not.

use std::sync::{Arc, Mutex};

use arrow::datatypes::Schema;
use async_trait::async_trait;

use super::*;
use crate::ingest::request::LoadOptions;
use crate::model::caller::Principal;
use crate::model::options::StreamOptions;
use crate::model::presence::Presence;
use crate::model::rights::{Pattern, Rule, TablePattern};

/// Notes what it is asked, and refuses it.
#[derive(Debug, Default)]
struct Noting(Mutex<Vec<String>>);

impl Noting {
    fn note<T>(&self, what: String) -> Result<T, Error> {
        self.0.lock().unwrap().push(what);
        Err(Error::Busy)
    }
}

#[async_trait]
impl Destination for Noting {
    async fn open(&self, _: &Permit, request: LoadRequest) -> Result<Arc<dyn Load>, Error> {
        let barred = request.options.migrate_rules.barred.is_some();
        self.note(format!("open {} barred {barred}", request.table))
    }

    async fn open_stream(&self, _: &Permit, _: &str, table: &TableName) -> Result<StreamState, Error> {
        self.note(format!("open_stream {table}"))
    }

    async fn stream_status(&self, _: &Permit, _: &str) -> Result<Option<StreamState>, Error> {
        self.note("stream_status".to_owned())
    }

    async fn ready(&self) -> Result<(), Error> {
        Ok(())
    }

    async fn test_connection(&self) -> Result<(), ConnectionFailure> {
        Ok(())
    }

    async fn migrate(&self, _: &Permit, command: MigrateCommand) -> Result<MigrationReport, Error> {
        self.note(format!(
            "migrate {} barred {}",
            command.table,
            command.rules.barred.is_some()
        ))
    }

    async fn delete_stale(&self, _: &Permit, command: DeleteStale) -> Result<u64, Error> {
        self.note(format!("delete_stale {}", command.table))
    }

    async fn delete_records(&self, _: &Permit, command: DeleteRecords) -> Result<u64, Error> {
        self.note(format!("delete_records {}", command.table))
    }

    fn connections(&self) -> usize {
        1
    }

    async fn list(&self, _: &Permit, request: ListRequest) -> Result<Vec<TableName>, Error> {
        let all = ["a", "b", "c", "d", "e", "f"].map(|name| table("s", name));
        let left = all
            .into_iter()
            .filter(|table| request.after.as_ref().is_none_or(|after| table > after));
        Ok(left.take(request.limit as usize).collect())
    }
}

fn table(schema: &str, name: &str) -> TableName {
    TableName::qualified(Ident::new(schema).unwrap(), Ident::new(name).unwrap())
}

fn guarded(tables: &[&str], may: &[Right]) -> (Arc<Noting>, Guarded) {
    let rule = Rule {
        principal: Pattern::of_principal("etl"),
        tables: tables.iter().map(|text| TablePattern::new(text).unwrap()).collect(),
        may: may.to_vec(),
        role: None,
    };
    let noting = Arc::new(Noting::default());
    let guarded = Guard::new(Rules::new(vec![rule])).over(Arc::clone(&noting) as Arc<dyn Destination>);
    (noting, guarded)
}

fn etl() -> Caller {
    Caller {
        principal: Principal::Named("etl".into()),
        ..Caller::anonymous()
    }
}

fn load(mode: WriteMode, presence: IfPresent) -> LoadRequest {
    let options = StreamOptions {
        write_mode: Some(mode),
        ..StreamOptions::default()
    };
    let options = LoadOptions::resolve(options).unwrap();
    let request = LoadRequest::new(&etl(), table("s", "t"), Arc::new(Schema::empty()), options);
    request.expecting(Presence {
        if_present: presence,
        ..Presence::default()
    })
}

#[tokio::test]
async fn a_load_needs_the_rights_of_its_write_mode_and_no_other() {
    use Right::{Append, Delete, Overwrite, Replace};
    let cases: [(WriteMode, IfPresent, &[Right]); 5] = [
        (WriteMode::Append, IfPresent::Take, &[Append]),
        (WriteMode::Overwrite, IfPresent::Take, &[Overwrite]),
        (WriteMode::OverwriteDeleteStale, IfPresent::Take, &[Overwrite, Delete]),
        (WriteMode::Replace, IfPresent::Take, &[Replace]),
        (WriteMode::Append, IfPresent::Renew, &[Replace]),
    ];
    for (mode, presence, needed) in cases {
        let (noting, with) = guarded(&["s.t"], needed);
        assert!(
            matches!(with.open(&etl(), load(mode, presence)).await, Err(Error::Busy)),
            "{mode:?}"
        );
        assert_eq!(*noting.0.lock().unwrap(), ["open s.t barred true"]);
        let missing = Right::ALL.into_iter().filter(|right| needed.first() != Some(right));
        let (noting, without) = guarded(&["s.t"], &missing.collect::<Vec<_>>());
        let refused = without.open(&etl(), load(mode, presence)).await.unwrap_err();
        assert_eq!(
            (refused.class(), refused.reason()),
            (Class::Denied, Some(NO_RIGHT)),
            "{mode:?}"
        );
        assert_eq!(refused.facts().unwrap().table.as_deref(), Some("s.t"));
        assert!(noting.0.lock().unwrap().is_empty(), "nothing was asked");
    }
}

#[tokio::test]
async fn the_right_to_migrate_lifts_the_bar_and_a_stranger_meets_it_everywhere() {
    let (noting, with) = guarded(&["s.t"], &[Right::Append, Right::Migrate]);
    assert!(
        with.open(&etl(), load(WriteMode::Append, IfPresent::Take))
            .await
            .is_err()
    );
    assert_eq!(*noting.0.lock().unwrap(), ["open s.t barred false"]);
    let stranger = Caller::anonymous();
    let refusals = [
        with.open(&stranger, load(WriteMode::Append, IfPresent::Take))
            .await
            .map(drop),
        with.open_stream(&stranger, "x", &table("s", "t")).await.map(drop),
        with.stream_status(&stranger, "x").await.map(drop),
        with.read(&stranger, ReadRequest::all(table("s", "t"))).await.map(drop),
        with.describe(&stranger, ReadRequest::all(table("s", "t")))
            .await
            .map(drop),
        with.list(
            &stranger,
            ListRequest {
                schema: None,
                after: None,
                limit: 2,
            },
        )
        .await
        .map(drop),
    ];
    for refused in refusals {
        assert_eq!(refused.unwrap_err().class(), Class::Denied);
    }
    assert_eq!(noting.0.lock().unwrap().len(), 1, "nothing more was asked");
}

#[tokio::test]
async fn pages_of_what_is_shown_are_full_until_the_last() {
    let (_, guarded) = guarded(&["s.b", "s.d", "s.e", "s.f"], &[Right::Read]);
    let (mut after, mut pages) = (None, Vec::new());
    loop {
        let asked = ListRequest {
            schema: None,
            after: after.clone(),
            limit: 2,
        };
        let page = guarded.list(&etl(), asked).await.unwrap();
        pages.push(
            page.iter()
                .map(|table| table.name.as_str().to_owned())
                .collect::<String>(),
        );
        if page.len() < 2 {
            break;
        }
        after = page.last().cloned();
    }
    assert_eq!(pages, ["bd", "ef", ""]);
}

#[tokio::test]
async fn new_rules_hold_for_destinations_that_are_there_already() {
    let guard = Guard::default();
    let noting = Arc::new(Noting::default());
    let guarded = guard.over(Arc::clone(&noting) as Arc<dyn Destination>);
    let append = || load(WriteMode::Append, IfPresent::Take);
    assert!(matches!(guarded.open(&etl(), append()).await, Err(Error::Busy)));
    guard.change(Rules::new(vec![Rule {
        principal: Pattern::of_principal("bi"),
        tables: Vec::new(),
        may: Vec::new(),
        role: None,
    }]));
    assert_eq!(guarded.open(&etl(), append()).await.unwrap_err().class(), Class::Denied);
}
