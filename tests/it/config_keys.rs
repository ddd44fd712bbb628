//! Every key of the configuration has an effect, and a test that shows it: a key that is read and never used is worse than none.

mod shown;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::promises;

/// Keys and the test that shows what they do: of `tests/it`, or of the file under `src/` that is named. `*` stands for any
/// rest of a key.
const SHOWN: &[(&str, &str)] = &[
    ("acks", STREAM),
    ("admin_listen", "crowds::a_thousand_silent_connections_keep_nobody_out"),
    (
        "auth.client_certificates",
        "rights::peers::a_client_certificate_names_a_caller_that_sends_no_token",
    ),
    (
        "auth.jwt.*",
        "src/server/auth/jwt/tests::what_is_wrong_with_a_token_is_told_by_its_kind",
    ),
    (
        "auth.jwt.jwks",
        "rights::tokens::a_signed_token_is_its_holder_s_and_rules_hold_for_the_holder",
    ),
    (
        "auth.jwt.principal_claim",
        "src/server/auth/jwt/tests::a_token_of_the_issuer_names_its_holder_by_the_claim_that_is_configured",
    ),
    (
        "auth.session.*",
        "rights::tokens::a_handshake_gives_a_session_that_every_replica_takes_and_that_ends",
    ),
    (
        "auth.unix_peers",
        "rights::peers::the_user_at_the_other_end_of_a_unix_socket_names_a_caller_that_sends_no_token",
    ),
    ("auth.rules[].may", "rights::a_put_needs_the_right_of_its_write_mode"),
    (
        "auth.rules[].principal",
        "rights::rules_are_for_the_principal_that_the_token_names",
    ),
    (
        "auth.rules[].role",
        "rights::queries::a_statement_of_a_rule_with_a_role_runs_as_that_role_and_cannot_leave_it",
    ),
    (
        "auth.rules[].tables",
        "rights::listings_show_what_one_has_a_right_to_and_reading_takes_the_right_to_read",
    ),
    (
        "auth.tokens[].principal",
        "src/server/auth::bearer_and_basic_with_and_without_padding_name_the_same_principal",
    ),
    (
        "auth.tokens[].sha256",
        "doors::a_token_that_the_configuration_has_as_a_sha256_lets_in_and_its_sha256_does_not",
    ),
    (
        "auth.tokens[].token",
        "doors::no_call_of_any_door_goes_in_without_its_token",
    ),
    ("batch_size", STREAM),
    ("batch_size_bytes", STREAM),
    (
        "batch_timeout",
        "faults::clients::a_stalled_client_holds_no_transaction",
    ),
    (
        "cloudquery.allow_client_connection_string",
        "cloudquery::clients::another_database_than_the_servers_is_refused_where_the_policy_says_so",
    ),
    (
        "cloudquery.allow_client_pgvector_config",
        "embed::cloudquery::a_server_that_decides_alone_refuses_a_client_s_pgvector_config",
    ),
    (
        "cloudquery.keep_tables_without_rows",
        "cloudquery::real::ending::a_source_that_fails_takes_no_stale_rows_along_when_its_tables_got_none",
    ),
    ("commit", STREAM),
    (
        "connection_string",
        "flight_put::readiness_follows_postgres_and_liveness_does_not",
    ),
    (
        "create_performance_indexes",
        "cloudquery::real::modes::overwrite_delete_stale_leaves_the_rows_of_the_last_sync_in_every_type",
    ),
    (
        "create_table.*",
        "migrate::door::a_table_is_created_as_descriptor_header_and_configuration_say",
    ),
    (
        "create_table.tablespace",
        "migrate::storage::storage_options_reach_the_table",
    ),
    (
        "create_table.toast_lz4",
        "migrate::storage::lz4_is_set_where_the_server_has_it_and_refused_clearly_where_not",
    ),
    (
        "create_table.toast_tuple_target",
        "migrate::storage::storage_options_reach_the_table",
    ),
    (
        "embeddings.claim_rows",
        "embed::follow::many_changed_rows_are_taken_at_once",
    ),
    (
        "embeddings.index",
        "embed::operate::large_vectors_are_indexed_once_everything_is_embedded",
    ),
    (
        "embeddings.lease",
        "embed::race::rows_whose_texts_cannot_be_read_are_given_back_at_once",
    ),
    (
        "embeddings.max_concurrency",
        "embed::keys::requests_go_one_by_one_and_hold_as_many_tokens_as_configured",
    ),
    (
        "embeddings.max_inputs",
        "embed::faults::one_text_that_is_too_large_does_not_make_later_requests_smaller",
    ),
    (
        "embeddings.max_request_tokens",
        "embed::keys::requests_go_one_by_one_and_hold_as_many_tokens_as_configured",
    ),
    ("embeddings.mode", WAITS),
    (
        "embeddings.on_config_change",
        "embed::operate::another_splitter_is_refused_until_it_is_wanted_and_another_model_always",
    ),
    ("embeddings.on_timeout", WAITS),
    (
        "embeddings.poll_interval",
        "embed::cloudquery::a_client_s_own_pgvector_config_embeds_its_rows_also_after_it_has_gone",
    ),
    (
        "embeddings.request_timeout",
        "embed::keys::a_request_that_takes_too_long_is_given_up_and_made_again",
    ),
    (
        "embeddings.requests_per_minute",
        "embed::faults::tokens_and_requests_per_minute_are_kept",
    ),
    (
        "embeddings.required",
        "embed::follow::a_table_whose_rows_cannot_be_followed_is_refused_or_left_without_vectors",
    ),
    (
        "embeddings.retry_after",
        "embed::faults::pauses_failures_and_broken_answers_are_waited_out",
    ),
    (
        "embeddings.storage",
        "embed::operate::large_vectors_are_indexed_once_everything_is_embedded",
    ),
    (
        "embeddings.tokens_per_minute",
        "embed::faults::tokens_and_requests_per_minute_are_kept",
    ),
    ("embeddings.wait_timeout", WAITS),
    (
        "embeddings.workers",
        "embed::operate::workers_read_committed_rows_whatever_the_database_says",
    ),
    (
        "flight_sql.queries",
        "flight_sql::queries::statements_run_as_far_as_the_configuration_lets_them",
    ),
    ("forced_strategy", STREAM),
    ("http_listen", "http::bodies::every_content_type_lands_twice_in_a_row"),
    (
        "group_commit.max_rows",
        "small::together::no_more_rows_go_together_than_may",
    ),
    (
        "group_commit.max_wait",
        "small::together::a_put_waits_for_others_no_longer_than_it_may",
    ),
    (
        "insecure",
        "doors::a_server_that_others_can_reach_and_that_asks_nobody_does_not_start",
    ),
    ("lanes", STREAM),
    (
        "limits.handshake_timeout",
        "crowds::a_connection_that_makes_no_call_is_closed_in_time_and_one_that_made_a_call_stays",
    ),
    ("limits.http2_connection_window_bytes", MEMORY),
    (
        "limits.http2_keepalive_interval",
        "crowds::a_connection_that_answers_no_ping_is_closed_after_the_keepalive_timeout",
    ),
    (
        "limits.http2_keepalive_timeout",
        "crowds::a_connection_that_answers_no_ping_is_closed_after_the_keepalive_timeout",
    ),
    ("limits.http2_stream_window_bytes", MEMORY),
    ("limits.max_connections", CROWD),
    ("limits.max_connections_per_address", CROWD),
    ("limits.max_inflight_bytes", MEMORY),
    (
        "limits.max_message_bytes",
        "cloudquery::hostile::a_message_over_the_limit_is_refused_and_the_server_goes_on",
    ),
    (
        "limits.max_row_bytes",
        "flight_sql::large::a_row_above_the_limit_is_refused_and_named_by_its_size",
    ),
    (
        "limits.max_streams",
        "limits::streams_beyond_the_limit_are_refused_and_places_come_back",
    ),
    (
        "limits.stream_idle_timeout",
        "limits::an_idle_atomic_client_is_ended_with_its_transaction",
    ),
    ("listen", "unix_socket::python_rust_and_their_paths_are_understood"),
    ("lock_timeout", STREAM),
    ("log.*", "config_keys::shown::the_log_is_as_its_keys_say"),
    ("max_rejects", STREAM),
    ("migrate_mode", STREAM),
    ("migrate_rewrite", STREAM),
    ("nul_bytes", STREAM),
    ("nullability", STREAM),
    ("on_bad_row", STREAM),
    ("on_suppressed_row", STREAM),
    (
        "traces.endpoint",
        "traces::the_spans_of_a_load_have_the_client_s_trace_and_no_value_of_a_row",
    ),
    (
        "pgvector_config.openai_embedding.allow_test_provider",
        "src/config/embed::what_a_service_needs_is_named",
    ),
    (
        "pgvector_config.openai_embedding.*",
        "embed::follow::rows_become_chunks_with_metadata_and_vectors",
    ),
    (
        "pgvector_config.openai_embedding.provider",
        "embed::page::the_page_s_settings_embed_and_its_query_finds_the_row_itself_first",
    ),
    ("pgvector_config.openai_embedding.send_dimensions", TEMPLATE),
    (
        "pgvector_config.tables[].*",
        "embed::follow::rows_become_chunks_with_metadata_and_vectors",
    ),
    ("pgvector_config.tables[].template", TEMPLATE),
    (
        "pgvector_config.tables[].text_splitter.*",
        "embed::follow::each_table_can_be_split_its_own_way",
    ),
    (
        "pgvector_config.text_splitter.*",
        "embed::follow::each_table_can_be_split_its_own_way",
    ),
    ("pgx_log_level", "config_keys::shown::the_log_is_as_its_keys_say"),
    (
        "pool.acquire_timeout",
        "faults::contention::a_server_without_free_connections_is_waited_for_or_named_and_heals",
    ),
    (
        "pool.connect_timeout",
        "cloudquery::clients::test_connection_tells_what_is_wrong",
    ),
    (
        "pool.idle_timeout",
        "config_keys::shown::connections_end_with_their_lifetime_and_their_idle_time",
    ),
    (
        "pool.max_lifetime",
        "config_keys::shown::connections_end_with_their_lifetime_and_their_idle_time",
    ),
    (
        "pool.max_size",
        "config_keys::shown::a_pool_opens_no_more_connections_than_it_may",
    ),
    ("pool.pooler", "check::a_fresh_database_of_every_version_is_usable"),
    ("reject_values", STREAM),
    (
        "retry_on_deadlock",
        "src/postgres/load/retry::retries_on_deadlock_beyond_ten_go_on_after_twenty_seconds",
    ),
    (
        "retry_timeout",
        "faults::network::a_silent_postgres_ends_a_put_in_bounded_time_and_the_next_one_works",
    ),
    (
        "schema",
        "config_keys::shown::a_table_without_a_schema_is_in_the_configured_one",
    ),
    (
        "shutdown.delay",
        "config_keys::shown::a_server_that_leaves_takes_calls_for_as_long_as_configured",
    ),
    (
        "shutdown.drain_timeout",
        "faults::restarts::a_put_that_never_ends_is_ended_by_the_drain_timeout_or_a_second_signal",
    ),
    ("skip_unchanged", STREAM),
    (
        "state_schema",
        "streams::progress_lives_in_the_configured_schema_and_survives_the_server",
    ),
    ("statement_timeout", STREAM),
    ("tables.<name>.*", STREAM),
    (
        "tls.cert",
        "tls::the_port_speaks_tls_to_those_who_trust_its_certificate_and_to_nobody_else",
    ),
    (
        "tls.client_ca",
        "tls::with_a_client_authority_only_its_certificates_are_let_in",
    ),
    (
        "tls.key",
        "tls::the_port_speaks_tls_to_those_who_trust_its_certificate_and_to_nobody_else",
    ),
    ("type_profile", STREAM),
    ("write_mode", STREAM),
];

