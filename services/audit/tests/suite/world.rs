//! A chain, its indexer and a log, with the checks an offline verifier would make.

use std::sync::Arc;
use std::time::Duration;

use ailayer_devnet::Bitcoind;
use ailayer_primitives::Digest;
use ailayer_proto::ailayer::audit::v1 as pb;
use ailayer_tlog::leaf_hash;
use ailayer_tlog::note::Note;
use ailayer_tlog::proof::verify_inclusion;
use bitcoin::block::Header;
use bitcoin::consensus::encode;
use bitcoin::hashes::{Hash, sha256d};
use bitcoin::{Address, Network, Transaction};

use crate::bitcoind_indexer::FakeIndexer;
use crate::harness::{Audit, Home, hashes, open, wait_for};

/// A chain with coins in its faucet, its indexer, and an empty log.
pub struct World {
    pub bitcoind: Arc<Bitcoind>,
    pub indexer: FakeIndexer,
    pub home: Home,
}

impl World {
    pub async fn new(extra: &str) -> Self {
        let bitcoind = Arc::new(Bitcoind::start().await.unwrap());
        bitcoind.mine(101).await.unwrap();
        let indexer = FakeIndexer::start(bitcoind.clone()).await;
        let home = Home::new(&indexer.endpoint(), extra).await;
        Self { bitcoind, indexer, home }
    }

    /// Pays to the log's wallet, in a block.
    pub async fn fund(&self, audit: &Audit, amount_sat: u64) {
        let address = wait_for("an address", async || {
            Some(audit.log().await.wallet_address).filter(|address| !address.is_empty())
        })
        .await;
        let address: Address<_> = address.parse().unwrap();
        let address = address.require_network(Network::Regtest).unwrap();
        self.bitcoind.fund(&address, amount_sat).await.unwrap();
        self.bitcoind.mine(1).await.unwrap();
    }

    /// Waits for a transaction in the mempool that spends nothing of the faucet's: an anchor.
    pub async fn anchor_in_mempool(&self) -> Transaction {
        wait_for("an anchor in the mempool", async || {
            for txid in self.bitcoind.mempool().await.unwrap() {
                let transaction = self.bitcoind.transaction(txid).await.unwrap();
                if transaction.output.iter().any(|output| output.script_pubkey.is_op_return()) {
                    return Some(transaction);
                }
            }
            None
        })
        .await
    }

    /// Mines now and then until the entry is anchored.
    pub async fn mine_until_anchored(&self, audit: &Audit, entry: &[u8]) -> pb::GetEntryProofResponse {
        wait_for("the entry is anchored", async || {
            let proof = audit.entry_proof(entry, None).await;
            if proof.promise() == pb::Promise::Anchored {
                return Some(proof);
            }
            if !self.bitcoind.mempool().await.unwrap().is_empty() || newest(audit).await.is_some_and(is_mined)
            {
                self.bitcoind.mine(1).await.unwrap();
                tokio::time::sleep(Duration::from_millis(150)).await;
            }
            None
        })
        .await
    }
}

fn is_mined(anchor: pb::Anchor) -> bool {
    anchor.block.is_some()
}

pub async fn anchors(audit: &Audit) -> Vec<pb::Anchor> {
    let request = pb::ListAnchorsRequest { page_size: 100, page_token: String::new() };
    audit.client.clone().list_anchors(request).await.unwrap().into_inner().anchors
}

pub async fn newest(audit: &Audit) -> Option<pb::Anchor> {
    anchors(audit).await.into_iter().next()
}

fn header_hash(header: &[u8]) -> [u8; 32] {
    sha256d::Hash::hash(header).to_byte_array()
}

