//! The small wallet that pays for anchors: BIP 84 keys from twelve words or more in a file, coins and change by
//! `bdk_wallet`.
//!
//! The wallet lives in memory, in one task. Whatever changes in it is staged and must be stored
//! ([`AnchorWallet::take_staged`]) in the transaction that makes the change count: a signed anchor and the inputs it
//! reserves become durable together. When that fails the wallet is dropped and opened again from what is stored.

use std::path::Path;
use std::sync::Arc;

use ::bdk_wallet::chain::{ChainPosition, Merge};
use ::bdk_wallet::coin_selection::InsufficientFunds;
use ::bdk_wallet::error::{BuildFeeBumpError, CreateTxError};
use ::bdk_wallet::keys::bip39::Mnemonic;
use ::bdk_wallet::template::Bip84Public;
use ::bdk_wallet::{ChangeSet, KeychainKind, SignOptions, Wallet};
use ailayer_primitives::{Digest, UnixS};
use bitcoin::bip32::{DerivationPath, Xpriv, Xpub};
use bitcoin::{Amount, FeeRate, Network, Psbt, Transaction, Txid};
use zeroize::Zeroizing;

use crate::domain::anchor::Attempt;
use crate::domain::commitment;
use crate::secrets::{self, SecretError};

mod sync;

pub use sync::{Sweep, SyncError};

/// Name of the seed file in the data folder; its text is a BIP 39 mnemonic that any BIP 84 wallet restores.
pub const FILE_NAME: &str = "wallet.mnemonic";

/// Entropy of a new mnemonic, bytes: 24 words.
const ENTROPY_BYTES: usize = 32;

/// Why the wallet could not do something.
#[derive(Debug, thiserror::Error)]
pub enum WalletError {
    /// The seed words or the stored state are unusable; the reason never holds a secret.
    #[error("the wallet cannot be opened: {0}")]
    Open(String),
    /// The confirmed coins do not pay for the transaction.
    #[error("the wallet holds {available} in confirmed coins, {needed} are needed")]
    InsufficientFunds {
        /// What is needed.
        needed: Amount,
        /// What there is.
        available: Amount,
    },
    /// The transaction could not be built or signed.
    #[error("the anchor transaction cannot be made: {0}")]
    Build(String),
}

/// What became of the coins a transaction spends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InputFate {
    /// All are there, or spent by this transaction alone.
    Spendable,
    /// A confirmed transaction that is none of ours for this anchor spends one of them.
    Taken,
    /// A transaction that paid one of them to us is no longer on the chain or in the mempool.
    Orphaned,
}

/// The wallet.
pub struct AnchorWallet {
    wallet: Wallet,
    master: Xpriv,
}

/// Reads the seed words, or makes them at the first start.
///
/// # Errors
/// [`SecretError`] when the file is missing although `may_create` is false, or exposed.
pub fn load_mnemonic(data_dir: &Path, may_create: bool) -> Result<Zeroizing<String>, SecretError> {
    let path = data_dir.join(FILE_NAME);
    let unusable = |reason: String| SecretError::Unusable { path: path.clone(), reason };
    secrets::read_or_create(&path, may_create, || {
        let mut entropy = Zeroizing::new([0u8; ENTROPY_BYTES]);
        getrandom::fill(entropy.as_mut()).map_err(|error| unusable(format!("no randomness: {error}")))?;
        let mnemonic =
            Mnemonic::from_entropy(entropy.as_ref()).map_err(|error| unusable(error.to_string()))?;
        Ok(Zeroizing::new(mnemonic.to_string()))
    })
}

/// Merges stored changes, oldest first.
///
/// # Errors
/// [`WalletError::Open`] when one is not what [`AnchorWallet::take_staged`] gave.
pub fn merge_stored(stored: &[String]) -> Result<ChangeSet, WalletError> {
    let mut merged = ChangeSet::default();
    for text in stored {
        let change = serde_json::from_str(text)
            .map_err(|error| WalletError::Open(format!("stored change: {error}")))?;
        Merge::merge(&mut merged, change);
    }
    Ok(merged)
}

impl AnchorWallet {
    /// Opens the wallet from its words and its stored changes, or a new one when there are none.
    ///
    /// # Errors
    /// [`WalletError::Open`] when words, network and stored state do not belong together.
    pub fn open(mnemonic: &str, network: Network, stored: ChangeSet) -> Result<Self, WalletError> {
        let failed = |error: String| WalletError::Open(error);
        let words = Mnemonic::parse(mnemonic).map_err(|error| failed(error.to_string()))?;
        let seed = Zeroizing::new(words.to_seed_normalized(""));
        let master = Xpriv::new_master(network, seed.as_ref()).map_err(|error| failed(error.to_string()))?;
        let (external, internal) = descriptors(&master, network).map_err(failed)?;
        let loaded = Wallet::load()
            .descriptor(KeychainKind::External, Some(external.clone()))
            .descriptor(KeychainKind::Internal, Some(internal.clone()))
            .check_network(network)
            .load_wallet_no_persist(stored)
            .map_err(|error| failed(error.to_string()))?;
        let wallet = match loaded {
            Some(wallet) => wallet,
            None => Wallet::create(external, internal)
                .network(network)
                .create_wallet_no_persist()
                .map_err(|error| failed(error.to_string()))?,
        };
        Ok(Self { wallet, master })
    }

    /// What changed since the last call, to be stored before it counts; `None` when nothing did.
    ///
    /// # Errors
    /// [`WalletError::Build`] when it cannot be written as text.
    pub fn take_staged(&mut self) -> Result<Option<String>, WalletError> {
        let Some(staged) = self.wallet.take_staged() else { return Ok(None) };
        serde_json::to_string(&staged).map(Some).map_err(|error| WalletError::Build(error.to_string()))
    }

