//! `docs/reading.md` says what the type map does: its table and the map are held to each other.

use std::collections::BTreeSet;

use super::*;
use crate::model::extension;
use crate::model::options::TypeProfile;
use crate::model::type_map::default_type;

const PAGE: &str = include_str!("../../../../docs/reading.md");

/// Type, Arrow type and extension of each row of the page's table of types.
fn documented() -> Vec<[&'static str; 3]> {
    let table = PAGE.split("| Postgres type |").nth(1).expect("the page has the table");
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    rows.map(|row| {
        let mut cells = row.split('|').map(|cell| cell.trim().trim_matches('`')).skip(1);
        [(); 3].map(|()| cells.next().expect("a row has four cells"))
    })
    .collect()
}

/// The rows that a type makes: name, Arrow type, extension.
fn row_of(ty: &PgType) -> [String; 3] {
    let field = default_field(ty);
    let name = match ty {
        // DDL quotes what an extension brings, the page does not.
        PgType::TimestampTz(_) | PgType::TimeTz(_) => ty.to_string(),
        PgType::Timestamp(None) => "timestamp".to_owned(),
        _ => type_map::type_name(ty),
    };
    let data_type = field.data_type().to_string();
    // The metadata of an element are those of its own type.
    let plain = match data_type.split_once(", metadata:") {
        Some((list, _)) => format!("{list})"),
        None => data_type,
    };
    let extension = field.metadata().get(extension::NAME).cloned().unwrap_or_default();
    [name, plain, extension]
}

#[test]
fn the_page_and_the_type_map_agree() {
    let documented: BTreeSet<[String; 3]> = documented().into_iter().map(|row| row.map(str::to_owned)).collect();
    let mut wrong = Vec::new();
    let mut made = BTreeSet::new();
    for ty in every_type() {
        let row = row_of(&ty);
        if !documented.contains(&row) {
            wrong.push(format!("not in the page: {row:?}"));
        }
        made.insert(row);
    }
    wrong.extend(
        documented
            .difference(&made)
            .map(|row| format!("only in the page: {row:?}")),
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_field_tells_its_type_wherever_arrow_alone_would_make_another() {
    for ty in every_type() {
        let field = default_field(&ty);
        let made = default_type(&field, TypeProfile::Native);
        let told = field.metadata().get(type_map::PG_TYPE);
        assert_eq!(told.is_none(), made == ty, "{ty}: {field:?} makes {made}");
    }
}
