//! The closing entry: how a receipt's claim ended.

use std::fmt;

use ailayer_primitives::{AmountMsat, JobId, UnixMs};
use ailayer_tlog::NodeHash;
use serde::{Deserialize, Serialize};

use super::{Statement, StatementError, check_integers, check_version};

/// How the claim ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Outcome {
    /// The money was taken.
    Settled,
    /// The money was given back although a receipt was logged.
    Voided,
    /// The job was served and the claim failed: the seller wrote it off.
    Lost,
}

impl Outcome {
    /// The name in statements and reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Settled => "SETTLED",
            Self::Voided => "VOIDED",
            Self::Lost => "LOST",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// The gateway's statement of how the claim that a receipt authorised has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Closing {
    /// Version of the statement: 1.
    pub version: u32,
    /// The receipt's job.
    pub job_id: JobId,
    /// How it ended.
    pub outcome: Outcome,
    /// Leaf hash of the receipt's log entry.
    #[serde(with = "leaf_hash_text")]
    pub receipt_leaf_hash: NodeHash,
    /// SETTLED: what was taken, at least the price. VOIDED: 0. LOST: what was written off.
    pub amount_msat: AmountMsat,
    /// When it ended, by the gateway's clock.
    pub closed_unix_ms: UnixMs,
}

impl Statement for Closing {
    const PAYLOAD_TYPE: &'static str = "application/vnd.ailayer.closing.v1+json";

    fn validate(&self) -> Result<(), StatementError> {
        check_version(self.version)?;
        check_integers(&[
            ("amount_msat", self.amount_msat.msat()),
            ("closed_unix_ms", self.closed_unix_ms.0),
        ])?;
        if self.outcome == Outcome::Voided && self.amount_msat != AmountMsat::ZERO {
            return Err(StatementError::Contradiction("amount_msat of a VOIDED job is not 0"));
        }
        Ok(())
    }
}

/// A node hash as 64 hexadecimal digits.
pub(crate) mod leaf_hash_text {
    use ailayer_tlog::NodeHash;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(hash: &NodeHash, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(hash)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<NodeHash, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}