    /// The address that funds anchors: the same until something was paid to it.
    pub fn address(&mut self) -> String {
        self.wallet.next_unused_address(KeychainKind::External).address.to_string()
    }

    /// All coins, confirmed and not, satoshi.
    pub fn balance_sat(&self) -> u64 {
        self.wallet.balance().total().to_sat()
    }

    /// Signs a transaction that commits to the digest and spends confirmed coins only. Its inputs are reserved in
    /// memory at once, durably with [`AnchorWallet::take_staged`].
    ///
    /// # Errors
    /// [`WalletError`]; [`WalletError::InsufficientFunds`] waits for a deposit.
    pub fn sign_anchor(
        &mut self,
        digest: Digest,
        fee_rate: FeeRate,
        tip_height: u32,
        now: UnixS,
    ) -> Result<Attempt, WalletError> {
        let mut builder = self.wallet.build_tx();
        builder
            .add_recipient(commitment::script_pubkey(digest), Amount::ZERO)
            .fee_rate(fee_rate)
            .current_height(tip_height)
            .exclude_unconfirmed();
        let psbt = builder.finish().map_err(create_error)?;
        self.finish(psbt, digest, now)
    }

    /// Signs a replacement of an unconfirmed anchor at a higher fee rate, over the same inputs and more if needed.
    ///
    /// # Errors
    /// [`WalletError`] also when the transaction confirmed meanwhile or the rate is not high enough to replace it.
    pub fn sign_bump(
        &mut self,
        replaced: Txid,
        digest: Digest,
        fee_rate: FeeRate,
        tip_height: u32,
        now: UnixS,
    ) -> Result<Attempt, WalletError> {
        let mut builder = self.wallet.build_fee_bump(replaced).map_err(bump_error)?;
        builder.fee_rate(fee_rate).current_height(tip_height).exclude_unconfirmed();
        let psbt = builder.finish().map_err(create_error)?;
        self.finish(psbt, digest, now)
    }

    fn finish(&mut self, mut psbt: Psbt, digest: Digest, now: UnixS) -> Result<Attempt, WalletError> {
        let failed = |what: &str| WalletError::Build(what.to_owned());
        let fee_sat = psbt.fee().map_err(|error| WalletError::Build(error.to_string()))?.to_sat();
        psbt.sign(&self.master, self.wallet.secp_ctx()).map_err(|_| failed("an input cannot be signed"))?;
        let finalized = self
            .wallet
            .finalize_psbt(&mut psbt, SignOptions::default())
            .map_err(|error| WalletError::Build(error.to_string()))?;
        if !finalized {
            return Err(failed("not every input is signed"));
        }
        let transaction = psbt.extract_tx().map_err(|error| WalletError::Build(error.to_string()))?;
        let vout = commitment::find(&transaction, digest).ok_or_else(|| failed("no committing output"))?;
        self.wallet.apply_unconfirmed_txs([(Arc::new(transaction.clone()), now.0)]);
        let txid = transaction.compute_txid();
        Ok(Attempt { txid, transaction, vout, fee_sat })
    }

    /// What became of the coins a transaction spends, as of the last sync. `ours` are the anchor's own transactions;
    /// another one counts once it has this many confirmations.
    pub fn input_fate(&self, transaction: &Transaction, ours: &[Txid], confirmations: u32) -> InputFate {
        let graph = self.wallet.tx_graph();
        let tip_height = self.wallet.latest_checkpoint().height();
        let confirmed = |txid: Txid| match self.wallet.get_tx(txid).map(|tx| tx.chain_position) {
            Some(ChainPosition::Confirmed { anchor, .. }) => {
                tip_height.saturating_add(1).saturating_sub(anchor.block_id.height) >= confirmations
            }
            _ => false,
        };
        let outpoints = || transaction.input.iter().map(|input| input.previous_output);
        let mut spenders = outpoints().flat_map(|outpoint| graph.outspends(outpoint).iter().copied());
        if spenders.any(|txid| !ours.contains(&txid) && confirmed(txid)) {
            return InputFate::Taken;
        }
        let orphaned = outpoints().any(|outpoint| self.wallet.get_tx(outpoint.txid).is_none());
        if orphaned { InputFate::Orphaned } else { InputFate::Spendable }
    }
}

/// External and internal BIP 84 descriptors, public: the wallet never holds the key, only signing does.
fn descriptors(master: &Xpriv, network: Network) -> Result<(Bip84Public<Xpub>, Bip84Public<Xpub>), String> {
    let secp = bitcoin::secp256k1::Secp256k1::new();
    let coin = if network == Network::Bitcoin { 0 } else { 1 };
    let path: DerivationPath =
        format!("m/84'/{coin}'/0'").parse().map_err(|error: bitcoin::bip32::Error| error.to_string())?;
    let account = master.derive_priv(&secp, &path).map_err(|error| error.to_string())?;
    let account = Xpub::from_priv(&secp, &account);
    let fingerprint = master.fingerprint(&secp);
    Ok((
        Bip84Public(account, fingerprint, KeychainKind::External),
        Bip84Public(account, fingerprint, KeychainKind::Internal),
    ))
}

fn create_error(error: CreateTxError) -> WalletError {
    match error {
        CreateTxError::CoinSelection(InsufficientFunds { needed, available }) => {
            WalletError::InsufficientFunds { needed, available }
        }
        CreateTxError::NoUtxosSelected => {
            WalletError::InsufficientFunds { needed: Amount::ZERO, available: Amount::ZERO }
        }
        other => WalletError::Build(other.to_string()),
    }
}

fn bump_error(error: BuildFeeBumpError) -> WalletError {
    WalletError::Build(error.to_string())
}
