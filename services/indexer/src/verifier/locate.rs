//! Where the server says a transaction is. Only a hint: [`super::prove`] checks it.

use std::collections::BTreeMap;
use std::sync::Arc;

use bitcoin::{OutPoint, Script, ScriptBuf, Transaction, Txid};

use super::{FetchedTransaction, Verifier};
use crate::error::LookupError;
use crate::ports::{HistoryEntry, SourceError};

/// Scripts that are tried before giving up: a server refuses histories of very busy ones.
const MAX_TRIES: usize = 4;

impl Verifier {
    /// The height of the transaction's block; `None` if the server shows it nowhere or as unconfirmed.
    ///
    /// The protocol tells no block by txid, so the height is read from the history of a script that the
    /// transaction pays to, or, where all outputs are data, of one it spends from.
    pub(super) async fn locate(&self, fetched: &FetchedTransaction) -> Result<Option<u32>, LookupError> {
        if let Some(known) = self.cache.get(fetched.txid) {
            return Ok(Some(known.proof.block.height));
        }
        for script in payable_scripts(&fetched.transaction) {
            if let Some(found) = self.look_into(&script, fetched.txid).await? {
                return Ok(found);
            }
        }
        let spent = fetched.transaction.input.iter().map(|input| input.previous_output);
        for outpoint in spent.filter(|outpoint| !outpoint.is_null()).take(MAX_TRIES) {
            let script = self.script_of(outpoint).await?;
            if let Some(found) = self.look_into(&script, fetched.txid).await? {
                return Ok(found);
            }
        }
        Err(LookupError::Unlocatable(fetched.txid))
    }

    /// `None` if the history is too long to be told; `Some(None)` if it does not confirm the transaction.
    async fn look_into(&self, script: &Script, txid: Txid) -> Result<Option<Option<u32>>, LookupError> {
        match self.source.script_history(script).await {
            Ok(history) => {
                let entry = history.iter().find(|entry| entry.txid == txid);
                Ok(Some(entry.and_then(|entry| entry.height)))
            }
            Err(SourceError::TooLarge) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    async fn script_of(&self, outpoint: OutPoint) -> Result<ScriptBuf, LookupError> {
        let previous: Arc<FetchedTransaction> = self.fetch(outpoint.txid).await?;
        usize::try_from(outpoint.vout)
            .ok()
            .and_then(|vout| previous.transaction.output.get(vout))
            .map(|output| output.script_pubkey.clone())
            .ok_or(LookupError::WrongTransaction(outpoint.txid))
    }
}

/// The first few different scripts that a server indexes: all but data outputs.
fn payable_scripts(transaction: &Transaction) -> Vec<ScriptBuf> {
    let mut scripts: Vec<ScriptBuf> = Vec::new();
    for output in &transaction.output {
        let script = &output.script_pubkey;
        if scripts.len() < MAX_TRIES && !script.is_op_return() && !scripts.contains(script) {
            scripts.push(script.clone());
        }
    }
    scripts
}

/// Each transaction of several histories once. If two histories disagree, a height wins over none: it will
/// have to be proved.
pub(super) fn merge(entries: impl IntoIterator<Item = HistoryEntry>) -> BTreeMap<Txid, Option<u32>> {
    let mut places = BTreeMap::new();
    for entry in entries {
        let place = places.entry(entry.txid).or_insert(entry.height);
        *place = place.or(entry.height);
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;
    use bitcoin::hashes::Hash as _;
    use bitcoin::{Amount, TxOut, absolute, transaction};

    #[test]
    fn data_outputs_and_repeats_are_passed_over() {
        let pay = |byte: u8| ScriptBuf::from_bytes(vec![0x51, byte]);
        let scripts = [ScriptBuf::new_op_return([1; 4]), pay(1), pay(1), pay(2), pay(3), pay(4), pay(5)];
        let output =
            scripts.iter().map(|script| TxOut { value: Amount::ZERO, script_pubkey: script.clone() });
        let transaction = Transaction {
            version: transaction::Version::TWO,
            lock_time: absolute::LockTime::ZERO,
            input: vec![],
            output: output.collect(),
        };
        assert_eq!(payable_scripts(&transaction), [pay(1), pay(2), pay(3), pay(4)]);
    }

    #[test]
    fn a_height_wins_over_none() {
        let txid = Txid::from_byte_array([1; 32]);
        let entry = |height| HistoryEntry { txid, height };
        assert_eq!(merge([entry(None), entry(Some(5)), entry(None)])[&txid], Some(5));
        assert_eq!(merge([entry(None)])[&txid], None);
    }
}
