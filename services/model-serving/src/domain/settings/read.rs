//! From the texts of a model's files to its settings.
//!
//! Layers, each laid over the one before, key by key: the service's defaults, Triton's configuration,
//! `<model>/model.toml`, `<model>/<version>/model.toml`. Lists are replaced as a whole.

use toml::{Table, Value};

use super::file::SettingsFile;
use super::triton::TritonConfig;
use super::{ModelSettings, ServiceLimits, VersionPolicy};
use crate::domain::manifest::{Manifest, ManifestError, key_error, parse_table};

/// The longest text of a configuration file, in bytes.
pub const MAX_TEXT_BYTES: usize = 1024 * 1024;

const MODEL_TOML: &str = "model.toml";
const VERSION_TOML: &str = "version's model.toml";
const CONFIG_PBTXT: &str = "config.pbtxt";
const CONFIG_JSON: &str = "config";

/// The texts of a model's files, as far as there are any.
#[derive(Debug, Clone, Copy, Default)]
pub struct ModelTexts<'a> {
    /// The name of the model's folder.
    pub model_name: &'a str,
    /// `<model>/model.toml`.
    pub model_toml: Option<&'a str>,
    /// `<model>/config.pbtxt`.
    pub config_pbtxt: Option<&'a str>,
    /// `ModelConfig` as JSON, from a call that loads the model; takes the place of `config_pbtxt`.
    pub config_json: Option<&'a str>,
}

/// The settings of one version. `version_toml` is `<model>/<version>/model.toml`.
///
/// # Errors
/// The file and the key that cannot be.
pub fn read(
    texts: &ModelTexts<'_>,
    version_toml: Option<&str>,
    limits: &ServiceLimits,
) -> Result<ModelSettings, ManifestError> {
    let triton = triton_config(texts)?;
    let (model, version) = (table(texts.model_toml, MODEL_TOML)?, table(version_toml, VERSION_TOML)?);
    if version.contains_key("versions") {
        let message = "belongs to the model's folder, beside the versions";
        return Err(key_error("versions", message).in_file(VERSION_TOML));
    }
    let mut merged = model.clone();
    lay_over(&mut merged, version.clone());
    let blame = |error: ManifestError| blame(error, &model, &version);

    let (file, rest) = SettingsFile::split(merged).map_err(blame)?;
    let manifest = Manifest::from_table(rest).map_err(blame)?;
    let mut settings = ModelSettings::for_manifest(manifest, limits);
    if let Some(triton) = triton {
        triton.apply(&mut settings);
    }
    file.apply(&mut settings).map_err(blame)?;
    settings.check().map_err(blame)?;
    Ok(settings)
}

/// Which versions of the model are served, before any of them is read.
///
/// # Errors
/// As [`read`], of the model folder's files.
pub fn read_versions(texts: &ModelTexts<'_>) -> Result<VersionPolicy, ManifestError> {
    let triton = triton_config(texts)?;
    let mut model = table(texts.model_toml, MODEL_TOML)?;
    // The rest may be half said here and half in the versions' files, so it is not looked at.
    model.retain(|key, _| key == "versions");
    let (file, _) = SettingsFile::split(model).map_err(|error| error.in_file(MODEL_TOML))?;
    let said = file.versions().map_err(|error| error.in_file(MODEL_TOML))?;
    Ok(said.or_else(|| triton.and_then(|triton| triton.versions)).unwrap_or_default())
}

fn triton_config(texts: &ModelTexts<'_>) -> Result<Option<TritonConfig>, ManifestError> {
    let (name, parsed) = match (texts.config_json, texts.config_pbtxt) {
        (Some(json), _) => (CONFIG_JSON, within_size(json).and_then(TritonConfig::parse_json)),
        (None, Some(text)) => (CONFIG_PBTXT, within_size(text).and_then(TritonConfig::parse_text)),
        (None, None) => return Ok(None),
    };
    let config = parsed.map_err(|error| error.in_file(name))?;
    if !config.name.is_empty() && config.name != texts.model_name {
        let message = format!("must be the folder's, \"{}\", or not be said", texts.model_name);
        return Err(key_error("name", message).in_file(name));
    }
    Ok(Some(config))
}

fn table(text: Option<&str>, name: &'static str) -> Result<Table, ManifestError> {
    let Some(text) = text else { return Ok(Table::new()) };
    within_size(text).and_then(parse_table).map_err(|error| error.in_file(name))
}

fn within_size(text: &str) -> Result<&str, ManifestError> {
    if text.len() <= MAX_TEXT_BYTES {
        return Ok(text);
    }
    Err(ManifestError::Syntax { file: "", line: 1, message: format!("longer than {MAX_TEXT_BYTES} bytes") })
}

/// Tables are laid over tables; everything else is replaced.
fn lay_over(lower: &mut Table, upper: Table) {
    for (key, value) in upper {
        match (lower.get_mut(&key), value) {
            (Some(Value::Table(lower)), Value::Table(upper)) => lay_over(lower, upper),
            (_, value) => drop(lower.insert(key, value)),
        }
    }
}

/// Names the file that said the key last. A key that no `model.toml` says came from the defaults or from Triton's file.
fn blame(error: ManifestError, model: &Table, version: &Table) -> ManifestError {
    let ManifestError::Key { key, .. } = &error else { return error };
    let said = |table: &Table| {
        let mut at = Some(table);
        for part in key.split(['.', '[']) {
            match at.and_then(|table| table.get(part)) {
                Some(Value::Table(inner)) => at = Some(inner),
                Some(_) => return true,
                None => return false,
            }
        }
        at.is_some()
    };
    let first = key.split(['.', '[']).next().unwrap_or_default();
    match () {
        () if said(version) => error.in_file(VERSION_TOML),
        () if said(model) => error.in_file(MODEL_TOML),
        () if version.contains_key(first) => error.in_file(VERSION_TOML),
        () if model.contains_key(first) => error.in_file(MODEL_TOML),
        () => error,
    }
}

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod tests;
