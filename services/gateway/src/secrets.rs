//! Where the master secret comes from: the configuration, or a file that only its owner can read.
//!
//! Whoever has it can sign receipts and open every job. Back it up: without it no stored token can be answered again,
//! and the gateway is another seller.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use ailayer_platform::config::Secret;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::domain::keys::Master;

/// The file's name in the data folder.
const FILE: &str = "gateway.secret";

/// Why there is no secret.
#[derive(Debug, Error)]
pub enum SecretError {
    /// Not 64 hexadecimal digits. The text is not shown.
    #[error("{0} is not 64 hexadecimal digits")]
    Malformed(String),
    /// Others can read the file.
    #[error("{path} can be read by others (mode {mode:03o}): chmod 600 it")]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file cannot be read or made.
    #[error("{path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The system has no randomness.
    #[error("no random bytes: {0}")]
    Random(getrandom::Error),
}

/// Takes the configured secret, or the file's; makes the file when there is none.
pub fn load(configured: Option<&Secret<String>>, data_dir: Option<&Path>) -> Result<Master, SecretError> {
    match (configured, data_dir) {
        (Some(secret), _) => parse(secret.expose(), "gateway.secret"),
        (None, Some(folder)) => load_or_create(folder),
        (None, None) => Err(SecretError::Malformed("gateway.secret".to_owned())),
    }
}

fn load_or_create(folder: &Path) -> Result<Master, SecretError> {
    fs::create_dir_all(folder).map_err(io_error(folder))?;
    let path = folder.join(FILE);
    if !path.try_exists().map_err(io_error(&path))? {
        create(folder, &path)?;
    }
    read(&path)
}

fn read(path: &Path) -> Result<Master, SecretError> {
    let mut file = File::open(path).map_err(io_error(path))?;
    let mode = file.metadata().map_err(io_error(path))?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(SecretError::Exposed { path: path.to_owned(), mode });
    }
    let mut text = Zeroizing::new(String::new());
    file.read_to_string(&mut text).map_err(io_error(path))?;
    parse(text.trim_end(), &path.display().to_string())
}

/// Writes a whole file under another name and links it: nobody ever reads half a secret, and of two processes that
/// start at once one wins and both read the same.
fn create(folder: &Path, path: &Path) -> Result<(), SecretError> {
    let mut master = Master::new([0; 32]);
    getrandom::fill(master.as_mut_slice()).map_err(SecretError::Random)?;
    let text = Zeroizing::new(format!("{}\n", hex::encode(master.as_slice())));
    let draft = folder.join(format!("{FILE}.{}", uuid::Uuid::new_v4()));
    let mut file =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft).map_err(io_error(&draft))?;
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    let linked = written.and_then(|()| match fs::hard_link(&draft, path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        outcome => outcome,
    });
    let removed = fs::remove_file(&draft);
    linked.and(removed).and_then(|()| File::open(folder)?.sync_all()).map_err(io_error(path))
}

fn parse(text: &str, name: &str) -> Result<Master, SecretError> {
    let mut master = Master::new([0; 32]);
    hex::decode_to_slice(text, master.as_mut_slice()).map_err(|_| SecretError::Malformed(name.to_owned()))?;
    Ok(master)
}

fn io_error(path: &Path) -> impl Fn(io::Error) -> SecretError {
    let path = path.to_owned();
    move |source| SecretError::Io { path: path.clone(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_made_once_and_kept_private() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("gateway");
        let made = load(None, Some(&inner)).unwrap();
        assert_eq!(*load(None, Some(&inner)).unwrap(), *made);
        let path = inner.join(FILE);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(&inner).unwrap().count(), 1, "no draft is left");

        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(load(None, Some(&inner)), Err(SecretError::Exposed { mode: 0o640, .. })));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, "hunter2").unwrap();
        let error = load(None, Some(&inner)).unwrap_err();
        assert!(!error.to_string().contains("hunter2"));
    }

    #[test]
    fn starting_twice_at_once_makes_one_secret() {
        let folder = tempfile::tempdir().unwrap();
        let secrets: Vec<_> = std::thread::scope(|scope| {
            let start = || load(None, Some(folder.path())).unwrap();
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(start)).collect();
            threads.into_iter().map(|thread| *thread.join().unwrap()).collect()
        });
        assert!(secrets.windows(2).all(|pair| pair[0] == pair[1]));
    }

    #[test]
    fn a_configured_secret_goes_first() {
        let secret = Secret::new("11".repeat(32));
        assert_eq!(*load(Some(&secret), None).unwrap(), [0x11; 32]);
        let short = Secret::new("11".to_owned());
        assert!(matches!(load(Some(&short), None), Err(SecretError::Malformed(_))));
        assert!(load(None, None).is_err());
    }
}
