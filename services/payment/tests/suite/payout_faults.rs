//! What becomes of outgoing payments and channels when the node does not do as it is told.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use ailayer_payment::domain::channel::ChannelOrder;
use ailayer_payment::ports::{LightningNode, NodeEvent, NodeRecord};
use ailayer_platform::error::ErrorReason;
use ailayer_primitives::{AmountSat, Digest, PaymentHash};
use ailayer_proto::ailayer::payment::v1::payment_service_server::PaymentService as _;
use ailayer_proto::ailayer::payment::v1::{self as pb, PaymentState};
use lightning_invoice::Bolt11Invoice;
use sqlx::Row as _;
use tonic::Request;
use uuid::Uuid;

use crate::bench::{Bench, FakeLog, foreign_invoice, msat};
use crate::nodes::PRICE_MSAT;
use crate::running::{assert_reason, until};
use crate::world::alone;

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
fn money_that_left_after_all_is_recorded_beside_the_row() {
    alone(async || {
        let bench = Bench::new("").await;
        bench.node.set(|faults| faults.no_route = true);
        let pending = bench.pay(&foreign_invoice(5_000, 600), 5_000).await.unwrap();
        bench.wait_payment(&pending.payment_hash, PaymentState::Failed).await;
        let sent =
            |payment_hash, byte| NodeEvent::PaymentSent { payment_hash, preimage: [byte; 32], fee: msat(7) };
        let unknown = PaymentHash(Digest::sha256(&[9; 32]));
        for event in [sent(hash_of(&pending), 8), sent(unknown, 9), sent(unknown, 9)] {
            bench.node.emit(event);
        }
        until("both on record", async || {
            let mut database = bench.database().await;
            let sql =
                "select payment_hash, preimage, fee_msat from payment.unexpected_payment order by preimage";
            let found = sqlx::query(sql).fetch_all(&mut database).await.unwrap();
            let found: Vec<(Vec<u8>, Vec<u8>, i64)> =
                found.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect();
            let expected =
                [(pending.payment_hash.clone(), vec![8; 32], 7), (unknown.0.to_vec(), vec![9; 32], 7)];
            if found == expected { Ok(()) } else { Err(format!("{found:?}")) }
        })
        .await;
        assert_eq!(
            bench.payment(&pending.payment_hash).await.state(),
            PaymentState::Failed,
            "its word stays"
        );
        assert_eq!(bench.events_after(0).await.len(), 1);
    });
}

