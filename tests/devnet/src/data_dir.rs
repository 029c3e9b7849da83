//! One folder for everything a devnet writes.

use std::{
    env, fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use crate::{
    error::DevnetError,
    process::{
        Signal,
        watchdog::{self, AtDeath},
    },
};

/// Set to anything to keep data folders and their logs.
const KEEP_VARIABLE: &str = "AILAYER_KEEP_LOGS";
/// The watchdog leaves folders alone that contain this file.
const KEEP_MARKER: &str = ".keep";

/// A folder with a `logs/` folder in it. Clones share it; the last one to go removes it, unless the thread is
/// panicking, [`DataDir::keep`] was called, or `AILAYER_KEEP_LOGS` is set: then the path is printed.
///
/// When this process dies without a chance to clean up, the watchdog removes everything but the logs.
#[derive(Debug, Clone)]
pub struct DataDir(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    keep: AtomicBool,
    temporary: bool,
}

impl DataDir {
    /// A new folder below the system's temporary folder.
    ///
    /// # Errors
    /// `Io` when it cannot be made.
    pub fn temporary() -> Result<Self, DevnetError> {
        Self::make_temporary(AtDeath::RemoveAllButLogs)
    }

    /// A temporary folder whose owner is never dropped (a `static`): the ordinary end of this process removes it.
    pub(crate) fn temporary_for_static() -> Result<Self, DevnetError> {
        Self::make_temporary(AtDeath::RemoveAll)
    }

    /// A folder that stays, made if need be; starting again in it continues with its data.
    ///
    /// # Errors
    /// `Io` when it cannot be made.
    pub fn at(path: impl Into<PathBuf>) -> Result<Self, DevnetError> {
        let path = path.into();
        fs::create_dir_all(path.join("logs"))
            .map_err(DevnetError::io(format!("making {}", path.display())))?;
        let path = fs::canonicalize(&path).map_err(DevnetError::io(format!("finding {}", path.display())))?;
        Ok(Self(Arc::new(Inner { path, keep: AtomicBool::new(true), temporary: false })))
    }

    fn make_temporary(at_death: AtDeath) -> Result<Self, DevnetError> {
        let parent = reachable_temp_dir();
        let what = format!("making a folder in {}", parent.display());
        let made = tempfile::Builder::new()
            .prefix("ailayer-devnet-")
            // PostgreSQL runs as another user when we are root, and has to pass through.
            .permissions(fs::Permissions::from_mode(0o755))
            .tempdir_in(parent)
            .map_err(DevnetError::io(what.clone()))?;
        let path = made.path().to_owned();
        watchdog::remove_folder(&path, at_death)?;
        fs::create_dir(path.join("logs")).map_err(DevnetError::io(what))?;
        let dir = Self(Arc::new(Inner { path: made.keep(), keep: AtomicBool::new(false), temporary: true }));
        if env::var_os(KEEP_VARIABLE).is_some() {
            dir.keep();
        }
        Ok(dir)
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// Where the processes log to.
    pub fn logs(&self) -> PathBuf {
        self.0.path.join("logs")
    }

    /// Path of the log of the process `name`.
    pub fn log_file(&self, name: &str) -> PathBuf {
        self.logs().join(format!("{name}.log"))
    }

    /// A folder in it, made if need be.
    ///
    /// # Errors
    /// `Io` when it cannot be made.
    pub fn subfolder(&self, name: &str) -> Result<PathBuf, DevnetError> {
        let path = self.0.path.join(name);
        fs::create_dir_all(&path).map_err(DevnetError::io(format!("making {}", path.display())))?;
        Ok(path)
    }

    /// How to end a process that writes here and that nobody waits for: at once if its data are thrown away.
    pub(crate) fn drop_signal(&self) -> Signal {
        if self.0.temporary { Signal::KILL } else { Signal::TERM }
    }

    /// Keeps the folder, for a failure that is not a panic.
    pub fn keep(&self) {
        self.0.keep();
    }
}

impl Inner {
    fn keep(&self) {
        self.keep.store(true, Ordering::Relaxed);
        if let Err(error) = fs::write(self.path.join(KEEP_MARKER), "") {
            tracing::warn!(path = %self.path.display(), %error, "data folder cannot be marked to be kept");
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if !self.temporary {
            return;
        }
        if std::thread::panicking() {
            self.keep();
        }
        if self.keep.load(Ordering::Relaxed) {
            announce(&self.path);
        } else if let Err(error) = fs::remove_dir_all(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "data folder cannot be removed");
        }
    }
}

/// Tests have no subscriber for `tracing`, and this line is what a person looks for after a failure.
#[expect(clippy::print_stderr, reason = "has to reach the person at the terminal")]
fn announce(path: &Path) {
    eprintln!("devnet: logs and data kept in {}", path.display());
}

/// The system's temporary folder or, when we are root and it lies below a private folder (a `TMPDIR` in
/// root's home, say), one that every user can reach.
fn reachable_temp_dir() -> PathBuf {
    let preferred = env::temp_dir();
    let others_pass =
        |path: &Path| fs::metadata(path).is_ok_and(|data| data.permissions().mode() & 0o001 != 0);
    if rustix::process::geteuid().is_root() && !preferred.ancestors().all(others_pass) {
        return PathBuf::from("/tmp");
    }
    preferred
}
