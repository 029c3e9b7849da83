//! What the repository holds, and what may be asked of it.

use std::collections::BTreeMap;
use std::path::{Component, Path};

use bytes::Bytes;
use serde::Deserialize;

/// Who decides what is loaded while the service runs: Triton's three modes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelControl {
    /// Nobody: what is there at start is loaded, once.
    None,
    /// The folder: what changes in it is loaded, what goes is unloaded.
    Poll,
    /// Callers of `RepositoryModelLoad` and `RepositoryModelUnload`.
    Explicit,
}

/// Where a version stands.
///
/// ```text
/// Unloaded ──> Loading ──> Ready ──> Unloading ──> Unloaded, or forgotten
///                 └──> Unavailable ──> Loading …
/// ```
/// A version that serves stays Ready while other files of it are loaded, and if they do not load.
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
    /// The version.
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
    /// Files by their path in the model's folder, `1/model.onnx`. If there are any, the folder is not looked at.
    pub files: BTreeMap<String, Bytes>,
}

impl LoadOverrides {
    /// The first path that does not stay inside a model's folder: a plain name, or one folder and a name.
    pub fn stray_path(&self) -> Option<&str> {
        self.files.keys().map(String::as_str).find(|path| !is_inside(path))
    }
}

fn is_inside(path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').collect();
    let plain = |part: &&str| {
        let mut components = Path::new(part).components();
        let only = matches!(components.next(), Some(Component::Normal(name)) if name == *part);
        only && components.next().is_none() && !part.starts_with('.') && !part.contains('\0')
    };
    matches!(parts.len(), 1 | 2) && parts.iter().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_inside_the_models_folder() {
        for good in ["model.toml", "1/model.onnx", "warmup/b.bin"] {
            assert!(is_inside(good), "{good}");
        }
        let bad = [
            "",
            "/etc/passwd",
            "..",
            "../x",
            "1/../x",
            "1/..",
            "a/b/c",
            "1//x",
            "1/",
            "./x",
            ".config.json",
            "1/\0",
        ];
        for bad in bad {
            assert!(!is_inside(bad), "{bad}");
        }
    }
}
