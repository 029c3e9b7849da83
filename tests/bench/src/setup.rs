//! What `make setup` made.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};

/// A path that `make setup` made; the environment wins over the file it wrote.
///
/// # Errors
/// When it is not known or not there.
pub fn setup(key: &str) -> anyhow::Result<PathBuf> {
    let cache = || {
        let home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache"));
        let shared = || std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(home);
        std::env::var_os("AILAYER_CACHE").map(PathBuf::from).or_else(|| Some(shared()?.join("ailayer")))
    };
    let recorded = || {
        let file = fs::read_to_string(cache()?.join("env")).ok()?;
        let value = file.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='))?;
        Some(PathBuf::from(value))
    };
    let path = std::env::var_os(key).map(PathBuf::from).or_else(recorded);
    let path = path.with_context(|| format!("{key} is not known: run `make setup` first"))?;
    ensure!(path.exists(), "{key} names {}, which is not there: run `make setup` first", path.display());
    Ok(path)
}

/// The newest version's folder of a model.
///
/// # Errors
/// When the repository has none.
pub fn newest_version(models: &Path, model: &str) -> anyhow::Result<PathBuf> {
    let folder = models.join(model);
    let entries = fs::read_dir(&folder).with_context(|| folder.display().to_string())?;
    let numbers = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u64>().ok());
    let newest = numbers.max().with_context(|| format!("{} has no version", folder.display()))?;
    Ok(folder.join(newest.to_string()))
}
