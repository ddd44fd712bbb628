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
    let size: ChunkSize = splitter.recursive_text.unwrap_or_default();
    if size.chunk_overlap >= size.chunk_size {
        let message = format!(
            "is {}; allowed: less than `chunk_size` ({})",
            size.chunk_overlap, size.chunk_size
        );
        problems.push(Problem::new(format!("{at}.recursive_text.chunk_overlap"), message));
        return None;
    }
    Some(Splitter::Recursive(size))
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
    if let Some(url) = &embedding.base_url
        && !(url.starts_with("http://") || url.starts_with("https://"))
    {
        let message = format!("is {url:?}; allowed: an address that starts with http:// or https://");
        problems.push(Problem::new(at("base_url"), message));
    }
    match &embedding.api_key {
        None if matches!(embedding.provider, EmbeddingProvider::Openai | EmbeddingProvider::Azure)
            && embedding.base_url.is_none() =>
        {
            let message = "is missing; only a service named by `base_url` may need none";
            problems.push(Problem::new(at("api_key"), message));
        }
        // async-openai puts the key into a header without looking, and panics.
        Some(key) if key.expose().chars().any(|c| c.is_control() || !c.is_ascii()) => {
            problems.push(Problem::new(
                at("api_key"),
                "holds a line break or another character that no HTTP header can carry",
            ));
        }
        _ => {}
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
