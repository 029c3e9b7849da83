//! What a graph says about itself.

use std::collections::BTreeMap;

use ort::session::{ModelMetadata, Session};

/// The longest value that is kept; some exporters put whole label files here.
const MAX_CHARS: usize = 4096;
/// The most custom entries that are kept, the first by name.
const MAX_CUSTOM: usize = 64;

/// Producer, names, description and custom entries, as `onnx.…`; nothing if the engine cannot say.
///
/// It comes from the model file, which may be anybody's: long values are cut, empty ones left out.
pub(super) fn properties_of(session: &Session) -> BTreeMap<String, String> {
    let Ok(metadata) = session.metadata() else { return BTreeMap::new() };
    let version = metadata.version().filter(|version| *version != 0).map(|version| version.to_string());
    let own = [
        ("onnx.producer", metadata.producer()),
        ("onnx.description", metadata.description()),
        ("onnx.graph", metadata.name()),
        ("onnx.graph_description", metadata.graph_description()),
        ("onnx.domain", metadata.domain()),
        ("onnx.version", version),
    ];
    let own = own.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
    own.chain(custom(&metadata))
        .filter(|(_, value)| !value.is_empty())
        .map(|(key, value)| (cut(&key), cut(&value)))
        .collect()
}

fn custom(metadata: &ModelMetadata<'_>) -> Vec<(String, String)> {
    let mut keys = metadata.custom_keys().unwrap_or_default();
    keys.sort_unstable();
    keys.truncate(MAX_CUSTOM);
    let entry = |key: String| Some((format!("onnx.custom.{key}"), metadata.custom(&key)?));
    keys.into_iter().filter_map(entry).collect()
}

fn cut(text: &str) -> String {
    text.chars().take(MAX_CHARS).collect()
}
