//! A key of our own: the node has no wallet.

use ailayer_devnet::Bitcoind;
use bitcoin::key::{CompressedPublicKey, Secp256k1};
use bitcoin::secp256k1::{All, Message, SecretKey};
use bitcoin::sighash::{EcdsaSighashType, SighashCache};
use bitcoin::{
    Address, Amount, BlockHash, Network, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Witness,
    absolute, ecdsa, transaction,
};

const FEE_SAT: u64 = 1_000;

pub struct Wallet {
    secp: Secp256k1<All>,
    key: SecretKey,
    public: CompressedPublicKey,
}

/// An output of ours.
#[derive(Debug, Clone)]
pub struct Coin {
    pub outpoint: OutPoint,
    pub output: TxOut,
}

impl Wallet {
    pub fn new(seed: u8) -> Self {
        let secp = Secp256k1::new();
        let key = SecretKey::from_slice(&[seed; 32]).unwrap();
        let public = CompressedPublicKey(key.public_key(&secp));
        Self { secp, key, public }
    }

    pub fn address(&self) -> Address {
        Address::p2wpkh(&self.public, Network::Regtest)
    }

    pub fn script(&self) -> ScriptBuf {
        self.address().script_pubkey()
    }

    /// The reward of a block that was mined to us.
    pub async fn reward(&self, bitcoind: &Bitcoind, block: BlockHash) -> Coin {
        let block = bitcoind.block(block).await.unwrap();
        Self::coin(&block.txdata[0], 0)
    }

    pub fn coin(transaction: &Transaction, vout: u32) -> Coin {
        let output = transaction.output[vout as usize].clone();
        Coin { outpoint: OutPoint { txid: transaction.compute_txid(), vout }, output }
    }

    /// A signed transaction that spends a coin into `pays`, with the rest back to us.
    pub fn spend(&self, coin: &Coin, pays: Vec<TxOut>) -> Transaction {
        let paid: Amount = pays.iter().map(|output| output.value).sum();
        let change = coin.output.value - paid - Amount::from_sat(FEE_SAT);
        let mut output = pays;
        output.push(TxOut { value: change, script_pubkey: self.script() });
        self.sign(coin, output)
    }

    /// A signed transaction with exactly these outputs.
    pub fn sign(&self, coin: &Coin, output: Vec<TxOut>) -> Transaction {
        let mut spending = Transaction {
            version: transaction::Version::TWO,
            lock_time: absolute::LockTime::ZERO,
            input: vec![TxIn {
                previous_output: coin.outpoint,
                script_sig: ScriptBuf::new(),
                sequence: Sequence::ENABLE_RBF_NO_LOCKTIME,
                witness: Witness::new(),
            }],
            output,
        };
        let sighash = SighashCache::new(&spending)
            .p2wpkh_signature_hash(0, &coin.output.script_pubkey, coin.output.value, EcdsaSighashType::All)
            .unwrap();
        let signature = self.secp.sign_ecdsa(&Message::from(sighash), &self.key);
        let signature = ecdsa::Signature { signature, sighash_type: EcdsaSighashType::All };
        spending.input[0].witness = Witness::p2wpkh(&signature, &self.public.0);
        spending
    }
}
