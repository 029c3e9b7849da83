//! Payments this node makes.
//!
//! ```text
//!  (none) ──intent──▶ PENDING ──node took it──▶ IN_FLIGHT ──▶ SUCCEEDED
//!                        │                          │
//!                        └── refused unsent ──▶ FAILED ◀──┘
//! ```
//!
//! SUCCEEDED and FAILED are final: a payment hash is tried once, by one row, so that FAILED means for ever
//! that no money moved. PENDING after a crash is *unknown*: that the node does not list the payment proves
//! nothing, so the same hash is sent again (the node refuses a duplicate) and only events end it.

use ailayer_primitives::{AmountMsat, Digest, Network, PaymentHash, UnixS};
use lightning_invoice::{Bolt11Invoice, Currency};
use thiserror::Error;

/// Where an outgoing payment stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PaymentState {
    /// The intent is durable; the node may not have been told yet.
    Pending,
    /// The node is trying.
    InFlight,
    /// The recipient took the money.
    Succeeded,
    /// No money moved, and none will.
    Failed,
}

impl PaymentState {
    /// Every state.
    pub const ALL: [Self; 4] = [Self::Pending, Self::InFlight, Self::Succeeded, Self::Failed];

    /// The name in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::InFlight => "IN_FLIGHT",
            Self::Succeeded => "SUCCEEDED",
            Self::Failed => "FAILED",
        }
    }

    /// The inverse of [`Self::as_str`].
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }

    /// True while the node may still move money.
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Pending | Self::InFlight)
    }
}

/// One row of the outgoing journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutgoingPayment {
    /// The hash that names it.
    pub payment_hash: PaymentHash,
    /// The invoice's text.
    pub bolt11: String,
    /// What the recipient asks.
    pub amount: AmountMsat,
    /// The most that routing may cost.
    pub fee_limit: AmountMsat,
    /// What routing cost; nothing until SUCCEEDED.
    pub fee: AmountMsat,
    /// Where it stands.
    pub state: PaymentState,
    /// A short machine word; empty unless FAILED.
    pub failure_reason: String,
    /// The proof of payment; `None` until SUCCEEDED. Not a secret any more: every hop has seen it.
    pub preimage: Option<[u8; 32]>,
    /// How often the node was told to send, counted before it was told.
    pub attempts: u32,
}

/// An invoice that this service may pay.
#[derive(Debug, Clone)]
pub struct PayableInvoice {
    /// The parsed text; signature and features are checked by the parser (BOLT 11).
    pub invoice: Bolt11Invoice,
    /// Its payment hash.
    pub payment_hash: PaymentHash,
    /// What it asks.
    pub amount: AmountMsat,
}

/// Why an invoice is not paid.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InvoiceRefused {
    /// Not a BOLT 11 invoice.
    #[error("not a BOLT 11 invoice")]
    Malformed,
    /// It belongs to another chain.
    #[error("the invoice is for another network than {0}")]
    WrongNetwork(Network),
    /// It leaves the amount open.
    #[error("the invoice names no amount")]
    NoAmount,
    /// More than bitcoin exist.
    #[error("the invoice asks for an impossible amount")]
    ImpossibleAmount,
    /// Its time is over.
    #[error("the invoice has expired")]
    Expired,
    /// It asks for more than the caller allows.
    #[error("the invoice asks {asked}, the limit is {limit}")]
    AboveLimit {
        /// What it asks.
        asked: AmountMsat,
        /// The caller's limit.
        limit: AmountMsat,
    },
    /// Paying oneself is no payment, and would disturb the record of the own invoice.
    #[error("the invoice is this node's own")]
    Own,
}

/// Parses and checks what does not depend on time or limits.
pub fn parse_invoice(bolt11: &str, network: Network) -> Result<PayableInvoice, InvoiceRefused> {
    let invoice: Bolt11Invoice = bolt11.parse().map_err(|_| InvoiceRefused::Malformed)?;
    if invoice.currency() != currency_of(network) {
        return Err(InvoiceRefused::WrongNetwork(network));
    }
    let asked = invoice.amount_milli_satoshis().ok_or(InvoiceRefused::NoAmount)?;
    let amount = AmountMsat::try_new(asked).map_err(|_| InvoiceRefused::ImpossibleAmount)?;
    if amount == AmountMsat::ZERO {
        return Err(InvoiceRefused::NoAmount);
    }
    let payment_hash = PaymentHash(Digest::new(*invoice.payment_hash().as_ref()));
    Ok(PayableInvoice { invoice, payment_hash, amount })
}

impl PayableInvoice {
    /// Checks what holds only now: expiry, the limit, and that the recipient is somebody else.
    pub fn check(
        &self,
        now: UnixS,
        limit: AmountMsat,
        own_node_id: &bitcoin::secp256k1::PublicKey,
    ) -> Result<(), InvoiceRefused> {
        if self.is_expired(now) {
            return Err(InvoiceRefused::Expired);
        }
        if self.amount > limit {
            return Err(InvoiceRefused::AboveLimit { asked: self.amount, limit });
        }
        if self.invoice.get_payee_pub_key() == *own_node_id {
            return Err(InvoiceRefused::Own);
        }
        Ok(())
    }

    /// True once the invoice's own expiry has passed.
    pub fn is_expired(&self, now: UnixS) -> bool {
        self.invoice.expires_at().is_none_or(|at| at.as_secs() < now.0)
    }
}

/// Testnet 3 and 4 share the prefix `tb` (BOLT 11).
const fn currency_of(network: Network) -> Currency {
    match network {
        Network::Bitcoin => Currency::Bitcoin,
        Network::Testnet4 => Currency::BitcoinTestnet,
        Network::Signet => Currency::Signet,
        Network::Regtest => Currency::Regtest,
    }
}

/// The most that routing may cost: a share of the amount plus a base, rounded down, at most all bitcoin.
pub fn fee_limit(amount: AmountMsat, base: AmountMsat, parts_per_million: u32) -> AmountMsat {
    let share = u128::from(amount.msat()) * u128::from(parts_per_million) / 1_000_000;
    let total = share.saturating_add(u128::from(base.msat()));
    u64::try_from(total).ok().and_then(|msat| AmountMsat::try_new(msat).ok()).unwrap_or(AmountMsat::MAX)
}

#[cfg(test)]
mod tests;
