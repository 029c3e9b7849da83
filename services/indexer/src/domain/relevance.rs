//! Which transactions have to do with a set of scripts.

use std::collections::{BTreeSet, HashSet};

use bitcoin::{OutPoint, ScriptBuf, Transaction, Txid};

/// The first of `transactions` that neither pays to one of `scripts` nor spends an output that another of
/// them pays to one.
///
/// Closed over the list: whoever spends from a script spends an output that is in the script's history too.
pub fn first_stranger<'a>(
    scripts: &BTreeSet<ScriptBuf>,
    transactions: impl Iterator<Item = &'a Transaction> + Clone,
) -> Option<Txid> {
    let paying: HashSet<OutPoint> =
        transactions.clone().flat_map(|transaction| payments(scripts, transaction)).collect();
    let mut strangers = transactions.filter(|transaction| {
        let spends = transaction.input.iter().any(|input| paying.contains(&input.previous_output));
        !spends && payments(scripts, transaction).is_empty()
    });
    strangers.next().map(Transaction::compute_txid)
}

/// The outputs of a transaction that pay to one of the scripts.
fn payments(scripts: &BTreeSet<ScriptBuf>, transaction: &Transaction) -> Vec<OutPoint> {
    let ours =
        (0_u32..).zip(&transaction.output).filter(|(_, output)| scripts.contains(&output.script_pubkey));
    let vouts: Vec<u32> = ours.map(|(vout, _)| vout).collect();
    if vouts.is_empty() {
        return Vec::new();
    }
    let txid = transaction.compute_txid();
    vouts.into_iter().map(|vout| OutPoint { txid, vout }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bitcoin::{Amount, Sequence, TxIn, TxOut, Witness, absolute, transaction};

    fn transaction(spends: OutPoint, pays: &[&ScriptBuf]) -> Transaction {
        let output =
            pays.iter().map(|script| TxOut { value: Amount::ZERO, script_pubkey: (*script).clone() });
        Transaction {
            version: transaction::Version::TWO,
            lock_time: absolute::LockTime::ZERO,
            input: vec![TxIn {
                previous_output: spends,
                script_sig: ScriptBuf::new(),
                sequence: Sequence::MAX,
                witness: Witness::new(),
            }],
            output: output.collect(),
        }
    }

    #[test]
    fn paying_to_and_spending_from_belong_and_nothing_else_does() {
        let (ours, theirs) = (ScriptBuf::from_bytes(vec![0x51]), ScriptBuf::from_bytes(vec![0x52]));
        let pays = transaction(OutPoint::null(), &[&theirs, &ours]);
        let outpoint = |vout| OutPoint { txid: pays.compute_txid(), vout };
        let spends = transaction(outpoint(1), &[&theirs]);
        let spends_the_other = transaction(outpoint(0), &[&theirs]);
        let scripts = BTreeSet::from([ours]);
        assert_eq!(first_stranger(&scripts, [&spends, &pays].into_iter()), None);
        assert_eq!(
            first_stranger(&scripts, [&pays, &spends_the_other].into_iter()),
            Some(spends_the_other.compute_txid())
        );
        assert_eq!(first_stranger(&scripts, [&spends].into_iter()), Some(spends.compute_txid()));
    }
}
