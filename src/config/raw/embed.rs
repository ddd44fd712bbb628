//! Keys about embeddings. `pgvector_config` is CloudQuery's block, name for name; keys that it does not have are ours.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::secret::Secret;
use crate::model::duration::GoDuration;
use crate::model::embed::{ChunkSize, VectorStorage};

/// Vectors that follow the rows: which tables, how texts are split, and who embeds them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PgvectorConfig {
    /// The tables whose rows are embedded.
    #[schemars(length(min = 1))]
    pub tables: Vec<PgvectorTable>,
    /// How texts are split.
    #[serde(default)]
    pub text_splitter: TextSplitter,
    /// Who embeds the chunks.
    pub openai_embedding: OpenaiEmbedding,
}

/// One table whose rows are embedded, and the table that takes the vectors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PgvectorTable {
    /// The table whose rows are embedded.
    #[schemars(length(min = 1))]
    pub source_table_name: String,
    /// The table that takes chunks and vectors.
    #[schemars(length(min = 1))]
    pub target_table_name: String,
    /// The columns whose texts are embedded, in order.
    #[schemars(length(min = 1))]
    pub embed_columns: Vec<String>,
    /// Columns that are copied beside each chunk; `_cq_id` always is where the table has it, else the key.
    #[serde(default)]
    pub metadata_columns: Vec<String>,
    /// How columns become one text: `values` (lines), `labelled` (lines `column: value`), or a text with `{column}` in it.
    #[serde(default = "default_template")]
    #[schemars(length(min = 1))]
    pub template: String,
    /// How this table's texts are split, when not as the others'.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text_splitter: Option<TextSplitter>,
}

fn default_template() -> String {
    "values".to_owned()
}

/// How texts are split into chunks; one way, `recursive_text` when none is named.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TextSplitter {
    /// Split at paragraphs, then lines, then words, then characters, exactly as CloudQuery does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recursive_text: Option<ChunkSize>,
    /// Split Markdown at headings, then blocks, then sentences, then words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub markdown: Option<ChunkSize>,
    /// Split at line breaks, then sentences, then words, by size in tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens: Option<TokenSize>,
}

/// Sizes of chunks, in tokens of OpenAI's embedding models (cl100k).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TokenSize {
    /// Tokens a chunk may have.
    #[schemars(range(min = 1))]
    pub chunk_size: u32,
    /// Tokens that neighbouring chunks share at most.
    pub chunk_overlap: u32,
}

impl Default for TokenSize {
    fn default() -> Self {
        Self {
            chunk_size: 512,
            chunk_overlap: 64,
        }
    }
}

/// Who embeds: the preset decides address, limits and what a request may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum EmbeddingProvider {
    /// OpenAI itself.
    #[default]
    Openai,
    /// Azure OpenAI; `base_url` ends in `/openai/v1`, or is `../openai/deployments/<name>?api-version=<version>`.
    Azure,
    /// Ollama, at `http://127.0.0.1:11434/v1` unless `base_url` says otherwise.
    Ollama,
    /// vLLM.
    Vllm,
    /// Hugging Face text-embeddings-inference.
    Tei,
    /// Anything else that speaks OpenAI's embeddings API.
    Custom,
    /// Vectors from a hash, for tests and demonstrations: they carry no meaning.
    HashTest,
}

/// A service that speaks OpenAI's embeddings API.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OpenaiEmbedding {
    /// The key that requests carry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key: Option<Secret>,
    /// The model's name.
    #[schemars(length(min = 1))]
    pub model_name: String,
    /// Dimensions of a vector.
    #[schemars(range(min = 1, max = 16000))]
    pub dimensions: u32,
    /// Address of the service, when it is not the preset's own; `/embeddings` follows its path, before a query.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub base_url: Option<String>,
    /// Who embeds.
    #[serde(default)]
    pub provider: EmbeddingProvider,
    /// Send `dimensions` with each request; only for models that can shorten their vectors.
    #[serde(default)]
    pub send_dimensions: bool,
    /// Allow `provider: hash_test`, whose vectors carry no meaning.
    #[serde(default)]
    pub allow_test_provider: bool,
}

/// When a load that touches embedded rows is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum EmbeddingMode {
    /// When rows and the intent to embed them are stored.
    #[default]
    Durable,
    /// When they are embedded, or `wait_timeout` is over.
    Wait,
}

/// What a load does whose rows were not embedded in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum OnTimeout {
    /// Succeed; the vectors follow.
    #[default]
    Ack,
    /// Fail, although the rows are stored.
    Fail,
}

/// Which index the vectors get.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum VectorIndex {
    /// None, as CloudQuery leaves it.
    #[default]
    None,
    /// HNSW for cosine distance, built once everything is embedded.
    Hnsw,
}

/// What happens when columns, template or splitter are not those that the stored vectors were made with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum OnConfigChange {
    /// Refuse, and say what a new run would cost.
    #[default]
    Refuse,
    /// Embed every row again; unchanged chunks keep their vectors.
    Reembed,
}

/// How embeddings are made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Embeddings {
    /// Refuse rows of an embedded table when they cannot be marked for embedding, for example without pgvector.
    pub required: bool,
    /// Embed inside `serve`; turn off where `pgflight embeddings work` runs elsewhere.
    pub workers: bool,
    /// When a load is answered.
    pub mode: EmbeddingMode,
    /// How long `mode: wait` waits.
    pub wait_timeout: GoDuration,
    /// What a load does that waited in vain.
    pub on_timeout: OnTimeout,
    /// Type of the vectors: `vector` (4 bytes per dimension) or `halfvec` (2).
    pub storage: VectorStorage,
    /// Which index the vectors get.
    pub index: VectorIndex,
    /// What happens when the way texts are made has changed.
    pub on_config_change: OnConfigChange,
    /// Requests at once at most; fewer while the service asks for a pause.
    #[schemars(range(min = 1, max = 256))]
    pub max_concurrency: u32,
    /// Texts in one request at most; the preset's limit when unset.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 2048))]
    pub max_inputs: Option<u32>,
    /// Tokens in one request at most, estimated; the preset's limit when unset.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 16))]
    pub max_request_tokens: Option<u32>,
    /// Requests per minute at most; `0` for no limit.
    pub requests_per_minute: u32,
    /// Tokens per minute at most, estimated before and corrected after each request; `0` for no limit.
    pub tokens_per_minute: u32,
    /// How long one request may take.
    pub request_timeout: GoDuration,
    /// How long a service that refuses or does not answer is left alone.
    pub retry_after: GoDuration,
    /// Rows that a worker takes at once.
    #[schemars(range(min = 1, max = 10000))]
    pub claim_rows: u32,
    /// How long a worker may keep rows without a sign of life.
    pub lease: GoDuration,
    /// How often the ledger is looked at while nothing is to do.
    pub poll_interval: GoDuration,
}

impl Default for Embeddings {
    fn default() -> Self {
        Self {
            required: true,
            workers: true,
            mode: EmbeddingMode::default(),
            wait_timeout: GoDuration::from_secs(30),
            on_timeout: OnTimeout::default(),
            storage: VectorStorage::default(),
            index: VectorIndex::default(),
            on_config_change: OnConfigChange::default(),
            max_concurrency: 8,
            max_inputs: None,
            max_request_tokens: None,
            requests_per_minute: 0,
            tokens_per_minute: 0,
            request_timeout: GoDuration::from_secs(60),
            retry_after: GoDuration::from_secs(300),
            claim_rows: 256,
            lease: GoDuration::from_secs(300),
            poll_interval: GoDuration::from_secs(1),
        }
    }
}
