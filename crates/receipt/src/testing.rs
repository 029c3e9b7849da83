//! Complete bundles made in pure code: own keys, an own log, an own block of regtest difficulty.
//!
//! Everything is fixed, so the same fixture gives the same bytes for ever; `testdata/bundle-v1.json` is one of them.
#![allow(clippy::expect_used, reason = "a fixture that cannot be made stops the test that asked for it")]

mod block;

use ailayer_primitives::{AmountMsat, Digest, JobId, Network, Preimage, UnixMs, UnixS};
use ailayer_seal::SecretKey;
use ailayer_tlog::note::Signer;
use ailayer_tlog::proof::{inclusion_proof, root_at};
use ailayer_tlog::{Checkpoint, Frontier, NodeHash, leaf_hash};
use zeroize::Zeroizing;

use crate::anchor::commitment;
use crate::bundle::{Bundle, BundleParts, LogProof, assemble};
use crate::digest::{embed_input, embed_output_rows};
use crate::keys::GatewaySigner;
use crate::statement::{Claim, Model, Rail, Seal, Task, Usage};
use crate::statement::{Closing, Outcome, Quote, Receipt, VERSION};
use crate::verify::{KnownOutput, Trust};

pub use block::Block;
#[cfg(test)]
pub(crate) use block::merkle_branch;

/// Index of the receipt in the fixture's log.
pub const RECEIPT_INDEX: u64 = 2;
/// Index of the closing entry in the fixture's log.
pub const CLOSING_INDEX: u64 = 4;
/// Entries in the fixture's log.
const TREE_SIZE: u64 = 7;
/// The price that is quoted and taken.
const PRICE_MSAT: u64 = 8_000;

/// The parts of a bundle before they are signed. Change what a test is about, then [`Fixture::relink`] or not.
#[derive(Debug, Clone)]
pub struct Fixture {
    /// The gateway's key.
    pub gateway: GatewaySigner,
    /// The log's key.
    pub log: Signer,
    /// What was asked.
    pub texts: Vec<String>,
    /// What was answered.
    pub output: Vec<Vec<f32>>,
    /// Network the bundle says it is on.
    pub network: Network,
    /// The quote.
    pub quote: Quote,
    /// The receipt.
    pub receipt: Receipt,
    /// The closing entry, if there is one.
    pub closing: Option<Closing>,
    /// The block that holds the anchor.
    pub block: Block,
}

impl Default for Fixture {
    fn default() -> Self {
        Self::new()
    }
}

impl Fixture {
    /// A job that was settled.
    #[must_use]
    pub fn new() -> Self {
        Self::with_ending(Some(Outcome::Settled))
    }

    /// A job that ended so; `None` for one without closing entry.
    #[must_use]
    pub fn with_ending(ending: Option<Outcome>) -> Self {
        let gateway = GatewaySigner::new(&[0x11; 32]);
        let texts = vec!["Bitcoin is a witness.".to_owned(), "Lightning is fast.".to_owned()];
        let output = vec![vec![0.5, -0.25, 1.0], vec![0.125, 0.75, -1.5]];
        let quote = quote(&gateway, &texts);
        let receipt = receipt(&quote, &output);
        let closing = ending.map(|outcome| closing(outcome, &receipt));
        let mut fixture = Self {
            log: Signer::try_new("log.example/ailayer", &[0x22; 32]).expect("name"),
            network: quote.network,
            block: Block::default(),
            gateway,
            texts,
            output,
            quote,
            receipt,
            closing,
        };
        fixture.relink();
        fixture
    }

    /// The same job with a sealed answer.
    #[must_use]
    pub fn sealed() -> Self {
        let mut fixture = Self::new();
        let key = |byte| SecretKey::new(&Zeroizing::new([byte; 32])).public_key();
        fixture.quote.seal = Some(Seal { buyer_key: key(0x33), gateway_key: key(0x44) });
        fixture.receipt.sealed_digest = Some(Digest::sha256(b"the ciphertext"));
        fixture.relink();
        fixture
    }

    /// Makes receipt and closing entry name the quote and receipt as they are now.
    pub fn relink(&mut self) {
        self.receipt.quote_digest = self.gateway.sign(&self.quote).expect("quote").digest();
        let leaf_hash = self.gateway.sign(&self.receipt).expect("receipt").leaf_hash();
        if let Some(closing) = &mut self.closing {
            closing.receipt_leaf_hash = leaf_hash;
        }
    }

    /// What a bundle is made of, signed, logged and anchored.
    #[must_use]
    pub fn parts(&self) -> BundleParts {
        let quote = self.gateway.sign(&self.quote).expect("quote").into_string();
        let receipt = self.gateway.sign(&self.receipt).expect("receipt").into_string();
        let closing =
            self.closing.as_ref().map(|closing| self.gateway.sign(closing).expect("closing").into_string());
        let (checkpoint, prove) = self.publish(&receipt, closing.as_deref());
        let body = checkpoint.body();
        BundleParts {
            network: self.network,
            gateway_key: self.gateway.public_key(),
            log_vkey: self.log.verifier().to_string(),
            quote,
            receipt,
            receipt_proof: prove(RECEIPT_INDEX),
            closing: closing.map(|closing| (closing, prove(CLOSING_INDEX))),
            checkpoint: checkpoint.sign(&self.log).expect("checkpoint").to_string(),
            anchor: self.block.anchor(&commitment(&body)),
        }
    }

