//! Whether a model's files have changed, told without reading them.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::RepositoryError;

/// Path, size, time of change and inode of every file that may belong to a model. Equal fingerprints mean equal files, unless
/// somebody wrote the same number of bytes in place and set the clock back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint(Vec<FileMark>);

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct FileMark {
    path: String,
    bytes: u64,
    modified: (i64, i64),
    inode: u64,
}

/// Looks at the files of a model's folder and of the folders in it.
pub fn fingerprint(folder: &Path) -> Result<Fingerprint, RepositoryError> {
    let mut marks = Vec::new();
    collect(folder, "", true, &mut marks)
        .map_err(|source| RepositoryError::Unreadable { path: folder.to_owned(), source })?;
    marks.sort_unstable();
    Ok(Fingerprint(marks))
}

fn collect(folder: &Path, prefix: &str, descend: bool, marks: &mut Vec<FileMark>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let Some(name) = path.file_name().map(|name| name.to_string_lossy().into_owned()) else { continue };
        // Links are followed: a Kubernetes volume is swapped by pointing a link elsewhere.
        let metadata = match fs::metadata(&path) {
            Ok(metadata) => metadata,
            // Removed meanwhile, or a link to nowhere: not there.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        let shown = format!("{prefix}{name}");
        if !metadata.is_dir() {
            let modified = (metadata.mtime(), metadata.mtime_nsec());
            marks.push(FileMark { path: shown, bytes: metadata.len(), modified, inode: metadata.ino() });
        } else if descend && !name.starts_with('.') {
            // An empty folder is a version, too: one whose files are about to come.
            marks.push(FileMark { path: shown.clone(), bytes: 0, modified: (0, 0), inode: 0 });
            collect(&path, &format!("{shown}/"), false, marks)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_change_shows_and_nothing_else() {
        let model = tempfile::tempdir().unwrap();
        let now = || fingerprint(model.path()).unwrap();
        let mut seen = vec![now()];
        fs::create_dir(model.path().join("1")).unwrap();
        let mut changed = |what: &str| {
            let now = now();
            assert!(!seen.contains(&now), "{what}");
            assert_eq!(now, fingerprint(model.path()).unwrap());
            seen.push(now);
        };
        changed("a version");
        fs::write(model.path().join("1/model.onnx"), "abc").unwrap();
        changed("a file");
        fs::write(model.path().join("1/model.onnx"), "abcd").unwrap();
        changed("its size");
        fs::write(model.path().join("1/other"), "abcd").unwrap();
        fs::rename(model.path().join("1/other"), model.path().join("1/model.onnx")).unwrap();
        changed("another file of the same size under its name");
        fs::write(model.path().join("model.toml"), "").unwrap();
        changed("a setting");
        fs::create_dir_all(model.path().join(".git/objects")).unwrap();
        assert_eq!(Some(&now()), seen.last(), "hidden folders do not matter");
    }
}
