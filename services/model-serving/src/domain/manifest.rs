//! `model.toml`: how a model's tensors relate to texts.

use std::path::{Component, Path};

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::pooling::Pooling;
use super::settings::PadSide;

/// The longest sequence a manifest may declare; bounds the memory of one row.
const MAX_INPUT_TOKENS: usize = 32_768;
/// The widest embedding a manifest may declare.
const MAX_DIMENSIONS: usize = 65_536;

/// What a model does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Manifest {
    /// Tensors in, tensors out; also when there is no `model.toml`.
    Tensor,
    /// Text in, one vector a text out.
    Embedding(EmbeddingManifest),
}

/// The tensors of an embedding model, and what is done with its output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmbeddingManifest {
    /// The tokenizer's file name, beside the model.
    pub tokenizer: String,
    /// The longest text in tokens, special tokens included.
    pub max_input_tokens: usize,
    /// The numbers in one embedding.
    pub dimensions: usize,
    /// The output, FP32: `[texts, dimensions]`, or where tokens are pooled `[texts, tokens, dimensions]`.
    pub output: String,
    /// What makes a text's vector of those of its tokens.
    pub pooling: Pooling,
    /// Scales vectors to length 1 unless a caller wants otherwise.
    pub normalize: bool,
    /// Where shorter texts of a batch are padded.
    pub padding_side: PadSide,
    /// The input of token ids, INT64 `[texts, tokens]`.
    pub ids: String,
    /// The input that is 1 at tokens and 0 at padding, same type and shape.
    pub mask: String,
    /// The input of segment ids, same type and shape, if the graph has one.
    pub type_ids: Option<String>,
}

/// A `model.toml` that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// Not in the format of its file.
    #[error("{}line {line}: {message}", prefix(.file))]
    Syntax {
        /// The file's name; empty where there is but one.
        file: &'static str,
        /// The line, from 1.
        line: usize,
        /// What the parser said.
        message: String,
    },
    /// A key is missing, unknown, or has a value that cannot be.
    #[error("{}key '{key}': {message}", prefix(.file))]
    Key {
        /// The file's name; empty where there is but one.
        file: &'static str,
        /// The dotted path of the key.
        key: String,
        /// What is wrong with it.
        message: String,
    },
}

impl ManifestError {
    /// The same error, of that file.
    #[must_use]
    pub fn in_file(mut self, name: &'static str) -> Self {
        let (Self::Syntax { file, .. } | Self::Key { file, .. }) = &mut self;
        *file = name;
        self
    }
}

