//! Verdicts on specs: the Go plugin's own cases, and what is ours.

use serde_json::json;

use super::*;

fn policy(server: Value) -> SpecPolicy {
    SpecPolicy::new(Arc::new(Config::from_json(&server).unwrap()), false)
}

fn read(server: Value, spec: Value) -> Result<Settings, String> {
    policy(server)
        .read(spec.to_string().as_bytes())
        .map_err(|error| error.to_string())
}

#[test]
fn the_go_plugins_spec_is_taken_as_it_is() {
    let spec = json!({
        "connection_string": "postgres://u:p@h/d", "pgx_log_level": "ERROR", "batch_size": 500, "batch_size_bytes": 1000,
        "batch_timeout": "2s", "create_performance_indexes": true, "retry_on_deadlock": 3, "pgvector_config": null,
        "lakebase": null, "aws_iam_auth": null
    });
    let settings = read(json!({}), spec).unwrap();
    let raw = settings.config.raw();
    assert_eq!(raw.connection_string.as_ref().unwrap().expose(), "postgres://u:p@h/d");
    assert_eq!(
        (raw.batch_size, raw.batch_size_bytes, raw.retry_on_deadlock),
        (500, 1000, 3)
    );
    assert!(raw.create_performance_indexes);
    assert_eq!(settings.batch_timeout, Duration::from_secs(2));
    assert_eq!(settings.nul_bytes, NulBytes::Strip);
}

#[test]
fn sizes_and_times_of_zero_and_below_mean_the_default() {
    let own = read(json!({}), json!({"connection_string": "x"})).unwrap();
    let spec = json!({"connection_string": "x", "batch_size": 0, "batch_size_bytes": -1, "batch_timeout": "-3s"});
    assert_eq!(read(json!({}), spec).unwrap(), own);
    assert_eq!(
        read(json!({}), json!({"connection_string": "x", "batch_timeout": "0s"})).unwrap(),
        own
    );
    assert_eq!(own.batch_timeout, BATCH_TIMEOUT);
}

#[test]
fn an_empty_spec_is_enough_where_the_server_has_a_connection_string() {
    let server = json!({"connection_string": "host=db"});
    for spec in ["", "null", "{}", r#"{"connection_string": null}"#] {
        let settings = policy(server.clone()).read(spec.as_bytes()).unwrap();
        let used = settings.config.raw().connection_string.as_ref().unwrap();
        assert_eq!(used.expose(), "host=db", "{spec:?}");
        let error = policy(json!({})).read(spec.as_bytes()).unwrap_err().to_string();
        assert!(error.contains("`connection_string` is missing"), "{error}");
    }
    assert!(
        policy(server.clone())
            .read(b"[]")
            .unwrap_err()
            .to_string()
            .contains("not a mapping")
    );
    assert!(policy(server).read(b"{").unwrap_err().to_string().contains("not JSON"));
}

#[test]
fn every_wrong_key_is_named_with_what_to_do() {
    let spec = json!({"connection_strin": "x", "listen": "0.0.0.0:1", "auth": {}});
    let error = read(json!({}), spec).unwrap_err();
    for part in [
        "`connection_strin` is not a key; did you mean \"connection_string\"?",
        "`listen` is set by the server",
        "`auth`",
    ] {
        assert!(error.contains(part), "{part} is missing in: {error}");
    }
    for (key, value) in [
        ("lakebase", json!({"endpoint": "e"})),
        ("aws_iam_auth", json!({"service": "rds"})),
        ("pgvector_config", json!({"tables": []})),
        ("batch_size", json!("many")),
        ("batch_timeout", json!(5)),
        ("pgx_log_level", json!("loud")),
        ("keep_tables_without_rows", json!(1)),
    ] {
        let error = read(json!({}), json!({"connection_string": "x", key: value})).unwrap_err();
        assert!(error.contains(key), "{key}: {error}");
    }
}

