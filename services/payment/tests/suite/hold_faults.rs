//! What becomes of holds when the node does not do as it is told.

use std::sync::Arc;
use std::time::Duration;

use ailayer_payment::ports::{LightningNode, NodeEvent};
use ailayer_payment::store::node_tip;
use ailayer_platform::error::ErrorReason;
use ailayer_primitives::{Digest, PaymentHash};
use ailayer_proto::ailayer::payment::v1 as pb;
use pb::HoldInvoiceState as State;
use sqlx::Row as _;
use uuid::Uuid;

use crate::bench::{Bench, foreign_invoice, hash, msat, wait_outcome};
use crate::fake_node::{DEADLINE_BLOCKS, Outcome};
use crate::nodes::PRICE_MSAT;
use crate::running::{assert_reason, hold_invoice, request, until};
use crate::world::alone;

#[test]
fn a_claim_the_node_did_not_take_is_repeated_until_it_does() {
    alone(async || {
        let bench = Bench::new("").await;
        let accepted = bench.accepted().await;
        bench.node.set(|faults| faults.claim_fails = true);
        let requested = bench.claim(&accepted.invoice_id).await.unwrap();
        assert_eq!(requested.state(), State::ClaimRequested, "the authorisation is durable all the same");
        assert_reason(bench.release(&accepted.invoice_id, "x").await, ErrorReason::InvalidState);
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert_eq!(bench.get(&accepted.invoice_id).await.state(), State::ClaimRequested);
        bench.node.set(|faults| faults.claim_fails = false);
        bench.wait_state(&accepted.invoice_id, State::Claimed).await;
        assert!(matches!(wait_outcome(&bench.node, hash(&accepted)).await, Outcome::Succeeded(_)));
    });
}

#[test]
fn a_claim_that_came_to_nothing_is_lost_and_late_money_is_recorded_beside_it() {
    alone(async || {
        let bench = Bench::new("").await;
        let accepted = bench.accepted().await;
        bench.node.set(|faults| faults.claim_is_lost = true);
        bench.claim(&accepted.invoice_id).await.unwrap();
        bench.node.mine(DEADLINE_BLOCKS - 1);
        tokio::time::sleep(Duration::from_millis(400)).await;
        assert_eq!(
            bench.get(&accepted.invoice_id).await.state(),
            State::ClaimRequested,
            "not before the deadline"
        );
        bench.node.mine(1);
        bench.wait_state(&accepted.invoice_id, State::Lost).await;
        assert_eq!(bench.states_in_log(&accepted.invoice_id).await, [State::Accepted, State::Lost]);

        bench
            .node
            .emit(NodeEvent::PaymentReceived { payment_hash: hash(&accepted), amount: msat(PRICE_MSAT) });
        until("the receipt on record", async || {
            let mut database = bench.database().await;
            let sql = "select amount_msat from payment.unexpected_receipt where payment_hash = $1";
            let found = sqlx::query(sql).bind(&accepted.payment_hash).fetch_optional(&mut database);
            let amount = found.await.unwrap().map(|row| row.get::<i64, _>(0));
            if amount == Some(PRICE_MSAT.cast_signed()) { Ok(()) } else { Err(format!("{amount:?}")) }
        })
        .await;
        assert_eq!(bench.get(&accepted.invoice_id).await.state(), State::Lost);
        let told: Vec<_> = bench.events_after(0).await.iter().filter_map(unexpected).collect();
        assert_eq!(
            told,
            [(accepted.payment_hash.clone(), PRICE_MSAT)],
            "so that it comes into somebody's books"
        );
    });
}

fn unexpected(event: &pb::WatchEventsResponse) -> Option<(Vec<u8>, u64)> {
    match &event.event {
        Some(pb::watch_events_response::Event::ReceiptUnexpected(receipt)) => {
            Some((receipt.payment_hash.clone(), receipt.amount_msat))
        }
        _ => None,
    }
}

