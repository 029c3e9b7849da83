//! Offline verification of a bundle: no network, no clock, no trust but what the caller pins.
//!
//! The order of the checks is fixed; the first that fails is the error:
//! 1. pins: network, gateway key, log key
//! 2. signatures of quote and receipt, and the statements themselves
//! 3. links between quote, receipt and bundle
//! 4. the request and output that the caller has, against the digests
//! 5. the closing entry's signature and its links to the receipt
//! 6. the checkpoint's signature, its origin
//! 7. inclusion of the receipt, then of the closing entry, under the checkpoint
//! 8. the anchoring transaction's commitment to the checkpoint
//! 9. headers: linkage, difficulty, proof of work; the stated block and tip hashes
//! 10. the coinbase's merkle branch and height, then the anchoring transaction's merkle branch
//! 11. number of confirmations, the block that the caller trusts

mod chain;
mod error;
mod log;
mod report;
mod statements;

use ailayer_primitives::{Digest, Network};
use ailayer_tlog::note::Verifier;
use bitcoin::BlockHash;

use crate::bundle::Bundle;
use crate::keys::GatewayKey;
use crate::tensor::{Inference, Tensors};

pub use error::{Part, VerifyError};
pub use report::{Ending, Report};

/// An answer that the caller has.
#[derive(Debug, Clone)]
pub enum KnownOutput {
    /// One vector a text.
    Rows(Vec<Vec<f32>>),
    /// Tensors.
    Tensors(Tensors),
}

/// What the caller knows from elsewhere. The default pins nothing and asks for one confirmation.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    /// The gateway's key.
    pub gateway_key: Option<GatewayKey>,
    /// The log's key.
    pub log_key: Option<Verifier>,
    /// The network the bundle must be on.
    pub network: Option<Network>,
    /// Least number of headers, the anchoring block's included; 0 means 1.
    pub min_confirmations: u32,
    /// A block, known to be of the best chain, that must be among the headers.
    pub trusted_block: Option<BlockHash>,
    /// The texts that were sent.
    pub request_texts: Option<Vec<String>>,
    /// The tensors that were sent.
    pub request_tensors: Option<Inference>,
    /// What came back.
    pub output: Option<KnownOutput>,
    /// The SHA-256 of the ciphertext that was delivered, of a sealed answer.
    pub sealed_digest: Option<Digest>,
}

/// Verifies a bundle. Pure: the same bundle and trust give the same answer for ever.
///
/// # Errors
/// [`VerifyError`] of the first check that fails, naming the part of the bundle that is wrong.
pub fn verify(bundle: &Bundle, trust: &Trust) -> Result<Report, VerifyError> {
    bundle.check_bounds().map_err(VerifyError::Bundle)?;
    let mut checks = Vec::new();
    let log_key = check_pins(bundle, trust)?;
    let statements = statements::check(bundle, trust, &mut checks)?;
    let log = log::check(bundle, &statements, &log_key, &mut checks)?;
    let chain = chain::check(bundle, &log, trust, &mut checks)?;
    Ok(report::report(bundle, trust, statements, log, chain, checks))
}

/// Reads a bundle and verifies it.
///
/// # Errors
/// [`VerifyError`] of the first check that fails.
pub fn verify_json(json: &[u8], trust: &Trust) -> Result<Report, VerifyError> {
    verify(&Bundle::parse(json).map_err(VerifyError::Bundle)?, trust)
}

fn check_pins(bundle: &Bundle, trust: &Trust) -> Result<Verifier, VerifyError> {
    if bundle.version != crate::bundle::VERSION {
        return Err(VerifyError::Bundle(crate::BundleError::Version(bundle.version)));
    }
    if let Some(required) = trust.network.filter(|required| *required != bundle.network) {
        return Err(VerifyError::NetworkNotRequired { required, found: bundle.network });
    }
    if trust.gateway_key.is_some_and(|pinned| pinned != bundle.gateway_key) {
        return Err(VerifyError::GatewayKeyNotPinned);
    }
    let log_key = Verifier::parse(&bundle.log_vkey).map_err(VerifyError::LogKey)?;
    if trust.log_key.as_ref().is_some_and(|pinned| *pinned != log_key) {
        return Err(VerifyError::LogKeyNotPinned);
    }
    Ok(log_key)
}

#[cfg(test)]
mod tests;
