//! The whole road from text to `Config`: precedence, expansion, messages, redaction.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::model::options::{CommitMode, TypeProfile, WriteMode};

fn load(file: &str) -> Result<Loaded, ConfigError> {
    Loaded::read(&FixedSource::new().with_file(DEFAULT_FILE, file), &Flags::default())
}

fn refusal(file: &str) -> String {
    load(file).unwrap_err().to_string()
}

fn flags(values: &[(&str, &str)]) -> Flags {
    let values = values
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    Flags {
        file: None,
        values: values.collect(),
    }
}

#[test]
fn without_any_source_every_key_has_its_default() {
    let loaded = Loaded::read(&FixedSource::new(), &Flags::default()).unwrap();
    assert_eq!(loaded.config, Config::default());
    assert_eq!(loaded.file, None);
    assert_eq!(loaded.config.listen().to_string(), "127.0.0.1:8815");
    assert_eq!(loaded.config.admin_listen().unwrap().to_string(), "127.0.0.1:8816");
    assert_eq!(loaded.warnings, Vec::<String>::new());
}

#[test]
fn a_flag_beats_the_environment_which_beats_the_file_which_beats_the_default() {
    let file = "lanes: 2\nbatch_size: 20\nlog: {level: debug}\nlimits: {max_streams: 5}\n";
    let source = FixedSource::new()
        .with_file(DEFAULT_FILE, file)
        .with_variable("PGFLIGHT_LANES", "3")
        .with_variable("PGFLIGHT_BATCH_SIZE", "30");
    let loaded = Loaded::read(&source, &flags(&[("lanes", "4")])).unwrap();
    let raw = loaded.config.raw();
    assert_eq!((raw.lanes.get(), raw.batch_size, raw.limits.max_streams), (4, 30, 5));
    assert_eq!((raw.log.level, raw.log.format), (LogLevel::Debug, LogFormat::Text));
    let origin = |key: &str| loaded.origin(key).map(ToString::to_string);
    assert_eq!(origin("lanes").as_deref(), Some("from --lanes"));
    assert_eq!(origin("batch_size").as_deref(), Some("from PGFLIGHT_BATCH_SIZE"));
    assert_eq!(origin("log.level").as_deref(), Some("from pgflight.yaml"));
    assert_eq!(origin("log.format"), None);
}

#[test]
fn a_cloudquery_block_can_be_pasted_as_it_is() {
    let loaded = load(
        r"
connection_string: postgresql://postgres:pass@localhost:5432/postgres?sslmode=disable
pgx_log_level: WARN
batch_size: 10000
batch_size_bytes: 100000000
batch_timeout: 60s
create_performance_indexes: true
retry_on_deadlock: 3
pgvector_config:
  tables:
    - source_table_name: docs
      target_table_name: docs_vectors
      embed_columns: [title, body]
      metadata_columns: [id]
  text_splitter:
    recursive_text:
      chunk_size: 200
      chunk_overlap: 0
  openai_embedding:
    dimensions: 1536
    api_key: sk-1
    model_name: text-embedding-3-small
",
    )
    .unwrap();
    let raw = loaded.config.raw();
    assert_eq!((raw.batch_size, raw.retry_on_deadlock), (10_000, 3));
    assert_eq!(raw.batch_timeout.to_string(), "1m");
    assert_eq!(raw.pgx_log_level.as_deref(), Some("warn"));
    let vectors = raw.pgvector_config.as_ref().unwrap();
    assert_eq!(vectors.tables[0].embed_columns, ["title", "body"]);
    assert_eq!(vectors.openai_embedding.api_key.as_ref().unwrap().expose(), "sk-1");
}

#[test]
fn references_take_the_type_of_their_key_and_add_no_keys() {
    let source = FixedSource::new()
        .with_file(
            DEFAULT_FILE,
            "connection_string: ${URL}\nlanes: ${LANES}\nskip_unchanged: ${SKIP:-false}\nschema: ${EVIL}\n",
        )
        .with_variable("URL", "host=db password=${X}")
        .with_variable("LANES", "2")
        .with_variable("EVIL", "a\nlanes: 9");
    let loaded = Loaded::read(&source, &Flags::default()).unwrap();
    let raw = loaded.config.raw();
    assert_eq!(
        raw.connection_string.as_ref().unwrap().expose(),
        "host=db password=${X}"
    );
    assert_eq!((raw.lanes.get(), raw.skip_unchanged), (2, false));
    assert_eq!(raw.schema.as_deref(), Some("a\nlanes: 9"));
}

