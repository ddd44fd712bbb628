//! What "this table's rows are embedded" means, as data: columns, text, chunks, vector. Pure.
//!
//! Both sides work from it: the Postgres side makes SQL of it, the workers split and embed by it. Its fingerprint says
//! whether stored vectors were made the same way.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::ident::{Ident, TableName};

/// Sizes of chunks, in characters unless something else is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ChunkSize {
    /// Characters a chunk may have.
    #[schemars(range(min = 1))]
    pub chunk_size: u32,
    /// Characters that neighbouring chunks share.
    pub chunk_overlap: u32,
}

impl Default for ChunkSize {
    fn default() -> Self {
        Self {
            chunk_size: 1000,
            chunk_overlap: 500,
        }
    }
}

/// The Postgres type of a vector column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum VectorStorage {
    /// `vector(n)`: 4 bytes per dimension, HNSW up to 2000 dimensions.
    #[default]
    Vector,
    /// `halfvec(n)`: 2 bytes per dimension, HNSW up to 4000 dimensions.
    Halfvec,
}

impl VectorStorage {
    /// Name of the type.
    pub const fn type_name(self) -> &'static str {
        match self {
            Self::Vector => "vector",
            Self::Halfvec => "halfvec",
        }
    }
}

/// How a row's columns become one text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Template {
    /// Values that are not NULL, one per line: what CloudQuery does.
    Values,
    /// `column: value`, one per line, NULLs left out.
    Labelled,
    /// Fixed text and columns in turn; NULL is empty.
    Parts(Vec<TemplatePart>),
}

/// A piece of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TemplatePart {
    /// Fixed text.
    Text(String),
    /// A column's value.
    Column(Ident),
}

/// How texts are split; see `embed::split`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Splitter {
    /// At paragraphs, lines, words, characters.
    Recursive(ChunkSize),
    /// At headings, blocks, sentences, words; sizes in characters.
    Markdown(ChunkSize),
    /// At lines, sentences, words; sizes in tokens.
    Tokens(ChunkSize),
}

impl Splitter {
    /// Name in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Recursive(_) => "recursive_text",
            Self::Markdown(_) => "markdown",
            Self::Tokens(_) => "tokens",
        }
    }

    /// Sizes of its chunks.
    pub const fn size(self) -> ChunkSize {
        match self {
            Self::Recursive(size) | Self::Markdown(size) | Self::Tokens(size) => size,
        }
    }
}

/// One embedded table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmbedTable {
    /// Where the texts are; without a schema: the default one.
    pub source: TableName,
    /// Where the vectors go; without a schema: the source's.
    pub target: TableName,
    /// Columns of the text, in order.
    pub columns: Vec<Ident>,
    /// Columns copied beside each chunk, as configured.
    pub metadata: Vec<Ident>,
    /// How columns become a text.
    pub template: Template,
    /// How a text becomes chunks.
    pub splitter: Splitter,
    /// Who embeds, e.g. `openai`.
    pub provider: String,
    /// The model's name.
    pub model: String,
    /// Dimensions of a vector.
    pub dimensions: u32,
    /// Type of the vector column.
    pub storage: VectorStorage,
}

impl Template {
    /// Reads `values`, `labelled`, or a text with `{column}` in it (`{{` and `}}` are braces).
    ///
    /// # Errors
    /// What is wrong with it, as the end of a sentence.
    pub fn parse(text: &str, columns: &[Ident]) -> Result<Self, String> {
        match text {
            "values" => return Ok(Self::Values),
            "labelled" => return Ok(Self::Labelled),
            _ => {}
        }
        let mut parts = Vec::new();
        let mut fixed = String::new();
        let mut rest = text.chars().peekable();
        while let Some(c) = rest.next() {
            match c {
                '{' | '}' if rest.peek() == Some(&c) => {
                    rest.next();
                    fixed.push(c);
                }
                '{' => {
                    let name: String = rest.by_ref().take_while(|c| *c != '}').collect();
                    let column = columns.iter().find(|column| column.as_str() == name);
                    let column = column.ok_or_else(|| format!("names {{{name}}}, which is not in `embed_columns`"))?;
                    if !fixed.is_empty() {
                        parts.push(TemplatePart::Text(std::mem::take(&mut fixed)));
                    }
                    parts.push(TemplatePart::Column(column.clone()));
                }
                '}' => return Err("has a } without a {; write }} for a brace".to_owned()),
                c => fixed.push(c),
            }
        }
        if !fixed.is_empty() {
            parts.push(TemplatePart::Text(fixed));
        }
        if !parts.iter().any(|part| matches!(part, TemplatePart::Column(_))) {
            return Err("holds no {column}; write `values`, `labelled`, or a text with columns in braces".to_owned());
        }
        Ok(Self::Parts(parts))
    }
}