#[test]
fn a_claim_that_takes_a_second_payment_says_what_it_took() {
    alone(async || {
        let bench = Bench::new("").await;
        let accepted = bench.accepted().await;
        bench.node.set(|faults| faults.claim_is_lost = true);
        bench.claim(&accepted.invoice_id).await.unwrap();
        // As if the node had been down past the deadline, had given the first payment back, and was paid again.
        let deadline = bench.node.status().tip.height + 2 * DEADLINE_BLOCKS;
        bench.node.arrive(hash(&accepted), msat(2 * PRICE_MSAT), Some(deadline));
        bench.node.set(|faults| faults.claim_is_lost = false);
        let claimed = bench.wait_state(&accepted.invoice_id, State::Claimed).await;
        assert_eq!((claimed.amount_msat, claimed.accepted_amount_msat), (PRICE_MSAT, 2 * PRICE_MSAT));
        let events = bench.events_after(0).await;
        let told = events.iter().filter_map(hold_invoice).find(|event| event.state() == State::Claimed);
        assert_eq!(told, Some(&claimed), "the ledger books what the event says");
        let mut database = bench.database().await;
        let elsewhere = sqlx::query("select 1 from payment.unexpected_receipt").fetch_all(&mut database);
        assert!(elsewhere.await.unwrap().is_empty(), "in one place only, so that it is booked once");
    });
}

#[test]
fn while_the_node_shows_a_receipt_a_claim_is_not_lost() {
    alone(async || {
        let bench = Bench::new("").await;
        let accepted = bench.accepted().await;
        bench.node.set(|faults| faults.claim_is_lost = true);
        bench.claim(&accepted.invoice_id).await.unwrap();
        // The node's record is written before its event: as if it died in between, long ago.
        let secret = ailayer_payment::domain::preimage::PreimageSecret::new([7; 32]);
        let preimage = secret.preimage(accepted.invoice_id.parse().unwrap());
        bench.node.set(|faults| faults.claim_is_lost = false);
        bench.node.claim(msat(PRICE_MSAT), &preimage).await.unwrap();
        bench.node.mine(DEADLINE_BLOCKS + 5);
        bench.wait_state(&accepted.invoice_id, State::Claimed).await;
    });
}

#[test]
fn a_fail_back_the_node_did_not_take_is_repeated_until_it_does() {
    alone(async || {
        let mut bench = Bench::new("").await;
        let accepted = bench.accepted().await;
        bench.node.set(|faults| faults.fail_back_fails = true);
        let requested = bench.release(&accepted.invoice_id, "model_failed").await.unwrap();
        assert_eq!(requested.state(), State::ReleaseRequested);
        assert_reason(bench.claim(&accepted.invoice_id).await, ErrorReason::InvalidState);
        bench.restart().await;
        assert_eq!(bench.get(&accepted.invoice_id).await.state(), State::ReleaseRequested);
        bench.node.set(|faults| faults.fail_back_fails = false);
        bench.wait_state(&accepted.invoice_id, State::Released).await;
        assert_eq!(wait_outcome(&bench.node, hash(&accepted)).await, Outcome::Failed);
    });
}

#[test]
fn a_call_that_hangs_holds_up_no_other_hold() {
    alone(async || {
        let bench = Bench::new("node_call_timeout = \"100ms\"").await;
        let (stuck, kept) = (bench.accepted().await, bench.accepted().await);
        bench.node.set(|faults| faults.claim_is_lost = true);
        bench.claim(&stuck.invoice_id).await.unwrap();
        bench.node.set(|faults| faults.hangs_about = Some(hash(&stuck)));
        bench.node.mine(DEADLINE_BLOCKS - 1);
        let released = bench.wait_state(&kept.invoice_id, State::Released).await;
        assert_eq!(released.release_reason, "deadline");
        assert_eq!(wait_outcome(&bench.node, hash(&kept)).await, Outcome::Failed);
        // A look-up that is not answered is no sign that a claim was lost.
        bench.node.mine(1);
        tokio::time::sleep(Duration::from_millis(600)).await;
        assert_eq!(bench.get(&stuck.invoice_id).await.state(), State::ClaimRequested);
        bench.node.set(|faults| faults.hangs_about = None);
        bench.wait_state(&stuck.invoice_id, State::Lost).await;
    });
}

