//! Architecture checks that the compiler cannot make.
//!
//! Fails only on a breach of architecture: a dependency that points the wrong way, SQL or a vendor's
//! SDK outside its room. The largest files are printed so that growth is seen; size alone never fails.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;

mod dependencies;
mod rooms;

/// One rule broken at one place.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Breach {
    /// The file, relative to the workspace.
    pub place: String,
    /// What is wrong, and where it belongs.
    pub rule: String,
}

/// Runs every check and prints the largest files.
pub fn run(root: &Path) -> anyhow::Result<()> {
    let manifests = manifests(root)?;
    let sources = sources(root)?;
    let mut breaches = dependencies::check(&manifests);
    breaches.extend(rooms::check(&sources));
    breaches.sort();
    print_largest(&sources);
    for Breach { place, rule } in &breaches {
        println!("breach  {place}: {rule}");
    }
    anyhow::ensure!(breaches.is_empty(), "{} breaches of architecture", breaches.len());
    println!("architecture holds: {} packages, {} source files", manifests.len(), sources.len());
    Ok(())
}

/// `Cargo.toml` of every package, by the package's folder relative to the workspace.
fn manifests(root: &Path) -> anyhow::Result<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    for group in ["crates", "services", "tests"] {
        for entry in fs::read_dir(root.join(group)).with_context(|| group.to_owned())? {
            let manifest = entry?.path().join("Cargo.toml");
            if manifest.is_file() {
                let folder = relative(root, manifest.parent().unwrap_or(root));
                found.insert(folder, fs::read_to_string(manifest)?);
            }
        }
    }
    Ok(found)
}

/// Every Rust file that is written by hand, by its path relative to the workspace.
fn sources(root: &Path) -> anyhow::Result<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    let mut folders: Vec<PathBuf> =
        ["crates", "services", "tests"].iter().map(|group| root.join(group)).collect();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() {
                if path.file_name().is_none_or(|name| name != "gen" && name != "target") {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.insert(relative(root, &path), fs::read_to_string(&path)?);
            }
        }
    }
    Ok(found)
}

fn relative(root: &Path, path: &Path) -> String {
    path.strip_prefix(root).unwrap_or(path).to_string_lossy().into_owned()
}

fn print_largest(sources: &BTreeMap<String, String>) {
    let mut sizes: Vec<(usize, &String)> =
        sources.iter().map(|(path, text)| (text.lines().count(), path)).collect();
    sizes.sort_unstable_by(|a, b| b.cmp(a));
    println!("largest files:");
    for (lines, path) in sizes.into_iter().take(10) {
        println!("  {lines:>5}  {path}");
    }
}

#[cfg(test)]
mod tests;
