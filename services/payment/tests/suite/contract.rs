//! What the service relies on in a Lightning node: the same scenarios on the real one and on the fake.

use std::time::Duration;

use ailayer_payer::{Payer, PaymentOutcome};
use ailayer_payment::ports::{LightningNode, NodeError, NodeEvent, NodeRecord};
use ailayer_primitives::{AmountMsat, Digest, PaymentHash, Preimage};
use async_trait::async_trait;
use uuid::Uuid;

use crate::fake_node::{FakeNode, Outcome};
use crate::nodes::{PATIENCE, PRICE_MSAT, pay};
use crate::running::{agreeing, until};
use crate::world::{alone, exclusive};

/// A node and somebody who pays its invoices.
#[async_trait]
trait Bench: Sync {
    fn node(&self) -> &dyn LightningNode;
    async fn pay(&self, bolt11: &str);
    async fn pay_amount(&self, bolt11: &str, msat: u64);
    async fn outcome(&self, hash: PaymentHash) -> Outcome;
}

struct Real<'a>(&'a dyn LightningNode, &'a Payer);

#[async_trait]
impl Bench for Real<'_> {
    fn node(&self) -> &dyn LightningNode {
        self.0
    }
    async fn pay(&self, bolt11: &str) {
        pay(self.1, bolt11).await;
    }
    async fn pay_amount(&self, bolt11: &str, msat: u64) {
        self.1.pay_amount(bolt11, AmountMsat::try_new(msat).unwrap()).await.unwrap();
    }
    async fn outcome(&self, hash: PaymentHash) -> Outcome {
        match self.1.wait_payment(hash, PATIENCE).await.unwrap() {
            PaymentOutcome::Succeeded { preimage, .. } => Outcome::Succeeded(preimage.unwrap()),
            PaymentOutcome::Failed { .. } => Outcome::Failed,
        }
    }
}

#[async_trait]
impl Bench for FakeNode {
    fn node(&self) -> &dyn LightningNode {
        self
    }
    async fn pay(&self, bolt11: &str) {
        FakeNode::pay(self, bolt11);
    }
    async fn pay_amount(&self, bolt11: &str, msat: u64) {
        FakeNode::pay_amount(self, bolt11, msat);
    }
    async fn outcome(&self, hash: PaymentHash) -> Outcome {
        FakeNode::outcome(self, hash).unwrap()
    }
}

async fn every_scenario(bench: &dyn Bench) {
    a_claim_gives_the_payer_the_proof_and_us_an_event(bench).await;
    a_claim_takes_what_arrived_whatever_it_names(bench).await;
    a_fail_back_has_no_event_and_the_invoice_can_be_paid_again(bench).await;
    what_the_node_does_not_know_it_refuses(bench).await;
}

fn secret() -> Preimage {
    Preimage::new(*Digest::sha256(Uuid::new_v4().as_bytes()).as_bytes())
}

fn price() -> AmountMsat {
    AmountMsat::try_new(PRICE_MSAT).unwrap()
}

async fn invoice(bench: &dyn Bench, preimage: &Preimage) -> String {
    let made = bench.node().receive_for_hash(preimage.payment_hash(), price(), Digest::new([2; 32]), 600);
    made.await.unwrap().bolt11
}

/// The next event about a payment; others are dropped.
async fn next(node: &dyn LightningNode) -> NodeEvent {
    loop {
        let event = tokio::time::timeout(PATIENCE, node.next_event()).await.expect("an event");
        if !matches!(event, NodeEvent::ChannelReady { .. } | NodeEvent::Other(_)) {
            return event;
        }
        node.event_handled().await.unwrap();
    }
}

async fn quiet(node: &dyn LightningNode) -> bool {
    tokio::time::sleep(Duration::from_millis(300)).await;
    !node.has_event()
}

