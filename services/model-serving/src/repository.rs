//! The folder of models: `<root>/<name>/<version>/` with `model.onnx`, `model.toml` and a tokenizer.

use std::io;
use std::path::{Path, PathBuf};

use ailayer_primitives::Digest;

use crate::domain::manifest::{Manifest, ManifestError};
use crate::domain::model::{ModelId, Version};

const MODEL_FILE: &str = "model.onnx";
const MANIFEST_FILE: &str = "model.toml";
/// The longest name a model may have; it becomes a metric's attribute and part of receipts.
const MAX_NAME_CHARS: usize = 128;

/// A version's folder.
#[derive(Debug, Clone)]
pub struct VersionFolder {
    /// The model and version it is named for.
    pub id: ModelId,
    /// Where it is.
    pub path: PathBuf,
}

/// The files of one version, in memory: what is hashed is what is loaded.
pub struct ModelFiles {
    /// The bytes of `model.onnx`.
    pub model: Vec<u8>,
    /// Their SHA-256.
    pub digest: Digest,
    /// What `model.toml` says.
    pub manifest: Manifest,
    /// The bytes of the tokenizer, if the manifest names one.
    pub tokenizer: Option<Vec<u8>>,
}

/// A folder or file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RepositoryError {
    /// It cannot be read.
    #[error("cannot read {}", .path.display())]
    Unreadable {
        /// The folder or file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It cannot be understood.
    #[error("cannot use {}", .path.display())]
    Manifest {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: ManifestError,
    },
}

/// Lists the versions, ordered by name and version.
///
/// Hidden folders, plain files, and folders whose names are no model's or version's are passed over; the latter are logged.
pub fn scan(root: &Path) -> Result<Vec<VersionFolder>, RepositoryError> {
    let mut found = Vec::new();
    for (name, path) in folders(root)? {
        if !is_model_name(&name) {
            tracing::warn!(folder = %path.display(), "passed over, a model's name has letters, digits, '.', '_' and '-'");
            continue;
        }
        for (version, path) in folders(&path)? {
            match version.parse::<Version>() {
                Ok(version) => {
                    found.push(VersionFolder { id: ModelId { name: name.clone(), version }, path })
                }
                Err(error) => tracing::warn!(folder = %path.display(), %error, "passed over"),
            }
        }
    }
    found.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(found)
}

fn folders(parent: &Path) -> Result<Vec<(String, PathBuf)>, RepositoryError> {
    let unreadable = |source| RepositoryError::Unreadable { path: parent.to_owned(), source };
    let mut folders = Vec::new();
    for entry in std::fs::read_dir(parent).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        // Asked of the path, not of the entry: a link to a folder is a folder.
        if entry.path().is_dir() && !name.starts_with('.') {
            folders.push((name, entry.path()));
        }
    }
    Ok(folders)
}

fn is_model_name(name: &str) -> bool {
    name.len() <= MAX_NAME_CHARS
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
}

/// Reads a version's files, each once.
pub fn read(folder: &VersionFolder) -> Result<ModelFiles, RepositoryError> {
    let manifest = read_manifest(&folder.path.join(MANIFEST_FILE))?;
    let tokenizer = match &manifest {
        Manifest::Tensor => None,
        Manifest::Embedding(embedding) => Some(read_file(&folder.path.join(&embedding.tokenizer))?),
    };
    let model = read_file(&folder.path.join(MODEL_FILE))?;
    let digest = Digest::sha256(&model);
    Ok(ModelFiles { model, digest, manifest, tokenizer })
}

fn read_manifest(path: &Path) -> Result<Manifest, RepositoryError> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Manifest::Tensor),
        Err(source) => return Err(RepositoryError::Unreadable { path: path.to_owned(), source }),
    };
    Manifest::parse(&text).map_err(|source| RepositoryError::Manifest { path: path.to_owned(), source })
}

fn read_file(path: &Path) -> Result<Vec<u8>, RepositoryError> {
    std::fs::read(path).map_err(|source| RepositoryError::Unreadable { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::chain;

    #[test]
    fn finds_versions_in_numeric_order_and_passes_over_the_rest() {
        let root = tempfile::tempdir().unwrap();
        for folder in ["b/2", "b/10", "b/latest", "a/1", ".git/1", "c d/1", "empty"] {
            std::fs::create_dir_all(root.path().join(folder)).unwrap();
        }
        std::fs::write(root.path().join("README.md"), "").unwrap();
        let ids: Vec<String> = scan(root.path()).unwrap().iter().map(|found| found.id.to_string()).collect();
        assert_eq!(ids, ["a/1", "b/2", "b/10"]);
    }

    #[test]
    fn an_error_names_file_and_key() {
        let root = tempfile::tempdir().unwrap();
        let id = ModelId { name: "m".into(), version: "1".parse().unwrap() };
        let folder = VersionFolder { id, path: root.path().to_owned() };
        std::fs::write(root.path().join(MANIFEST_FILE), "kind = \"tensor\"\nshape = 1\n").unwrap();
        let line = chain(&read(&folder).map(drop).unwrap_err());
        assert!(line.contains("model.toml") && line.contains("'shape'"), "{line}");
        std::fs::remove_file(root.path().join(MANIFEST_FILE)).unwrap();
        let line = read(&folder).map(drop).unwrap_err().to_string();
        assert!(line.contains("model.onnx"), "{line}");
    }
}
