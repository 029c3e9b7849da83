//! What happens when the node does not do as it is told.

use std::sync::Arc;
use std::time::Duration;

use ailayer_devnet::Postgres;
use ailayer_payment::ports::{LightningNode, NodeEvent, NodeRecord};
use ailayer_payment::{Config, NAME};
use ailayer_platform::config::load_from;
use ailayer_platform::error::ErrorReason;
use ailayer_primitives::{AmountMsat, Digest, PaymentHash};
use ailayer_proto::ailayer::payment::v1::payment_service_server::PaymentService as _;
use ailayer_proto::ailayer::payment::v1::{self as pb, HoldInvoiceState as State, PaymentState};
use sqlx::{Connection as _, PgConnection, Row as _};
use tonic::Request;
use uuid::Uuid;

use crate::fake_node::{DEADLINE_BLOCKS, FakeNode, Outcome};
use crate::world::{PRICE_MSAT, Running, alone, assert_reason, request, until};

/// The service over a fake node and a database of its own.
struct Bench {
    node: Arc<FakeNode>,
    config: Config,
    running: Option<Running>,
}

impl Bench {
    async fn new(more: &str) -> Self {
        let database = Postgres::shared().await.unwrap().create_database().await.unwrap();
        let text = format!(
            r#"
            [payment]
            network = "regtest"
            data_dir = "/nowhere"
            bitcoind_rpc_port = 1
            bitcoind_rpc_user = ""
            bitcoind_rpc_password = ""
            guard_interval = "50ms"
            lost_settle_time = "200ms"
            store.url = "{database}"
            {more}
            "#
        );
        let config: Config = load_from(NAME, Some(&text), []).unwrap();
        let node = Arc::new(FakeNode::new());
        let running = Some(Running::start(&config, Arc::clone(&node) as Arc<dyn LightningNode>).await);
        Self { node, config, running }
    }

    async fn restart(&mut self) {
        self.stop().await;
        self.start().await;
    }

    async fn stop(&mut self) {
        self.running.take().unwrap().stop().await;
    }

    async fn start(&mut self) {
        let node = Arc::clone(&self.node) as Arc<dyn LightningNode>;
        self.running = Some(Running::start(&self.config, node).await);
    }

    async fn accepted(&self) -> pb::HoldInvoice {
        let open = self.create(PRICE_MSAT).await;
        self.node.pay(&open.bolt11);
        self.wait_state(&open.invoice_id, State::Accepted).await
    }

    async fn database(&self) -> PgConnection {
        PgConnection::connect(self.config.store.url.expose()).await.unwrap()
    }
}

impl std::ops::Deref for Bench {
    type Target = Running;
    fn deref(&self) -> &Running {
        self.running.as_ref().unwrap()
    }
}

fn hash(invoice: &pb::HoldInvoice) -> PaymentHash {
    PaymentHash::try_from(invoice.payment_hash.as_slice()).unwrap()
}

fn msat(amount: u64) -> AmountMsat {
    AmountMsat::try_new(amount).unwrap()
}

async fn wait_outcome(node: &FakeNode, hash: PaymentHash) -> Outcome {
    until("the payer's outcome", async || node.outcome(hash).ok_or_else(|| "none".to_owned())).await
}

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
            if amount == Some(PRICE_MSAT as i64) { Ok(()) } else { Err(format!("{amount:?}")) }
        })
        .await;
        assert_eq!(bench.get(&accepted.invoice_id).await.state(), State::Lost);
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

/// An invoice of somebody else.
fn foreign_invoice(amount_msat: u64, expiry_s: u64) -> String {
    use bitcoin::hashes::{Hash as _, sha256};
    use bitcoin::secp256k1::{Secp256k1, SecretKey};
    use lightning_invoice::{Currency, InvoiceBuilder, PaymentSecret};
    let preimage = Uuid::new_v4();
    InvoiceBuilder::new(Currency::Regtest)
        .description("test".to_owned())
        .payment_hash(sha256::Hash::hash(preimage.as_bytes()))
        .payment_secret(PaymentSecret([6; 32]))
        .duration_since_epoch(Duration::from_secs(ailayer_platform::clock::now_s().0))
        .expiry_time(Duration::from_secs(expiry_s))
        .min_final_cltv_expiry_delta(18)
        .amount_milli_satoshis(amount_msat)
        .build_signed(|hash| {
            Secp256k1::new().sign_ecdsa_recoverable(hash, &SecretKey::from_slice(&[4; 32]).unwrap())
        })
        .unwrap()
        .to_string()
}

