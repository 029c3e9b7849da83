//! Typed configuration: built-in defaults, then one TOML file, then the environment.
//!
//! The file has one table a service (`[gateway]`, `[model-serving]`, ...). A variable
//! `AILAYER_GATEWAY__STORE__MAX_CONNECTIONS` sets `gateway.store.max_connections`: two underscores
//! separate levels, and a dash in the service's name is written as one underscore. Keys that no
//! service knows are refused with their path, so that a typing error never starts with a default.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use thiserror::Error;
use toml::{Table, Value};

pub mod duration;
mod secret;
mod types;

pub use secret::Secret;
pub use types::{PlatformConfig, ServerConfig, TelemetryConfig};

/// The tables a file may have.
const SERVICES: [&str; 6] = ["gateway", "model-serving", "payment", "indexer", "liquid", "audit"];

/// Why a service does not start. One clear line; never contains a secret.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("configuration file {path}: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is not TOML.
    #[error("configuration file is not valid TOML: {0}")]
    Syntax(String),
    /// A table that is no service's.
    #[error(
        "configuration: unknown table [{0}]; known are gateway, model-serving, payment, indexer, liquid, audit"
    )]
    UnknownTable(String),
    /// A value is missing, unknown or of the wrong kind.
    #[error("configuration: {key}: {reason}")]
    Invalid {
        /// The dotted path of the key.
        key: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl ConfigError {
    /// An error about one key.
    pub fn invalid(key: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Invalid { key: key.into(), reason: reason.into() }
    }
}

/// Loads a service's configuration from a file (if any) and the process environment.
pub fn load<C: DeserializeOwned>(service: &str, file: Option<&Path>) -> Result<C, ConfigError> {
    let text = file
        .map(|path| {
            std::fs::read_to_string(path)
                .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })
        })
        .transpose()?;
    load_from(service, text.as_deref(), std::env::vars())
}

/// The same from given text and variables.
pub fn load_from<C: DeserializeOwned>(
    service: &str,
    file_text: Option<&str>,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<C, ConfigError> {
    let base = match file_text {
        Some(text) => service_table(service, text)?,
        None => Table::new(),
    };
    let overrides = overrides_of(service, environment);
    // A variable has no type of its own. `8080` is first read as TOML would read it; where the key
    // turns out to want text, that one variable is read as text instead.
    let mut as_text: BTreeMap<Vec<String>, bool> =
        overrides.iter().map(|(path, _)| (path.clone(), false)).collect();
    loop {
        let mut table = base.clone();
        for (path, raw) in &overrides {
            let text_wanted = as_text.get(path).copied().unwrap_or(false);
            let value = if text_wanted { Value::String(raw.clone()) } else { typed(raw) };
            insert(&mut table, path, value).map_err(|reason| invalid(service, &path.join("."), reason))?;
        }
        let error = match serde_path_to_error::deserialize::<_, C>(Value::Table(table)) {
            Ok(config) => return Ok(config),
            Err(error) => error,
        };
        let failed_at = error.path().to_string();
        match as_text.iter_mut().find(|(path, text)| !**text && path.join(".") == failed_at) {
            Some((_, text)) => *text = true,
            None => return Err(invalid(service, &failed_at, error.inner().message().to_owned())),
        }
    }
}

fn invalid(service: &str, path: &str, reason: String) -> ConfigError {
    let key = if path.is_empty() || path == "." { service.to_owned() } else { format!("{service}.{path}") };
    ConfigError::Invalid { key, reason: reason.trim().replace('\n', " ") }
}

fn service_table(service: &str, text: &str) -> Result<Table, ConfigError> {
    // The whole error would quote the line, and the line may hold a password: message and place only.
    let mut file: Table = toml::from_str(text).map_err(|error| {
        let line =
            error.span().map_or(0, |span| text.get(..span.start).map_or(0, |head| head.lines().count()));
        ConfigError::Syntax(format!("line {}: {}", line.max(1), error.message()))
    })?;
    if let Some(unknown) = file.keys().find(|name| !SERVICES.contains(&name.as_str())) {
        return Err(ConfigError::UnknownTable(unknown.clone()));
    }
    match file.remove(service) {
        None => Ok(Table::new()),
        Some(Value::Table(table)) => Ok(table),
        Some(_) => Err(ConfigError::invalid(service, "must be a table")),
    }
}

fn overrides_of(
    service: &str,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Vec<(Vec<String>, String)> {
    let prefix = format!("AILAYER_{}__", service.replace('-', "_").to_uppercase());
    let mut overrides: Vec<(Vec<String>, String)> = environment
        .into_iter()
        .filter_map(|(name, value)| {
            let path = name.strip_prefix(&prefix)?;
            Some((path.split("__").map(str::to_lowercase).collect(), value))
        })
        .collect();
    overrides.sort();
    overrides
}

fn typed(raw: &str) -> Value {
    let document = format!("value = {raw}");
    toml::from_str::<Table>(&document)
        .ok()
        .filter(|table| table.len() == 1)
        .and_then(|mut table| table.remove("value"))
        .unwrap_or_else(|| Value::String(raw.to_owned()))
}

fn insert(table: &mut Table, path: &[String], value: Value) -> Result<(), String> {
    match path {
        [] => Err("empty variable name".to_owned()),
        [key] => {
            table.insert(key.clone(), value);
            Ok(())
        }
        [key, rest @ ..] => match table.entry(key.clone()).or_insert_with(|| Value::Table(Table::new())) {
            Value::Table(inner) => insert(inner, rest, value),
            _ => Err(format!("{key} is not a table")),
        },
    }
}

#[cfg(test)]
mod tests;
