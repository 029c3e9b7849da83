//! Secrets on disk: the log's key and the wallet's seed words, each in a file of its own that only the owner can read.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

/// Owner may read and write; nobody else anything.
const MODE: u32 = 0o600;

/// Why a secret could not be had.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The file cannot be read or written.
    #[error("secret file {path}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// Others than the owner may read the file.
    #[error("secret file {path} has mode {mode:o}: it must be readable by its owner only (600)")]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The database knows a key or wallet whose secret is not there. Making a new one would lose it.
    #[error(
        "secret file {path} is missing although the database was made with it: restore it from the backup"
    )]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// The file's content is not the secret expected.
    #[error("secret file {path} is not usable: {reason}")]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is wrong, without the secret.
        reason: String,
    },
}

/// Reads the secret text, or makes it when the file does not exist and `may_create` allows it.
///
/// A new file is complete and durable under its name before this returns: written beside, synced, then linked.
///
/// # Errors
/// [`SecretError`]; with `may_create` false also when the file is missing.
pub fn read_or_create(
    path: &Path,
    may_create: bool,
    make: impl FnOnce() -> Result<Zeroizing<String>, SecretError>,
) -> Result<Zeroizing<String>, SecretError> {
    match read(path) {
        Err(SecretError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            if !may_create {
                return Err(SecretError::Missing { path: path.to_owned() });
            }
            create(path, &make()?).map_err(|source| SecretError::Io { path: path.to_owned(), source })?;
            read(path)
        }
        outcome => outcome,
    }
}

fn read(path: &Path) -> Result<Zeroizing<String>, SecretError> {
    let failed = |source| SecretError::Io { path: path.to_owned(), source };
    let mode = fs::metadata(path).map_err(failed)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(SecretError::Exposed { path: path.to_owned(), mode });
    }
    let text = Zeroizing::new(fs::read_to_string(path).map_err(failed)?);
    Ok(Zeroizing::new(text.trim_end().to_owned()))
}

fn create(path: &Path, secret: &str) -> io::Result<()> {
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    fs::create_dir_all(folder)?;
    let beside = path.with_extension("new");
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(MODE).open(&beside)?;
    file.write_all(secret.as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()?;
    // A link never replaces a file that is there by now, a rename would.
    fs::hard_link(&beside, path)?;
    fs::remove_file(&beside)?;
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests;
