//! The node's folder: locked against a second copy, readable by its owner only, keeper of the secret.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use ailayer_platform::config::Secret;
use thiserror::Error;

use crate::domain::preimage::PreimageSecret;

/// The file whose lock says that the node is live.
const LOCK_FILE: &str = "node.lock";
/// The file that holds the preimage secret, hex.
const SECRET_FILE: &str = "preimage_secret";

/// Why the folder cannot be used.
#[derive(Debug, Error)]
pub enum DataDirError {
    /// The system said no.
    #[error("data folder: {path}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Another process runs this node. Two live copies of channel state lose funds.
    #[error("another process runs the lightning node in {0}")]
    Locked(PathBuf),
    /// The secret is there and no secret.
    #[error("the preimage secret in {0} is not 64 hex digits")]
    Malformed(PathBuf),
}

/// A locked folder. The lock ends with the process, however it ends.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    _lock: File,
}

impl DataDir {
    /// Makes the folder if need be, closes it to other users, and takes its lock.
    pub fn lock(path: &Path) -> Result<Self, DataDirError> {
        let io = |path: &Path| {
            let path = path.to_owned();
            move |source| DataDirError::Io { path, source }
        };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(io(path))?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o700)).map_err(io(path))?;
        let lock_path = path.join(LOCK_FILE);
        let lock = OpenOptions::new().create(true).write(true).truncate(false).mode(0o600).open(&lock_path);
        let lock = lock.map_err(io(&lock_path))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(DataDirError::Locked(path.to_owned())),
            Err(TryLockError::Error(source)) => Err(DataDirError::Io { path: lock_path, source }),
        }
    }

    /// The folder of the node's own state.
    pub fn node_dir(&self) -> PathBuf {
        self.path.join("ldk")
    }

    /// The preimage secret: the configured one, else the file's. A missing file is made, but only if
    /// `may_create`: a schema with invoices and no secret must not get a fresh one.
    pub fn preimage_secret(
        &self,
        configured: Option<&Secret<String>>,
        may_create: bool,
    ) -> Result<PreimageSecret, DataDirError> {
        let path = self.path.join(SECRET_FILE);
        let malformed = || DataDirError::Malformed(path.clone());
        if let Some(hex) = configured {
            return parse(hex.expose()).ok_or_else(malformed);
        }
        match fs::read_to_string(&path) {
            Ok(hex) => parse(&hex).ok_or_else(malformed),
            Err(error) if error.kind() == io::ErrorKind::NotFound && may_create => {
                create(&self.path, &path).map_err(|source| DataDirError::Io { path: path.clone(), source })
            }
            Err(source) => Err(DataDirError::Io { path, source }),
        }
    }
}

fn parse(text: &str) -> Option<PreimageSecret> {
    let mut bytes = [0u8; 32];
    hex::decode_to_slice(text.trim(), &mut bytes).ok()?;
    Some(PreimageSecret::new(bytes))
}

/// Writes the secret so that it is either whole or absent after a crash, before anything is derived from it.
fn create(dir: &Path, path: &Path) -> io::Result<PreimageSecret> {
    let mut bytes = [0u8; 32];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    let partial = path.with_extension("partial");
    let _ = fs::remove_file(&partial);
    let mut file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(&partial)?;
    writeln!(file, "{}", hex::encode(bytes))?;
    file.sync_all()?;
    fs::rename(&partial, path)?;
    File::open(dir)?.sync_all()?;
    tracing::info!(file = %path.display(), "preimage secret made, back it up with the database");
    Ok(PreimageSecret::new(bytes))
}

#[cfg(test)]
mod tests;