#[test]
fn a_release_is_told_again_at_every_start_until_the_deadline() {
    alone(async || {
        let mut bench = Bench::new("").await;
        let accepted = bench.accepted().await;
        bench.release(&accepted.invoice_id, "model_failed").await.unwrap();
        // As if the node had died before its own write: the money is locked again, and no event says so.
        bench.stop().await;
        let deadline = bench.node.status().tip.height + DEADLINE_BLOCKS;
        bench.node.arrive(hash(&accepted), msat(PRICE_MSAT), Some(deadline));
        bench.node.event_handled().await.unwrap();
        bench.start().await;
        assert_eq!(wait_outcome(&bench.node, hash(&accepted)).await, Outcome::Failed);
    });
}

#[test]
fn money_for_a_closed_matter_goes_back() {
    alone(async || {
        let bench = Bench::new("").await;
        // Claimed, and paid a second time.
        let claimed = bench.accepted().await;
        bench.claim(&claimed.invoice_id).await.unwrap();
        bench.wait_state(&claimed.invoice_id, State::Claimed).await;
        bench.node.pay(&claimed.bolt11);
        assert_eq!(wait_outcome(&bench.node, hash(&claimed)).await, Outcome::Failed);
        assert_eq!(bench.get(&claimed.invoice_id).await.state(), State::Claimed);
        // Expired, and paid after that.
        let short = bench.try_create(&request(Uuid::new_v4(), PRICE_MSAT, 1)).await.unwrap();
        bench.wait_state(&short.invoice_id, State::Expired).await;
        bench.node.pay(&short.bolt11);
        assert_eq!(wait_outcome(&bench.node, hash(&short)).await, Outcome::Failed);
        assert_eq!(bench.states_in_log(&short.invoice_id).await, [State::Expired]);
        // Paid for an id that this database never heard of: the money is not ours to keep, and the queue goes on.
        bench.node.arrive(PaymentHash(Digest::new([3; 32])), msat(5), Some(700));
        bench.accepted().await;
    });
}

#[test]
fn money_that_is_not_fit_goes_back_with_a_reason() {
    alone(async || {
        let bench = Bench::new("max_accepted_holds = 1").await;
        let reason = async |deadline: Option<u32>, amount: u64| {
            let open = bench.create(PRICE_MSAT).await;
            bench.node.arrive(hash(&open), msat(amount), deadline);
            let released = bench.wait_state(&open.invoice_id, State::Released).await;
            assert_eq!(wait_outcome(&bench.node, hash(&open)).await, Outcome::Failed);
            released.release_reason
        };
        let tip = bench.node.status().tip.height;
        assert_eq!(reason(Some(tip + 50), PRICE_MSAT - 1).await, "amount_mismatch");
        assert_eq!(reason(Some(tip + 50), 2 * PRICE_MSAT).await, "amount_mismatch");
        assert_eq!(reason(None, PRICE_MSAT).await, "no_claim_deadline");
        assert_eq!(reason(Some(tip + 1), PRICE_MSAT).await, "deadline_too_close");
        let (first, second) = (bench.create(PRICE_MSAT).await, bench.create(PRICE_MSAT).await);
        bench.node.pay(&first.bolt11);
        bench.wait_state(&first.invoice_id, State::Accepted).await;
        bench.node.pay(&second.bolt11);
        let released = bench.wait_state(&second.invoice_id, State::Released).await;
        assert_eq!(released.release_reason, "too_many_holds");
        let refused = bench.try_create(&request(Uuid::new_v4(), PRICE_MSAT, 60)).await;
        assert_reason(refused, ErrorReason::TooManyOpen);
    });
}

