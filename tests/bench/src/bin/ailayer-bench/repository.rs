//! The repositories that the servers get.

use std::fs;
use std::path::{Path, PathBuf};

use ailayer_model_serving::Config;
use anyhow::Context as _;

use crate::experiments::memory::IDENTITY;

/// What comes in goes out: one INT64 vector, `in` to `out`.
const IDENTITY_MODEL: &[u8] = include_bytes!("../../../data/identity.onnx");

/// Makes a repository with one version of the model, and the identity model if asked for; answers the
/// configuration file of a server for it.
pub fn repository(
    place: &Path,
    version: &Path,
    config: &Config,
    model: &str,
    identity: bool,
) -> anyhow::Result<PathBuf> {
    let root = place.join("models");
    copy(version, &root.join(model).join("1"))?;
    if identity {
        let folder = root.join(IDENTITY).join("1");
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("model.onnx"), IDENTITY_MODEL)?;
    }
    let mut table = toml::Table::new();
    table.insert("repository".to_owned(), root.display().to_string().into());
    let library = config.onnxruntime_library.as_ref().context("no engine")?;
    table.insert("onnxruntime_library".to_owned(), library.display().to_string().into());
    table.insert("max_batch_rows".to_owned(), i64::try_from(config.max_batch_rows)?.into());
    // This program is no `ailayer` that could try models out.
    table.insert("trial".to_owned(), "off".into());
    let file = place.join("server.toml");
    let whole = toml::Table::from_iter([(ailayer_model_serving::NAME.to_owned(), table.into())]);
    fs::write(&file, whole.to_string())?;
    Ok(file)
}

fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        if entry.path().is_file() {
            fs::copy(entry.path(), to.join(entry.file_name()))?;
        }
    }
    Ok(())
}
