use std::os::unix::fs::PermissionsExt as _;

use super::*;

fn request_id() -> RequestId {
    "7b0f6c0e-6f3c-4f7c-9f5e-0a7f3f0d9c11".parse().unwrap()
}

#[test]
fn the_key_of_a_request_is_made_once_and_kept_private() {
    let folder = tempfile::tempdir().unwrap();
    assert!(kept_seal_key(folder.path(), request_id()).is_err());
    let made = seal_key(folder.path(), request_id()).unwrap();
    for again in [seal_key(folder.path(), request_id()), kept_seal_key(folder.path(), request_id())] {
        assert_eq!(again.unwrap().public_key(), made.public_key());
    }
    let path = folder.path().join(seal_key_file(request_id()));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    fs::write(&path, "hunter2").unwrap();
    let failure = kept_seal_key(folder.path(), request_id()).unwrap_err();
    assert!(!format!("{failure:?}").contains("hunter2"), "a damaged key is not made anew, nor shown");
}

#[test]
fn a_delivery_is_complete_or_none() {
    let folder = tempfile::tempdir().unwrap();
    let job_id: JobId = "6f1b1d0e-6f3c-4f7c-9f5e-0a7f3f0d9c11".parse().unwrap();
    receipt(folder.path(), job_id, "a receipt").unwrap();
    assert!(delivery(folder.path(), job_id).unwrap().is_none());
    ciphertext(folder.path(), job_id, &[0, 159, 146, 150]).unwrap();
    let kept = delivery(folder.path(), job_id).unwrap().unwrap();
    assert_eq!(kept, ("a receipt".to_owned(), vec![0, 159, 146, 150]));
}

#[test]
fn what_is_no_job_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("job.json");
    assert!(read_job(&path).is_err());
    for wrong in ["", "[]", "{}", r#"{"job_token": "zz"}"#] {
        fs::write(&path, wrong).unwrap();
        assert!(read_job(&path).is_err(), "{wrong}");
    }
}
