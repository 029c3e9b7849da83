//! What this service measures.

use std::sync::OnceLock;

use ailayer_platform::telemetry::{Counter, Gauge, counter, gauge};

use crate::domain::hold_invoice::HoldState;
use crate::domain::outgoing::PaymentState;

fn signed(count: impl TryInto<i64>) -> i64 {
    count.try_into().unwrap_or(i64::MAX)
}

/// A hold invoice entered a state.
pub fn hold_moved(state: HoldState) {
    static COUNTER: OnceLock<Counter> = OnceLock::new();
    let describe =
        || counter("ailayer.hold_invoice.transitions", "{transition}", "States that hold invoices entered.");
    COUNTER.get_or_init(describe).add(1, &[("state", state.as_str())]);
}

/// An outgoing payment ended.
pub fn payment_ended(state: PaymentState) {
    static COUNTER: OnceLock<Counter> = OnceLock::new();
    let describe = || counter("ailayer.outgoing_payment.ended", "{payment}", "Outgoing payments that ended.");
    COUNTER.get_or_init(describe).add(1, &[("state", state.as_str())]);
}

/// The node reported money that no row authorised. Any is a reason to look.
pub fn unexpected_receipt() {
    static COUNTER: OnceLock<Counter> = OnceLock::new();
    let describe =
        || counter("ailayer.payment.unexpected_receipts", "{receipt}", "Receipts that no row authorised.");
    COUNTER.get_or_init(describe).add(1, &[]);
}

/// The node reported what the rows say cannot be. Any is a reason to look.
pub fn contradiction(what: &'static str) {
    static COUNTER: OnceLock<Counter> = OnceLock::new();
    let describe = || {
        counter(
            "ailayer.payment.contradictions",
            "{contradiction}",
            "Reports of the node that contradict the rows.",
        )
    };
    COUNTER.get_or_init(describe).add(1, &[("what", what)]);
}

/// Outgoing payments whose call was cut off and whose outcome the node has not told yet.
pub fn unresolved_payments(count: usize) {
    static GAUGE: OnceLock<Gauge> = OnceLock::new();
    let describe =
        || gauge("ailayer.outgoing_payment.unresolved", "{payment}", "Payments of unknown outcome.");
    GAUGE.get_or_init(describe).set(signed(count), &[]);
}

/// Holds that take HTLC slots now, and the money in them.
pub fn held(holds: u64, msat: u64) {
    static HOLDS: OnceLock<Gauge> = OnceLock::new();
    static MSAT: OnceLock<Gauge> = OnceLock::new();
    let holds_gauge =
        || gauge("ailayer.hold_invoice.accepted", "{hold}", "Hold invoices that lock money now.");
    let msat_gauge = || gauge("ailayer.hold_invoice.held", "msat", "Money locked to hold invoices now.");
    HOLDS.get_or_init(holds_gauge).set(signed(holds), &[]);
    MSAT.get_or_init(msat_gauge).set(signed(msat), &[]);
}

/// What is shown when no money is locked: two weeks of blocks. A hold has fewer.
const NO_DEADLINE: i64 = 2016;

/// Blocks left until the earliest deadline of money that is locked now; negative past it.
pub fn blocks_left(deadline: Option<u32>, tip: u32) {
    static GAUGE: OnceLock<Gauge> = OnceLock::new();
    let describe = || {
        gauge(
            "ailayer.hold_invoice.blocks_left",
            "{block}",
            "Blocks until the earliest claim deadline of money locked now, at most 2016.",
        )
    };
    let left = deadline.map_or(NO_DEADLINE, |deadline| i64::from(deadline).saturating_sub(i64::from(tip)));
    GAUGE.get_or_init(describe).set(left.min(NO_DEADLINE), &[]);
}

/// What the node's channels hold more than the rows say. Anything but 0 is a reason to look.
pub fn funds_residue(msat: i128) {
    static GAUGE: OnceLock<Gauge> = OnceLock::new();
    let describe = || {
        gauge(
            "ailayer.payment.funds_residue",
            "msat",
            "What the node's channels hold more than the rows say.",
        )
    };
    GAUGE.get_or_init(describe).set(i64::try_from(msat).unwrap_or(i64::MAX), &[]);
}

/// The node's tip.
pub fn tip(height: u32) {
    static GAUGE: OnceLock<Gauge> = OnceLock::new();
    let describe = || gauge("ailayer.lightning_node.tip", "{block}", "The height of the node's tip.");
    GAUGE.get_or_init(describe).set(i64::from(height), &[]);
}
