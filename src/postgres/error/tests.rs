//! What is read out of a Postgres error.

use super::*;

#[test]
fn the_place_of_a_bad_row_is_read_from_the_copy_context() {
    let place = parse_place("COPY t, line 7, column b").unwrap();
    assert_eq!((place.line, place.column.as_deref()), (7, Some("b")));
    let odd = parse_place("COPY a, line 3, line 12, column x, column y").unwrap();
    assert_eq!(odd.line, 12, "a table name may look like the context itself");
    assert_eq!(
        parse_place("COPY t, line 9").unwrap(),
        CopyPlace { line: 9, column: None }
    );
    assert_eq!(parse_place("PL/pgSQL function f() line 3 at RAISE"), None);
    assert_eq!(parse_place("SQL statement x\nCOPY t, line 4").unwrap().line, 4);
}
