//! What every payout passes: the operator's bounds and the books before it is written down, the books and the audit log before the
//! node is told.

use std::sync::Arc;

use ailayer_primitives::{AmountMsat, Network};
use bitcoin::secp256k1::PublicKey;

use crate::domain::payout::{Payout, PayoutLimits};
use crate::error::ServiceError;
use crate::ports::PayoutLog;
use crate::service::funds::Funds;

/// The way out of one node.
pub struct Payouts {
    limits: PayoutLimits,
    node_id: PublicKey,
    network: Network,
    log: Option<Arc<dyn PayoutLog>>,
    funds: Option<Arc<Funds>>,
}

impl Payouts {
    /// Payouts of a node. Without a log none is written of them; without funds they leave whatever the node's channels hold.
    pub fn new(
        limits: PayoutLimits,
        node_id: PublicKey,
        network: Network,
        log: Option<Arc<dyn PayoutLog>>,
        funds: Option<Arc<Funds>>,
    ) -> Self {
        Self { limits, node_id, network, log, funds }
    }

    /// The operator's bounds.
    pub const fn limits(&self) -> &PayoutLimits {
        &self.limits
    }

    /// Holds a payout against the bounds that do not depend on others, and against the books.
    ///
    /// # Errors
    /// `Payout` with the bound that is broken; `FundsDiffer` while the books do not agree, `NeverQuiet` while that is not known.
    pub async fn check(&self, amount: AmountMsat, payee: &PublicKey) -> Result<(), ServiceError> {
        self.limits.check(amount, payee)?;
        self.check_books().await
    }

    async fn check_books(&self) -> Result<(), ServiceError> {
        match &self.funds {
            Some(funds) => funds.may_let_out().await,
            None => Ok(()),
        }
    }

    /// Writes a payout into the audit log, where nobody who asks for it can take it out again. It is sequenced durably when this
    /// returns; the same payout is written once, however often it is tried.
    ///
    /// # Errors
    /// Nothing may leave then: `NotLogged` when the log does not take it; `FundsDiffer` or `NeverQuiet` as in [`Self::check`].
    pub async fn record(&self, payout: &Payout<'_>) -> Result<(), ServiceError> {
        self.check_books().await?;
        let Some(log) = &self.log else { return Ok(()) };
        let entry = payout.entry(&self.node_id, self.network);
        let leaf_index = log.append(entry.as_bytes()).await.map_err(ServiceError::NotLogged)?;
        tracing::info!(leaf_index, entry, "payout written into the audit log");
        Ok(())
    }
}
