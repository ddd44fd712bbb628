//! Command lines as data.

use clap::CommandFactory;

use super::*;

fn line(text: &str) -> Result<Invocation, clap::Error> {
    let arguments = text.split_whitespace().map(OsString::from).collect();
    spawned::parse(Line::command(), arguments)
}

fn values(text: &str) -> Vec<(String, String)> {
    line(text).unwrap().command.config_flags().values
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

#[test]
fn the_definition_has_no_conflicts() {
    Line::command().debug_assert();
}

#[test]
fn every_key_has_a_flag_and_set_reaches_it_too() {
    assert_eq!(
        values("pgflight serve --limits-max-streams 5 --skip-unchanged=false --create-performance-indexes"),
        pairs(&[
            ("create_performance_indexes", "true"),
            ("limits.max_streams", "5"),
            ("skip_unchanged", "false")
        ])
    );
    assert_eq!(
        values("pgflight check --set log.level=debug"),
        pairs(&[("log.level", "debug")])
    );
    let flags = line("pgflight config print --config x.yaml")
        .unwrap()
        .command
        .config_flags();
    assert_eq!(flags.file.unwrap().to_str(), Some("x.yaml"));
}

#[test]
fn the_cloudquery_clis_flags_are_understood_and_newer_ones_ignored() {
    let text = "pgflight serve --log-level debug --log-format json --network unix --address /tmp/cq.sock --no-sentry \
                --license /l --otel-endpoint h:1 --otel-endpoint-insecure --brand-new value --other=1";
    let invocation = line(text).unwrap();
    assert_eq!(
        invocation.warnings,
        [
            "--brand-new is not known and ignored",
            "--other is not known and ignored"
        ]
    );
    assert_eq!(
        invocation.command.config_flags().values,
        pairs(&[
            ("traces.endpoint", "http://h:1"),
            ("admin_listen", "off"),
            ("listen", "unix:/tmp/cq.sock"),
            ("log.format", "json"),
            ("log.level", "debug"),
        ])
    );
    let collector = |flags: &str| values(&format!("pgflight serve --otel-endpoint {flags}"));
    assert_eq!(collector("h:1"), pairs(&[("traces.endpoint", "https://h:1")]));
    assert_eq!(
        collector("http://h:1/v1/traces"),
        pairs(&[("traces.endpoint", "http://h:1/v1/traces")])
    );
    let tcp = values("pgflight serve --network tcp --address 127.0.0.1:0 --admin-listen 127.0.0.1:1");
    assert_eq!(
        tcp,
        pairs(&[
            ("admin_listen", "off"),
            ("listen", "127.0.0.1:0"),
            ("admin_listen", "127.0.0.1:1")
        ])
    );
}

#[test]
fn a_persons_typing_error_is_an_error() {
    let error = line("pgflight serve --lisen 127.0.0.1:1").unwrap_err().to_string();
    assert!(error.contains("--lisen") && error.contains("--listen"), "{error}");
    assert!(line("pgflight nonsense").is_err());
}

#[test]
fn a_table_has_a_name_and_perhaps_a_schema_and_nothing_else() {
    let table = |words: &[&str]| {
        let words = format!("pgflight load a.csv {}", words.join(" "));
        let Command::Load(load) = line(&words).unwrap().command else {
            panic!("not load")
        };
        load.target.table_name()
    };
    for (words, schema, name) in [
        (&["--table", "t"][..], None, "t"),
        (&["--table", "s.t"], Some("s"), "t"),
        (&["--table", "s.\"a.b\""], Some("s"), "a.b"),
        (&["--table", "\"a.b\""], None, "a.b"),
        (&["--table", "\"a\"\"b\".c"], Some("a\"b"), "c"),
        (&["--table", "a.b.c", "--table-schema", "s"], Some("s"), "a.b.c"),
    ] {
        let (found, table) = table(words).unwrap();
        assert_eq!((found.as_deref(), table.as_str()), (schema, name), "{words:?}");
    }
    for (word, expected) in [
        ("a.b.c", "has 3 parts"),
        ("db.s.\"a.b\"", "has 3 parts"),
        (".t", "empty part"),
        ("s.", "empty part"),
        ("a\"b", "double quote"),
        ("\"a", "double quote"),
        ("\"a\"b.c", "double quote"),
    ] {
        let error = table(&["--table", word]).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn load_arguments_become_the_clients_request() {
    let invocation = line(
        "pgflight load a.csv b*.csv --table s.t --to grpc://h:1 --format csv --delimiter ; --primary-key a,b --write-mode overwrite --json -q",
    );
    let Command::Load(load) = invocation.unwrap().command else {
        panic!("not load")
    };
    assert_eq!(load.target.server().unwrap().uri, "grpc://h:1");
    let args = load.into_args().unwrap();
    assert_eq!(args.inputs, ["a.csv", "b*.csv"]);
    assert_eq!(
        (args.request.schema.as_deref(), args.request.table.as_str()),
        (Some("s"), "t")
    );
    assert_eq!(args.request.primary_key, ["a", "b"]);
    assert_eq!(
        (args.text.delimiter, args.text.header, args.json),
        (Some(b';'), true, true)
    );
}
