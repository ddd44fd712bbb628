//! Connection strings as text: libpq's grammar in both forms, and redaction.

use proptest::prelude::*;

use super::*;

fn read(text: &str) -> Vec<(String, String)> {
    pairs(text).unwrap()
}

fn expect(text: &str, wanted: &[(&str, &str)]) {
    let wanted: Vec<(String, String)> = wanted
        .iter()
        .map(|(keyword, value)| ((*keyword).to_owned(), (*value).to_owned()))
        .collect();
    assert_eq!(read(text), wanted, "{text}");
}

#[test]
fn uri_parts_become_keywords() {
    expect("postgresql://", &[]);
    expect("postgres://localhost", &[("host", "localhost")]);
    expect(
        "postgresql://bob:p%40ss@db:5433/app?sslmode=require&application_name=x",
        &[
            ("user", "bob"),
            ("password", "p@ss"),
            ("host", "db"),
            ("port", "5433"),
            ("dbname", "app"),
            ("sslmode", "require"),
            ("application_name", "x"),
        ],
    );
    expect(
        "postgres://%2Fvar%2Frun/app",
        &[("host", "/var/run"), ("dbname", "app")],
    );
    expect(
        "postgres:///app?host=/var/run",
        &[("dbname", "app"), ("host", "/var/run")],
    );
    expect(
        "postgres://[::1]:5433,b/x",
        &[("host", "::1,b"), ("port", "5433,"), ("dbname", "x")],
    );
    expect(
        "postgres://h/d?ssl=true",
        &[("host", "h"), ("dbname", "d"), ("sslmode", "require")],
    );
    expect(
        "postgres://u:a@b@h/d",
        &[("user", "u"), ("password", "a@b"), ("host", "h"), ("dbname", "d")],
    );
}

#[test]
fn keywords_are_read_with_quotes_and_escapes() {
    expect(
        " host=a port = 5433 password='i t' ",
        &[("host", "a"), ("port", "5433"), ("password", "i t")],
    );
}

#[test]
fn a_quote_inside_a_quoted_value_is_escaped_by_a_backslash() {
    expect(
        r"password='it\'s \\ x' dbname=a\ b options='-c k=v'",
        &[("password", r"it's \ x"), ("dbname", "a b"), ("options", "-c k=v")],
    );
    expect("host='' user=u", &[("host", ""), ("user", "u")]);
}

#[test]
fn text_outside_the_grammar_is_refused_without_repeating_it() {
    for text in [
        "hunter2",
        "host=a hunter2",
        "password='hunter2",
        "postgres://u:%zzhunter2@h/d",
        "postgres://[::1/hunter2",
        "postgres://h/d?hunter2",
    ] {
        let error = pairs(text).unwrap_err();
        assert!(!error.to_string().contains("hunter2"), "{error}");
        assert_eq!(redact(text), REDACTED, "{text}");
    }
}

#[test]
fn a_password_with_an_unescaped_delimiter_is_not_shown_in_pieces() {
    for text in [
        "postgres://u:hunter/2@h/d",
        "postgres://u:12?hunter=2@h/d",
        "postgres://u:hunter?2=3@h",
    ] {
        assert_eq!(redact(text), REDACTED);
    }
}

#[test]
fn a_password_that_was_pasted_into_a_uri_is_suspected_and_no_piece_of_it_is_shown() {
    for sign in ["/", "?", "%", "/@", "?@", "/a=", "?a=", "%z", ":/", ",/", "&?"] {
        for (before, after) in [("QQ", "XX"), ("77", "88"), ("", "XX")] {
            let text = format!("postgres://jane:{before}{sign}{after}@db:5432/app?sslmode=disable");
            let said = pairs(&text).unwrap_err().to_string();
            assert!(
                said.contains("perhaps the password holds") && said.contains("PGPASSWORD"),
                "{said}"
            );
            let pieces = ["QQ", "XX", "77", "88"];
            assert!(!pieces.iter().any(|piece| said.contains(piece)), "{text}: {said}");
            assert_eq!(redact(&text), REDACTED);
        }
    }
}

#[test]
fn an_at_sign_where_it_belongs_is_taken() {
    expect(
        "postgres://db/app?user=me@server&host=@socket",
        &[
            ("host", "db"),
            ("dbname", "app"),
            ("user", "me@server"),
            ("host", "@socket"),
        ],
    );
    expect(
        "postgres://u:a#b c@h",
        &[("user", "u"), ("password", "a#b c"), ("host", "h")],
    );
}

#[test]
fn both_forms_print_without_their_passwords() {
    assert_eq!(
        redact("postgres://bob:hunter2@db:5433/app?sslpassword=hunter2&sslmode=require"),
        "postgres://bob:[redacted]@db:5433/app?sslpassword=[redacted]&sslmode=require"
    );
    assert_eq!(redact("postgres://bob@db/app"), "postgres://bob@db/app");
    assert_eq!(
        redact("host=db password='hunter 2' user=bob dbname='a b'"),
        "host=db password=[redacted] user=bob dbname='a b'"
    );
}

proptest! {
    #[test]
    fn no_password_survives_redaction(password in "[a-zA-Z0-9 @:/?&=%'\\\\,-]{6,24}") {
        let secret = format!("QQ{password}QQ");
        let quoted = secret.replace('\\', "\\\\").replace('\'', "\\'");
        let keyword = redact(&format!("host=h password='{quoted}' user=u"));
        prop_assert_eq!(keyword, "host=h password=[redacted] user=u");

        let encoded: String = secret.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let text = format!("postgres://u:{encoded}@h/d?password={encoded}");
        let uri = redact(&text);
        prop_assert_eq!(uri, "postgres://u:[redacted]@h/d?password=[redacted]");
        let values: Vec<String> = read(&text).into_iter().map(|(_, value)| value).collect();
        prop_assert_eq!(values, ["u", &secret, "h", "d", &secret]);
    }

    #[test]
    fn any_text_is_parsed_or_refused_without_a_panic(text in ".{0,80}") {
        let shown = redact(&text);
        prop_assert!(pairs(&text).is_ok() || shown == REDACTED || text.is_empty());
    }
}