/// Checks an anchored proof as an offline verifier would, with nothing of the service's code.
pub async fn verify_anchored(audit: &Audit, entry: &[u8], proof: &pb::GetEntryProofResponse) {
    let checkpoint = open(&proof.checkpoint, &audit.verifier().await);
    let leaf = leaf_hash(entry);
    let inclusion = hashes(&proof.inclusion_hashes);
    verify_inclusion(&leaf, proof.leaf_index, checkpoint.tree_size, &inclusion, &checkpoint.root_hash)
        .unwrap();

    let anchor = proof.anchor.as_ref().unwrap();
    assert_eq!((&anchor.checkpoint, anchor.tree_size), (&proof.checkpoint, checkpoint.tree_size));
    let transaction: Transaction = encode::deserialize(&anchor.raw).unwrap();
    assert_eq!(transaction.compute_txid().to_byte_array(), anchor.txid[..]);
    let note = Note::parse(proof.checkpoint.as_bytes()).unwrap();
    let digest = Digest::sha256(note.text().as_bytes());
    let script = transaction.output[usize::try_from(anchor.vout).unwrap()].script_pubkey.to_bytes();
    assert_eq!(script, [&[0x6a, 0x20], digest.as_bytes().as_slice()].concat());

    let branch = anchor.merkle_branch.as_ref().unwrap();
    let mut hash = transaction.compute_txid().to_byte_array().to_vec();
    let mut position = branch.position;
    for sibling in &branch.siblings {
        let pair = if position.is_multiple_of(2) { [&hash[..], sibling] } else { [sibling, &hash[..]] };
        hash = sha256d::Hash::hash(&pair.concat()).to_byte_array().to_vec();
        position /= 2;
    }
    let first: Header = encode::deserialize(&proof.headers[0]).unwrap();
    assert_eq!(first.merkle_root.to_byte_array(), hash[..]);
    assert_eq!(header_hash(&proof.headers[0]), anchor.block.as_ref().unwrap().block_hash[..]);
    for pair in proof.headers.windows(2) {
        assert_eq!(pair[1][4..36], header_hash(&pair[0])[..], "headers link");
    }
    assert!(proof.headers.len() >= 2 && anchor.confirmations >= 2);
}

/// Pages of one show what one page of all shows.
pub async fn check_pages(audit: &Audit) {
    let all = anchors(audit).await;
    assert!(all.len() >= 3);
    assert!(all.windows(2).all(|pair| pair[0].tree_size > pair[1].tree_size), "newest first");
    let (mut paged, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = pb::ListAnchorsRequest { page_size: 1, page_token };
        let page = audit.client.clone().list_anchors(request).await.unwrap().into_inner();
        paged.extend(page.anchors);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    let sizes = |anchors: &[pb::Anchor]| anchors.iter().map(|anchor| anchor.tree_size).collect::<Vec<_>>();
    assert!(sizes(&all).ends_with(&sizes(&paged)[1..]) || sizes(&all) == sizes(&paged));
}

/// A transaction over the same coin, signed with the first key of the seed words.
pub async fn rival_of(world: &World, lost: &Transaction) -> Transaction {
    use bdk_wallet::keys::bip39::Mnemonic;
    use bitcoin::bip32::{DerivationPath, Xpriv};
    use bitcoin::secp256k1::{Message, Secp256k1};
    use bitcoin::sighash::{EcdsaSighashType, SighashCache};
    use bitcoin::{Amount, CompressedPublicKey, Witness};

    let words = std::fs::read_to_string(world.home.data_dir().join("wallet.mnemonic")).unwrap();
    let seed = Mnemonic::parse(words.trim()).unwrap().to_seed_normalized("");
    let secp = Secp256k1::new();
    let path: DerivationPath = "m/84'/1'/0'/0/0".parse().unwrap();
    let key =
        Xpriv::new_master(Network::Regtest, &seed).unwrap().derive_priv(&secp, &path).unwrap().to_priv();
    let public = CompressedPublicKey::from_private_key(&secp, &key).unwrap();
    let script = bitcoin::ScriptBuf::new_p2wpkh(&public.wpubkey_hash());

    let outpoint = lost.input[0].previous_output;
    let funding = world.bitcoind.transaction(outpoint.txid).await.unwrap();
    let coin = funding.output[usize::try_from(outpoint.vout).unwrap()].clone();
    assert_eq!(coin.script_pubkey, script, "the first address was funded");
    let mut rival = lost.clone();
    rival.input.truncate(1);
    rival.output.truncate(1);
    rival.output[0].script_pubkey = script.clone();
    rival.output[0].value = coin.value - Amount::from_sat(1_000);
    // Away from the wallet altogether.
    rival.output[0].script_pubkey = bitcoin::ScriptBuf::new_p2wsh(&bitcoin::WScriptHash::all_zeros());
    let mut cache = SighashCache::new(&rival);
    let sighash = cache.p2wpkh_signature_hash(0, &script, coin.value, EcdsaSighashType::All).unwrap();
    let message = Message::from_digest(sighash.to_byte_array());
    let signature = bitcoin::ecdsa::Signature::sighash_all(secp.sign_ecdsa(&message, &key.inner));
    rival.input[0].witness = Witness::p2wpkh(&signature, &public.0);
    rival
}
