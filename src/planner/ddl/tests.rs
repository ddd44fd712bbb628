//! The snapshot of all SQL that the renderer can produce. After a change on purpose: `PGFLIGHT_ACCEPT=1 cargo test ddl`,
//! and read the difference.

use std::fmt::Write as _;
use std::path::Path;

use super::*;
use crate::model::by_name::ByName;
use crate::model::pg_type::{EnumType, NumericMod, TypeHome};
use crate::model::table::{Collation, TableShape};
use crate::planner::depth::{Grant, View};
use crate::planner::policy::{CreateOptions, PartitionWidth};
use crate::sql::ServerText;

const UGLY: &str = "Robert\"); drop table x; --";

fn ident(name: &str) -> Ident {
    Ident::new(name).unwrap()
}

fn shape(name: &str, ty: PgType, nullable: bool) -> ColumnShape {
    ColumnShape {
        name: ident(name),
        ty,
        nullable,
        unique: false,
        comment: None,
    }
}

fn new_table(options: CreateOptions) -> Action {
    let mut unique = shape("Ünï", PgType::Text, true);
    unique.unique = true;
    let money = PgType::Numeric(Some(NumericMod {
        precision: 20,
        scale: 0,
    }));
    let columns = vec![
        unique,
        shape("at", PgType::TimestampTz(None), false),
        shape(UGLY, PgType::Array(Box::new(PgType::Bool)), true),
        shape("n", money, true),
        shape("b", PgType::Bool, true),
        shape("select", PgType::Int8, false),
    ];
    let shape = TableShape {
        columns,
        primary_key: vec![ident("at"), ident("select")],
        primary_key_name: Some(ident("t_cqpk")),
        comment: None,
        by_name: ByName::default(),
    };
    Action::CreateTable(Box::new(NewTable { shape, options }))
}

fn partition_by() -> CreateOptions {
    let by = PartitionBy {
        column: "at".to_owned(),
        every: PartitionWidth::Day,
    };
    CreateOptions {
        partition_by: Some(by),
        fillfactor: Some(90),
        ..CreateOptions::default()
    }
}

fn view() -> View {
    View {
        name: TableName::qualified(ident("s"), ident("V \"x\"")),
        is_materialized: false,
        definition: ServerText::from_server("SELECT t.a FROM s.t".to_owned()),
        options: Some(ServerText::from_server("security_barrier=true".to_owned())),
        owner: ident("Own er"),
        is_owner: true,
        comment: None,
        grants: Vec::new(),
        columns: Vec::new(),
        has_more: false,
    }
}

fn creations() -> Vec<Action> {
    let storage = CreateOptions {
        unlogged: true,
        fillfactor: Some(70),
        toast_tuple_target: Some(4080),
        tablespace: Some("Fast \"disk\"".to_owned()),
        toast_lz4: true,
        align_columns: true,
        partition_by: None,
    };
    vec![
        Action::CreateSchema(ident(UGLY)),
        new_table(CreateOptions::default()),
        new_table(storage),
        new_table(partition_by()),
        Action::CreatePartition(Partition {
            name: ident("t_p20260102"),
            range: Some(("2026-01-02 00:00:00+00".to_owned(), "2026-01-03 00:00:00+00".to_owned())),
            storage: Storage {
                fillfactor: Some(90),
                toast_tuple_target: None,
            },
        }),
        Action::CreatePartition(Partition {
            name: ident("t_default"),
            range: None,
            storage: Storage::default(),
        }),
    ]
}

fn changes() -> Vec<Action> {
    let mood = EnumType {
        name: ident("Mood"),
        home: TypeHome {
            schema: Some(ident("s")),
            oid: 0,
            array_oid: 0,
        },
        labels: vec![],
    };
    let set_type = |through_text| {
        Action::SetType(SetType {
            column: ident(UGLY),
            from: PgType::Int4,
            to: PgType::Varchar(Some(9)),
            rewrites: through_text,
            through_text,
            collation: through_text.then(|| Collation {
                schema: ident("pg_catalog"),
                name: ident("C"),
            }),
        })
    };
    vec![
        Action::AddColumn(shape(UGLY, PgType::Jsonb, true)),
        Action::AddColumn(shape("n", PgType::Timestamp(Some(3)), false)),
        Action::DropNotNull(ident("user")),
        Action::LockTable,
        Action::CheckConvertible {
            column: ident(UGLY),
            to: PgType::Date,
        },
        set_type(false),
        set_type(true),
        Action::AddEnumLabel {
            ty: PgType::Enum(mood.into()),
            label: "it's \\ fine".to_owned(),
        },
        Action::AddPrimaryKey {
            name: None,
            columns: vec![ident("a"), ident(UGLY)],
        },
        Action::AddPrimaryKey {
            name: Some(ident("t_pkey")),
            columns: vec![ident("_cq_id")],
        },
        Action::AddUnique(ident("a")),
        Action::AddUniqueUsing(ident("t_a_key")),
        Action::DropConstraint(ident(UGLY)),
        Action::CommentTable("it's a table".to_owned()),
        Action::CommentColumn {
            column: ident(UGLY),
            comment: "a \\ b".to_owned(),
        },
    ]
}

