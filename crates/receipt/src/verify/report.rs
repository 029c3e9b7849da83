//! What a verified bundle says.

use std::fmt;

use ailayer_primitives::{Network, UnixS};
use serde::Serialize;

use crate::bundle::Bundle;
use crate::statement::{Outcome, Quote, Receipt, Task};

use super::Trust;
use super::chain::Anchored;
use super::log::Logged;
use super::statements::Statements;

/// Sentences about the checks that passed, in their order.
pub(super) type Checks = Vec<String>;

/// How the claim that the receipt authorised has ended, as far as the bundle shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Ending {
    /// A closing entry says that the money was taken.
    Settled,
    /// A closing entry says that the money was given back.
    Voided,
    /// A closing entry says that the claim failed.
    Lost,
    /// The bundle has no closing entry: the receipt alone says "claim authorised", not more.
    #[serde(rename = "NONE")]
    NoClosingEntry,
}

impl From<Outcome> for Ending {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Settled => Self::Settled,
            Outcome::Voided => Self::Voided,
            Outcome::Lost => Self::Lost,
        }
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Settled => "SETTLED",
            Self::Voided => "VOIDED",
            Self::Lost => "LOST",
            Self::NoClosingEntry => "no closing entry",
        })
    }
}

/// What a verified bundle says, and what that rests on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Network of the money and of the anchor.
    pub network: Network,
    /// The quote.
    pub quote: Quote,
    /// The receipt.
    pub receipt: Receipt,
    /// How it ended.
    pub ending: Ending,
    /// Index of the receipt in the log.
    pub receipt_leaf_index: u64,
    /// Name of the log.
    pub origin: String,
    /// Size of the anchored checkpoint.
    pub tree_size: u64,
    /// The anchoring transaction.
    pub txid: String,
    /// Block that holds it.
    pub block_hash: String,
    /// Height of that block, when the bundle proves it.
    pub block_height: Option<u32>,
    /// Time in that block's header: when the checkpoint existed at the latest, within Bitcoin's two hours.
    pub block_unix_s: UnixS,
    /// Last block of the bundle.
    pub tip_hash: String,
    /// Blocks from the anchoring one to the last.
    pub confirmations: u32,
    /// The checks that passed, in order, in words.
    pub checks: Vec<String>,
    /// What the caller knew from elsewhere and the bundle agrees with.
    pub pinned: Vec<&'static str>,
    /// What the caller did not pin, and what therefore remains to be trusted.
    pub not_pinned: Vec<&'static str>,
}

pub(super) fn report(
    bundle: &Bundle,
    trust: &Trust,
    statements: Statements,
    log: Logged,
    chain: Anchored,
    checks: Checks,
) -> Report {
    let (pinned, not_pinned) = pins(trust, &statements.quote);
    Report {
        network: bundle.network,
        ending: statements.closing.map_or(Ending::NoClosingEntry, |(closing, _)| closing.outcome.into()),
        quote: statements.quote,
        receipt: statements.receipt,
        receipt_leaf_index: bundle.receipt_proof.leaf_index,
        origin: log.checkpoint.origin,
        tree_size: log.checkpoint.tree_size,
        txid: chain.txid.to_string(),
        block_hash: chain.block_hash.to_string(),
        block_height: bundle.anchor.block_height,
        block_unix_s: UnixS(chain.block_unix_s.into()),
        tip_hash: chain.tip_hash.to_string(),
        confirmations: u32::try_from(chain.confirmations).unwrap_or(u32::MAX),
        checks,
        pinned,
        not_pinned,
    }
}

fn pins(trust: &Trust, quote: &Quote) -> (Vec<&'static str>, Vec<&'static str>) {
    let ciphertext = (trust.sealed_digest.is_some(), "ciphertext", "ciphertext: only its digest is known");
    let all = [
        (trust.gateway_key.is_some(), "gateway key", "gateway key: the bundle names it itself"),
        (trust.log_key.is_some(), "log key", "log key: the bundle names it itself"),
        (trust.network.is_some(), "network", "network: the bundle names it itself"),
        (
            trust.trusted_block.is_some(),
            "trusted block",
            "trusted block: that the headers are the best chain rests on their work alone",
        ),
        match quote.task {
            Task::Embed => {
                (trust.request_texts.is_some(), "request texts", "request texts: only their digest is known")
            }
            Task::Infer => (
                trust.request_tensors.is_some(),
                "request tensors",
                "request tensors: only their digest is known",
            ),
        },
        (trust.output.is_some(), "output", "output: only its digest is known"),
    ];
    let all = all.into_iter().chain(quote.seal.is_some().then_some(ciphertext));
    let (known, unknown): (Vec<_>, Vec<_>) = all.partition(|(is_known, ..)| *is_known);
    (known.into_iter().map(|(_, word, _)| word).collect(), unknown.into_iter().map(|(.., why)| why).collect())
}
