use proptest::prelude::*;

use super::*;

/// The example of Go's `golang.org/x/mod/sumdb/note` documentation.
const GO_SIGNER: &str = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
const GO_VERIFIER: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
const GO_TEXT: &str =
    "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
const GO_NOTE: &str = "If you think cryptography is the answer to your problem,
then you don't know what your problem is.

— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=
";

fn signer(name: &str, byte: u8) -> Signer {
    Signer::try_new(name, &[byte; 32]).expect("name")
}

#[test]
fn go_example_is_reproduced() {
    let signer = Signer::parse(GO_SIGNER).expect("signer key");
    let verifier = Verifier::parse(GO_VERIFIER).expect("verifier key");
    assert_eq!(signer.verifier(), &verifier);
    assert_eq!(signer.to_secret_text(), GO_SIGNER);
    assert_eq!(verifier.to_string(), GO_VERIFIER);
    assert_eq!(sign(GO_TEXT, &[&signer]).expect("signed").to_string(), GO_NOTE);
    let note = Note::parse(GO_NOTE.as_bytes()).expect("note");
    assert_eq!(note.text(), GO_TEXT);
    assert_eq!(note.verify(&[&verifier]), Ok(vec![&verifier]));
}

#[test]
fn unknown_signatures_are_kept_and_ignored() {
    let log = signer("example.com/log", 1);
    let mut note = sign("text\n", &[&log]).expect("signed");
    for witness in 2..34 {
        let witness = signer(&format!("witness{witness}"), witness);
        note = note.with_signature(witness.sign("another text\n")).expect("fits");
    }
    let parsed = Note::parse(note.to_string().as_bytes()).expect("note");
    assert_eq!(parsed, note);
    assert_eq!(parsed.signatures().len(), 33);
    assert_eq!(parsed.verify(&[log.verifier()]), Ok(vec![log.verifier()]));
    let stranger = signer("example.com/log", 99);
    assert_eq!(parsed.verify(&[stranger.verifier()]), Err(NoteError::NoKnownSignature));
}

#[test]
fn a_known_key_with_a_bad_signature_refuses_the_note() {
    let (log, witness) = (signer("log", 1), signer("witness", 2));
    let bad = witness.sign("another text\n");
    let note = sign("text\n", &[&log]).expect("signed").with_signature(bad).expect("fits");
    let known = [log.verifier(), witness.verifier()];
    assert_eq!(note.verify(&known), Err(NoteError::BadSignature("witness".into())));
    let repeated = note.with_signature(log.sign("third text\n")).expect("fits");
    assert_eq!(repeated.verify(&known[..1]), Err(NoteError::BadSignature("log".into())));
}

#[test]
fn empty_lines_belong_to_the_text_except_the_last() {
    let log = signer("log", 1);
    let note = sign("one\n\n— two\n\n", &[&log]).expect("signed");
    assert_eq!(Note::parse(note.to_string().as_bytes()), Ok(note));
}

#[test]
fn malformed_notes_are_refused() {
    let log = signer("log", 1);
    let good = sign("text\n", &[&log]).expect("signed").to_string();
    let line = good.lines().last().expect("line").to_owned();
    let refused =
        |note: String, error: NoteError| assert_eq!(Note::parse(note.as_bytes()), Err(error), "{note:?}");
    refused(String::new(), NoteError::NoSignatures);
    refused("text\n".into(), NoteError::NoSignatures);
    refused("text\n\n".into(), NoteError::NoSignatures);
    refused(format!("text\n\n{line}"), NoteError::NoSignatures);
    refused(format!("te\txt\n\n{line}\n"), NoteError::Text);
    refused(format!("text\r\n\n{line}\n"), NoteError::Text);
    refused(good.replace('—', "-"), NoteError::SignatureLine(1));
    refused(good.replace("log ", "log  "), NoteError::SignatureLine(1));
    refused(good.replace("log ", "l+g "), NoteError::SignatureLine(1));
    refused(good.replace("log ", ""), NoteError::SignatureLine(1));
    refused(format!("{good}— log AAAA\n"), NoteError::SignatureLine(2));
    refused(format!("{good}\n"), NoteError::NoSignatures);
    refused(format!("text\n\n{}", format!("{line}\n").repeat(65)), NoteError::TooManySignatures);
    refused(format!("{}\n\n{line}\n", "x".repeat(MAX_NOTE_BYTES)), NoteError::TooLarge);
    assert_eq!(Note::parse(b"\xff\n\n"), Err(NoteError::NotUtf8));
    assert_eq!(sign("no newline", &[&log]), Err(NoteError::Text));
    assert_eq!(sign("text\n", &[]), Err(NoteError::NoSignatures));
}

#[test]
fn malformed_keys_are_refused() {
    let refused = |text: &str, error: KeyError| assert_eq!(Verifier::parse(text), Err(error), "{text}");
    refused("", KeyError::Form);
    refused("name+c74f20a3", KeyError::Form);
    refused(&GO_VERIFIER.replace("PeterNeumann", ""), KeyError::Name);
    refused(&GO_VERIFIER.replace("PeterNeumann", "Peter Neumann"), KeyError::Name);
    refused(&GO_VERIFIER.replace("PeterNeumann", "PeterNewman"), KeyError::KeyId);
    refused(&GO_VERIFIER.replace("c74f20a3", "C74F20A3"), KeyError::Form);
    refused(&GO_VERIFIER.replace("c74f20a3", "c74f20a4"), KeyError::KeyId);
    refused(&GO_VERIFIER.replace("+ARpc", "+BBpc"), KeyError::Type);
    refused(&GO_VERIFIER.replace("10TW", ""), KeyError::Form);
    // The neutral element, whose "signatures" hold for every text.
    let mut neutral = [0; 32];
    neutral[0] = 1;
    assert_eq!(Verifier::try_new("name", &neutral), Err(KeyError::PublicKey));
    assert_eq!(Signer::parse(GO_VERIFIER).err(), Some(KeyError::Form));
    assert_eq!(Signer::try_new("a b", &[1; 32]).err(), Some(KeyError::Name));
}

#[test]
fn debug_output_keeps_the_secret() {
    let signer = Signer::parse(GO_SIGNER).expect("signer key");
    assert!(!format!("{signer:?}").contains("AYEKFALV"));
}

proptest! {
    #[test]
    fn parsing_anything_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..600), text in ".{0,200}") {
        let _ = Note::parse(&bytes);
        let _ = Note::parse(text.as_bytes());
        let _ = Verifier::parse(&text);
        let _ = Signer::parse(&text);
    }

    #[test]
    fn what_is_parsed_is_written_back(text in "([a-z—]{0,9}\n){1,4}", lines in "(— [a-z]{1,3} [A-Za-z0-9+/]{8}\n){0,3}") {
        let note = format!("{text}\n{lines}");
        if let Ok(parsed) = Note::parse(note.as_bytes()) {
            prop_assert_eq!(parsed.to_string(), note);
        }
    }

    #[test]
    fn a_flipped_bit_never_verifies(position in 0_usize..1000, bit in 0_u8..8) {
        let verifier = Verifier::parse(GO_VERIFIER).expect("verifier key");
        let mut bytes = GO_NOTE.as_bytes().to_vec();
        let position = position % bytes.len();
        bytes[position] ^= 1 << bit;
        if let Ok(note) = Note::parse(&bytes) {
            prop_assert!(note.verify(&[&verifier]).is_err());
        }
    }
}