async fn a_claim_gives_the_payer_the_proof_and_us_an_event(bench: &dyn Bench) {
    let (node, preimage) = (bench.node(), secret());
    let hash = preimage.payment_hash();
    bench.pay(&invoice(bench, &preimage).await).await;
    let claimable = next(node).await;
    let NodeEvent::PaymentClaimable { payment_hash, amount, claim_deadline_height, .. } = &claimable else {
        panic!("{claimable:?}")
    };
    assert_eq!((*payment_hash, *amount), (hash, price()));
    assert!(claim_deadline_height.unwrap() > node.status().tip.height + 2);
    assert!(node.has_event());
    assert_eq!(next(node).await, claimable, "the same until it is handled");
    node.event_handled().await.unwrap();

    node.claim(price(), &preimage).await.unwrap();
    assert_eq!(next(node).await, NodeEvent::PaymentReceived { payment_hash: hash, amount: price() });
    node.event_handled().await.unwrap();
    assert_eq!(bench.outcome(hash).await, Outcome::Succeeded(*preimage.expose()));
    assert_eq!(node.record(hash).await.unwrap(), Some(NodeRecord::Succeeded));

    // Neither a second claim nor a late fail-back changes anything, and both say "ok".
    node.claim(price(), &preimage).await.unwrap();
    node.fail_back(hash).await.unwrap();
    assert!(quiet(node).await);
    assert_eq!(bench.outcome(hash).await, Outcome::Succeeded(*preimage.expose()));
}

async fn a_claim_takes_what_arrived_whatever_it_names(bench: &dyn Bench) {
    let (node, preimage) = (bench.node(), secret());
    let hash = preimage.payment_hash();
    bench.pay_amount(&invoice(bench, &preimage).await, PRICE_MSAT + 1_000).await;
    assert!(matches!(next(node).await, NodeEvent::PaymentClaimable { .. }));
    node.event_handled().await.unwrap();
    node.claim(price(), &preimage).await.unwrap();
    let amount = AmountMsat::try_new(PRICE_MSAT + 1_000).unwrap();
    assert_eq!(next(node).await, NodeEvent::PaymentReceived { payment_hash: hash, amount });
    node.event_handled().await.unwrap();
}

async fn a_fail_back_has_no_event_and_the_invoice_can_be_paid_again(bench: &dyn Bench) {
    let (node, preimage) = (bench.node(), secret());
    let hash = preimage.payment_hash();
    let bolt11 = invoice(bench, &preimage).await;
    for _ in 0..2 {
        bench.pay(&bolt11).await;
        assert!(matches!(next(node).await, NodeEvent::PaymentClaimable { .. }));
        node.event_handled().await.unwrap();
        node.fail_back(hash).await.unwrap();
        node.fail_back(hash).await.unwrap();
        assert_eq!(bench.outcome(hash).await, Outcome::Failed);
        assert_eq!(node.record(hash).await.unwrap(), Some(NodeRecord::Failed));
        assert!(quiet(node).await);
    }
}

async fn what_the_node_does_not_know_it_refuses(bench: &dyn Bench) {
    let (node, preimage) = (bench.node(), secret());
    assert!(matches!(node.fail_back(preimage.payment_hash()).await, Err(NodeError::Refused(_))));
    assert!(node.claim(price(), &preimage).await.is_err());
    assert_eq!(node.record(preimage.payment_hash()).await.unwrap(), None);
}

#[test]
fn the_real_node_keeps_the_contract() {
    exclusive(async |world| {
        agreeing(world).await;
        world.without_service(async |world| every_scenario(&Real(&*world.node, &world.payer)).await).await;
        // Two payments were claimed behind the rows' back, which is what the books are there to find.
        let taken = i64::try_from(2 * PRICE_MSAT + 1_000).unwrap();
        until("what was taken", async || match world.app.funds.compare().await {
            Ok(compared) if compared.residue_msat == taken.into() => Ok(()),
            other => Err(format!("{other:?}")),
        })
        .await;
        assert!(world.app.funds.may_let_out().await.is_err(), "payouts are halted");
        world.app.funds.accept(taken, "claimed on the node itself").await.unwrap();
        agreeing(world).await;
    });
}

#[test]
fn the_fake_node_keeps_the_contract() {
    alone(async || every_scenario(&FakeNode::new()).await);
}
