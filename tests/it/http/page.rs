//! docs/http.md, block by block, and the description of the door against its own list of routes and options.

use std::collections::BTreeSet;
use std::process::Stdio;

use pgflight::model::options::StreamOptions;
use serde_json::{Value, json};

use super::client::send;
use super::{start, start_with};

const PAGE: &str = include_str!("../../../docs/http.md");

/// The blocks of a page, with their languages.
fn blocks(page: &str) -> Vec<(&str, &str)> {
    let pieces: Vec<&str> = page.split("```").collect();
    let blocks = pieces.iter().skip(1).step_by(2);
    blocks
        .map(|block| block.split_once('\n').expect("a language"))
        .collect()
}

fn keys(document: &Value) -> BTreeSet<&String> {
    document.as_object().expect("an object").keys().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_block_of_the_page_does_what_it_says() {
    let (database, server) = start().await;
    let place = std::env::temp_dir().join(format!("pgflight-page-{:08x}", fastrand::u32(..)));
    std::fs::create_dir(&place).expect("a fresh directory");
    let (mut printed, mut run) = (String::new(), 0);
    for (language, block) in blocks(PAGE) {
        match language {
            "sh" => {
                let script = block.replace("127.0.0.1:8817", &server.http_door().to_string());
                let mut shell = tokio::process::Command::new("sh");
                let shell = shell
                    .args(["-e", "-c", &script])
                    .current_dir(&place)
                    .stdin(Stdio::null());
                let output = shell.output().await.expect("a shell");
                printed = String::from_utf8(output.stdout).expect("UTF-8");
                assert!(
                    output.status.success(),
                    "{script}\n{printed}\n{}",
                    String::from_utf8_lossy(&output.stderr)
                );
                run += 1;
            }
            "json" if block.contains("\"final\"") => {
                let shown: Value = serde_json::from_str(block).expect("JSON");
                let told: Value = serde_json::from_str(&printed).expect("JSON");
                assert_eq!(keys(&shown), keys(&told), "{block}");
            }
            "json" => {
                let shown: Value = serde_json::from_str(block).expect("JSON");
                assert!(["error", "code"].iter().all(|key| shown.get(key).is_some()), "{block}");
            }
            "yaml" => {
                let text = block.replace("${DATABASE_URL}", database.uri());
                let settings: Value = serde_norway::from_str(&text).expect("YAML");
                pgflight::config::Config::from_json(&settings).expect("usable settings");
            }
            other => panic!("nobody runs blocks of {other:?}"),
        }
    }
    assert!(run >= 6, "{run}");
    assert_eq!(
        database.lines("select id, name from people order by id").await,
        ["1|a", "2|<null>", "3|c", "4|<null>"]
    );
    assert_eq!(database.lines("select count(*) from people_again").await, ["4"]);
    assert_eq!(database.lines("select * from orders").await, ["7"]);
    assert_eq!(
        database.lines("select * from prices order by 1").await,
        ["x|1.5", "y|2"]
    );
    std::fs::remove_dir_all(place).expect("ours");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_description_names_every_route_and_every_option_and_nothing_else() {
    let (_database, server) = start_with(json!({})).await;
    let answer = send(server.http_door(), "GET", "/v1/openapi.json", &[], "").await;
    let description = answer.loaded();
    let paths = description["paths"].as_object().expect("paths");
    let described: BTreeSet<(String, String)> = paths
        .iter()
        .flat_map(|(path, methods)| {
            methods
                .as_object()
                .expect("methods")
                .keys()
                .map(|method| (method.clone(), path.clone()))
        })
        .collect();
    let routes = pgflight::server::http::routes().map(|(method, path)| (method.to_owned(), path.to_owned()));
    assert_eq!(described, routes.collect());
    let parameters = |method: &str| {
        let listed = description["paths"]["/v1/tables/{schema}/{table}"][method]["parameters"]
            .as_array()
            .expect("parameters");
        let of_query = listed.iter().filter(|parameter| parameter["in"] == "query");
        of_query
            .map(|parameter| parameter["name"].as_str().expect("a name").to_owned())
            .collect::<BTreeSet<_>>()
    };
    let of_text = ["delimiter", "header", "null", "text_columns", "all_text", "infer_rows"];
    let options: BTreeSet<String> = StreamOptions::NAMES
        .iter()
        .chain(&of_text)
        .map(|name| (*name).to_owned())
        .collect();
    assert_eq!(parameters("post"), options);
    assert_eq!(parameters("get"), ["columns", "limit"].map(str::to_owned).into());
    // Each is one that the door knows: a value that none has is refused for itself.
    for name in &options {
        let path = format!("/v1/tables/public/t?{name}=%00");
        let refused = send(
            server.http_door(),
            "POST",
            &path,
            &[("content-type", "application/json")],
            "{}",
        )
        .await;
        assert!(!refused.text().contains("unknown option"), "{name}: {}", refused.text());
    }
    let types = description["paths"]["/v1/tables/{schema}/{table}"]["post"]["requestBody"]["content"].as_object();
    for kind in types.expect("types").keys() {
        assert!(PAGE.contains(&format!("| `{kind}` |")), "{kind} is not on the page");
    }
}
