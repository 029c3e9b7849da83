//! What every payout passes: the operator's bounds before it is written down, the audit log before the node is told.

use std::sync::Arc;

use ailayer_primitives::{AmountMsat, Network};
use bitcoin::secp256k1::PublicKey;

use crate::domain::payout::{Payout, PayoutLimits};
use crate::error::ServiceError;
use crate::ports::PayoutLog;

/// The way out of one node.
pub struct Payouts {
    limits: PayoutLimits,
    node_id: PublicKey,
    network: Network,
    log: Option<Arc<dyn PayoutLog>>,
}

impl Payouts {
    /// Payouts of a node. Without a log none is written of them.
    pub fn new(
        limits: PayoutLimits,
        node_id: PublicKey,
        network: Network,
        log: Option<Arc<dyn PayoutLog>>,
    ) -> Self {
        Self { limits, node_id, network, log }
    }

    /// The operator's bounds.
    pub const fn limits(&self) -> &PayoutLimits {
        &self.limits
    }

    /// Holds a payout against the bounds that do not depend on others.
    ///
    /// # Errors
    /// `Payout` with the bound that is broken.
    pub fn check(&self, amount: AmountMsat, payee: &PublicKey) -> Result<(), ServiceError> {
        Ok(self.limits.check(amount, payee)?)
    }

    /// Writes a payout into the audit log, where nobody who asks for it can take it out again. It is sequenced durably when this
    /// returns; the same payout is written once, however often it is tried.
    ///
    /// # Errors
    /// `NotLogged` when the log does not take it: nothing may leave then.
    pub async fn record(&self, payout: &Payout<'_>) -> Result<(), ServiceError> {
        let Some(log) = &self.log else { return Ok(()) };
        let entry = payout.entry(&self.node_id, self.network);
        let leaf_index = log.append(entry.as_bytes()).await.map_err(ServiceError::NotLogged)?;
        tracing::info!(leaf_index, entry, "payout written into the audit log");
        Ok(())
    }
}
