//! Copies of model versions, named by what is in them: what is hashed here is what is loaded.
//!
//! ```text
//! <cache_dir>/process-<n>/lock           held as long as the process lives
//!                        /incoming-<n>/  being written
//!                        /<sha256>/<model>/<version>/model.onnx …
//! ```
//!
//! A copy lives as long as somebody holds its [`Staged`]; folders of processes that died are swept at the next start.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use ailayer_primitives::Digest;
use bytes::Bytes;
use parking_lot::Mutex;
use rustix::fs::{FlockOperation, flock};

use super::{RepositoryError, VersionFolder};
use crate::domain::settings::{ModelSettings, ServiceLimits};

mod copying;

use copying::Copying;

const PROCESS_PREFIX: &str = "process-";
const LOCK_FILE: &str = "lock";

/// The cache cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot use the cache folder {}", .path.display())]
pub struct CacheError {
    /// The folder or file.
    path: PathBuf,
    /// What the system said.
    source: io::Error,
}

/// The copies of one process.
#[derive(Debug)]
pub struct Cache {
    folder: PathBuf,
    /// Ends with the process, however it ends.
    _lock: File,
    numbers: AtomicU64,
    staged: Mutex<BTreeMap<Digest, Weak<OwnedFolder>>>,
}

/// A version that was copied; the copy goes with the last clone.
#[derive(Debug, Clone)]
pub struct Staged {
    /// The version, in the copy.
    pub folder: VersionFolder,
    /// SHA-256 over the names and digests of its files: two with the same are the same model, run in the same way.
    pub digest: Digest,
    /// SHA-256 of the graph's bytes, as they were copied.
    pub model_digest: Digest,
    /// The graph's size.
    pub model_bytes: u64,
    /// What its files say.
    pub settings: ModelSettings,
    copy: Arc<OwnedFolder>,
}

/// A model's folder made of the files of a call; removed when dropped.
#[derive(Debug)]
pub struct Incoming {
    _folder: OwnedFolder,
    model: PathBuf,
}

/// Removes its folder when dropped.
#[derive(Debug)]
struct OwnedFolder(PathBuf);

impl Drop for OwnedFolder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(folder = %self.0.display(), %error, "a copy of a model could not be removed");
        }
    }
}

