//! Coins for everybody: the node has no wallet, so the devnet spends the rewards of the blocks it mined.

use bitcoin::{
    Address, Amount, Network, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Txid, Witness,
    absolute::LockTime, opcodes::OP_TRUE, script::Builder, transaction::Version,
};
use serde::Deserialize;
use serde_json::json;

use super::{Bitcoind, chain::unexpected};
use crate::error::DevnetError;

const COINBASE_MATURITY: u32 = 100;
/// About 5 sat/vB for one input and two outputs: well over the relay fee.
const FEE_PER_INPUT_SAT: u64 = 1_000;
const DUST_SAT: u64 = 330;

#[derive(Debug, Deserialize)]
struct Coin {
    txid: Txid,
    vout: u32,
    amount: f64,
    height: u32,
    #[serde(default)]
    coinbase: bool,
}

impl Coin {
    const fn outpoint(&self) -> OutPoint {
        OutPoint { txid: self.txid, vout: self.vout }
    }

    /// bitcoind prints eight decimals, which a double holds exactly enough to round back.
    fn amount_sat(&self) -> Result<u64, DevnetError> {
        let amount =
            Amount::from_btc(self.amount).map_err(|error| unexpected("scantxoutset", &error.to_string()))?;
        Ok(amount.to_sat())
    }
}

#[derive(Debug, Deserialize)]
struct Scan {
    height: u32,
    unspents: Vec<Coin>,
}

/// P2WSH of the script `OP_TRUE`: anyone can spend it without a key, and unlike bare `OP_TRUE` it is standard.
pub(super) fn address() -> Address {
    Address::p2wsh(&witness_script(), Network::Regtest)
}

fn witness_script() -> ScriptBuf {
    Builder::new().push_opcode(OP_TRUE).into_script()
}

impl Bitcoind {
    /// Sends `amount_sat` to `address`; the transaction is in the mempool afterwards, so mine to confirm it.
    /// Mines up to 101 blocks first when the faucet has too little that can be spent.
    ///
    /// # Errors
    /// As [`Bitcoind::call`]; also when the faucet cannot gather the amount (the regtest reward halves every 150 blocks).
    pub async fn fund(&self, address: &Address, amount_sat: u64) -> Result<Txid, DevnetError> {
        self.fund_many(&[(address.clone(), amount_sat)]).await
    }

    /// Sends several amounts in one transaction; outputs are in the given order, change comes last.
    ///
    /// # Errors
    /// As [`Bitcoind::fund`].
    pub async fn fund_many(&self, payments: &[(Address, u64)]) -> Result<Txid, DevnetError> {
        // One payment at a time: two must not choose the same coin, and the node refuses a second scan.
        let _turn = self.faucet_turn.lock().await;
        for may_mine in [true, false] {
            let Some(transaction) = self.compose(payments).await? else {
                if may_mine {
                    self.mine(COINBASE_MATURITY + 1).await?;
                }
                continue;
            };
            return self.broadcast(&transaction).await;
        }
        Err(DevnetError::unexpected("the faucet", "fund", "has too few coins for that amount"))
    }

    /// A signed payment, or none when the coins do not suffice.
    async fn compose(&self, payments: &[(Address, u64)]) -> Result<Option<Transaction>, DevnetError> {
        let wanted = payments.iter().try_fold(0_u64, |sum, (_, amount)| sum.checked_add(*amount));
        let Some(wanted) = wanted else { return Ok(None) };
        let coins = self.spendable_coins().await?;
        let mut gathered = 0_u64;
        let mut inputs = Vec::new();
        let mut needed = wanted;
        for coin in &coins {
            if gathered >= needed && !inputs.is_empty() {
                break;
            }
            if self.is_spent_in_mempool(coin).await? {
                continue;
            }
            gathered = gathered.saturating_add(coin.amount_sat()?);
            needed = needed.saturating_add(FEE_PER_INPUT_SAT);
            inputs.push(coin.outpoint());
        }
        let Some(change) = gathered.checked_sub(needed).filter(|_| !inputs.is_empty()) else {
            return Ok(None);
        };
        Ok(Some(payment(&inputs, payments, change)))
    }

    async fn is_spent_in_mempool(&self, coin: &Coin) -> Result<bool, DevnetError> {
        let include_mempool = true;
        let output =
            self.call("gettxout", json!([coin.txid.to_string(), coin.vout, include_mempool])).await?;
        Ok(output.is_null())
    }

    /// Confirmed and mature, oldest first.
    async fn spendable_coins(&self) -> Result<Vec<Coin>, DevnetError> {
        let descriptor = format!("addr({})", address());
        let scan = self.call("scantxoutset", json!(["start", [descriptor]])).await?;
        let mut scan: Scan =
            serde_json::from_value(scan).map_err(|error| unexpected("scantxoutset", &error.to_string()))?;
        let tip = scan.height;
        scan.unspents.retain(|coin| !coin.coinbase || tip.saturating_sub(coin.height) >= COINBASE_MATURITY);
        scan.unspents.sort_by_key(|coin| (coin.height, coin.outpoint()));
        Ok(scan.unspents)
    }
}

fn payment(inputs: &[OutPoint], payments: &[(Address, u64)], change_sat: u64) -> Transaction {
    let input = inputs.iter().map(|outpoint| TxIn {
        previous_output: *outpoint,
        script_sig: ScriptBuf::new(),
        sequence: Sequence::ENABLE_RBF_NO_LOCKTIME,
        witness: Witness::from_slice(&[witness_script().as_bytes()]),
    });
    let output = |address: &Address, amount_sat| TxOut {
        value: Amount::from_sat(amount_sat),
        script_pubkey: address.script_pubkey(),
    };
    let mut outputs: Vec<_> =
        payments.iter().map(|(address, amount_sat)| output(address, *amount_sat)).collect();
    if change_sat >= DUST_SAT {
        outputs.push(output(&address(), change_sat));
    }
    Transaction { version: Version::TWO, lock_time: LockTime::ZERO, input: input.collect(), output: outputs }
}