fn hash_of(payment: &pb::Payment) -> PaymentHash {
    PaymentHash::try_from(payment.payment_hash.as_slice()).unwrap()
}

#[test]
fn an_outgoing_payment_ends_by_its_event_and_is_never_sent_twice() {
    alone(async || {
        let bench = Bench::new("").await;
        let bolt11 = foreign_invoice(5_000, 600);
        let pending = bench.pay(&bolt11, 5_000).await.unwrap();
        assert_eq!((pending.state(), pending.amount_msat), (PaymentState::Pending, 5_000));
        bench.wait_payment(&pending.payment_hash, PaymentState::InFlight).await;
        assert_eq!(bench.pay(&bolt11, 5_000).await.unwrap().state(), PaymentState::InFlight);
        bench.node.emit(NodeEvent::PaymentFailed {
            payment_hash: hash_of(&pending),
            reason: "no_route".to_owned(),
        });
        let failed = bench.wait_payment(&pending.payment_hash, PaymentState::Failed).await;
        assert_eq!(failed.failure_reason, "no_route");
        assert_eq!(bench.pay(&bolt11, 5_000).await.unwrap(), failed, "failed is for ever");
        assert_eq!(bench.node.sends(), 1);
        let ended = bench.events_after(0).await;
        let ended: Vec<_> = ended.into_iter().filter_map(|event| event.event).collect();
        assert_eq!(ended, [pb::watch_events_response::Event::PaymentEnded(failed)]);
    });
}

#[test]
fn a_payment_that_was_not_sent_fails_at_once() {
    alone(async || {
        let bench = Bench::new("").await;
        bench.node.set(|faults| faults.no_route = true);
        let pending = bench.pay(&foreign_invoice(5_000, 600), 5_000).await.unwrap();
        let failed = bench.wait_payment(&pending.payment_hash, PaymentState::Failed).await;
        assert_eq!(failed.failure_reason, "no_route");
    });
}

#[test]
fn a_payment_of_unknown_outcome_is_not_called_failed() {
    alone(async || {
        let mut bench = Bench::new("").await;
        bench.node.set(|faults| faults.send_unknown = true);
        let pending = bench.pay(&foreign_invoice(5_000, 600), 5_000).await.unwrap();
        until(
            "the first attempt",
            async || {
                if bench.node.sends() > 0 { Ok(()) } else { Err("none".to_owned()) }
            },
        )
        .await;
        // It had left all the same. After the restart the node lists nothing, and a second attempt finds no route:
        // neither is news of the first.
        bench.node.set(|faults| (faults.send_unknown, faults.no_route) = (false, true));
        bench.restart().await;
        until(
            "the second attempt",
            async || {
                if bench.node.sends() > 1 { Ok(()) } else { Err("none".to_owned()) }
            },
        )
        .await;
        bench.restart().await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(bench.payment(&pending.payment_hash).await.state(), PaymentState::Pending);
        let preimage = [8; 32];
        let fee = msat(3);
        bench.node.emit(NodeEvent::PaymentSent { payment_hash: hash_of(&pending), preimage, fee });
        let succeeded = bench.wait_payment(&pending.payment_hash, PaymentState::Succeeded).await;
        assert_eq!((succeeded.fee_msat, succeeded.preimage), (3, preimage.to_vec()));
    });
}

#[test]
fn a_payment_the_node_lists_is_in_flight_after_a_restart() {
    alone(async || {
        let mut bench = Bench::new("").await;
        bench.node.set(|faults| faults.send_unknown = true);
        let pending = bench.pay(&foreign_invoice(5_000, 600), 5_000).await.unwrap();
        until(
            "the first attempt",
            async || {
                if bench.node.sends() > 0 { Ok(()) } else { Err("none".to_owned()) }
            },
        )
        .await;
        bench.node.list_outgoing(hash_of(&pending), Some(NodeRecord::InFlight));
        bench.restart().await;
        bench.wait_payment(&pending.payment_hash, PaymentState::InFlight).await;
        assert_eq!(bench.node.sends(), 1);
    });
}

#[test]
fn payouts_are_capped_whatever_the_caller_says() {
    alone(async || {
        let bench = Bench::new(
            "max_payment_msat = 10000\nmax_payments_per_hour_msat = 25000\nmax_fee_base_msat = 0\nmax_fee_ppm = 0",
        )
        .await;
        assert_reason(bench.pay(&foreign_invoice(10_001, 600), 1_000_000).await, ErrorReason::InvalidField);
        assert_reason(bench.pay(&foreign_invoice(5_001, 600), 5_000).await, ErrorReason::InvalidField);
        let all: Vec<String> = (0..6).map(|_| foreign_invoice(10_000, 600)).collect();
        let paid = futures::future::join_all(all.iter().map(|bolt11| bench.pay(bolt11, 10_000))).await;
        assert_eq!(paid.iter().filter(|paid| paid.is_ok()).count(), 2, "25,000 an hour hold two of 10,000");
        for refused in paid.into_iter().filter(Result::is_err) {
            assert_reason(refused, ErrorReason::Overloaded);
        }
        bench.pay(&foreign_invoice(5_000, 600), 5_000).await.unwrap();
    });
}

