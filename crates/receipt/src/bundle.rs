//! The proof bundle: one JSON file with everything that [`crate::verify`] needs.
//!
//! Texts are kept as they are signed. Hashes of the log are hexadecimal in natural order; block hashes and
//! transaction ids are hexadecimal the way explorers show them, bytes reversed. Every hexadecimal digit is lower case.

mod build;

use std::fmt;

use ailayer_primitives::Network;
use ailayer_tlog::NodeHash;
use serde::{Deserialize, Serialize};

use crate::keys::GatewayKey;

#[cfg(any(test, feature = "testing"))]
pub(crate) use build::assemble;
pub use build::{AnchorParts, BuildError, BundleParts, CoinbaseParts, build};

/// Version of the bundle format.
pub const VERSION: u32 = 1;
/// Largest bundle that is parsed, in bytes.
pub const MAX_BUNDLE_BYTES: usize = 4 * 1024 * 1024;
/// Most headers in a bundle; two months of blocks.
pub const MAX_HEADERS: usize = 10_000;
/// Most siblings in a merkle branch of a block.
pub const MAX_BRANCH: usize = 32;
/// Most hashes in an inclusion proof.
pub const MAX_PROOF: usize = 64;
/// Largest transaction in a bundle, in bytes.
pub const MAX_TRANSACTION_BYTES: usize = 100_000;

/// A text that is not a bundle.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// Larger than [`MAX_BUNDLE_BYTES`].
    #[error("bundle is larger than {MAX_BUNDLE_BYTES} bytes")]
    TooLarge,
    /// Another version of the format.
    #[error("version is {0}, this reads version {VERSION}")]
    Version(u32),
    /// Not the JSON of a bundle; begins with the path of the field.
    #[error("{0}")]
    Malformed(String),
    /// A list or text is longer than the format allows.
    #[error("{0} is longer than the format allows")]
    TooLong(&'static str),
}

/// Everything a stranger needs to check a receipt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bundle {
    /// Version of the format: 1.
    pub version: u32,
    /// Network of the money and of the anchor.
    pub network: Network,
    /// Key that signed quote, receipt and closing entry.
    pub gateway_key: GatewayKey,
    /// Verifier key of the log, as signed notes write it; its name is the log's origin.
    pub log_vkey: String,
    /// Envelope of the quote, exact text.
    pub quote: String,
    /// Envelope of the receipt, exact text: the log entry.
    pub receipt: String,
    /// Envelope of the closing entry, exact text. Absent together with its proof.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closing: Option<String>,
    /// The receipt's place in the log.
    pub receipt_proof: LogProof,
    /// The closing entry's place in the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closing_proof: Option<LogProof>,
    /// The anchored checkpoint, a signed note; both proofs lead to it.
    pub checkpoint: String,
    /// What ties the checkpoint to Bitcoin.
    pub anchor: Anchor,
}

/// Place of an entry in the log, and the inclusion proof.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogProof {
    /// Index of the entry, from 0.
    pub leaf_index: u64,
    /// Size of the tree the proof is for: the checkpoint's.
    pub tree_size: u64,
    /// Sibling hashes from the leaf upwards (RFC 6962).
    #[serde(with = "hash_list")]
    pub hashes: Vec<NodeHash>,
}

/// The transaction that commits to the checkpoint, and the proof that a block holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Anchor {
    /// The transaction without witness data, hexadecimal.
    pub transaction: String,
    /// Index of the output that carries the commitment.
    pub vout: u32,
    /// Hash of the block that holds it.
    pub block_hash: String,
    /// Height of that block. Absent together with `coinbase`, which proves it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block_height: Option<u32>,
    /// The transaction's place in the block.
    pub merkle_branch: MerkleBranch,
    /// The block's first transaction, which states the height (BIP 34).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coinbase: Option<Coinbase>,
    /// Headers from that block to the tip when the bundle was made, 80 bytes each, hexadecimal.
    pub headers: Vec<String>,
    /// Hash of the last header.
    pub tip_hash: String,
}

/// Place of a transaction in a block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MerkleBranch {
    /// Position of the transaction in the block, from 0.
    pub position: u32,
    /// Sibling hashes from the transaction upwards; none in a block of one transaction.
    pub siblings: Vec<String>,
}

/// The first transaction of the anchoring block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Coinbase {
    /// The transaction without witness data, hexadecimal.
    pub transaction: String,
    /// Sibling hashes from position 0 upwards.
    pub siblings: Vec<String>,
}

impl Bundle {
    /// Reads a bundle. Unknown and repeated fields, other versions and oversized parts are refused.
    ///
    /// # Errors
    /// [`BundleError`] naming the field. A bundle that is read is not yet verified: see [`crate::verify`].
    pub fn parse(json: &[u8]) -> Result<Self, BundleError> {
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        if json.len() > MAX_BUNDLE_BYTES {
            return Err(BundleError::TooLarge);
        }
        let versioned: Versioned = read(json)?;
        if versioned.version != VERSION {
            return Err(BundleError::Version(versioned.version));
        }
        let bundle: Self = read(json)?;
        bundle.check_bounds()?;
        Ok(bundle)
    }

    /// The bundle as JSON for people: indented, ends with a newline. Deterministic.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Only maps with other keys than text and failing implementations make this an error; there are none here.
        let mut json = serde_json::to_string_pretty(self).unwrap_or_default();
        json.push('\n');
        json
    }

    /// Bounds that hold for every bundle, parsed or put together.
    pub(crate) fn check_bounds(&self) -> Result<(), BundleError> {
        let anchor = &self.anchor;
        let coinbase = anchor.coinbase.as_ref();
        let digits = MAX_TRANSACTION_BYTES.saturating_mul(2);
        let bounds = [
            ("receipt_proof.hashes", self.receipt_proof.hashes.len(), MAX_PROOF),
            (
                "closing_proof.hashes",
                self.closing_proof.as_ref().map_or(0, |proof| proof.hashes.len()),
                MAX_PROOF,
            ),
            ("anchor.transaction", anchor.transaction.len(), digits),
            ("anchor.merkle_branch.siblings", anchor.merkle_branch.siblings.len(), MAX_BRANCH),
            (
                "anchor.coinbase.transaction",
                coinbase.map_or(0, |coinbase| coinbase.transaction.len()),
                digits,
            ),
            ("anchor.coinbase.siblings", coinbase.map_or(0, |coinbase| coinbase.siblings.len()), MAX_BRANCH),
            ("anchor.headers", anchor.headers.len(), MAX_HEADERS),
        ];
        match bounds.into_iter().find(|(_, length, limit)| length > limit) {
            Some((name, ..)) => Err(BundleError::TooLong(name)),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Bundle {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.to_json())
    }
}

fn read<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Result<T, BundleError> {
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let value = serde_path_to_error::deserialize(&mut deserializer)
        .map_err(|error| BundleError::Malformed(error.to_string()))?;
    deserializer.end().map_err(|error| BundleError::Malformed(error.to_string()))?;
    Ok(value)
}

/// Node hashes as texts of 64 hexadecimal digits.
mod hash_list {
    use ailayer_tlog::NodeHash;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(hashes: &[NodeHash], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(hashes.iter().map(ToString::to_string))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<NodeHash>, D::Error> {
        let texts = Vec::<String>::deserialize(deserializer)?;
        texts.iter().map(|text| text.parse().map_err(D::Error::custom)).collect()
    }
}

#[cfg(test)]
mod tests;