#[test]
fn a_claim_too_near_its_deadline_is_refused() {
    alone(async || {
        // The guard sleeps, so that the claim meets the deadline alone.
        let mut bench = Bench::new("").await;
        bench.config.guard_interval = Duration::from_secs(3600);
        bench.restart().await;
        let accepted = bench.accepted().await;
        bench.node.mine(DEADLINE_BLOCKS - 1);
        assert_reason(bench.claim(&accepted.invoice_id).await, ErrorReason::DeadlineTooClose);
    });
}

#[test]
fn no_new_hold_and_no_claim_while_the_node_is_not_in_sync() {
    alone(async || {
        let bench = Bench::new("").await;
        let (stored, accepted) = (request(Uuid::new_v4(), PRICE_MSAT, 60), bench.accepted().await);
        bench.try_create(&stored).await.unwrap();
        bench.node.set(|faults| faults.unsynced = true);
        let fresh = request(Uuid::new_v4(), PRICE_MSAT, 60);
        assert_reason(bench.try_create(&fresh).await, ErrorReason::NotSynced);
        assert_reason(bench.claim(&accepted.invoice_id).await, ErrorReason::NotSynced);
        assert!(bench.try_create(&stored).await.is_ok(), "what is stored can be told");
        assert!(bench.release(&accepted.invoice_id, "x").await.is_ok(), "money can go back");
    });
}

#[test]
fn money_that_arrives_before_the_first_sync_waits_for_it() {
    alone(async || {
        let mut bench = Bench::new("").await;
        let (open, accepted) = (bench.create(PRICE_MSAT).await, bench.accepted().await);
        bench.node.set(|faults| faults.unsynced = true);
        bench.restart().await;
        // An event that comes again is read by its row's state, in sync or not.
        let deadline = Some(accepted.claim_deadline_height);
        bench.node.arrive(hash(&accepted), msat(PRICE_MSAT), deadline);
        bench.node.pay(&open.bolt11);
        tokio::time::sleep(Duration::from_millis(800)).await;
        assert_eq!(bench.get(&open.invoice_id).await.state(), State::Open, "neither kept nor given back");
        assert_eq!(bench.get(&accepted.invoice_id).await.state(), State::Accepted);
        bench.node.set(|faults| faults.unsynced = false);
        bench.wait_state(&open.invoice_id, State::Accepted).await;
    });
}

#[test]
fn money_that_arrives_while_the_node_does_not_sync_goes_back() {
    alone(async || {
        let mut bench = Bench::new("first_sync_wait = \"300ms\"").await;
        let open = bench.create(PRICE_MSAT).await;
        bench.node.set(|faults| faults.unsynced = true);
        bench.restart().await;
        bench.node.pay(&open.bolt11);
        let released = bench.wait_state(&open.invoice_id, State::Released).await;
        assert_eq!(released.release_reason, "not_synced");
        assert_eq!(wait_outcome(&bench.node, hash(&open)).await, Outcome::Failed);
        assert_eq!(bench.states_in_log(&open.invoice_id).await, [State::Released]);
    });
}

#[test]
fn a_tip_is_as_old_as_it_was_before_the_restart() {
    alone(async || {
        let mut bench = Bench::new("").await;
        let first = until("the tip on record", async || {
            let kept = node_tip::find(&bench.app.rows).await.unwrap();
            kept.filter(|tip| Some(*tip) == bench.app.gate.tip_seen()).ok_or_else(|| "none".to_owned())
        })
        .await;
        tokio::time::sleep(Duration::from_millis(1_100)).await;
        bench.restart().await;
        assert_eq!(bench.app.gate.tip_seen(), Some(first), "not seen for the first time now");
        bench.node.mine(1);
        until("another tip on record", async || {
            let kept = node_tip::find(&bench.app.rows).await.unwrap();
            if kept.is_some_and(|tip| tip.height == first.height + 1 && tip.since > first.since) {
                Ok(())
            } else {
                Err(format!("{kept:?}"))
            }
        })
        .await;
    });
}

