use proptest::prelude::*;

use super::*;

const GOLDEN: &str = "example.com/log
3
rra8/idLcKFPsGel5VeCZNsPqbUa9eC6FZFY8yngbnc=

— example.com/log cC88cE3KySjA0NLY4rvGBk1J9HAqdgdFpVQWalOhs2BrlxW+BdZImnLXblam2zA27pBcm16Cyf+yXUYrTsigkbI+Pgw=
";

fn log() -> Signer {
    Signer::try_new("example.com/log", &[7; 32]).expect("name")
}

fn checkpoint() -> Checkpoint {
    let root_hash = "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77".parse().expect("hash");
    Checkpoint { origin: "example.com/log".into(), tree_size: 3, root_hash }
}

#[test]
fn golden_checkpoint() {
    let note = checkpoint().sign(&log()).expect("signed");
    assert_eq!(note.to_string(), GOLDEN);
    let parsed = Note::parse(GOLDEN.as_bytes()).expect("note");
    assert_eq!(Checkpoint::open(&parsed, log().verifier()), Ok(checkpoint()));
}

#[test]
fn malformed_bodies_are_refused() {
    let body = checkpoint().body();
    let refused =
        |body: String, error: CheckpointError| assert_eq!(Checkpoint::parse(&body), Err(error), "{body:?}");
    refused(String::new(), CheckpointError::Lines);
    refused(body.trim_end().into(), CheckpointError::Lines);
    refused(format!("{body}extension\n"), CheckpointError::Lines);
    refused(body.replace("example.com/log", ""), CheckpointError::Origin);
    for size in ["", "03", "+3", "-3", "3 ", "x", "4611686018427387905", "99999999999999999999"] {
        refused(body.replace("\n3\n", &format!("\n{size}\n")), CheckpointError::TreeSize);
    }
    refused(body.replace("\n3\n", "\n0\n"), CheckpointError::RootHash);
    refused(body.replace("bnc=", "bnd="), CheckpointError::RootHash);
    refused(body.replace("bnc=", ""), CheckpointError::RootHash);
}

#[test]
fn the_empty_tree_has_a_checkpoint() {
    let empty = Checkpoint { origin: "log".into(), tree_size: 0, root_hash: empty_root() };
    assert_eq!(Checkpoint::parse(&empty.body()), Ok(empty));
}

#[test]
fn another_logs_origin_is_refused() {
    let foreign = Checkpoint { origin: "example.org/log".into(), ..checkpoint() };
    assert_eq!(foreign.sign(&log()), Err(CheckpointError::ForeignOrigin));
    let note = note::sign(&foreign.body(), &[&log()]).expect("signed");
    assert_eq!(Checkpoint::open(&note, log().verifier()), Err(CheckpointError::ForeignOrigin));
    let broken = Checkpoint { origin: "two\nlines".into(), ..checkpoint() };
    assert_eq!(broken.sign(&log()), Err(CheckpointError::Lines));
}

#[test]
fn an_unsigned_or_altered_checkpoint_is_refused() {
    let other = Signer::try_new("example.com/log", &[8; 32]).expect("name");
    let note = note::sign(&checkpoint().body(), &[&other]).expect("signed");
    assert_eq!(
        Checkpoint::open(&note, log().verifier()),
        Err(CheckpointError::Note(NoteError::NoKnownSignature))
    );
    let altered = Note::parse(GOLDEN.replace("\n3\n", "\n4\n").as_bytes()).expect("note");
    let bad = NoteError::BadSignature("example.com/log".into());
    assert_eq!(Checkpoint::open(&altered, log().verifier()), Err(CheckpointError::Note(bad)));
}

proptest! {
    #[test]
    fn parsing_anything_never_panics_and_is_written_back(
        text in "\\PC{0,80}", body in "[a-z.]{1,4}\n[0-9]{1,3}\n[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=\n",
    ) {
        for text in [text, body] {
            if let Ok(checkpoint) = Checkpoint::parse(&text) {
                prop_assert_eq!(checkpoint.body(), text);
            }
        }
    }
}
