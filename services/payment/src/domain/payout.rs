//! What may leave this node, whatever its callers say: payments, and what a new channel gives to its peer at once.

use std::collections::BTreeSet;
use std::time::Duration;

use ailayer_primitives::{AmountMsat, Network, PaymentHash, RequestId, UnixMs};
use bitcoin::secp256k1::PublicKey;
use serde::Serialize;
use thiserror::Error;

/// The window of the velocity limit.
const WINDOW: Duration = Duration::from_secs(3600);

/// The operator's bounds.
#[derive(Debug, Clone)]
pub struct PayoutLimits {
    /// Kill switch.
    pub enabled: bool,
    /// The most that a single payment may carry, or a channel may give away.
    pub max_payment: AmountMsat,
    /// The most that may leave within an hour, fees included.
    pub max_per_hour: AmountMsat,
    /// The base of the routing fee limit.
    pub max_fee_base: AmountMsat,
    /// The share of the routing fee limit, parts per million.
    pub max_fee_ppm: u32,
    /// Who may be paid; none for everybody.
    pub payees: Option<BTreeSet<PublicKey>>,
}

/// Why nothing leaves.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PayoutRefused {
    /// The operator switched it off.
    #[error("payouts are switched off")]
    Off,
    /// More than a single payout may be.
    #[error("{asked} would leave, the limit is {limit}")]
    AboveLimit {
        /// What would leave.
        asked: AmountMsat,
        /// The limit.
        limit: AmountMsat,
    },
    /// Not on the operator's list.
    #[error("node {0} is not on the list of those who may be paid")]
    Payee(PublicKey),
}

impl PayoutLimits {
    /// What holds for one payout by itself. That it fits into the hour is found out under a lock, where it is written.
    ///
    /// # Errors
    /// The first bound that is broken.
    pub fn check(&self, amount: AmountMsat, payee: &PublicKey) -> Result<(), PayoutRefused> {
        if !self.enabled {
            return Err(PayoutRefused::Off);
        }
        if amount > self.max_payment {
            return Err(PayoutRefused::AboveLimit { asked: amount, limit: self.max_payment });
        }
        match &self.payees {
            Some(payees) if !payees.contains(payee) => Err(PayoutRefused::Payee(*payee)),
            _ => Ok(()),
        }
    }

    /// Since when everything that left counts against [`Self::max_per_hour`].
    pub fn window_start(now: UnixMs) -> UnixMs {
        UnixMs(now.0.saturating_sub(u64::try_from(WINDOW.as_millis()).unwrap_or(u64::MAX)))
    }
}

/// Something that is about to leave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payout<'a> {
    /// An invoice is paid.
    Payment {
        /// The invoice's payment hash.
        payment_hash: PaymentHash,
        /// Who is paid.
        payee: &'a PublicKey,
        /// What the invoice asks.
        amount: AmountMsat,
        /// The most that routing may cost beside it.
        fee_limit: AmountMsat,
    },
    /// A channel is opened that gives money to its peer at once.
    ChannelPush {
        /// The order that asks for it.
        request_id: RequestId,
        /// The peer.
        peer: &'a PublicKey,
        /// What is given.
        amount: AmountMsat,
    },
}

/// The JSON of an entry; no field is ever renamed. A later version has another type.
#[derive(Serialize)]
struct Entry {
    #[serde(rename = "type")]
    kind: &'static str,
    network: Network,
    node_id: String,
    payee_node_id: String,
    amount_msat: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    fee_limit_msat: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payment_hash: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
}

impl Payout<'_> {
    /// What the audit log keeps of it: one line of JSON, the same bytes at every try.
    ///
    /// ```text
    /// {"type":"application/vnd.ailayer.payout.v1+json","network":"regtest","node_id":"02…","payee_node_id":"03…",
    ///  "amount_msat":5000,"fee_limit_msat":50,"payment_hash":"…"}
    /// ```
    /// A channel's has `request_id` in place of fee limit and hash.
    pub fn entry(&self, node_id: &PublicKey, network: Network) -> String {
        let (payee, amount, fee_limit, payment_hash, request_id) = match *self {
            Self::Payment { payment_hash, payee, amount, fee_limit } => {
                (payee, amount, Some(fee_limit.msat()), Some(payment_hash.to_string()), None)
            }
            Self::ChannelPush { request_id, peer, amount } => {
                (peer, amount, None, None, Some(request_id.to_string()))
            }
        };
        let entry = Entry {
            kind: "application/vnd.ailayer.payout.v1+json",
            network,
            node_id: node_id.to_string(),
            payee_node_id: payee.to_string(),
            amount_msat: amount.msat(),
            fee_limit_msat: fee_limit,
            payment_hash,
            request_id,
        };
        // Texts and integers only: it cannot fail.
        serde_json::to_string(&entry).unwrap_or_default()
    }
}
