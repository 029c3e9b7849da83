use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;

use super::copying::READ_ONLY;
use super::*;
use crate::error::chain;

struct World {
    root: tempfile::TempDir,
    source: VersionFolder,
}

impl World {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("models/m/1");
        fs::create_dir_all(&path).unwrap();
        fs::write(path.join("model.onnx"), "graph").unwrap();
        fs::write(path.join("unrelated"), "not copied").unwrap();
        let id = crate::domain::model::ModelId { name: "m".to_owned(), version: "1".parse().unwrap() };
        Self { root, source: VersionFolder { id, path } }
    }

    fn cache(&self) -> Cache {
        Cache::try_new(&self.root.path().join("cache")).unwrap()
    }

    fn stage(&self, cache: &Cache, config_json: Option<&str>) -> Result<Staged, RepositoryError> {
        cache.stage(&self.source, config_json, &crate::Config::new("").service_limits())
    }
}

fn files(folder: &Path) -> usize {
    fs::read_dir(folder).unwrap().count()
}

#[test]
fn equal_content_is_one_copy_which_ends_with_its_last_user() {
    let world = World::new();
    let cache = world.cache();
    let first = world.stage(&cache, None).unwrap();
    assert_eq!(first.model_digest, Digest::sha256(b"graph"));
    assert_eq!(fs::read(first.folder.path.join("model.onnx")).unwrap(), b"graph");
    assert!(!first.folder.path.join("unrelated").exists());
    let mode = fs::metadata(first.folder.path.join("model.onnx")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, READ_ONLY);

    fs::write(world.source.path.join("unrelated"), "touched").unwrap();
    let second = world.stage(&cache, None).unwrap();
    assert_eq!((second.digest, &second.folder.path), (first.digest, &first.folder.path));
    fs::write(world.source.path.join("model.onnx"), "other").unwrap();
    let third = world.stage(&cache, None).unwrap();
    assert!(third.digest != first.digest && third.model_digest != first.model_digest);
    assert_eq!(fs::read(first.folder.path.join("model.onnx")).unwrap(), b"graph", "untouched");
    let configured = world.stage(&cache, Some(r#"{"max_batch_size":4}"#)).unwrap();
    assert!(configured.digest != third.digest && configured.model_digest == third.model_digest);
    assert_eq!(configured.settings.batching.max_request_rows, Some(4));

    let folder = first.root().to_owned();
    drop(first);
    assert!(folder.exists());
    drop(second);
    assert!(!folder.exists());
    // Two copies and the lock.
    assert_eq!(files(&cache.folder), 3);
}

#[test]
fn what_cannot_be_copied_leaves_nothing_behind() {
    let world = World::new();
    let cache = world.cache();
    fs::write(world.source.path.join("model.toml"), "model_file = \"missing.onnx\"").unwrap();
    let line = chain(&world.stage(&cache, None).unwrap_err());
    assert!(line.contains("models/m/1/missing.onnx"), "{line}");
    fs::write(world.source.path.join("model.toml"), "mistake = 1").unwrap();
    let line = chain(&world.stage(&cache, None).unwrap_err());
    assert!(line.contains("models/m/1") && line.contains("'mistake'"), "{line}");
    fs::remove_file(world.source.path.join("model.toml")).unwrap();
    fs::remove_file(world.source.path.join("model.onnx")).unwrap();
    fs::create_dir(world.source.path.join("model.onnx")).unwrap();
    let line = chain(&world.stage(&cache, None).unwrap_err());
    assert!(line.contains("no plain file"), "{line}");
    assert_eq!(files(&cache.folder), 1, "the lock");
}

#[test]
fn folders_of_dead_processes_are_swept_and_those_of_the_living_are_not() {
    let world = World::new();
    let living = world.cache();
    let staged = world.stage(&living, None).unwrap();
    let dead = world.root.path().join("cache/process-0");
    fs::create_dir(&dead).unwrap();
    fs::write(dead.join(LOCK_FILE), "").unwrap();
    let another = world.cache();
    assert!(!dead.exists() && staged.folder.path.exists() && another.folder != living.folder);
    let folder = another.folder.clone();
    drop(another);
    assert!(!folder.exists());
}

#[test]
fn a_folder_that_others_may_write_into_is_refused() {
    let world = World::new();
    let open = world.root.path().join("open");
    fs::create_dir(&open).unwrap();
    fs::set_permissions(&open, Permissions::from_mode(0o777)).unwrap();
    let line = chain(&Cache::try_new(&open).unwrap_err());
    assert!(line.contains("others may write"), "{line}");
}
