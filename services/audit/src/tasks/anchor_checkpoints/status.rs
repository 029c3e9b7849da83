//! What the anchoring task says: metrics always, log lines once a change.

use ailayer_platform::telemetry::{Counter, Gauge, counter, gauge};
use bitcoin::Txid;

use super::AnchorError;
use crate::domain::anchor::{Anchor, AnchorState};

/// The last things said, so that they are not said again.
pub(super) struct Status {
    trouble: Option<String>,
    rejection: Option<(Txid, String)>,
    funded: Option<bool>,
    chain_up: Gauge,
    balance: Gauge,
    funded_gauge: Gauge,
    transitions: Counter,
}

impl Status {
    pub(super) fn new() -> Self {
        Self {
            trouble: None,
            rejection: None,
            funded: None,
            chain_up: gauge("ailayer.audit.indexer.up", "1", "1 while the indexer answers, else 0"),
            balance: gauge("ailayer.audit.wallet.balance", "sat", "coins for anchors, confirmed and not"),
            funded_gauge: gauge(
                "ailayer.audit.wallet.funded",
                "1",
                "0 when an anchor is due and cannot be paid",
            ),
            transitions: counter("ailayer.audit.anchor.transitions", "{anchor}", "anchors entering a state"),
        }
    }

    /// A turn ended.
    pub(super) fn turn(&mut self, outcome: &Result<(), AnchorError>) {
        let trouble = outcome.as_ref().err().map(ToString::to_string);
        self.chain_up.set(i64::from(!matches!(outcome, Err(AnchorError::Chain(_)))), &[]);
        if trouble == self.trouble {
            return;
        }
        match &trouble {
            Some(error) => tracing::warn!(%error, "anchoring is held up; appends go on"),
            None => tracing::info!("anchoring goes on"),
        }
        self.trouble = trouble;
    }

    /// The coins there are.
    pub(super) fn balance(&self, balance_sat: u64) {
        self.balance.set(i64::try_from(balance_sat).unwrap_or(i64::MAX), &[]);
    }

    /// Whether a due anchor could be paid.
    pub(super) fn funded(&mut self, funded: bool, address: &str) {
        self.funded_gauge.set(i64::from(funded), &[]);
        let before = self.funded.replace(funded);
        if !funded && before != Some(false) {
            tracing::warn!(address, "no confirmed coins for an anchor: send a little bitcoin to the address");
        } else if funded && before == Some(false) {
            tracing::info!("the wallet can pay for anchors again");
        }
    }

    /// False after an anchor could not be paid, and before the first one was.
    pub(super) fn is_funded(&self) -> bool {
        self.funded == Some(true)
    }

    /// The chain source refused an anchor's transaction.
    pub(super) fn rejected(&mut self, txid: Txid, reason: String) {
        let said = Some((txid, reason));
        if self.rejection != said {
            if let Some((txid, reason)) = &said {
                tracing::warn!(%txid, reason, "the anchor transaction was refused");
            }
            self.rejection = said;
        }
    }

    /// An anchor entered its state, from another or newly made.
    pub(super) fn entered(&self, anchor: &Anchor, from: Option<AnchorState>) {
        let (state, from) = (anchor.state.as_str(), from.map(AnchorState::as_str));
        self.transitions.add(1, &[("state", state)]);
        let (tree_size, txid) = (anchor.tree_size, anchor.attempts.last().map(|attempt| attempt.txid));
        let txid = txid.map(|txid| txid.to_string());
        tracing::info!(state, from, tree_size, txid, "anchor moved");
    }
}