#[test]
fn the_policy_decides_whose_connection_string_counts() {
    let server = |listen: &str, allow: &str| {
        json!({"connection_string": "host=own", "listen": listen, "admin_listen": "off",
               "cloudquery": {"allow_client_connection_string": allow}})
    };
    let used = |listen: &str, allow: &str, clients: &str| {
        let settings = read(server(listen, allow), json!({"connection_string": clients}));
        settings.map(|settings| {
            settings
                .config
                .raw()
                .connection_string
                .as_ref()
                .unwrap()
                .expose()
                .to_owned()
        })
    };
    assert_eq!(used("127.0.0.1:1", "loopback", "host=other").unwrap(), "host=other");
    assert_eq!(used("unix:/tmp/s", "loopback", "host=other").unwrap(), "host=other");
    assert!(
        used("0.0.0.0:1", "loopback", "host=other")
            .unwrap_err()
            .contains("not the server's")
    );
    assert_eq!(used("0.0.0.0:1", "loopback", "host=own").unwrap(), "host=own");
    assert_eq!(used("0.0.0.0:1", "never", "host=other").unwrap(), "host=own");
    assert_eq!(used("0.0.0.0:1", "always", "host=other").unwrap(), "host=other");
    let error = read(
        json!({"cloudquery": {"allow_client_connection_string": "equal"}}),
        json!({"connection_string": "x"}),
    );
    assert!(error.unwrap_err().contains("not the server's"));
}

#[test]
fn the_policy_decides_whether_a_client_says_what_is_embedded() {
    let vectors = |url: &str, table: &str| {
        json!({"tables": [{"source_table_name": table, "target_table_name": "v", "embed_columns": ["body"]}],
               "openai_embedding": {"provider": "custom", "base_url": url, "dimensions": 3, "model_name": "m"}})
    };
    let server = |listen: &str, allow: &str| {
        let mut own = vectors("http://own/v1", "own");
        own["openai_embedding"]["api_key"] = json!("sk-own");
        json!({"connection_string": "host=own", "listen": listen, "admin_listen": "off", "pgvector_config": own,
               "cloudquery": {"allow_client_pgvector_config": allow}})
    };
    let used = |listen: &str, allow: &str, spec: Value| {
        read(server(listen, allow), spec).map(|settings| settings.config.raw().pgvector_config.clone())
    };
    let clients = || json!({"pgvector_config": vectors("http://theirs/v1", "theirs")});
    let taken = used("127.0.0.1:1", "loopback", clients()).unwrap().unwrap();
    assert_eq!(taken.tables[0].source_table_name, "theirs");
    assert_eq!(
        taken.openai_embedding.api_key, None,
        "the server's key goes nowhere else"
    );
    for allow in ["loopback", "equal"] {
        let refused = used("0.0.0.0:1", allow, clients()).unwrap_err();
        assert!(refused.contains("allow_client_pgvector_config"), "{refused}");
    }
    let same = json!({"pgvector_config": server("0.0.0.0:1", "equal")["pgvector_config"]});
    assert!(used("0.0.0.0:1", "equal", same).unwrap().is_some());
    let ignored = used("127.0.0.1:1", "never", clients()).unwrap().unwrap();
    assert_eq!(ignored.tables[0].source_table_name, "own");
    assert!(used("0.0.0.0:1", "always", clients()).is_ok());
    let elsewhere = used("127.0.0.1:1", "loopback", json!({"connection_string": "host=other"}));
    assert_eq!(
        elsewhere.unwrap(),
        None,
        "the server's tables are those of its database"
    );
    let wrong = used("127.0.0.1:1", "always", json!({"pgvector_config": {"tables": []}})).unwrap_err();
    assert!(wrong.contains("pgvector_config"), "{wrong}");
}

#[test]
fn the_schema_is_closed_and_requires_what_the_server_does_not_have() {
    let schema: Value = serde_json::from_str(&policy(json!({})).json_schema()).unwrap();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    let spec = &schema["$defs"]["Spec"];
    assert_eq!(spec["additionalProperties"], false);
    assert_eq!(spec["required"], json!(["connection_string"]));
    for key in allowed_keys() {
        assert!(spec["properties"].get(key).is_some(), "{key}");
    }
    assert!(spec["properties"].get("listen").is_none());
    let with_own = policy(json!({"connection_string": "host=own"})).json_schema();
    assert!(!with_own.contains("\"required\":[\"connection_string\"]"));
}