#[test]
fn a_secret_can_come_from_a_file_named_by_a_variable() {
    let source = FixedSource::new()
        .with_file("/run/secrets/dsn", "host=db\n")
        .with_variable("PGFLIGHT_CONNECTION_STRING_FILE", "/run/secrets/dsn");
    let loaded = Loaded::read(&source, &Flags::default()).unwrap();
    assert_eq!(
        loaded.config.raw().connection_string.as_ref().unwrap().expose(),
        "host=db"
    );
}

#[test]
fn an_unknown_key_is_named_with_its_path_and_what_was_meant() {
    assert_eq!(
        refusal("limits: {max_stream: 1}"),
        "configuration: `limits.max_stream` is not a known key; did you mean \"max_streams\"? (from pgflight.yaml)"
    );
    assert_eq!(
        refusal("tables: {t: {write_mod: append}}"),
        "configuration: `tables.t.write_mod` is not a known key; did you mean \"write_mode\"? (from pgflight.yaml)"
    );
    assert!(refusal("qqqq: 1").contains("`qqqq` is not a known key; keys here are"));
    assert!(refusal("lakebase: {endpoint: x}").contains("`lakebase` is not supported by pgflight"));
}

#[test]
fn every_problem_is_reported_at_once_with_what_was_found_and_what_is_allowed() {
    let source = FixedSource::new()
        .with_file(
            DEFAULT_FILE,
            "batch_size: '5'\nwrite_mode: upsert\nbatch_timeout: 60\ntls: {cert: a}\n",
        )
        .with_variable("PGFLIGHT_LANES", "many");
    let error = Loaded::read(&source, &Flags::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "configuration has 5 errors:\
         \n  - `batch_size` is \"5\"; allowed: a whole number from 1 (from pgflight.yaml)\
         \n  - `batch_timeout` is 60; allowed: a duration such as 500ms, 60s or 1m30s (from pgflight.yaml)\
         \n  - `lanes` is \"many\"; allowed: a whole number from 1 to 65535 (from PGFLIGHT_LANES)\
         \n  - `tls.key` is missing\
         \n  - `write_mode` is \"upsert\"; allowed: append, overwrite, overwrite-delete-stale, replace (from pgflight.yaml)"
    );
}

#[test]
fn rules_between_keys_are_checked() {
    for (file, part) in [
        (
            "lanes: 20",
            "`lanes` is 20, more than the 16 connections of `pool.max_size`",
        ),
        (
            "limits: {http2_connection_window_bytes: 2097152}",
            "`limits.http2_connection_window_bytes` is 2097152, less than four times `limits.http2_stream_window_bytes` (1048576)",
        ),
        (
            "limits: {max_inflight_bytes: 1048576}",
            "`limits.max_inflight_bytes` is 1048576, less than",
        ),
        ("listen: 8815", "`listen` is 8815; allowed: a text"),
        (
            "listen: '8815'",
            "`listen` is \"8815\"; allowed: host:port such as 127.0.0.1:8815",
        ),
        (
            "admin_listen: 127.0.0.1:8815",
            "`admin_listen` is the same address as `listen`",
        ),
        (
            "state_schema: ''",
            "`state_schema` is \"\"; allowed: a text that is not empty",
        ),
        (
            "tables: {t: {stream_id: x}}",
            "`tables.t.stream_id` belongs to a single stream",
        ),
        ("batch_timeout: 0s", "`batch_timeout` is 0s; it must be longer"),
        (
            "auth: {tokens: [{principal: a, token: x}, {principal: b, token: x}]}",
            "`auth.tokens[1].token` is the same token",
        ),
    ] {
        let error = refusal(file);
        assert!(error.contains(part), "{file}: {error}");
    }
    let long = format!("schema: {}", "x".repeat(64));
    assert!(refusal(&long).contains("`schema` is \"xxx"));
}

#[test]
fn a_reference_that_cannot_be_resolved_is_reported_beside_other_problems() {
    let error = refusal("schema: ${NOPE}\nlanes: x\n");
    assert!(
        error.contains("`schema` refers to the environment variable NOPE, which is not set"),
        "{error}"
    );
    assert!(error.contains("`lanes` is \"x\""), "{error}");
}

