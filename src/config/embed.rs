//! `pgvector_config` and `embeddings` as checked values: which tables are embedded, how, and by whom.

use std::collections::BTreeSet;

use super::error::Problem;
use super::raw::{EmbeddingProvider, OpenaiEmbedding, PgvectorConfig, PgvectorTable, RawConfig, TextSplitter};
use crate::model::embed::{ChunkSize, EmbedTable, Splitter, Template};
use crate::model::ident::{Ident, TableName};

impl EmbeddingProvider {
    /// The preset's name, as it is configured.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Openai => "openai",
            Self::Azure => "azure",
            Self::Ollama => "ollama",
            Self::Vllm => "vllm",
            Self::Tei => "tei",
            Self::Custom => "custom",
            Self::HashTest => "hash_test",
        }
    }

    /// Address where the preset has one of its own.
    pub const fn own_url(self) -> Option<&'static str> {
        match self {
            Self::Openai => Some("https://api.openai.com/v1"),
            Self::Ollama => Some("http://127.0.0.1:11434/v1"),
            _ => None,
        }
    }

    /// Texts and estimated tokens that one request takes (reference: each service's own documentation; TEI counts every text
    /// as a permit of 512 and refuses more than 32).
    pub const fn request_limits(self) -> (u32, u32) {
        match self {
            Self::Tei => (32, 100_000),
            Self::Openai | Self::Azure => (512, 250_000),
            _ => (256, 250_000),
        }
    }
}

/// The embedded tables, or everything that is wrong with them.
pub(super) fn tables(raw: &RawConfig) -> Result<Vec<EmbedTable>, Vec<Problem>> {
    let Some(vectors) = &raw.pgvector_config else {
        return Ok(Vec::new());
    };
    let mut problems = Vec::new();
    unique_names(vectors, &mut problems);
    service(&vectors.openai_embedding, &mut problems);
    let tables: Vec<EmbedTable> = vectors
        .tables
        .iter()
        .enumerate()
        .filter_map(|(at, entry)| {
            table(
                raw,
                vectors,
                entry,
                &format!("pgvector_config.tables[{at}]"),
                &mut problems,
            )
        })
        .collect();
    if problems.is_empty() { Ok(tables) } else { Err(problems) }
}

fn table(
    raw: &RawConfig,
    vectors: &PgvectorConfig,
    entry: &PgvectorTable,
    at: &str,
    problems: &mut Vec<Problem>,
) -> Option<EmbedTable> {
    let before = problems.len();
    let source = table_name(&format!("{at}.source_table_name"), &entry.source_table_name, problems);
    let target = table_name(&format!("{at}.target_table_name"), &entry.target_table_name, problems);
    let columns = columns(&format!("{at}.embed_columns"), &entry.embed_columns, problems);
    let metadata = self::columns(&format!("{at}.metadata_columns"), &entry.metadata_columns, problems);
    let template = Template::parse(&entry.template, &columns)
        .map_err(|why| problems.push(Problem::new(format!("{at}.template"), why)))
        .ok();
    let (splitter_at, splitter) = match &entry.text_splitter {
        Some(own) => (format!("{at}.text_splitter"), own),
        None => ("pgvector_config.text_splitter".to_owned(), &vectors.text_splitter),
    };
    let splitter = self::splitter(&splitter_at, splitter, problems);
    if problems.len() > before {
        return None;
    }
    Some(EmbedTable {
        source: source?,
        target: target?,
        columns,
        metadata,
        template: template?,
        splitter: splitter?,
        provider: vectors.openai_embedding.provider.name().to_owned(),
        model: vectors.openai_embedding.model_name.clone(),
        dimensions: vectors.openai_embedding.dimensions,
        storage: raw.embeddings.storage,
    })
}

fn unique_names(vectors: &PgvectorConfig, problems: &mut Vec<Problem>) {
    let mut sources = BTreeSet::new();
    let mut targets = BTreeSet::new();
    for (at, table) in vectors.tables.iter().enumerate() {
        let at = format!("pgvector_config.tables[{at}]");
        if !sources.insert(&table.source_table_name) {
            let message = format!("is {:?}, which an earlier entry names too", table.source_table_name);
            problems.push(Problem::new(format!("{at}.source_table_name"), message));
        }
        if !targets.insert(&table.target_table_name) {
            let message = format!("is {:?}, which an earlier entry names too", table.target_table_name);
            problems.push(Problem::new(format!("{at}.target_table_name"), message));
        }
    }
    for (at, table) in vectors.tables.iter().enumerate() {
        if sources.contains(&table.target_table_name) {
            let message = format!("is {:?}, which is embedded itself", table.target_table_name);
            problems.push(Problem::new(
                format!("pgvector_config.tables[{at}].target_table_name"),
                message,
            ));
        }
    }
}

