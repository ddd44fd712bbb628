//! Stream options: text and JSON forms, precedence, and the refusals.

use serde_json::json;

use super::*;

fn parse(value: Value) -> Result<StreamOptions, OptionError> {
    StreamOptions::from_json(value.as_object().unwrap())
}

#[test]
fn text_and_json_set_the_same_options() {
    let from_json = parse(json!({
        "write_mode": "overwrite", "migrate_mode": "off", "migrate_rewrite": "allow",
        "forced_strategy": "keep-old", "nullability": "declared",
        "create_table": {"unlogged": true, "partition_by": {"column": "at", "every": "month"}},
        "column_types": {"e": "vector(3)"}, "primary_key": ["a", "b"], "commit": "batch",
        "stream_id": "s1", "stream_epoch": 3, "acked_seq": 4, "source_name": "src", "sync_time": "2026-01-31T00:00:00Z",
        "version_column": "v", "on_bad_row": "reject", "max_rejects": 7, "reject_values": true,
        "on_suppressed_row": "accept", "nul_bytes": "strip",
        "type_profile": "cloudquery", "acks": "progress", "expected_rows": 10, "strict": true, "lanes": 2,
        "skip_unchanged": false, "batch_size": 100, "batch_size_bytes": 1000,
        "lock_timeout": "500ms", "statement_timeout": "5m",
    }))
    .unwrap();
    assert_eq!(from_json.names_set(), StreamOptions::NAMES);

    let mut from_text = StreamOptions::default();
    for (name, value) in [
        ("write-mode", "overwrite"),
        ("migrate_mode", "off"),
        ("migrate-rewrite", "allow"),
        ("forced-strategy", "keep-old"),
        ("nullability", "declared"),
        (
            "create-table",
            r#"{"unlogged": true, "partition_by": {"column": "at", "every": "month"}}"#,
        ),
        ("column-types", r#"{"e": "vector(3)"}"#),
        ("primary-key", "a, b"),
        ("commit", "batch"),
        ("stream-id", "s1"),
        ("stream-epoch", "3"),
        ("acked-seq", "4"),
        ("source-name", "src"),
        ("sync-time", "2026-01-31T00:00:00Z"),
        ("version-column", "v"),
        ("on-bad-row", "reject"),
        ("max-rejects", "7"),
        ("reject-values", "true"),
        ("on-suppressed-row", "accept"),
        ("nul-bytes", "strip"),
        ("type-profile", "cloudquery"),
        ("acks", "progress"),
        ("expected-rows", "10"),
        ("strict", "true"),
        ("lanes", "2"),
        ("skip-unchanged", "false"),
        ("batch-size", "100"),
        ("batch-size-bytes", "1000"),
        ("lock-timeout", "500ms"),
        ("statement-timeout", "5m"),
    ] {
        from_text.set(name, value).unwrap();
    }
    assert_eq!(from_text, from_json);
}

#[test]
fn key_columns_with_commas_are_written_as_a_json_array() {
    let mut options = StreamOptions::default();
    options.set("primary_key", r#"["a,b", "c"]"#).unwrap();
    let names = vec!["a,b".to_owned(), "c".to_owned()];
    assert_eq!(options.primary_key, Some(names));
}

#[test]
fn the_higher_source_wins_and_the_lower_fills_the_gaps() {
    let descriptor = parse(json!({"write_mode": "replace"})).unwrap();
    let header = parse(json!({"write_mode": "append", "lanes": 4})).unwrap();
    let server = parse(json!({"write_mode": "append", "lanes": 1, "acks": "final"})).unwrap();
    let merged = descriptor.merge_over(header).merge_over(server);
    let expected = json!({"write_mode": "replace", "lanes": 4, "acks": "final"});
    assert_eq!(merged, parse(expected).unwrap());
}

#[test]
fn an_unknown_option_is_refused_with_the_name_that_was_meant() {
    let error = parse(json!({"wirte_mode": "append"})).unwrap_err();
    assert_eq!(
        error.to_string(),
        r#"unknown option "wirte_mode"; did you mean "write_mode"?"#
    );
    let error = StreamOptions::default().set("qqq", "1").unwrap_err();
    assert!(error.to_string().contains("options are write_mode,"), "{error}");
}

#[test]
fn a_value_that_does_not_fit_names_option_value_and_what_is_allowed() {
    for (name, value, message) in [
        (
            "write_mode",
            json!("upsert"),
            r#"option "write_mode" is "upsert"; allowed: append, overwrite, overwrite-delete-stale, replace"#,
        ),
        (
            "lanes",
            json!(0),
            r#"option "lanes" is 0; allowed: a whole number from 1 to 65535"#,
        ),
        (
            "max_rejects",
            json!(-1),
            r#"option "max_rejects" is -1; allowed: a whole number from 0"#,
        ),
        (
            "lock_timeout",
            json!(5),
            r#"option "lock_timeout" is 5; allowed: a duration such as 500ms, 60s or 1m30s"#,
        ),
        (
            "stream_id",
            json!(""),
            r#"option "stream_id" is ""; allowed: a string that is not empty"#,
        ),
        (
            "skip_unchanged",
            json!("yes"),
            r#"option "skip_unchanged" is "yes"; allowed: true, false"#,
        ),
        (
            "migrate_rewrite",
            json!(true),
            r#"option "migrate_rewrite" is true; allowed: small, allow, never"#,
        ),
        (
            "create_table",
            json!({"unloged": true}),
            r#"option "create_table" is {"unloged":true}; allowed: a JSON object with unlogged, fillfactor, toast_tuple_target, tablespace, toast_lz4, align_columns and partition_by {"column": .., "every": day, month or year} (unknown field `unloged`, expected one of `unlogged`, `fillfactor`, `toast_tuple_target`, `tablespace`, `toast_lz4`, `align_columns`, `partition_by`)"#,
        ),
    ] {
        let mut options = StreamOptions::default();
        let error = options.set_json(name, &value).unwrap_err();
        assert_eq!(error.to_string(), message);
        assert_eq!(options, StreamOptions::default());
    }
}

#[test]
fn every_word_of_every_choice_parses_back() {
    for word in WriteMode::WORDS {
        assert_eq!(word.parse::<WriteMode>().unwrap().as_str(), *word);
    }
    let error = "appendd".parse::<WriteMode>().unwrap_err();
    assert_eq!(
        error.to_string(),
        r#""appendd" is not one of append, overwrite, overwrite-delete-stale, replace; did you mean "append"?"#
    );
}

#[test]
fn json_deserialisation_refuses_unknown_options() {
    let error = serde_json::from_str::<StreamOptions>(r#"{"lane": 2}"#).unwrap_err();
    assert!(error.to_string().contains(r#"did you mean "lanes"?"#), "{error}");
}

#[test]
fn the_reference_of_the_flight_door_has_every_option() {
    let reference = include_str!("../../../docs/flight.md");
    let rows: Vec<&str> = reference.lines().filter(|line| line.starts_with("| `")).collect();
    for name in StreamOptions::NAMES {
        let cell = format!("`{name}`");
        let told = |row: &&str| row.split(" | ").next().is_some_and(|first| first.contains(&cell));
        assert!(rows.iter().any(told), "docs/flight.md has no row for {name}");
    }
}
