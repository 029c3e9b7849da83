use super::*;

#[test]
fn a_second_copy_is_refused_and_the_lock_ends_with_the_holder() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("node");
    let first = DataDir::lock(&path).unwrap();
    assert!(matches!(DataDir::lock(&path), Err(DataDirError::Locked(_))));
    drop(first);
    assert!(DataDir::lock(&path).is_ok());
}

#[test]
fn the_secret_is_made_once_for_its_owner_only() {
    let folder = tempfile::tempdir().unwrap();
    let dir = DataDir::lock(folder.path()).unwrap();
    let made = dir.preimage_secret(None, true).unwrap().fingerprint();
    assert_eq!(dir.preimage_secret(None, false).unwrap().fingerprint(), made);
    let mode = fs::metadata(folder.path().join(SECRET_FILE)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let mode = fs::metadata(folder.path()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[test]
fn a_missing_secret_is_not_replaced_where_invoices_exist() {
    let folder = tempfile::tempdir().unwrap();
    let dir = DataDir::lock(folder.path()).unwrap();
    assert!(matches!(dir.preimage_secret(None, false), Err(DataDirError::Io { .. })));
    assert!(!folder.path().join(SECRET_FILE).exists());
}

#[test]
fn a_configured_secret_wins_and_a_damaged_one_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let dir = DataDir::lock(folder.path()).unwrap();
    let configured = Secret::new("07".repeat(32));
    let secret = dir.preimage_secret(Some(&configured), true).unwrap();
    assert_eq!(secret.fingerprint(), PreimageSecret::new([7; 32]).fingerprint());
    fs::write(folder.path().join(SECRET_FILE), "07").unwrap();
    assert!(matches!(dir.preimage_secret(None, true), Err(DataDirError::Malformed(_))));
}