#[test]
fn what_cannot_be_paid_is_refused() {
    alone(async || {
        let bench = Bench::new("").await;
        let mainnet = "lnbc2500u1pvjluezsp5zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zygspp5qqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqypqdq5xysxxatsyp3k7enxv4jsxqzpu9qrsgquk0rl77nj30yxdy8j9vdx85fkpmdla2087ne0xh8nhedh8w27kyke0lp53ut353s06fv3qfegext0eh0ymjpf39tuven09sam30g4vgpfna3rh";
        assert_reason(bench.pay(mainnet, u64::MAX / 10_000).await, ErrorReason::WrongNetwork);
        assert_reason(bench.pay("lnbcrt1nonsense", 1).await, ErrorReason::InvalidField);
        let own = bench.create(PRICE_MSAT).await;
        assert_reason(bench.pay(&own.bolt11, PRICE_MSAT).await, ErrorReason::InvalidField);
        let short = foreign_invoice(1_000, 1);
        tokio::time::sleep(Duration::from_millis(2_100)).await;
        assert_reason(bench.pay(&short, 1_000).await, ErrorReason::InvalidField);
        let unknown = Request::new(pb::GetPaymentRequest { payment_hash: vec![0; 32] });
        assert_reason(bench.api.get_payment(unknown).await, ErrorReason::PaymentNotFound);
    });
}

#[test]
fn a_channel_is_opened_once_also_when_the_call_was_cut_off() {
    alone(async || {
        let bench = Bench::new("").await;
        let order = |id: Uuid, amount_sat| pb::OpenChannelRequest {
            request_id: id.to_string(),
            peer_node_id: bench.node.node_id().serialize().to_vec(),
            peer_address: "127.0.0.1:9735".to_owned(),
            channel_amount_sat: amount_sat,
            push_amount_msat: 1_000,
            announce: false,
        };
        let open = async |request: &pb::OpenChannelRequest| {
            let answer = bench.api.open_channel(Request::new(request.clone())).await;
            answer.map(|answer| answer.into_inner().user_channel_id)
        };
        let first = order(Uuid::new_v4(), 50_000);
        let id = open(&first).await.unwrap();
        assert_eq!(open(&first).await.unwrap(), id);
        let other = pb::OpenChannelRequest { channel_amount_sat: 60_000, ..first };
        assert_reason(open(&other).await, ErrorReason::RequestIdReused);

        bench.node.set(|faults| faults.open_cut_off = true);
        let cut = order(Uuid::new_v4(), 70_000);
        assert_reason(open(&cut).await, ErrorReason::Internal);
        bench.node.set(|faults| faults.open_cut_off = false);
        open(&cut).await.unwrap();
        assert_eq!(bench.node.channels().await.unwrap().len(), 2, "taken over, not opened twice");

        let small = order(Uuid::new_v4(), 500);
        assert_reason(open(&small).await, ErrorReason::InvalidField);
        let given_away =
            pb::OpenChannelRequest { push_amount_msat: 50_000_000, ..order(Uuid::new_v4(), 50_000) };
        assert_reason(open(&given_away).await, ErrorReason::InvalidField);
    });
}

#[test]
fn another_secret_or_a_second_writer_does_not_start() {
    alone(async || {
        use ailayer_payment::app::{App, RunError};
        use ailayer_payment::domain::preimage::PreimageSecret;
        use ailayer_payment::store::Rows;
        use ailayer_platform::tasks::Shutdown;
        let mut bench = Bench::new("store.acquire_timeout = \"500ms\"").await;
        assert!(Rows::connect(&bench.config.store).await.is_err(), "one writer a schema");
        bench.stop().await;
        let rows = Rows::connect(&bench.config.store).await.unwrap();
        let node = Arc::clone(&bench.node) as Arc<dyn LightningNode>;
        let secret = PreimageSecret::new([8; 32]);
        let refused = App::start(&bench.config, rows, node, secret, Shutdown::new()).await.map(|_| ());
        assert!(matches!(refused, Err(RunError::ForeignSchema("preimage secret"))), "{refused:?}");
    });
}