fn prefix(file: &str) -> String {
    if file.is_empty() { String::new() } else { format!("{file}: ") }
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Tensor,
    Embedding,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    kind: Option<Kind>,
    tokenizer: Option<String>,
    max_input_tokens: Option<usize>,
    dimensions: Option<usize>,
    output: Option<String>,
    pooling: Option<Pooling>,
    normalize: Option<bool>,
    padding_side: Option<PadSide>,
    inputs: Option<Inputs>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Inputs {
    ids: String,
    mask: String,
    type_ids: Option<String>,
}

impl Manifest {
    /// Reads the text of a `model.toml` that holds no settings.
    pub fn parse(text: &str) -> Result<Self, ManifestError> {
        Self::from_table(parse_table(text)?)
    }

    /// Reads the keys of a `model.toml` that are not settings; no kind means tensors.
    pub(super) fn from_table(table: toml::Table) -> Result<Self, ManifestError> {
        let file: File = deserialize_table(table)?;
        match file.kind {
            None => tensor(&file, "has no meaning without kind = \"embedding\""),
            Some(Kind::Tensor) => tensor(&file, "has no meaning for kind \"tensor\""),
            Some(Kind::Embedding) => embedding(file).map(Self::Embedding),
        }
    }
}

/// Reads TOML.
pub(super) fn parse_table(text: &str) -> Result<toml::Table, ManifestError> {
    toml::from_str(text).map_err(|error| syntax_error(text, &error))
}

/// Gives a table its types; an error names the key.
pub(super) fn deserialize_table<T: DeserializeOwned>(table: toml::Table) -> Result<T, ManifestError> {
    serde_path_to_error::deserialize(table).map_err(|error| {
        let path = error.path().to_string();
        let key = if path == "." { "model.toml" } else { path.as_str() };
        key_error(key, error.inner().message().replace('\n', " "))
    })
}

fn syntax_error(text: &str, error: &toml::de::Error) -> ManifestError {
    let start = error.span().map_or(0, |span| span.start);
    let newlines = text.bytes().take(start).filter(|byte| *byte == b'\n').count();
    ManifestError::Syntax {
        file: "",
        line: newlines.saturating_add(1),
        message: error.message().replace('\n', " "),
    }
}

/// An error about a key; the file is added where it is known.
pub(super) fn key_error(key: &str, message: impl Into<String>) -> ManifestError {
    ManifestError::Key { file: "", key: key.to_owned(), message: message.into() }
}

/// A tensor model that declares text keys is more likely a typing error in `kind` than meant.
fn tensor(file: &File, message: &str) -> Result<Manifest, ManifestError> {
    let text_keys = [
        ("tokenizer", file.tokenizer.is_some()),
        ("max_input_tokens", file.max_input_tokens.is_some()),
        ("dimensions", file.dimensions.is_some()),
        ("output", file.output.is_some()),
        ("pooling", file.pooling.is_some()),
        ("normalize", file.normalize.is_some()),
        ("padding_side", file.padding_side.is_some()),
        ("inputs", file.inputs.is_some()),
    ];
    match text_keys.iter().find(|(_, present)| *present) {
        Some((key, _)) => Err(key_error(key, message)),
        None => Ok(Manifest::Tensor),
    }
}

fn embedding(file: File) -> Result<EmbeddingManifest, ManifestError> {
    let inputs = required("inputs", file.inputs)?;
    Ok(EmbeddingManifest {
        tokenizer: file_name("tokenizer", required("tokenizer", file.tokenizer)?)?,
        max_input_tokens: within("max_input_tokens", file.max_input_tokens, MAX_INPUT_TOKENS)?,
        dimensions: within("dimensions", file.dimensions, MAX_DIMENSIONS)?,
        output: tensor_name("output", required("output", file.output)?)?,
        pooling: file.pooling.unwrap_or_default(),
        normalize: file.normalize.unwrap_or_default(),
        padding_side: file.padding_side.unwrap_or_default(),
        ids: tensor_name("inputs.ids", inputs.ids)?,
        mask: tensor_name("inputs.mask", inputs.mask)?,
        type_ids: inputs.type_ids.map(|name| tensor_name("inputs.type_ids", name)).transpose()?,
    })
}

fn required<T>(key: &str, value: Option<T>) -> Result<T, ManifestError> {
    value.ok_or_else(|| key_error(key, "is required for kind \"embedding\""))
}

fn within(key: &str, value: Option<usize>, max: usize) -> Result<usize, ManifestError> {
    let value = required(key, value)?;
    if (1..=max).contains(&value) { Ok(value) } else { Err(key_error(key, format!("must lie in 1..={max}"))) }
}

fn tensor_name(key: &str, name: String) -> Result<String, ManifestError> {
    if name.is_empty() { Err(key_error(key, "must not be empty")) } else { Ok(name) }
}

/// The version's folder is the unit of trust and of digests: nothing outside it may be named.
pub(super) fn file_name(key: &str, name: String) -> Result<String, ManifestError> {
    let mut components = Path::new(&name).components();
    match (components.next(), components.next()) {
        (Some(Component::Normal(only)), None) if only == name.as_str() => Ok(name),
        _ => Err(key_error(key, "must be the name of a file in the version's folder")),
    }
}

#[cfg(test)]
mod tests;
