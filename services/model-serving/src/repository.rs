//! The folder of models: `<root>/<name>/<version>/` with `model.onnx`, `model.toml` and a tokenizer.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use ailayer_primitives::Digest;
use bytes::Bytes;

use crate::domain::manifest::{Manifest, ManifestError};
use crate::domain::model::{ModelId, Version};
use crate::domain::settings::{self, ModelSettings, ModelTexts, ServiceLimits};

const TRITON_FILE: &str = "config.pbtxt";
const WARM_UP_FOLDER: &str = "warmup";
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
    /// The bytes of the graph.
    pub model: Vec<u8>,
    /// Their SHA-256.
    pub digest: Digest,
    /// What `model.toml` and `config.pbtxt` say.
    pub settings: ModelSettings,
    /// The bytes of the tokenizer, if the manifest names one.
    pub tokenizer: Option<Vec<u8>>,
    /// The files that warm-up samples name.
    pub warm_up: BTreeMap<String, Bytes>,
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
        /// The folder of the version; what is wrong names the file.
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
        let mut versions = Vec::new();
        for (version, path) in folders(&path)? {
            match version.parse::<Version>() {
                Ok(version) => {
                    versions.push(VersionFolder { id: ModelId { name: name.clone(), version }, path })
                }
                Err(error) => tracing::warn!(folder = %path.display(), %error, "passed over"),
            }
        }
        retain_served(&name, &path, &mut versions)?;
        found.append(&mut versions);
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

/// Leaves the versions that the model's policy serves. With a policy that cannot be read all stay: each says why it does not load.
fn retain_served(name: &str, model: &Path, versions: &mut Vec<VersionFolder>) -> Result<(), RepositoryError> {
    let texts = FolderTexts::read(model)?;
    if let Ok(policy) = settings::read_versions(&texts.borrow(name)) {
        let available: Vec<Version> = versions.iter().map(|folder| folder.id.version).collect();
        let served = policy.select(&available);
        versions.retain(|folder| served.contains(&folder.id.version));
    }
    Ok(())
}

/// The texts of a model's folder.
struct FolderTexts {
    model_toml: Option<String>,
    config_pbtxt: Option<String>,
}

impl FolderTexts {
    fn read(folder: &Path) -> Result<Self, RepositoryError> {
        Ok(Self {
            model_toml: read_text(&folder.join(MANIFEST_FILE))?,
            config_pbtxt: read_text(&folder.join(TRITON_FILE))?,
        })
    }

    fn borrow<'a>(&'a self, model_name: &'a str) -> ModelTexts<'a> {
        ModelTexts {
            model_name,
            model_toml: self.model_toml.as_deref(),
            config_pbtxt: self.config_pbtxt.as_deref(),
            config_json: None,
        }
    }
}

/// Reads a version's files, each once.
pub fn read(folder: &VersionFolder, limits: &ServiceLimits) -> Result<ModelFiles, RepositoryError> {
    let settings = read_settings(folder, limits)?;
    let tokenizer = match &settings.manifest {
        Manifest::Tensor => None,
        Manifest::Embedding(embedding) => Some(read_file(&folder.path.join(&embedding.tokenizer))?),
    };
    let model = read_file(&folder.path.join(&settings.model_file))?;
    let digest = Digest::sha256(&model);
    let samples = folder.path.parent().unwrap_or(&folder.path).join(WARM_UP_FOLDER);
    let mut warm_up = BTreeMap::new();
    for name in settings.warm_up_files() {
        warm_up.insert(name.to_owned(), read_file(&samples.join(name))?.into());
    }
    Ok(ModelFiles { model, digest, settings, tokenizer, warm_up })
}

fn read_settings(folder: &VersionFolder, limits: &ServiceLimits) -> Result<ModelSettings, RepositoryError> {
    let model = folder.path.parent().unwrap_or(&folder.path);
    let (texts, version) = (FolderTexts::read(model)?, read_text(&folder.path.join(MANIFEST_FILE))?);
    settings::read(&texts.borrow(&folder.id.name), version.as_deref(), limits)
        .map_err(|source| RepositoryError::Manifest { path: folder.path.clone(), source })
}

/// None if there is no such file.
fn read_text(path: &Path) -> Result<Option<String>, RepositoryError> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(RepositoryError::Unreadable { path: path.to_owned(), source }),
    }
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
        assert_eq!(ids, ["a/1", "b/10"], "the newest of each");
        std::fs::write(root.path().join("b/model.toml"), "versions = \"all\"").unwrap();
        let ids: Vec<String> = scan(root.path()).unwrap().iter().map(|found| found.id.to_string()).collect();
        assert_eq!(ids, ["a/1", "b/2", "b/10"]);
    }

    #[test]
    fn an_error_names_file_and_key() {
        let root = tempfile::tempdir().unwrap();
        let id = ModelId { name: "m".into(), version: "1".parse().unwrap() };
        let folder = VersionFolder { id, path: root.path().join("1") };
        let limits = crate::Config::new(root.path()).service_limits();
        std::fs::create_dir(&folder.path).unwrap();
        std::fs::write(folder.path.join(MANIFEST_FILE), "kind = \"tensor\"\nshape = 1\n").unwrap();
        let line = chain(&read(&folder, &limits).map(drop).unwrap_err());
        assert!(line.contains("model.toml") && line.contains("'shape'"), "{line}");
        std::fs::remove_file(folder.path.join(MANIFEST_FILE)).unwrap();
        let line = read(&folder, &limits).map(drop).unwrap_err().to_string();
        assert!(line.contains("model.onnx"), "{line}");
    }
}