/// Options of a stream: what each does is shown where a stream brings it; here, that the configuration brings it as well.
const STREAM: &str = "src/config/tests::every_option_of_a_stream_can_come_from_the_configuration_and_from_a_table";
const WAITS: &str = "embed::follow::a_load_that_waits_is_answered_when_its_vectors_are_there";
const MEMORY: &str = "faults::memory::sixty_four_slow_clients_and_a_fast_one_stay_under_the_configured_memory";
const CROWD: &str = "crowds::connections_beyond_the_limits_are_closed_counted_and_warned_about";
const TEMPLATE: &str = "embed::keys::the_template_and_the_dimensions_reach_the_service_where_they_are_asked_for";

/// The keys that hold a value, as the reference in docs/config.md has them, which is made from the schema.
fn keys() -> BTreeSet<String> {
    let reference = pgflight::config::reference_markdown();
    let cells = reference.lines().skip(2).map(|row| {
        let mut cells = row.split(" | ");
        let key = cells.next().and_then(|cell| cell.split('`').nth(1)).expect("a key");
        (key.to_owned(), cells.next().expect("what it takes").to_owned())
    });
    let all: BTreeMap<String, String> = cells.collect();
    let holds_keys = |key: &str| {
        let below = [format!("{key}."), format!("{key}[]"), format!("{key}.<name>")];
        all.keys()
            .any(|other| below.iter().any(|below| other.starts_with(below)))
    };
    all.keys().filter(|key| !holds_keys(key)).cloned().collect()
}

/// The most exact row for a key.
fn row(key: &str) -> Option<&'static (&'static str, &'static str)> {
    let fits = |pattern: &str| match pattern.strip_suffix('*') {
        Some(start) => key.starts_with(start),
        None => key == pattern,
    };
    SHOWN
        .iter()
        .filter(|(pattern, _)| fits(pattern))
        .max_by_key(|(pattern, _)| (!pattern.ends_with('*'), pattern.len()))
}

#[test]
fn every_key_has_a_test_that_shows_its_effect() {
    let keys = keys();
    assert!(keys.len() > 90, "{keys:?}");
    let without: Vec<&String> = keys.iter().filter(|key| row(key).is_none()).collect();
    assert!(
        without.is_empty(),
        "keys without a test that shows what they do: {without:?}"
    );
    let used: BTreeSet<&str> = keys
        .iter()
        .filter_map(|key| row(key))
        .map(|(pattern, _)| *pattern)
        .collect();
    for (pattern, test) in SHOWN {
        assert!(used.contains(pattern), "there is no key {pattern} any more");
        promises::check(Path::new(env!("CARGO_MANIFEST_DIR")), test);
    }
}