    /// The bundle, whether it verifies or not.
    #[must_use]
    pub fn bundle(&self) -> Bundle {
        assemble(self.parts()).expect("well-formed parts")
    }

    /// Everything the buyer of this job would pin.
    #[must_use]
    pub fn trust(&self) -> Trust {
        let parts = self.parts();
        let tip = parts.anchor.headers.last().expect("headers");
        let tip: bitcoin::block::Header = bitcoin::consensus::deserialize(tip).expect("header");
        Trust {
            gateway_key: Some(self.gateway.public_key()),
            log_key: Some(self.log.verifier().clone()),
            network: Some(self.network),
            min_confirmations: u32::try_from(parts.anchor.headers.len()).expect("few"),
            trusted_block: Some(tip.block_hash()),
            request_texts: Some(self.texts.clone()),
            request_tensors: None,
            output: Some(KnownOutput::Rows(self.output.clone())),
            sealed_digest: self.receipt.sealed_digest,
        }
    }

    /// The log with the entries in it: its checkpoint, and a maker of proofs.
    fn publish(
        &self,
        receipt: &str,
        closing: Option<&str>,
    ) -> (Checkpoint, impl Fn(u64) -> LogProof + use<>) {
        let mut frontier = Frontier::new();
        let mut nodes = Vec::new();
        for index in 0..TREE_SIZE {
            let entry = match (index, closing) {
                (RECEIPT_INDEX, _) => receipt.to_owned(),
                (CLOSING_INDEX, Some(closing)) => closing.to_owned(),
                _ => format!("another entry, {index}"),
            };
            nodes.extend(frontier.append(leaf_hash(entry.as_bytes())).expect("not full"));
        }
        let read = move |level: u8, index: u64| -> Option<NodeHash> {
            nodes.iter().find(|node| (node.id.level, node.id.index) == (level, index)).map(|node| node.hash)
        };
        let root_hash = root_at(&read, TREE_SIZE).expect("complete");
        let origin = self.log.verifier().name().to_owned();
        let prove = move |leaf_index| LogProof {
            leaf_index,
            tree_size: TREE_SIZE,
            hashes: inclusion_proof(&read, leaf_index, TREE_SIZE).expect("complete"),
        };
        (Checkpoint { origin, tree_size: TREE_SIZE, root_hash }, prove)
    }
}

fn quote(gateway: &GatewaySigner, texts: &[String]) -> Quote {
    Quote {
        version: VERSION,
        job_id: job_id(),
        network: Network::Regtest,
        seller: gateway.public_key(),
        model: Model {
            name: "all-MiniLM-L6-v2".to_owned(),
            version: "1".to_owned(),
            digest: Digest::sha256(b"the model's files"),
        },
        task: Task::Embed,
        request_digest: embed_input(texts).expect("few texts"),
        input_tokens: 8,
        tensor_bytes: 0,
        price_msat: price(),
        rail: Rail::Hold,
        expiry_unix_s: UnixS(1_767_226_200),
        created_unix_s: UnixS(1_767_225_600),
        seal: None,
    }
}

fn receipt(quote: &Quote, output: &[Vec<f32>]) -> Receipt {
    Receipt {
        version: VERSION,
        job_id: quote.job_id,
        network: quote.network,
        model: quote.model.clone(),
        execution_provider: "CPUExecutionProvider".to_owned(),
        request_digest: quote.request_digest,
        output_digest: embed_output_rows(output).expect("rectangular"),
        usage: Usage { input_tokens: quote.input_tokens, tensor_bytes: 0, rows: 2 },
        price_msat: quote.price_msat,
        rail: quote.rail,
        payment_hash: Some(Preimage::new([0x33; 32]).payment_hash()),
        quote_digest: Digest::new([0; 32]),
        attempt: 1,
        held_unix_ms: UnixMs(1_767_225_605_000),
        started_unix_ms: UnixMs(1_767_225_605_020),
        completed_unix_ms: UnixMs(1_767_225_605_090),
        claims: Claim::ClaimAuthorised,
        sealed_digest: None,
    }
}

fn closing(outcome: Outcome, receipt: &Receipt) -> Closing {
    let amount_msat = if outcome == Outcome::Voided { AmountMsat::ZERO } else { receipt.price_msat };
    Closing {
        version: VERSION,
        job_id: receipt.job_id,
        outcome,
        receipt_leaf_hash: NodeHash::new([0; 32]),
        amount_msat,
        closed_unix_ms: UnixMs(1_767_225_606_000),
    }
}

fn job_id() -> JobId {
    "0198c0de-7e57-7000-8000-000000000001".parse().expect("uuid")
}

fn price() -> AmountMsat {
    AmountMsat::try_new(PRICE_MSAT).expect("below 21 million")
}
