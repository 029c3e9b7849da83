//! Where the programs are: environment variable, then the cache's `env` file, then PATH.

use std::{
    collections::HashMap,
    env, fs,
    path::{Path, PathBuf},
};

use crate::error::DevnetError;

/// A program, library or folder that `make setup` provides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Tool {
    /// Bitcoin Core's daemon, version 30 or newer.
    Bitcoind,
    /// Bitcoin Core's command line client.
    BitcoinCli,
    /// ElectrumX 2.0.
    ElectrumX,
    /// Folder with `initdb` and `postgres`.
    PostgresBin,
    /// ONNX Runtime's shared library.
    OnnxRuntime,
    /// The model repository.
    Models,
}

impl Tool {
    /// Environment variable, and key of the `env` file, which name it.
    pub const fn variable(self) -> &'static str {
        match self {
            Self::Bitcoind => "BITCOIND_EXE",
            Self::BitcoinCli => "BITCOIN_CLI_EXE",
            Self::ElectrumX => "ELECTRUMX_EXE",
            Self::PostgresBin => "PG_BIN",
            Self::OnnxRuntime => "ORT_DYLIB_PATH",
            Self::Models => "AILAYER_MODELS",
        }
    }

    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Bitcoind => "Bitcoin Core",
            Self::BitcoinCli => "Bitcoin Core's command line client",
            Self::ElectrumX => "ElectrumX",
            Self::PostgresBin => "the PostgreSQL server",
            Self::OnnxRuntime => "ONNX Runtime",
            Self::Models => "the model repository",
        }
    }

    /// What is looked for on PATH.
    pub(crate) const fn program(self) -> &'static str {
        match self {
            Self::Bitcoind => "bitcoind",
            Self::BitcoinCli => "bitcoin-cli",
            Self::ElectrumX => "electrumx_server",
            Self::PostgresBin => "initdb",
            Self::OnnxRuntime => "libonnxruntime.so",
            Self::Models => "model repository",
        }
    }
}

/// Finds tools. Cheap to make; reads the `env` file once.
#[derive(Debug, Clone)]
pub struct Toolbox {
    environment: HashMap<String, String>,
    env_file: PathBuf,
    env_file_entries: HashMap<String, String>,
}

impl Toolbox {
    /// Looks at this process's environment and at `$AILAYER_CACHE/env`. Finds nothing yet: a missing
    /// tool is reported when it is asked for.
    pub fn discover() -> Self {
        Self::with_environment(
            env::vars_os()
                .filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?))),
        )
    }

    /// The same with a given environment, for tests.
    pub fn with_environment(environment: impl IntoIterator<Item = (String, String)>) -> Self {
        let environment: HashMap<_, _> = environment.into_iter().collect();
        let env_file = cache_dir(&environment).join("env");
        let env_file_entries =
            fs::read_to_string(&env_file).map(|text| parse_env_file(&text)).unwrap_or_default();
        Self { environment, env_file, env_file_entries }
    }

    /// Path of a tool.
    ///
    /// # Errors
    /// `WrongTool` when a variable names something that does not exist, `MissingTool` when there is none.
    pub fn path_of(&self, tool: Tool) -> Result<PathBuf, DevnetError> {
        let variable = tool.variable();
        for settings in [&self.environment, &self.env_file_entries] {
            if let Some(value) = settings.get(variable).filter(|value| !value.is_empty()) {
                let path = PathBuf::from(value);
                return if path.exists() { Ok(path) } else { Err(DevnetError::WrongTool { variable, path }) };
            }
        }
        self.on_path(tool).ok_or_else(|| DevnetError::MissingTool { tool, env_file: self.env_file.clone() })
    }

    fn on_path(&self, tool: Tool) -> Option<PathBuf> {
        let path = self.environment.get("PATH")?;
        let found = env::split_paths(path).map(|dir| dir.join(tool.program())).find(|file| file.is_file())?;
        match tool {
            // Debian's PATH has no initdb, but wrappers may put one there as a link into the real folder.
            Tool::PostgresBin => Some(fs::canonicalize(found).ok()?.parent()?.to_owned()),
            Tool::OnnxRuntime | Tool::Models => None,
            Tool::Bitcoind | Tool::BitcoinCli | Tool::ElectrumX => Some(found),
        }
    }
}

fn cache_dir(environment: &HashMap<String, String>) -> PathBuf {
    let set = |name: &str| environment.get(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("AILAYER_CACHE").unwrap_or_else(|| {
        let home_cache = || set("HOME").unwrap_or_else(|| Path::new("/").to_owned()).join(".cache");
        set("XDG_CACHE_HOME").unwrap_or_else(home_cache).join("ailayer")
    })
}

/// `KEY=VALUE` lines; everything else is ignored, so that the file may carry comments.
fn parse_env_file(text: &str) -> HashMap<String, String> {
    text.lines()
        .filter(|line| !line.trim_start().starts_with('#'))
        .filter_map(|line| line.split_once('='))
        .map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned()))
        .collect()
}

#[cfg(test)]
mod tests;