fn splitter(at: &str, splitter: &TextSplitter, problems: &mut Vec<Problem>) -> Option<Splitter> {
    let tokens = splitter.tokens.map(|size| ChunkSize {
        chunk_size: size.chunk_size,
        chunk_overlap: size.chunk_overlap,
    });
    let named: Vec<Splitter> = [
        splitter.recursive_text.map(Splitter::Recursive),
        splitter.markdown.map(Splitter::Markdown),
        tokens.map(Splitter::Tokens),
    ]
    .into_iter()
    .flatten()
    .collect();
    let chosen = match named.as_slice() {
        [] => Splitter::Recursive(ChunkSize::default()),
        [one] => *one,
        several => {
            let names: Vec<&str> = several.iter().map(|splitter| splitter.name()).collect();
            problems.push(Problem::new(
                at,
                format!("names {}; allowed: one of them", names.join(" and ")),
            ));
            return None;
        }
    };
    let size = chosen.size();
    if size.chunk_overlap >= size.chunk_size {
        let message = format!(
            "is {}; allowed: less than `chunk_size` ({})",
            size.chunk_overlap, size.chunk_size
        );
        problems.push(Problem::new(format!("{at}.{}.chunk_overlap", chosen.name()), message));
        return None;
    }
    Some(chosen)
}

fn service(embedding: &OpenaiEmbedding, problems: &mut Vec<Problem>) {
    let at = |key: &str| format!("pgvector_config.openai_embedding.{key}");
    if embedding.provider == EmbeddingProvider::HashTest {
        if !embedding.allow_test_provider {
            let message =
                "is hash_test, whose vectors carry no meaning; set `allow_test_provider: true` if that is wanted";
            problems.push(Problem::new(at("provider"), message));
        }
        return;
    }
    if embedding.base_url.is_none() && embedding.provider.own_url().is_none() {
        let message = format!(
            "is missing; `provider: {}` has no address of its own",
            embedding.provider.name()
        );
        problems.push(Problem::new(at("base_url"), message));
    }
    if let Some(message) = embedding
        .base_url
        .as_deref()
        .and_then(|url| wrong_address(url, "`api_key`"))
    {
        problems.push(Problem::new(at("base_url"), message));
    }
    if embedding.provider == EmbeddingProvider::Openai
        && !embedding.send_dimensions
        && let Some(own) = native_dimensions(&embedding.model_name)
        && own != embedding.dimensions
    {
        let message = format!(
            "is {}, and {} has {own}; with `send_dimensions: true` the service shortens its vectors",
            embedding.dimensions, embedding.model_name
        );
        problems.push(Problem::new(at("dimensions"), message));
    }
    match &embedding.api_key {
        None if matches!(embedding.provider, EmbeddingProvider::Openai | EmbeddingProvider::Azure)
            && embedding.base_url.is_none() =>
        {
            let message = "is missing; only a service named by `base_url` may need none";
            problems.push(Problem::new(at("api_key"), message));
        }
        Some(key) if key.expose().chars().any(|c| c.is_control() || !c.is_ascii()) => {
            problems.push(Problem::new(
                at("api_key"),
                "holds a line break or another character that no HTTP header can carry",
            ));
        }
        _ => {}
    }
}

/// Dimensions of OpenAI's own models.
fn native_dimensions(model: &str) -> Option<u32> {
    match model {
        "text-embedding-3-small" | "text-embedding-ada-002" => Some(1536),
        "text-embedding-3-large" => Some(3072),
        _ => None,
    }
}

/// `table` or `schema.table`.
fn table_name(key: &str, name: &str, problems: &mut Vec<Problem>) -> Option<TableName> {
    let (schema, table) = match name.split_once('.') {
        Some((schema, table)) => (Some(schema), table),
        None => (None, name),
    };
    let mut ident = |text: &str| {
        Ident::new(text)
            .map_err(|error| problems.push(Problem::new(key, format!("is {name:?}; {error}"))))
            .ok()
    };
    let schema = match schema {
        Some(schema) => Some(ident(schema)?),
        None => None,
    };
    Some(TableName {
        schema,
        name: ident(table)?,
    })
}

fn columns(key: &str, names: &[String], problems: &mut Vec<Problem>) -> Vec<Ident> {
    let mut seen = Vec::new();
    for (at, name) in names.iter().enumerate() {
        match Ident::new(name.as_str()) {
            Ok(ident) if seen.contains(&ident) => {
                problems.push(Problem::new(
                    format!("{key}[{at}]"),
                    format!("is {name:?}, which stands there already"),
                ));
            }
            Ok(ident) => seen.push(ident),
            Err(error) => problems.push(Problem::new(format!("{key}[{at}]"), format!("is {name:?}; {error}"))),
        }
    }
    seen
}

