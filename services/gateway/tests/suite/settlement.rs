//! Whole jobs on PostgreSQL and on a model: the same seeded sequence of orders, payments, cancellations and outages, on two to
//! four gateways over one database whose connections are cut at COMMIT and which are killed in the middle. At rest, every end,
//! balance, receipt and closing entry must be one that the model allows, given what the sides around the gateways saw.
//!
//! ```text
//!   seed -> plan -> buyers -> gateways (killed) -> proxies (cut at COMMIT) -> PostgreSQL -> found --+
//!                     |            |                                                                +-> compare
//!                     |            +-> payments, model, log (fakes) ------------> seen -> model  --+
//!                     +-> answers -------------------------------------------------^
//! ```
//!
//! `AILAYER_GATEWAY_SEEDS=n` sets how many, `AILAYER_GATEWAY_SEED=n` runs one again: the same orders, moods, cuts and kills,
//! though threads run as they will.
//!
//! | module | what it is |
//! |---|---|
//! | `plan` | what a seed does, before anything has happened |
//! | `town` | a database, the fakes, gateways behind proxies, a node that ends claims |
//! | `buyers` | carries the plan out, and keeps what was asked and answered |
//! | `rest` | everything is mended, and every request repeated until it has its end |
//! | `found` | what the tables and the log say then |
//! | `model` | what they must say |
//! | `many` | two hundred of them |
//! | `faults` | deliberate faults, to see that they are noticed |

mod buyers;
mod faults;
mod found;
mod many;
mod model;
mod plan;
mod rest;
mod town;

use buyers::Buyers;
use plan::Plan;
use town::Town;

/// What went on in a history, so that nobody believes in a test that tests nothing.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Reached {
    hold_settled: u64,
    hold_lost: u64,
    hold_released: u64,
    prepaid_settled: u64,
    prepaid_failed: u64,
    credited: u64,
    voided: u64,
    surplus: u64,
    kills: u64,
    cuts: u64,
}

impl Reached {
    fn and(self, other: Self) -> Self {
        Self {
            hold_settled: self.hold_settled + other.hold_settled,
            hold_lost: self.hold_lost + other.hold_lost,
            hold_released: self.hold_released + other.hold_released,
            prepaid_settled: self.prepaid_settled + other.prepaid_settled,
            prepaid_failed: self.prepaid_failed + other.prepaid_failed,
            credited: self.credited + other.credited,
            voided: self.voided + other.voided,
            surplus: self.surplus + other.surplus,
            kills: self.kills + other.kills,
            cuts: self.cuts + other.cuts,
        }
    }

    /// Rules that are never put to the test are kept easily.
    fn assert_everything(&self) {
        let ends = [
            self.hold_settled,
            self.hold_lost,
            self.hold_released,
            self.prepaid_settled,
            self.prepaid_failed,
        ];
        let others = [self.credited, self.voided, self.surplus, self.kills, self.cuts];
        assert!(ends.iter().chain(&others).all(|count| *count > 10), "something is hardly reached: {self:?}");
    }
}

/// One history, mended and at rest.
async fn history(seed: u64, plan: &Plan) -> (Town, Buyers) {
    let town = Town::new(seed, plan).await;
    let buyers = Buyers::settle(&town, plan).await;
    buyers.carry_out(&town, plan).await;
    rest::come_to_rest(&town, &buyers).await;
    (town, buyers)
}

/// What is wrong with it, in words; nothing in a sound one.
async fn differences(town: &Town, buyers: &Buyers) -> (Vec<String>, Reached) {
    let seen = buyers.seen(town).await;
    let found = found::read(town).await;
    let mut wrong = model::compare(&seen, &found);
    wrong.extend(found::contradictions(town).await);
    (wrong, model::reached(&seen, &found, town))
}
