//! Transactions by id, with the id recomputed.

use std::sync::Arc;

use bitcoin::consensus::{deserialize, serialize};
use bitcoin::{Transaction, Txid};

use super::{FetchedTransaction, Verifier};
use crate::error::LookupError;

impl Verifier {
    /// Fetches a transaction, or takes one that was proved before.
    pub(super) async fn fetch(&self, txid: Txid) -> Result<Arc<FetchedTransaction>, LookupError> {
        if let Some(known) = self.cache.get(txid) {
            return Ok(known.fetched);
        }
        let raw = self.source.transaction(txid).await?.ok_or(LookupError::NotFound)?;
        let transaction: Transaction = deserialize(&raw).map_err(|_| self.wrong_transaction(txid))?;
        if transaction.compute_txid() != txid {
            return Err(self.wrong_transaction(txid));
        }
        let raw = serialize(&transaction);
        Ok(Arc::new(FetchedTransaction { txid, transaction, raw }))
    }

    fn wrong_transaction(&self, txid: Txid) -> LookupError {
        self.metrics.refused("transaction");
        LookupError::WrongTransaction(txid)
    }
}