impl Cache {
    /// A folder of this process in `root`, which is made if it is not there and must belong to this user. Sweeps what dead
    /// processes left.
    pub fn try_new(root: &Path) -> Result<Self, CacheError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| CacheError { path, source }
        };
        make_private(root).map_err(failed(root))?;
        sweep(root).map_err(failed(root))?;
        let (folder, lock) = own_folder(root).map_err(failed(root))?;
        Ok(Self { folder, _lock: lock, numbers: AtomicU64::new(0), staged: Mutex::default() })
    }

    /// Copies what a version needs and hashes it on the way. `config_json` takes the place of the folder's `config.pbtxt`.
    pub fn stage(
        &self,
        source: &VersionFolder,
        config_json: Option<&str>,
        limits: &ServiceLimits,
    ) -> Result<Staged, RepositoryError> {
        let incoming = self.incoming_folder()?;
        let id = &source.id;
        let copying = Copying {
            from: source.path.parent().unwrap_or(&source.path).to_owned(),
            to: incoming.0.join(&id.name),
            version: id.version.to_string(),
            digests: BTreeMap::new(),
        };
        let (digests, settings) = copying.run(source, config_json, limits)?;
        let digest = digest_of(&id.name, &digests);
        let graph = format!("{}/{}", id.version, settings.model_file);
        let model_digest = digests.get(&graph).copied().unwrap_or(digest);
        let copy = self.keep(digest, incoming)?;
        let path = copy.0.join(&id.name).join(id.version.to_string());
        let model_bytes = fs::metadata(path.join(&settings.model_file)).map_or(0, |metadata| metadata.len());
        let folder = VersionFolder { id: id.clone(), path };
        Ok(Staged { folder, digest, model_digest, model_bytes, settings, copy })
    }

    /// Writes the files of a call as a model's folder. The paths must have been checked.
    pub fn incoming(&self, name: &str, files: &BTreeMap<String, Bytes>) -> Result<Incoming, RepositoryError> {
        let folder = self.incoming_folder()?;
        let model = folder.0.join(name);
        for (path, bytes) in files {
            let path = model.join(path);
            let write = || {
                DirBuilder::new().recursive(true).mode(0o700).create(path.parent().unwrap_or(&model))?;
                create(&path)?.write_all(bytes)
            };
            write().map_err(|source| RepositoryError::Unwritable { path: path.clone(), source })?;
        }
        Ok(Incoming { _folder: folder, model })
    }

    /// A new folder of this process, for whatever is temporary.
    pub fn temporary(&self) -> Result<Incoming, RepositoryError> {
        let folder = self.incoming_folder()?;
        let model = folder.0.clone();
        Ok(Incoming { _folder: folder, model })
    }

    fn incoming_folder(&self) -> Result<OwnedFolder, RepositoryError> {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let path = self.folder.join(format!("incoming-{number}"));
        match DirBuilder::new().mode(0o700).create(&path) {
            Ok(()) => Ok(OwnedFolder(path)),
            Err(source) => Err(RepositoryError::Unwritable { path, source }),
        }
    }

    /// Gives a finished copy its name; if there is one with the same content already, that is taken.
    fn keep(&self, digest: Digest, incoming: OwnedFolder) -> Result<Arc<OwnedFolder>, RepositoryError> {
        let mut staged = self.staged.lock();
        staged.retain(|_, copy| copy.strong_count() > 0);
        if let Some(copy) = staged.get(&digest).and_then(Weak::upgrade) {
            return Ok(copy);
        }
        // The number keeps apart from a folder of the same name that is just being removed.
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let path = self.folder.join(format!("{digest}-{number}"));
        fs::rename(&incoming.0, &path)
            .map_err(|source| RepositoryError::Unwritable { path: path.clone(), source })?;
        let copy = Arc::new(OwnedFolder(path));
        staged.insert(digest, Arc::downgrade(&copy));
        Ok(copy)
    }
}

impl Drop for Cache {
    fn drop(&mut self) {
        drop(OwnedFolder(self.folder.clone()));
    }
}

impl Staged {
    /// The folder that holds the copy as a repository of its own.
    pub fn root(&self) -> &Path {
        &self.copy.0
    }
}

impl Incoming {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.model
    }
}

fn digest_of(name: &str, files: &BTreeMap<String, Digest>) -> Digest {
    let lines = files.iter().map(|(path, digest)| format!("{digest} {path}\n"));
    Digest::sha256(format!("{name}\n{}", lines.collect::<String>()).as_bytes())
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// Nobody else may put files where they are loaded from.
fn make_private(root: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(root)?;
    let metadata = fs::metadata(root)?;
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        return Err(io::Error::other("it belongs to another user"));
    }
    if metadata.mode() & 0o022 != 0 {
        return Err(io::Error::other("others may write into it"));
    }
    Ok(())
}

fn own_folder(root: &Path) -> io::Result<(PathBuf, File)> {
    let mut number = std::process::id();
    loop {
        let folder = root.join(format!("{PROCESS_PREFIX}{number}"));
        match DirBuilder::new().mode(0o700).create(&folder) {
            Ok(()) => {
                let lock = create(&folder.join(LOCK_FILE))?;
                flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
                return Ok((folder, lock));
            }
            // Two services in one process, or two containers with one volume.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number = number.wrapping_add(1),
            Err(error) => return Err(error),
        }
    }
}

/// Removes the folders of processes that are no more. One that starts just now has no lock file yet, and is left alone.
fn sweep(root: &Path) -> io::Result<()> {
    for entry in fs::read_dir(root)? {
        let entry = entry?;
        if !entry.file_name().to_string_lossy().starts_with(PROCESS_PREFIX) {
            continue;
        }
        let Ok(lock) = File::open(entry.path().join(LOCK_FILE)) else { continue };
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok() {
            drop(OwnedFolder(entry.path()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
