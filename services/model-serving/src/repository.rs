//! The folder of models: `<root>/<name>/<version>/` with `model.onnx`, `model.toml` and a tokenizer.
//!
//! Nothing is loaded from it: [`Cache::stage`] copies a version first, and [`read`] reads the copy.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use ailayer_primitives::Digest;
use bytes::Bytes;

use crate::domain::manifest::{Manifest, ManifestError};
use crate::domain::model::{ModelId, Version};
use crate::domain::settings::{self, MAX_TEXT_BYTES, ModelSettings, ModelTexts, ServiceLimits};

mod cache;
mod fingerprint;

pub use cache::{Cache, CacheError, Staged};
pub use fingerprint::{Fingerprint, fingerprint};

/// A call's configuration, kept with the copy; hidden, so that no model's own file has that name.
const OVERRIDE_FILE: &str = ".config.json";
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
    /// The copy in the cache cannot be written.
    #[error("cannot write {}", .path.display())]
    Unwritable {
        /// The folder or file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The copy in the cache is not what was written.
    #[error("{} is not what was copied", .path.display())]
    Changed {
        /// The file.
        path: PathBuf,
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

/// Lists the models' folders by name.
///
/// Hidden folders, plain files, and folders whose names are no model's are passed over; the latter are logged.
pub fn models(root: &Path) -> Result<BTreeMap<String, PathBuf>, RepositoryError> {
    let mut found = BTreeMap::new();
    for (name, path) in folders(root)? {
        if is_model_name(&name) {
            found.insert(name, path);
        } else {
            tracing::warn!(folder = %path.display(), "passed over, a model's name has letters, digits, '.', '_' and '-'");
        }
    }
    Ok(found)
}

/// Lists the versions that a model's policy serves, oldest first. `config_json` takes the place of `config.pbtxt`.
///
/// Folders whose names are no version's are passed over and logged. With a policy that cannot be read every version is
/// listed: each says why it does not load.
pub fn versions(
    name: &str,
    folder: &Path,
    config_json: Option<&str>,
) -> Result<Vec<VersionFolder>, RepositoryError> {
    let mut versions = Vec::new();
    for (version, path) in folders(folder)? {
        match version.parse::<Version>() {
            Ok(version) => {
                versions.push(VersionFolder { id: ModelId { name: name.to_owned(), version }, path });
            }
            Err(_) if version == WARM_UP_FOLDER => {}
            Err(error) => tracing::warn!(folder = %path.display(), %error, "passed over"),
        }
    }
    // Also with files that cannot be read at all: one model must not keep the others from loading.
    let policy = FolderTexts::read(folder).ok().and_then(|texts| {
        let texts = FolderTexts { config_json: config_json.map(str::to_owned), ..texts };
        settings::read_versions(&texts.borrow(name)).ok()
    });
    if let Some(policy) = policy {
        let available: Vec<Version> = versions.iter().map(|folder| folder.id.version).collect();
        let served = policy.select(&available);
        versions.retain(|folder| served.contains(&folder.id.version));
    }
    versions.sort_by_key(|folder| folder.id.version);
    Ok(versions)
}

/// Whether a model's folder has any version, whatever the policy says of it.
pub fn has_versions(folder: &Path) -> bool {
    folders(folder).is_ok_and(|found| found.iter().any(|(name, _)| name.parse::<Version>().is_ok()))
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

/// True for a name that a model's folder may have.
pub fn is_model_name(name: &str) -> bool {
    (1..=MAX_NAME_CHARS).contains(&name.len())
        && !name.starts_with('.')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
}

/// The texts of a model's folder.
struct FolderTexts {
    model_toml: Option<String>,
    config_pbtxt: Option<String>,
    config_json: Option<String>,
}

impl FolderTexts {
    fn read(folder: &Path) -> Result<Self, RepositoryError> {
        Ok(Self {
            model_toml: read_text(&folder.join(MANIFEST_FILE))?,
            config_pbtxt: read_text(&folder.join(TRITON_FILE))?,
            config_json: None,
        })
    }

    /// Of a copy, which may hold a call's configuration.
    fn read_staged(folder: &Path) -> Result<Self, RepositoryError> {
        Ok(Self { config_json: read_text(&folder.join(OVERRIDE_FILE))?, ..Self::read(folder)? })
    }

    fn borrow<'a>(&'a self, model_name: &'a str) -> ModelTexts<'a> {
        ModelTexts {
            model_name,
            model_toml: self.model_toml.as_deref(),
            config_pbtxt: self.config_pbtxt.as_deref(),
            config_json: self.config_json.as_deref(),
        }
    }
}

/// Reads a staged version's files, each once.
pub fn read(folder: &VersionFolder, limits: &ServiceLimits) -> Result<ModelFiles, RepositoryError> {
    let settings = read_settings(folder, limits, &folder.path)?;
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

/// `shown` is the folder that an error names: the one whose owner can mend it.
fn read_settings(
    folder: &VersionFolder,
    limits: &ServiceLimits,
    shown: &Path,
) -> Result<ModelSettings, RepositoryError> {
    let model = folder.path.parent().unwrap_or(&folder.path);
    let (texts, version) = (FolderTexts::read_staged(model)?, read_text(&folder.path.join(MANIFEST_FILE))?);
    settings::read(&texts.borrow(&folder.id.name), version.as_deref(), limits)
        .map_err(|source| RepositoryError::Manifest { path: shown.to_owned(), source })
}

/// None if there is no such file.
fn read_text(path: &Path) -> Result<Option<String>, RepositoryError> {
    let unreadable = |source| RepositoryError::Unreadable { path: path.to_owned(), source };
    let file = match open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(error)),
    };
    // One byte more than may be: the parser then says that it is too long.
    let most = u64::try_from(MAX_TEXT_BYTES).unwrap_or(u64::MAX).saturating_add(1);
    let mut text = String::new();
    file.take(most).read_to_string(&mut text).map_err(unreadable)?;
    Ok(Some(text))
}

/// Opens plain files and links to such: reading a pipe or a device might never end.
fn open(path: &Path) -> io::Result<File> {
    if std::fs::metadata(path)?.is_file() {
        return File::open(path);
    }
    Err(io::Error::other("it is no plain file"))
}

fn read_file(path: &Path) -> Result<Vec<u8>, RepositoryError> {
    let read = || {
        let mut bytes = Vec::new();
        open(path)?.read_to_end(&mut bytes).map(|_| bytes)
    };
    read().map_err(|source| RepositoryError::Unreadable { path: path.to_owned(), source })
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
        let ids = |config_json: Option<&str>| -> Vec<String> {
            let versions = |(name, path): (&String, &PathBuf)| versions(name, path, config_json).unwrap();
            models(root.path()).unwrap().iter().flat_map(versions).map(|found| found.id.to_string()).collect()
        };
        assert_eq!(ids(None), ["a/1", "b/10"], "the newest of each");
        assert_eq!(ids(Some(r#"{"version_policy":{"all":{}}}"#)), ["a/1", "b/2", "b/10"]);
        std::fs::write(root.path().join("b/model.toml"), "versions = \"all\"").unwrap();
        assert_eq!(ids(None), ["a/1", "b/2", "b/10"]);
        std::fs::write(root.path().join("a/config.pbtxt"), [0xff, 0xfe]).unwrap();
        assert_eq!(ids(None), ["a/1", "b/2", "b/10"], "a/1 says by itself why it does not load");
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