#[test]
fn the_number_of_open_invoices_is_bounded_also_at_once() {
    alone(async || {
        let bench = Bench::new("max_open_invoices = 3").await;
        let attempts =
            (0..8).map(|_| async { bench.try_create(&request(Uuid::new_v4(), PRICE_MSAT, 60)).await });
        let made = futures::future::join_all(attempts).await;
        assert_eq!(made.iter().filter(|made| made.is_ok()).count(), 3);
        for refused in made.into_iter().filter(Result::is_err) {
            assert_reason(refused, ErrorReason::TooManyOpen);
        }
    });
}

#[test]
fn what_a_caller_who_went_away_began_ends_before_the_next_create() {
    alone(async || {
        let bench = Bench::new("").await;
        bench.node.set(|faults| faults.slow_to_make = true);
        let wanted = request(Uuid::new_v4(), PRICE_MSAT, 60);
        tokio::select! {
            biased;
            done = bench.try_create(&wanted) => panic!("the node was not slow: {done:?}"),
            () = bench.node.until_asked() => {}
        }
        assert_eq!(bench.get(&wanted.invoice_id).await.state(), State::Intent);
        assert_eq!(bench.try_create(&wanted).await.unwrap().state(), State::Open);
        assert_eq!(bench.node.made(), 2, "the first came to its end, and then the second");
    });
}

#[test]
fn kill_switches_refuse_and_leave_the_rest_alone() {
    alone(async || {
        let mut bench = Bench::new("").await;
        let accepted = bench.accepted().await;
        bench.config.holds_enabled = false;
        bench.config.claims_enabled = false;
        bench.config.payouts_enabled = false;
        bench.restart().await;
        let fresh = request(Uuid::new_v4(), PRICE_MSAT, 60);
        assert_reason(bench.try_create(&fresh).await, ErrorReason::NotOffered);
        assert_reason(bench.claim(&accepted.invoice_id).await, ErrorReason::NotOffered);
        assert_reason(bench.pay(&foreign_invoice(1_000, 600), 1_000).await, ErrorReason::NotOffered);
        bench.node.mine(DEADLINE_BLOCKS);
        bench.wait_state(&accepted.invoice_id, State::Released).await;
    });
}

#[test]
fn another_secret_or_network_or_a_second_writer_does_not_start() {
    alone(async || {
        use ailayer_payment::app::{App, RunError};
        use ailayer_payment::domain::preimage::PreimageSecret;
        use ailayer_payment::store::Rows;
        use ailayer_platform::tasks::Shutdown;
        let mut bench = Bench::new("store.acquire_timeout = \"500ms\"").await;
        assert!(Rows::connect(&bench.config.store).await.is_err(), "one writer a schema");
        bench.stop().await;
        // The same keys and rows under another network's name.
        let rows = Rows::connect(&bench.config.store).await.unwrap();
        let node = Arc::clone(&bench.node) as Arc<dyn LightningNode>;
        let elsewhere =
            ailayer_payment::Config { network: ailayer_primitives::Network::Signet, ..bench.config.clone() };
        let secret = PreimageSecret::new([7; 32]);
        let refused = App::start(&elsewhere, rows, node, secret, None, Shutdown::new()).await.map(|_| ());
        assert!(matches!(refused, Err(RunError::ForeignSchema("network"))), "{refused:?}");
        let rows = Rows::connect(&bench.config.store).await.unwrap();
        let node = Arc::clone(&bench.node) as Arc<dyn LightningNode>;
        let secret = PreimageSecret::new([8; 32]);
        let refused = App::start(&bench.config, rows, node, secret, None, Shutdown::new()).await.map(|_| ());
        assert!(matches!(refused, Err(RunError::ForeignSchema("preimage secret"))), "{refused:?}");
    });
}
