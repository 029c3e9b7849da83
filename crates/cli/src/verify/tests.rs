//! The command on files, as a user meets it.

use std::path::PathBuf;

use ailayer_receipt::testing::Fixture;

use super::*;

fn args(bundle: PathBuf) -> VerifyArgs {
    VerifyArgs {
        bundle,
        gateway_key: None,
        log_key: None,
        network: None,
        min_confirmations: 1,
        trusted_block: None,
        texts: Vec::new(),
        tensors: None,
        answer: None,
        sealed: None,
    }
}

fn saved(folder: &tempfile::TempDir, json: &str) -> PathBuf {
    let path = folder.path().join("bundle.json");
    std::fs::write(&path, json).unwrap();
    path
}

#[test]
fn a_saved_answer_is_held_against_the_receipt() {
    let (folder, fixture) = (tempfile::tempdir().unwrap(), Fixture::new());
    let mut args = args(saved(&folder, &fixture.bundle().to_json()));
    let answer = folder.path().join("answer.json");
    args.answer = Some(answer.clone());
    std::fs::write(&answer, serde_json::to_vec(&fixture.output).unwrap()).unwrap();
    run(&args, &Output::new(false)).unwrap();
    for (text, exit, word) in [
        ("[[1.0, 2.0]]", Exit::Verification, "output_digest"),
        ("[[1.0, \"2\"]]", Exit::Configuration, "--answer"),
        ("", Exit::Configuration, "--answer"),
    ] {
        std::fs::write(&answer, text).unwrap();
        let failure = run(&args, &Output::new(false)).unwrap_err();
        assert_eq!(failure.exit, exit, "{}", failure.message);
        assert!(failure.message.contains(word), "{}", failure.message);
    }
    args.answer = Some(folder.path().join("missing.json"));
    assert_eq!(run(&args, &Output::new(false)).unwrap_err().exit, Exit::Configuration);
}

#[test]
fn a_sound_bundle_is_verified_and_described() {
    let (folder, fixture) = (tempfile::tempdir().unwrap(), Fixture::new());
    let mut args = args(saved(&folder, &fixture.bundle().to_json()));
    args.gateway_key = Some(fixture.gateway.public_key().to_string());
    args.log_key = Some(fixture.log.verifier().to_string());
    args.texts = fixture.texts.clone();
    run(&args, &Output::new(false)).unwrap();
    let report = verify_json(&read(&args.bundle).unwrap(), &trust(&args).unwrap()).unwrap();
    let text = describe(&report);
    for part in ["verified", "SETTLED", "gateway key", "confirmations", "not pinned"] {
        assert!(text.contains(part), "{part} is missing in {text}");
    }
}

#[test]
fn an_altered_bundle_fails_with_the_name_of_what_is_wrong() {
    let (folder, fixture) = (tempfile::tempdir().unwrap(), Fixture::new());
    let json = fixture.bundle().to_json().replace("ed25519:", "ed25518:");
    let failure = run(&args(saved(&folder, &json)), &Output::new(false)).unwrap_err();
    assert_eq!(failure.exit, Exit::Verification);
    assert!(failure.message.contains("gateway_key"), "{}", failure.message);
}

#[test]
fn another_key_another_text_or_no_file_are_told_apart() {
    let (folder, fixture) = (tempfile::tempdir().unwrap(), Fixture::new());
    let path = saved(&folder, &fixture.bundle().to_json());
    let other = ailayer_receipt::GatewaySigner::new(&[9; 32]).public_key().to_string();
    let pinned = VerifyArgs { gateway_key: Some(other), ..args(path.clone()) };
    assert_eq!(run(&pinned, &Output::new(false)).unwrap_err().exit, Exit::Verification);
    let texts = VerifyArgs { texts: vec!["something else".to_owned()], ..args(path.clone()) };
    assert_eq!(run(&texts, &Output::new(false)).unwrap_err().exit, Exit::Verification);
    let malformed = VerifyArgs { gateway_key: Some("nonsense".to_owned()), ..args(path) };
    assert_eq!(run(&malformed, &Output::new(false)).unwrap_err().exit, Exit::Configuration);
    let missing = args(folder.path().join("none.json"));
    assert_eq!(run(&missing, &Output::new(false)).unwrap_err().exit, Exit::Configuration);
}

#[test]
fn a_saved_ciphertext_is_held_against_the_receipt() {
    let (folder, fixture) = (tempfile::tempdir().unwrap(), Fixture::sealed());
    let mut args = args(saved(&folder, &fixture.bundle().to_json()));
    let path = folder.path().join("job.sealed");
    args.sealed = Some(path.clone());
    for (bytes, exit) in [(&b"the ciphertext"[..], None), (b"another", Some(Exit::Verification))] {
        std::fs::write(&path, bytes).unwrap();
        assert_eq!(run(&args, &Output::new(false)).err().map(|failure| failure.exit), exit);
    }
    std::fs::remove_file(&path).unwrap();
    assert_eq!(run(&args, &Output::new(false)).unwrap_err().exit, Exit::Configuration);
    let report = verify_json(fixture.bundle().to_json().as_bytes(), &fixture.trust()).unwrap();
    let text = describe(&report);
    assert!(text.contains(&format!("to {}", fixture.quote.seal.unwrap().buyer_key)), "{text}");
    assert!(text.contains(&fixture.receipt.sealed_digest.unwrap().to_string()), "{text}");
}
