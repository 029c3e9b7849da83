use super::*;

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn text(secret: &str) -> Result<Zeroizing<String>, SecretError> {
    Ok(Zeroizing::new(secret.to_owned()))
}

#[test]
fn a_secret_is_made_once_and_read_ever_after() {
    let folder = folder();
    let path = folder.path().join("deep/log.key");
    assert_eq!(*read_or_create(&path, true, || text("first")).unwrap(), "first");
    assert_eq!(*read_or_create(&path, true, || text("second")).unwrap(), "first");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!path.with_extension("new").exists());
}

#[test]
fn a_left_over_of_a_crash_is_no_secret() {
    let folder = folder();
    let path = folder.path().join("log.key");
    fs::write(path.with_extension("new"), "half").unwrap();
    assert_eq!(*read_or_create(&path, true, || text("whole")).unwrap(), "whole");
}

#[test]
fn a_lost_or_exposed_secret_is_refused() {
    let folder = folder();
    let path = folder.path().join("log.key");
    assert!(matches!(read_or_create(&path, false, || text("x")), Err(SecretError::Missing { .. })));
    fs::write(&path, "open to all").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    assert!(matches!(
        read_or_create(&path, true, || text("x")),
        Err(SecretError::Exposed { mode: 0o640, .. })
    ));
}
