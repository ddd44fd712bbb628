//! Keys about embeddings. `pgvector_config` is CloudQuery's block, name for name.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::secret::Secret;

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
    /// Columns that are copied beside each chunk; `_cq_id` always is where the table has it.
    #[serde(default)]
    pub metadata_columns: Vec<String>,
}

/// How texts are split into chunks.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TextSplitter {
    /// Split at paragraphs, then lines, then words, then characters.
    pub recursive_text: RecursiveText,
}

/// Sizes of chunks, in characters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RecursiveText {
    /// Characters a chunk may have.
    #[schemars(range(min = 1))]
    pub chunk_size: u32,
    /// Characters that neighbouring chunks share.
    pub chunk_overlap: u32,
}

impl Default for RecursiveText {
    fn default() -> Self {
        Self {
            chunk_size: 1000,
            chunk_overlap: 500,
        }
    }
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
    /// Address of the service, when it is not OpenAI's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub base_url: Option<String>,
}

/// How embeddings are made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Embeddings {
    /// Refuse rows of an embedded table when they cannot be marked for embedding, for example without pgvector.
    pub required: bool,
}

impl Default for Embeddings {
    fn default() -> Self {
        Self { required: true }
    }
}
