//! The checkpoint and the inclusion of the entries under it.

use ailayer_primitives::Digest;
use ailayer_tlog::checkpoint::{Checkpoint, CheckpointError};
use ailayer_tlog::note::{Note, Verifier};
use ailayer_tlog::proof::verify_inclusion;

use crate::anchor::commitment;
use crate::bundle::{Bundle, LogProof};
use crate::envelope::Envelope;

use super::error::{Part, VerifyError};
use super::report::Checks;
use super::statements::Statements;

/// The checkpoint that was found to cover the entries.
#[derive(Debug)]
pub(super) struct Logged {
    pub checkpoint: Checkpoint,
    /// What an anchor of it must commit to.
    pub commitment: Digest,
}

pub(super) fn check(
    bundle: &Bundle,
    statements: &Statements,
    log_key: &Verifier,
    checks: &mut Checks,
) -> Result<Logged, VerifyError> {
    let malformed = |error| VerifyError::Checkpoint(CheckpointError::Note(error));
    let note = Note::parse(bundle.checkpoint.as_bytes()).map_err(malformed)?;
    let checkpoint = Checkpoint::open(&note, log_key).map_err(VerifyError::Checkpoint)?;
    checks.push(format!(
        "checkpoint of {} entries is signed by log {}",
        checkpoint.tree_size, checkpoint.origin
    ));
    check_inclusion(Part::Receipt, &statements.receipt_envelope, &bundle.receipt_proof, &checkpoint)?;
    checks.push(format!("receipt is log entry {}", bundle.receipt_proof.leaf_index));
    match (&statements.closing, &bundle.closing_proof) {
        (None, None) => {}
        (Some((_, envelope)), Some(proof)) => {
            check_inclusion(Part::Closing, envelope, proof, &checkpoint)?;
            checks.push(format!("closing entry is log entry {}", proof.leaf_index));
        }
        (Some(_), None) => {
            return Err(VerifyError::HalfClosing { missing: "closing_proof", present: "closing" });
        }
        (None, Some(_)) => {
            return Err(VerifyError::HalfClosing { missing: "closing", present: "closing_proof" });
        }
    }
    Ok(Logged { commitment: commitment(note.text()), checkpoint })
}

fn check_inclusion(
    part: Part,
    entry: &Envelope,
    proof: &LogProof,
    checkpoint: &Checkpoint,
) -> Result<(), VerifyError> {
    if proof.tree_size != checkpoint.tree_size {
        return Err(VerifyError::ProofSize(part));
    }
    let leaf = entry.leaf_hash();
    verify_inclusion(&leaf, proof.leaf_index, proof.tree_size, &proof.hashes, &checkpoint.root_hash)
        .map_err(|error| VerifyError::Inclusion(part, error))
}
