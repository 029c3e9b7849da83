//! `GetReceipt`: the signed receipt, how far it has come, and the proof bundle once it is anchored.

use ailayer_client::ErrorReason;
use ailayer_client::audit::{EntryProof, Promise};
use ailayer_proto::ailayer::gateway::v1 as pb;

use super::{Answer, Gateway};
use crate::audit_log::LogError;
use crate::error::JobError;
use crate::proofs::{self, ProofContext};
use crate::store::JobRecord;

pub(super) async fn get_receipt(
    gateway: &Gateway,
    request: pb::GetReceiptRequest,
) -> Answer<pb::GetReceiptResponse> {
    let record = gateway.open(request.key).await?;
    let Some(receipt) = record.receipt.clone() else {
        return Err(JobError::ReceiptNotReady(record.job.state).into());
    };
    let proof = entry_proof(gateway, &record, &receipt).await?;
    let (promise, bundle) = match &proof {
        None => (unproved(&record), String::new()),
        Some(proof) => (promise(proof.promise), bundle(gateway, &record, proof).await?),
    };
    Ok(pb::GetReceiptResponse {
        receipt,
        closing: record.closing.unwrap_or_default(),
        promise: promise as i32,
        bundle,
    })
}

/// What the log says about the receipt; none where it is not known to be there, or the log does not answer.
async fn entry_proof(
    gateway: &Gateway,
    record: &JobRecord,
    receipt: &str,
) -> Result<Option<EntryProof>, JobError> {
    let leaf_hash = ailayer_tlog::leaf_hash(receipt.as_bytes());
    let closing = record.closing.as_deref().filter(|_| record.closing_leaf_index.is_some());
    let with = closing.map(|closing| ailayer_tlog::leaf_hash(closing.as_bytes()));
    match gateway.log.entry_proof(leaf_hash, with).await {
        Ok(proof) => Ok(Some(proof)),
        Err(LogError::Call(error)) if error.reason() == Some(ErrorReason::EntryNotFound) => {
            match record.leaf_index {
                None => Ok(None),
                // A receipt once given is never missing from the log: this must be heard.
                Some(index) => Err(JobError::Verification {
                    job_id: record.job_id,
                    what: format!("the log has lost entry {index}"),
                }),
            }
        }
        Err(error) => {
            tracing::warn!(job_id = %record.job_id, error = %error, "receipt answered without the log's word");
            Ok(None)
        }
    }
}

/// What our own row proves.
const fn unproved(record: &JobRecord) -> pb::ReceiptPromise {
    match record.leaf_index {
        None => pb::ReceiptPromise::Signed,
        Some(_) => pb::ReceiptPromise::Sequenced,
    }
}

const fn promise(promise: Promise) -> pb::ReceiptPromise {
    match promise {
        Promise::Unspecified => pb::ReceiptPromise::Unspecified,
        Promise::Sequenced => pb::ReceiptPromise::Sequenced,
        Promise::Integrated => pb::ReceiptPromise::Integrated,
        Promise::Published => pb::ReceiptPromise::Published,
        Promise::Anchored => pb::ReceiptPromise::Anchored,
    }
}

async fn bundle(gateway: &Gateway, record: &JobRecord, proof: &EntryProof) -> Result<String, JobError> {
    let unproved = |what: String| JobError::Verification { job_id: record.job_id, what };
    let log_key = gateway.log.key().await.map_err(|error| unproved(error.to_string()))?;
    let context = ProofContext {
        network: gateway.quotes.settings.network,
        gateway_key: gateway.keys.public_key(),
        log_vkey: log_key.to_string(),
    };
    match proofs::bundle(&context, record, proof) {
        Ok(bundle) => Ok(bundle.map(|bundle| bundle.to_json()).unwrap_or_default()),
        Err(error) => Err(unproved(format!("the proof bundle does not verify: {error}"))),
    }
}
