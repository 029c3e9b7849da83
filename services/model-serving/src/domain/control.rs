//! What the repository holds, and what may be asked of it.

use std::collections::BTreeMap;

use bytes::Bytes;

/// Where a version stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModelState {
    /// Never loaded, or unloaded on request.
    Unloaded,
    /// Being loaded.
    Loading,
    /// Serves.
    Ready,
    /// Does not load.
    Unavailable,
    /// Finishes its last calls.
    Unloading,
}

/// A version in the repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexEntry {
    /// The model.
    pub name: String,
    /// The version; empty if there is none to name.
    pub version: String,
    /// Where it stands.
    pub state: ModelState,
    /// Why; empty if there is nothing to say.
    pub reason: String,
}

/// What a load uses instead of the folder's files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LoadOverrides {
    /// Triton's model configuration as JSON, instead of the folder's.
    pub config_json: Option<String>,
    /// Files by their path in the model's folder, `1/model.onnx`.
    pub files: BTreeMap<String, Bytes>,
}
