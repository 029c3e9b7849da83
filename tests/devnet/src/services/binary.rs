//! Where the `ailayer` binary is.

use std::{
    env,
    path::{Path, PathBuf},
};

use crate::error::DevnetError;

const VARIABLE: &str = "AILAYER_EXE";

/// Path of the `ailayer` binary.
#[derive(Debug, Clone)]
pub struct AilayerBinary(PathBuf);

impl AilayerBinary {
    /// The file named by `AILAYER_EXE`, else the one that cargo builds into the folder of this test
    /// (`target/debug/ailayer` beside `target/debug/deps/suite-…`). Tests do not build it: `make test` and
    /// `cargo build --bins` do.
    ///
    /// # Errors
    /// `WrongTool` when the variable names nothing, `Io` when there is no such file in the build folder.
    pub fn find() -> Result<Self, DevnetError> {
        if let Some(path) = env::var_os(VARIABLE).filter(|value| !value.is_empty()).map(PathBuf::from) {
            let there = path.is_file();
            return if there {
                Ok(Self(path))
            } else {
                Err(DevnetError::WrongTool { variable: VARIABLE, path })
            };
        }
        let this = env::current_exe().map_err(DevnetError::io("finding this executable"))?;
        let candidates = this.ancestors().skip(1).take(2).map(|dir| dir.join("ailayer"));
        candidates.into_iter().find(|file| file.is_file()).map(Self).ok_or_else(|| {
            let what = format!(
                "no ailayer binary near {}; run `cargo build --bins` or set {VARIABLE}",
                this.display()
            );
            DevnetError::io(what)(std::io::ErrorKind::NotFound.into())
        })
    }

    /// This very program: how `ailayer up` runs its services.
    ///
    /// # Errors
    /// `Io` when the operating system does not tell.
    pub fn current() -> Result<Self, DevnetError> {
        env::current_exe().map(Self).map_err(DevnetError::io("finding this executable"))
    }

    /// The file at `path`, unchecked.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.0
    }
}