fn beside() -> Vec<Action> {
    let index = |unique, concurrently| Action::CreateIndex {
        name: ident("t_cqpi"),
        columns: vec![ident("_cq_source_name"), ident("_cq_sync_time")],
        unique,
        concurrently,
    };
    let relation = TableName::qualified(ident("s"), ident(UGLY));
    let grant = |role: Option<&str>, grantable| Action::Grant {
        relation: relation.clone(),
        grant: Grant {
            role: role.map(ident),
            privilege: "SELECT",
            grantable,
        },
    };
    vec![
        index(false, false),
        index(true, true),
        Action::DropIndex {
            name: ident("t_cqpi"),
            concurrently: true,
        },
        Action::DropIndex {
            name: ident(UGLY),
            concurrently: false,
        },
        Action::RecreateIndex(ServerText::from_server(
            "CREATE INDEX i ON s.t USING btree (a)".to_owned(),
        )),
        Action::RenameIndex {
            from: ident("t_pkey"),
            to: ident("t_pkey_20260102T030405"),
        },
        Action::RenameTable(ident("t_20260102T030405")),
        Action::DropTable,
        Action::DropView(view().name),
        Action::CreateView(Box::new(view())),
        Action::SetOwner {
            relation: relation.clone(),
            owner: ident("Own er"),
        },
        grant(None, false),
        grant(Some(UGLY), true),
        Action::CommentView {
            view: view().name,
            comment: "c".to_owned(),
        },
    ]
}

fn parts() -> Vec<Action> {
    let partition = || TableName::qualified(ident("s"), ident(UGLY));
    let columns = || vec![ident("_cq_source_name"), ident(UGLY)];
    let trigger = |state| Action::SetTrigger {
        name: ident(UGLY),
        state,
    };
    let grant = |role: Option<&str>| Action::GrantColumn {
        column: ident(UGLY),
        grant: Grant {
            role: role.map(ident),
            privilege: "UPDATE",
            grantable: role.is_some(),
        },
    };
    vec![
        Action::CreateIndexOnly {
            name: ident("t_cqpi"),
            columns: columns(),
        },
        Action::CreatePartIndex {
            partition: partition(),
            name: ident("p_cqpi"),
            columns: columns(),
        },
        Action::DropPartIndex {
            partition: partition(),
            name: ident(UGLY),
        },
        Action::AttachIndex {
            index: ident("t_cqpi"),
            partition: partition(),
            part: ident("p_cqpi"),
        },
        Action::RecreateTrigger(ServerText::from_server(
            "CREATE TRIGGER g BEFORE INSERT ON s.t FOR EACH ROW EXECUTE FUNCTION f()".to_owned(),
        )),
        trigger(TriggerState::Always),
        trigger(TriggerState::Replica),
        trigger(TriggerState::Disabled),
        grant(None),
        grant(Some(UGLY)),
    ]
}

#[test]
fn the_snapshot_shows_every_statement() {
    let table = TableName::qualified(ident("S \"1\""), ident(UGLY));
    let mut text =
        String::from("-- Every statement that src/postgres/migrate/ddl.rs can render, ugly names included.\n");
    for action in creations().into_iter().chain(changes()).chain(beside()).chain(parts()) {
        let lock = action.lock().words();
        let cost = match (action.rewrites(), action.scans()) {
            (true, _) => ", rewrites the table",
            (false, true) => ", reads the table",
            _ => "",
        };
        let alone = if action.own_transaction() { ", on its own" } else { "" };
        write!(
            text,
            "\n-- {}; lock: {lock}{cost}{alone}\n{};\n",
            action.words(),
            render(&action, &table)
        )
        .unwrap();
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/planner/snapshots/ddl.sql");
    if std::env::var_os("PGFLIGHT_ACCEPT").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    assert_eq!(
        std::fs::read_to_string(&path).unwrap(),
        text,
        "the SQL changed; see the head of this file"
    );
}