impl EmbedTable {
    /// What decides which space the vectors are in: vectors of different models never meet in one column.
    pub fn model_identity(&self) -> serde_json::Value {
        json!({
            "provider": self.provider,
            "model": self.model,
            "dimensions": self.dimensions,
            "storage": self.storage.type_name(),
        })
    }

    /// Everything that decides what is stored for a row. Not the address of the service and not its key.
    pub fn identity(&self) -> serde_json::Value {
        let names = |columns: &[Ident]| {
            columns
                .iter()
                .map(|column| column.as_str().to_owned())
                .collect::<Vec<_>>()
        };
        let template = match &self.template {
            Template::Values => json!("values"),
            Template::Labelled => json!("labelled"),
            Template::Parts(parts) => parts
                .iter()
                .map(|part| match part {
                    TemplatePart::Text(text) => json!(text),
                    TemplatePart::Column(column) => json!({ "column": column.as_str() }),
                })
                .collect(),
        };
        // Not the version of the crate that splits: an upgrade would embed everything again.
        let size = self.splitter.size();
        let splitter = json!([self.splitter.name(), size.chunk_size, size.chunk_overlap]);
        json!({
            "model": self.model_identity(),
            "columns": names(&self.columns),
            "template": template,
            "splitter": splitter,
        })
    }

    /// SHA-256 of [`EmbedTable::identity`].
    pub fn fingerprint(&self) -> [u8; 32] {
        Sha256::digest(self.identity().to_string()).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ident(name: &str) -> Ident {
        Ident::new(name).unwrap()
    }

    #[test]
    fn a_template_takes_columns_in_braces_and_nothing_else() {
        let columns = [ident("title"), ident("body")];
        let text = |text: &str| TemplatePart::Text(text.to_owned());
        assert_eq!(
            Template::parse("{title}: {{{body}}}", &columns).unwrap(),
            Template::Parts(vec![
                TemplatePart::Column(ident("title")),
                text(": {"),
                TemplatePart::Column(ident("body")),
                text("}"),
            ])
        );
        assert_eq!(Template::parse("values", &columns).unwrap(), Template::Values);
        for (bad, why) in [
            ("{other}", "not in `embed_columns`"),
            ("plain", "holds no {column}"),
            ("{title} }", "a } without"),
        ] {
            let error = Template::parse(bad, &columns).unwrap_err();
            assert!(error.contains(why), "{bad}: {error}");
        }
    }

    #[test]
    fn the_fingerprint_follows_text_and_model_but_not_the_target() {
        let table = EmbedTable {
            source: TableName::bare(ident("t")),
            target: TableName::bare(ident("t_vectors")),
            columns: vec![ident("body")],
            metadata: vec![],
            template: Template::Values,
            splitter: Splitter::Recursive(ChunkSize::default()),
            provider: "openai".to_owned(),
            model: "m".to_owned(),
            dimensions: 3,
            storage: VectorStorage::Vector,
        };
        let other_target = EmbedTable {
            target: TableName::bare(ident("u")),
            ..table.clone()
        };
        assert_eq!(table.fingerprint(), other_target.fingerprint());
        let other_model = EmbedTable {
            model: "n".to_owned(),
            ..table.clone()
        };
        assert_ne!(table.fingerprint(), other_model.fingerprint());
        assert_ne!(table.model_identity(), other_model.model_identity());
        let other_text = EmbedTable {
            template: Template::Labelled,
            ..table.clone()
        };
        assert_ne!(table.fingerprint(), other_text.fingerprint());
        assert_eq!(table.model_identity(), other_text.model_identity());
    }
}