#[test]
fn a_payment_that_succeeded_is_no_surprise_twice() {
    alone(async || {
        let bench = Bench::new("").await;
        let pending = bench.pay(&foreign_invoice(5_000, 600), 5_000).await.unwrap();
        let sent =
            NodeEvent::PaymentSent { payment_hash: hash_of(&pending), preimage: [8; 32], fee: msat(7) };
        bench.node.emit(sent.clone());
        bench.node.emit(sent);
        bench.wait_payment(&pending.payment_hash, PaymentState::Succeeded).await;
        until("both events handled", async || {
            if bench.node.has_event() { Err("an event waits".to_owned()) } else { Ok(()) }
        })
        .await;
        let mut database = bench.database().await;
        let found = sqlx::query("select 1 from payment.unexpected_payment").fetch_all(&mut database).await;
        assert!(found.unwrap().is_empty());
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
        // Stopped first: until the node lists it the sender may try the same hash again.
        bench.stop().await;
        let sends = bench.node.sends();
        bench.node.list_outgoing(hash_of(&pending), Some(NodeRecord::InFlight));
        bench.start().await;
        bench.wait_payment(&pending.payment_hash, PaymentState::InFlight).await;
        assert_eq!(bench.node.sends(), sends);
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

/// An order for a channel that gives some of it to the peer at once.
fn pushing(bench: &Bench, push_amount_msat: u64) -> pb::OpenChannelRequest {
    pb::OpenChannelRequest {
        request_id: Uuid::new_v4().to_string(),
        peer_node_id: bench.node.node_id().serialize().to_vec(),
        peer_address: "127.0.0.1:9735".to_owned(),
        channel_amount_sat: 50_000,
        push_amount_msat,
        announce: false,
    }
}

#[test]
fn what_a_channel_gives_away_is_a_payout_too() {
    alone(async || {
        let limits = "max_payment_msat = 10000\nmax_payments_per_hour_msat = 25000\nmax_fee_base_msat = 0\nmax_fee_ppm = 0";
        let mut bench = Bench::new(limits).await;
        let open = async |bench: &Bench, order: &pb::OpenChannelRequest| {
            bench.api.open_channel(Request::new(order.clone())).await.map(tonic::Response::into_inner)
        };
        assert_reason(open(&bench, &pushing(&bench, 10_001)).await, ErrorReason::InvalidField);
        let given = pushing(&bench, 10_000);
        let channel = open(&bench, &given).await.unwrap();
        bench.pay(&foreign_invoice(10_000, 600), 10_000).await.unwrap();
        assert_reason(open(&bench, &pushing(&bench, 5_001)).await, ErrorReason::Overloaded);
        assert_reason(bench.pay(&foreign_invoice(5_001, 600), 10_000).await, ErrorReason::Overloaded);
        open(&bench, &pushing(&bench, 5_000)).await.unwrap();
        open(&bench, &pushing(&bench, 0)).await.expect("nothing leaves with this one");

        // An order that an earlier call could not begin counts in the hour in which it leaves, not in that of the call.
        bench.config.max_payments_per_hour_msat = msat(30_000);
        bench.restart().await;
        bench.node.set(|faults| faults.open_fails = true);
        let late = pushing(&bench, 5_000);
        assert_reason(open(&bench, &late).await, ErrorReason::Internal);
        bench.node.set(|faults| faults.open_fails = false);
        let mut database = bench.database().await;
        let long_ago =
            "update payment.channel_order set created_unix_ms = 1 where request_id = $1::text::uuid";
        sqlx::query(long_ago).bind(&late.request_id).execute(&mut database).await.unwrap();
        bench.pay(&foreign_invoice(5_000, 600), 10_000).await.unwrap();
        assert_reason(open(&bench, &late).await, ErrorReason::Overloaded);

        // What the node refused has not left.
        bench.config.max_payments_per_hour_msat = msat(40_000);
        bench.restart().await;
        let small = pb::OpenChannelRequest { channel_amount_sat: 500, ..pushing(&bench, 10_000) };
        assert_reason(open(&bench, &small).await, ErrorReason::InvalidField);
        open(&bench, &pushing(&bench, 10_000)).await.unwrap();

        bench.config.payouts_enabled = false;
        bench.restart().await;
        assert_reason(open(&bench, &pushing(&bench, 1)).await, ErrorReason::NotOffered);
        open(&bench, &pushing(&bench, 0)).await.unwrap();
        assert_eq!(open(&bench, &given).await.unwrap(), channel, "a repeat is answered by what it has made");
    });
}

#[test]
fn only_listed_payees_are_paid() {
    alone(async || {
        let mut bench = Bench::new("payees = []").await;
        let bolt11 = foreign_invoice(5_000, 600);
        let payee = bolt11.parse::<Bolt11Invoice>().unwrap().get_payee_pub_key();
        let open = async |bench: &Bench, push_amount_msat| {
            bench.api.open_channel(Request::new(pushing(bench, push_amount_msat))).await
        };
        assert_reason(bench.pay(&bolt11, 5_000).await, ErrorReason::NotAllowed);
        assert_reason(open(&bench, 1).await, ErrorReason::NotAllowed);
        open(&bench, 0).await.unwrap();
        bench.config.payees = Some(vec![payee]);
        bench.restart().await;
        bench.pay(&bolt11, 5_000).await.unwrap();
        assert_reason(open(&bench, 1).await, ErrorReason::NotAllowed);
        bench.config.payees = Some(vec![bench.node.node_id()]);
        bench.restart().await;
        open(&bench, 1).await.unwrap();
    });
}

#[test]
fn nothing_leaves_before_the_audit_log_has_it() {
    alone(async || {
        let mut bench = Bench::new("").await;
        let log = Arc::new(FakeLog::default());
        log.is_away.store(true, Ordering::SeqCst);
        bench.log = Some(Arc::clone(&log));
        bench.restart().await;

        let order = pushing(&bench, 1_000);
        let opened = bench.api.open_channel(Request::new(order.clone())).await;
        assert_reason(opened, ErrorReason::DependencyUnavailable);
        assert!(bench.node.channels().await.unwrap().is_empty());
        let mut database = bench.database().await;
        let left: i64 =
            sqlx::query_scalar("select count(*) from payment.payout").fetch_one(&mut database).await.unwrap();
        assert_eq!(left, 0, "what did not leave counts against the hour");
        let bolt11 = foreign_invoice(5_000, 600);
        let pending = bench.pay(&bolt11, 5_000).await.unwrap();
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(bench.payment(&pending.payment_hash).await.state(), PaymentState::Pending);
        assert_eq!(bench.node.sends(), 0, "the node was told although nobody could know");

        log.is_away.store(false, Ordering::SeqCst);
        bench.api.open_channel(Request::new(order.clone())).await.unwrap();
        bench.restart().await;
        bench.wait_payment(&pending.payment_hash, PaymentState::InFlight).await;
        let payee = bolt11.parse::<Bolt11Invoice>().unwrap().get_payee_pub_key();
        let node_id = bench.node.node_id();
        let hash = hash_of(&pending);
        let expected = [
            format!(
                r#"{{"type":"application/vnd.ailayer.payout.v1+json","network":"regtest","node_id":"{node_id}","payee_node_id":"{node_id}","amount_msat":1000,"request_id":"{}"}}"#,
                order.request_id
            ),
            format!(
                r#"{{"type":"application/vnd.ailayer.payout.v1+json","network":"regtest","node_id":"{node_id}","payee_node_id":"{payee}","amount_msat":5000,"fee_limit_msat":50050,"payment_hash":"{hash}"}}"#
            ),
        ];
        assert_eq!(*log.entries.lock().unwrap(), expected);
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

        // Cut off before the node began, and meanwhile the peer has opened one just like it.
        let again = order(Uuid::new_v4(), 80_000);
        bench.node.set(|faults| faults.open_fails = true);
        assert_reason(open(&again).await, ErrorReason::Internal);
        bench.node.set(|faults| faults.open_fails = false);
        let theirs = bench.node.add_channel(
            &ChannelOrder {
                peer_node_id: bench.node.node_id(),
                peer_address: again.peer_address.clone(),
                amount: AmountSat::try_new(80_000).unwrap(),
                push: msat(0),
                announce: false,
            },
            false,
        );
        assert_ne!(open(&again).await.unwrap(), theirs.to_bytes(), "the peer's own is not taken over");

        let small = order(Uuid::new_v4(), 500);
        assert_reason(open(&small).await, ErrorReason::InvalidField);
        let given_away =
            pb::OpenChannelRequest { push_amount_msat: 50_000_000, ..order(Uuid::new_v4(), 50_000) };
        assert_reason(open(&given_away).await, ErrorReason::InvalidField);
    });
}