/// Why an address cannot be used, and where a key belongs that is not put into it. One with a password is not repeated.
pub(super) fn wrong_address(url: &str, place_of_key: &str) -> Option<String> {
    let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
    match rest.and_then(|rest| rest.split(['/', '?', '#']).next()) {
        Some(host) if host.contains('@') => Some(format!(
            "names a user before its host, which is not sent and would be printed; put the key into {place_of_key}"
        )),
        Some(_) if url.contains('#') => Some("holds a #, and nothing behind it would be sent; leave it out".to_owned()),
        Some(_) => None,
        None if url.contains('@') => Some("does not start with http:// or https://".to_owned()),
        None => Some(format!(
            "is {url:?}; allowed: an address that starts with http:// or https://"
        )),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::config::Config;
    use crate::model::embed::{ChunkSize, Splitter};

    fn read(change: impl FnOnce(&mut Value)) -> Result<Config, String> {
        let mut vectors = json!({
            "tables": [{"source_table_name": "t", "target_table_name": "v", "embed_columns": ["body"]}],
            "openai_embedding": {"provider": "tei", "base_url": "http://h/v1", "model_name": "m", "dimensions": 3},
        });
        change(&mut vectors);
        Config::from_json(&json!({"pgvector_config": vectors})).map_err(|error| error.to_string())
    }

    fn splitter(splitter: Value) -> Result<Splitter, String> {
        read(|vectors| vectors["text_splitter"] = splitter).map(|config| config.embed_tables()[0].splitter)
    }

    fn size(chunk_size: u32, chunk_overlap: u32) -> ChunkSize {
        ChunkSize {
            chunk_size,
            chunk_overlap,
        }
    }

    #[test]
    fn one_splitter_is_chosen_and_its_overlap_is_less_than_its_size() {
        for (spec, chosen) in [
            (json!({}), Splitter::Recursive(size(1000, 500))),
            (
                json!({"recursive_text": {"chunk_size": 600}}),
                Splitter::Recursive(size(600, 500)),
            ),
            (
                json!({"markdown": {"chunk_overlap": 0}}),
                Splitter::Markdown(size(1000, 0)),
            ),
            (json!({"tokens": {}}), Splitter::Tokens(size(512, 64))),
        ] {
            assert_eq!(splitter(spec.clone()).unwrap(), chosen, "{spec}");
        }
        for (spec, why) in [
            (
                json!({"recursive_text": {"chunk_size": 500}}),
                "recursive_text.chunk_overlap` is 500; allowed: less than",
            ),
            (
                json!({"tokens": {"chunk_size": 8, "chunk_overlap": 9}}),
                "tokens.chunk_overlap` is 9",
            ),
            (json!({"markdown": {"chunk_size": 0}}), "chunk_size"),
            (
                json!({"markdown": {}, "tokens": {}}),
                "names markdown and tokens; allowed: one of them",
            ),
        ] {
            let refused = splitter(spec.clone()).unwrap_err();
            assert!(refused.contains(why), "{spec}: {refused}");
        }
        let own = read(|vectors| vectors["tables"][0]["text_splitter"] = json!({"tokens": {}})).unwrap();
        assert_eq!(own.embed_tables()[0].splitter, Splitter::Tokens(size(512, 64)));
    }

    #[test]
    fn what_a_service_needs_is_named() {
        for (key, value, why) in [
            (
                "base_url",
                Value::Null,
                "base_url` is missing; `provider: tei` has no address",
            ),
            ("base_url", json!("h:1"), "starts with http:// or https://"),
            (
                "base_url",
                json!("https://me:secret@h/v1"),
                "put the key into `api_key`",
            ),
            ("base_url", json!("https://h/v1#part"), "base_url` holds a #"),
            ("api_key", json!("a\nb"), "api_key` holds a line break"),
            ("provider", json!("hash_test"), "allow_test_provider"),
            ("dimensions", json!(0), "dimensions"),
        ] {
            let changed = read(|vectors| match &value {
                Value::Null => drop(vectors["openai_embedding"].as_object_mut().unwrap().remove(key)),
                value => vectors["openai_embedding"][key] = value.clone(),
            });
            let refused = changed.unwrap_err();
            assert!(refused.contains(why), "{key}: {refused}");
            assert!(!refused.contains("secret"), "{key}: {refused}");
        }
        let openai = |dimensions: u32, shortened: bool| {
            read(|vectors| {
                vectors["openai_embedding"] = json!({"api_key": "k", "model_name": "text-embedding-3-large",
                    "dimensions": dimensions, "send_dimensions": shortened});
            })
        };
        assert!(openai(3072, false).is_ok() && openai(256, true).is_ok());
        assert!(
            openai(256, false)
                .unwrap_err()
                .contains("text-embedding-3-large has 3072")
        );
    }
}