#[test]
fn a_file_that_is_missing_or_no_mapping_is_an_error_only_when_it_was_asked_for() {
    let asked = Flags {
        file: Some("other.yaml".into()),
        values: Vec::new(),
    };
    let error = Loaded::read(&FixedSource::new(), &asked).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("cannot read the configuration file other.yaml"),
        "{error}"
    );
    assert!(refusal("- a\n- b\n").contains("pgflight.yaml is not a YAML mapping"));
    assert!(refusal("a: [\n").contains("pgflight.yaml is not a YAML mapping"));
    assert_eq!(load("").unwrap().config, Config::default());
    assert_eq!(load("tls:\nschema: ~\n").unwrap().config.raw(), Config::default().raw());
}

#[test]
fn the_printed_configuration_hides_secrets_and_parses_back() {
    let loaded = load("connection_string: postgres://u:hunter2@h/d\nmigrate_mode: 'off'\nauth: {tokens: [{principal: ci, token: hunter2}]}\ntables: {'s.t': {lanes: 2}}\n").unwrap();
    let text = loaded.to_yaml();
    assert!(!text.contains("hunter2"), "{text}");
    assert!(!format!("{loaded:?}").contains("hunter2"));
    assert!(
        text.contains("connection_string: \"postgres://u:[redacted]@h/d\"  # from pgflight.yaml\n"),
        "{text}"
    );
    assert!(text.contains("migrate_mode: \"off\"  # from pgflight.yaml\n"), "{text}");
    assert!(text.contains("write_mode: append\n"), "{text}");
    let again = load(&text).unwrap();
    assert_eq!(again.config.raw().tables, loaded.config.raw().tables);
    assert_eq!(again.config.raw().migrate_mode, loaded.config.raw().migrate_mode);
    assert_eq!(
        again.config.raw().auth.tokens[0].token.as_ref().unwrap().expose(),
        REDACTED
    );
}

#[test]
fn table_options_lie_over_the_servers_defaults() {
    let config = load("write_mode: replace\ntables:\n  t: {write_mode: overwrite, lanes: 2}\n  s.t: {lanes: 3}\n")
        .unwrap()
        .config;
    let named = |schema: Option<&str>, name: &str| TableName {
        schema: schema.map(|schema| Ident::new(schema).unwrap()),
        name: Ident::new(name).unwrap(),
    };
    let pick = |table: TableName| {
        let options = config.stream_options(&table);
        (
            options.write_mode,
            options.lanes.map(std::num::NonZeroU16::get),
            options.commit,
        )
    };
    assert_eq!(pick(named(None, "t")), (Some(WriteMode::Overwrite), Some(2), None));
    assert_eq!(pick(named(Some("s"), "t")), (Some(WriteMode::Overwrite), Some(3), None));
    assert_eq!(pick(named(None, "u")), (Some(WriteMode::Replace), Some(1), None));
}

#[test]
fn every_option_of_a_stream_can_come_from_the_configuration_and_from_a_table() {
    let other = json!({
        "write_mode": "overwrite", "migrate_mode": "off", "migrate_rewrite": "allow", "forced_strategy": "drop",
        "nullability": "declared", "create_table": {"fillfactor": 50}, "column_types": {"a": "text"}, "primary_key": ["a"],
        "commit": "batch", "source_name": "s", "version_column": "v", "on_bad_row": "reject", "on_suppressed_row": "accept", "max_rejects": 7,
        "reject_values": true, "nul_bytes": "strip", "type_profile": "cloudquery", "acks": "progress", "strict": true,
        "lanes": 2, "skip_unchanged": false, "batch_size": 10, "batch_size_bytes": 10, "lock_timeout": "1s",
        "statement_timeout": "1s",
    });
    let of_one_stream = ["column_types", "primary_key", "source_name", "version_column", "strict"];
    let table = TableName {
        schema: None,
        name: Ident::new("t").unwrap(),
    };
    let shown = |config: &Config| serde_json::to_value(config.stream_options(&table)).unwrap();
    let default = shown(&Config::default());
    for name in StreamOptions::NAMES
        .iter()
        .filter(|name| !StreamOptions::OF_ONE_STREAM.contains(name))
    {
        let value = &other[name];
        assert!(!value.is_null(), "{name}: say here what else it may be");
        let mut brought = vec![json!({"tables": {"t": {*name: value}}})];
        if !of_one_stream.contains(name) {
            brought.push(json!({*name: value}));
        }
        for spec in brought {
            let options = shown(&Config::from_json(&spec).unwrap());
            let changed = options
                .as_object()
                .unwrap()
                .iter()
                .filter(|(key, value)| default.get(*key) != Some(value));
            let changed: Vec<&str> = changed.map(|(key, _)| key.as_str()).collect();
            assert_eq!(changed, [*name], "{spec}");
        }
    }
}

#[test]
fn a_clients_spec_lies_over_the_servers_configuration_and_reads_no_environment() {
    let server = load("commit: batch\nlimits: {max_streams: 5}\n").unwrap().config;
    let spec =
        json!({"connection_string": "${HOME}", "type_profile": "cloudquery", "limits": {"max_message_bytes": 65536}});
    let config = server.with_spec(&spec).unwrap();
    let raw = config.raw();
    assert_eq!(raw.connection_string.as_ref().unwrap().expose(), "${HOME}");
    assert_eq!(
        (raw.commit, raw.type_profile),
        (Some(CommitMode::Batch), TypeProfile::Cloudquery)
    );
    assert_eq!((raw.limits.max_streams, raw.limits.max_message_bytes), (5, 65_536));
    let error = server.with_spec(&json!({"batch_size": 0})).unwrap_err();
    assert_eq!(
        error.to_string(),
        "configuration: `batch_size` is 0; allowed: a whole number from 1"
    );
}

#[test]
fn a_server_that_others_can_reach_asks_who_calls_or_says_that_it_does_not() {
    let exposure = |file: &str| load(file).unwrap().config.exposure();
    assert_eq!(
        load("listen: 0.0.0.0:8815").unwrap().warnings,
        Vec::<String>::new(),
        "what does not listen is not warned"
    );
    let refused = exposure("listen: 0.0.0.0:8815").unwrap_err();
    assert!(
        refused.contains("auth.tokens") && refused.contains("insecure: true"),
        "{refused}"
    );
    let warnings = exposure("listen: 0.0.0.0:8815\ninsecure: true").unwrap();
    assert!(
        warnings.len() == 2 && warnings[0].contains("anybody may write"),
        "{warnings:?}"
    );
    for asking in [
        "auth: {tokens: [{principal: a, token: x}]}",
        "tls: {cert: a, key: b, client_ca: c}",
    ] {
        let warnings = exposure(&format!("listen: 0.0.0.0:8815\n{asking}")).unwrap();
        assert!(!warnings.iter().any(|text| text.contains("anybody")), "{warnings:?}");
    }
    for local in ["127.0.0.1:1", "'[::1]:1'", "localhost:1", "unix:/tmp/s"] {
        assert_eq!(exposure(&format!("listen: {local}")), Ok(Vec::new()));
    }
    let source = FixedSource::new()
        .with_variable("PGFLIGHT_LISTN", "x")
        .with_variable("PGFLIGHT_PG_BIN", "/x");
    let warnings = Loaded::read(&source, &Flags::default()).unwrap().warnings;
    assert_eq!(
        warnings,
        ["environment variable PGFLIGHT_LISTN is not known and ignored; did you mean PGFLIGHT_LISTEN?"]
    );
}

#[test]
fn the_reference_in_the_docs_is_the_one_made_from_the_schema() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/config.md");
    let docs = std::fs::read_to_string(path).unwrap();
    let (head, _) = docs.split_once("| key | takes |").unwrap();
    let wanted = format!("{head}{}", reference_markdown());
    if std::env::var_os("PGFLIGHT_REWRITE_DOCS").is_some() {
        std::fs::write(path, &wanted).unwrap();
        return;
    }
    assert!(
        docs == wanted,
        "docs/config.md is behind the schema; run this test once with PGFLIGHT_REWRITE_DOCS=1"
    );
}

proptest! {
    #[test]
    fn any_text_is_a_configuration_or_an_error(text in "([a-z_]{1,12}: ?[^\n]{0,20}\n){0,6}") {
        if let Err(error) = load(&text) {
            prop_assert!(!error.to_string().is_empty());
        }
    }
}
