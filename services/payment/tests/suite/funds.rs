//! What the node's channels hold against what the rows say.

use std::str::FromStr as _;
use std::sync::Arc;

use ailayer_devnet::{Bitcoind, DataDir, Postgres, free_port};
use ailayer_payment::domain::channel::UserChannelId;
use ailayer_payment::domain::funds::{Commitment, NodeFunds, OpenChannel, Range, Settling};
use ailayer_payment::ports::{LightningNode, NodeEvent};
use ailayer_platform::error::ErrorReason;
use ailayer_primitives::{AmountSat, Digest, PaymentHash};
use ailayer_proto::ailayer::payment::v1::payment_service_server::PaymentService as _;
use ailayer_proto::ailayer::payment::v1::{self as pb, HoldInvoiceState as State, PaymentState};
use bitcoin::Address;
use sqlx::{Connection as _, PgConnection};
use tonic::Request;

use crate::bench::{Bench, foreign_invoice, msat};
use crate::nodes::{
    PRICE_MSAT, config, money_taken, open_channel, pay, start_node, start_payer, wait_mempool,
};
use crate::running::{Running, agreeing, assert_reason, until};
use crate::world::{alone, exclusive};

fn exact(range: Range) -> i128 {
    assert_eq!(range.min, range.max, "nothing is in motion");
    range.max
}

/// What the channels hold once the peer, too, has done with what was claimed.
async fn held(service: &Running) -> i128 {
    until("a node at rest", async || {
        let compared = agreeing(service).await;
        if compared.node.min == compared.node.max {
            Ok(compared.node.max)
        } else {
            Err(format!("{compared:?}"))
        }
    })
    .await
}

#[test]
fn the_real_nodes_channels_hold_what_the_rows_say() {
    exclusive(async |world| {
        let before = held(world).await;
        let open = world.accepted().await;
        assert_eq!(held(world).await, before, "what is locked is not ours");
        world.claim(&open.invoice_id).await.unwrap();
        money_taken(&world.payer, &open.bolt11).await;
        world.wait_state(&open.invoice_id, State::Claimed).await;
        let after = before + i128::from(PRICE_MSAT);
        assert_eq!(held(world).await, after);
        world.restart().await;
        assert_eq!(held(world).await, after, "and still behind a restart");
        // Over the wire, as the gateway asks.
        let answer =
            world.api.compare_funds(Request::new(pb::CompareFundsRequest {})).await.unwrap().into_inner();
        assert_eq!(i128::from(answer.node_max_msat), after);
        assert_eq!((answer.residue_msat, answer.unknown_channels), (0, 0));
    });
}

/// From the first block to the last: opened with a gift, earned an odd amount, closed in good order, and on chain.
#[test]
fn a_real_channel_that_is_closed_takes_what_it_held_out_of_the_books() {
    alone(async || {
        let data_dir = DataDir::temporary().unwrap();
        let bitcoind = Bitcoind::start().await.unwrap();
        let lightning = free_port().unwrap();
        let database = Postgres::shared().await.unwrap().create_database().await.unwrap();
        let config = config(&data_dir.subfolder("payment").unwrap(), &bitcoind, &lightning, &database, "");
        let node = start_node(&config).await;
        let payer = start_payer(&data_dir.subfolder("payer").unwrap(), &bitcoind).await;
        let service = Running::start(&config, Arc::clone(&node) as Arc<dyn LightningNode>).await;
        let own_address = Address::from_str(&node.new_address().await.unwrap()).unwrap().assume_checked();
        open_channel(&bitcoind, &payer, &node.node_id().serialize(), own_address, &lightning).await;
        service.wait_synced().await;
        let opened = agreeing(&service).await;
        assert_eq!(exact(opened.node), opened.journal.opened_msat.into());

        let open = service.create(PRICE_MSAT + 7).await;
        pay(&payer, &open.bolt11).await;
        service.wait_state(&open.invoice_id, State::Accepted).await;
        service.claim(&open.invoice_id).await.unwrap();
        money_taken(&payer, &open.bolt11).await;
        let held = held(&service).await;
        assert_eq!(held, exact(opened.node) + i128::from(PRICE_MSAT) + 7);
        let mut rows = PgConnection::connect(&database).await.unwrap();
        until("a quiet look", async || {
            service.app.funds.observe().await.map_err(|error| error.to_string())?;
            let seen = sqlx::query_scalar("select seen_msat from payment.channel_funds");
            let seen: Option<i64> = seen.fetch_one(&mut rows).await.unwrap();
            if seen.map(i128::from) == Some(held) { Ok(()) } else { Err(format!("{seen:?}")) }
        })
        .await;

        payer.close_channels().await.unwrap();
        let closed = until("the close", async || {
            let compared = agreeing(&service).await;
            let closed = compared.journal.closed_msat;
            if closed.max > 0 { Ok(compared) } else { Err(format!("{compared:?}")) }
        })
        .await;
        assert_eq!(closed.journal.closed_msat, Range { min: held - 7, max: held + 992 }, "to the satoshi");
        assert_eq!(exact(closed.node), 0);
        wait_mempool(&bitcoind).await;
        bitcoind.mine(1).await.unwrap();
        until("the closing transaction in a block", async || {
            let compared = agreeing(&service).await;
            let whole = u64::try_from(held / 1000).unwrap();
            if compared.settling.sat() == whole { Ok(()) } else { Err(format!("{compared:?}")) }
        })
        .await;
        bitcoind.mine(10).await.unwrap();
        until("all of it on chain", async || {
            let compared = agreeing(&service).await;
            if compared.settling.sat() == 0 { Ok(()) } else { Err(format!("{compared:?}")) }
        })
        .await;
        payer.stop().await.unwrap();
        service.stop().await;
        node.stop().await;
    });
}

fn channel(id: u128, held_msat: u64) -> (OpenChannel, Commitment) {
    let amount = AmountSat::try_new(1_000_000).unwrap();
    let reserve = AmountSat::try_new(10_000).unwrap();
    let channel = OpenChannel {
        user_channel_id: UserChannelId(id),
        channel_id: [u8::try_from(id).unwrap(); 32],
        outbound: false,
        amount,
        outbound_capacity: msat(held_msat.saturating_sub(10_000_000)),
        inbound_capacity: msat(1_000_000_000 - held_msat - 10_000_000 - 660_000),
        own_reserve: reserve,
        peer_reserve: reserve,
    };
    (channel, Commitment { to_self: AmountSat::try_new(held_msat / 1000).unwrap(), ..Commitment::default() })
}

fn holding(channels: &[(u128, u64)]) -> NodeFunds {
    let mut funds = NodeFunds::default();
    for (id, held_msat) in channels {
        let (channel, commitment) = channel(*id, *held_msat);
        funds.open.push(channel);
        funds.commitments.insert(channel.channel_id, commitment);
    }
    funds
}

async fn begun(bench: &Bench) {
    until("the beginning", async || match bench.app.funds.observe().await.unwrap() {
        Some(_) => Ok(()),
        None => Err("not yet".to_owned()),
    })
    .await;
}

#[test]
fn a_node_in_use_begins_with_books_that_agree_and_what_goes_missing_later_is_found() {
    alone(async || {
        let bench = Bench::new("").await;
        begun(&bench).await;
        // A channel of which no event told, with money in it.
        bench.node.hold(holding(&[(1, 40_000_000)]));
        let compared = bench.app.funds.compare().await.unwrap();
        assert_eq!((compared.unknown_channels, compared.agrees()), (1, false));
        bench.node.emit(NodeEvent::ChannelPending { user_channel_id: UserChannelId(1) });
        assert_eq!(exact(agreeing(&bench).await.node), 40_000_000);
        for (held, residue) in [(39_999_999, -1), (40_000_001, 1)] {
            bench.node.hold(holding(&[(1, held)]));
            assert_eq!(bench.app.funds.compare().await.unwrap().residue_msat, residue);
        }
        bench.node.hold(holding(&[(1, 40_000_000)]));
        agreeing(&bench).await;

        // The schema's rows about funds are younger than the node: they begin where they are.
        let mut database = bench.database().await;
        for table in ["funds_correction", "channel_funds"] {
            let emptied = format!("delete from payment.{table}");
            sqlx::query(sqlx::AssertSqlSafe(emptied)).execute(&mut database).await.unwrap();
        }
        bench.node.hold(holding(&[(1, 40_000_000), (2, 5_000)]));
        begun(&bench).await;
        assert_eq!(exact(agreeing(&bench).await.node), 40_005_000);
    });
}

#[test]
fn what_came_and_what_left_without_a_row_is_in_the_books_of_the_channels_too() {
    alone(async || {
        let bench = Bench::new("").await;
        begun(&bench).await;
        bench.node.hold(holding(&[(1, 40_000_000)]));
        bench.node.emit(NodeEvent::ChannelPending { user_channel_id: UserChannelId(1) });
        agreeing(&bench).await;
        // Somebody paid without an invoice.
        let payment_hash = PaymentHash(Digest::sha256(b"unasked"));
        bench.node.hold(holding(&[(1, 40_000_300)]));
        bench.node.emit(NodeEvent::PaymentReceived { payment_hash, amount: msat(300) });
        agreeing(&bench).await;
        // Somebody else sent with this node's keys, and the node's list knows how much.
        let preimage = [9; 32];
        bench.node.say_sent(Some(msat(10_000)));
        bench.node.hold(holding(&[(1, 40_000_300 - 10_000 - 20)]));
        let payment_hash = PaymentHash(Digest::sha256(&preimage));
        bench.node.emit(NodeEvent::PaymentSent { payment_hash, preimage, fee: msat(20) });
        let compared = agreeing(&bench).await;
        assert_eq!(
            (compared.journal.unexpected_sent_msat, compared.journal.unexpected_payments),
            (10_000, 1)
        );
    });
}

/// The node's event has no id, and comes again if its drop was not durable.
#[test]
fn a_forwarded_payment_is_counted_once_also_when_its_event_comes_again() {
    alone(async || {
        let mut bench = Bench::new("").await;
        begun(&bench).await;
        let fingerprint = Digest::sha256(b"forwarded");
        let event = NodeEvent::PaymentForwarded { fee: msat(3), fingerprint };
        let earned =
            async |bench: &Bench| {
                until("the event's end", async || {
                    if bench.node.has_event() { Err("waits".to_owned()) } else { Ok(()) }
                })
                .await;
                bench.app.funds.compare().await.unwrap().journal.forwarding_earned_msat
            };
        bench.node.emit(event.clone());
        bench.node.emit(event.clone());
        assert_eq!(earned(&bench).await, 6, "two that look the same");

        // Written down by a process that died before the node had dropped the event.
        bench.stop().await;
        let mut database = bench.database().await;
        sqlx::query("update payment.forwarding set earned_msat = earned_msat + 3, undropped = $1")
            .bind(fingerprint.as_bytes().as_slice())
            .execute(&mut database)
            .await
            .unwrap();
        bench.node.emit(event.clone());
        bench.start().await;
        assert_eq!(earned(&bench).await, 9, "it came again");
        bench.node.emit(event);
        assert_eq!(earned(&bench).await, 12, "and this is another one");
    });
}

/// A restore, say, has lost rows: somebody finds out, and then the books go on.
#[test]
fn what_nothing_explains_is_accepted_once_somebody_has_found_out() {
    alone(async || {
        let bench = Bench::new("").await;
        begun(&bench).await;
        let accept = async |residue_msat, note: &str| {
            let request = pb::AcceptFundsResidueRequest { residue_msat, note: note.to_owned() };
            bench.api.accept_funds_residue(Request::new(request)).await
        };
        bench.node.hold(holding(&[(1, 40_000_000)]));
        bench.node.emit(NodeEvent::ChannelPending { user_channel_id: UserChannelId(1) });
        agreeing(&bench).await;
        assert_reason(accept(0, "nothing").await, ErrorReason::InvalidField);

        bench.node.hold(holding(&[(1, 40_000_900), (2, 70_000)]));
        assert_reason(accept(901, "more").await, ErrorReason::InvalidField);
        assert_reason(accept(900, " ").await, ErrorReason::InvalidField);
        assert_eq!(bench.app.funds.compare().await.unwrap().residue_msat, 900);
        accept(900, "rows were lost in the restore").await.unwrap();
        let compared = agreeing(&bench).await;
        assert_eq!(exact(compared.node), 40_070_900, "the channel of no event is taken in, too");
        // Its repeat corrects nothing twice.
        assert_reason(accept(900, "rows were lost in the restore").await, ErrorReason::InvalidField);
        assert_eq!(agreeing(&bench).await, compared);
        bench.node.hold(holding(&[(1, 40_000_899), (2, 70_000)]));
        accept(-1, "and one less").await.unwrap();
        agreeing(&bench).await;
    });
}

/// A peer that went away with a payment half done keeps the node from a moment of rest for as long as it likes.
#[test]
fn a_residue_is_accepted_while_a_peer_is_away_and_an_unknown_channel_is_not() {
    alone(async || {
        let bench = Bench::new("").await;
        // 700 msat on their way to us, their preimage known; 2,000 on their way out.
        let half_done = |held_msat: u64| {
            let (mut channel, commitment) = channel(1, held_msat);
            channel.outbound_capacity = msat(channel.outbound_capacity.msat() - 2_700);
            let moving = Commitment { claiming: msat(700), leaving: msat(2_000), ..commitment };
            NodeFunds {
                open: vec![channel],
                commitments: [(channel.channel_id, moving)].into(),
                ..NodeFunds::default()
            }
        };
        begun(&bench).await;
        bench.node.hold(holding(&[(1, 40_000_000)]));
        bench.node.emit(NodeEvent::ChannelPending { user_channel_id: UserChannelId(1) });
        agreeing(&bench).await;
        bench.node.hold(half_done(40_000_000));
        let begun = agreeing(&bench).await;
        assert_eq!(begun.expected, Range::exactly(40_000_000));
        assert_eq!(begun.node, Range { min: 39_997_300, max: 40_000_000 }, "in motion");

        bench.node.hold(half_done(40_000_900));
        assert_eq!(bench.app.funds.compare().await.unwrap().residue_msat, 0, "the motion hides it");
        let refused = bench.app.funds.accept(900, "too early").await.unwrap_err();
        assert_eq!(refused.to_string(), "the residue is 0 msat now");
        bench.node.hold(half_done(39_999_999 - 1_000_000));
        let residue = bench.app.funds.compare().await.unwrap().residue_msat;
        assert_eq!(residue, -1_000_001);
        bench.app.funds.accept(-1_000_001, "lost while the peer is away").await.unwrap();
        assert_eq!(agreeing(&bench).await.expected, Range::exactly(38_999_999));
        assert!(bench.app.funds.accept(-1_000_001, "again").await.is_err(), "nothing is corrected twice");

        // What a channel without a row holds cannot be read exactly meanwhile.
        let mut with_unknown = half_done(38_999_999);
        let (unknown, commitment) = channel(2, 70_000);
        with_unknown.open.push(unknown);
        with_unknown.commitments.insert(unknown.channel_id, commitment);
        bench.node.hold(with_unknown);
        let refused = bench.app.funds.accept(0, "a channel that was lost").await.unwrap_err();
        assert_eq!(
            refused.to_string(),
            "there was no moment at which nothing moved; try again when less is going on"
        );

        // The peer comes back, and the payments end.
        bench.node.hold(holding(&[(1, 38_999_999)]));
        assert_eq!(exact(agreeing(&bench).await.node), 38_999_999);
    });
}

/// Behind a restore nobody knows what has left; so nothing more leaves until somebody has found out.
#[test]
fn payouts_are_halted_while_the_channels_do_not_hold_what_the_rows_say() {
    alone(async || {
        let mut bench = Bench::new("halt_payouts_on_residue = true").await;
        begun(&bench).await;
        bench.node.hold(holding(&[(1, 40_000_000)]));
        bench.node.emit(NodeEvent::ChannelPending { user_channel_id: UserChannelId(1) });
        agreeing(&bench).await;
        let sent = foreign_invoice(5_000, 600);
        let pending = bench.pay(&sent, 5_000).await.unwrap();
        bench.wait_payment(&pending.payment_hash, PaymentState::InFlight).await;

        // The database is put back to before the payment; the node is not.
        sqlx::query("delete from payment.outgoing_payment")
            .execute(&mut bench.database().await)
            .await
            .unwrap();
        bench.node.hold(holding(&[(1, 40_000_000 - 5_000)]));
        bench.restart().await;
        assert_reason(bench.pay(&sent, 5_000).await, ErrorReason::NotOffered);
        assert_reason(bench.pay(&foreign_invoice(7_000, 600), 7_000).await, ErrorReason::NotOffered);
        assert_eq!(bench.node.sends(), 1);
        bench.app.funds.accept(-5_000, "a payment that the restore has lost").await.unwrap();
        let next = bench.pay(&foreign_invoice(7_000, 600), 7_000).await.unwrap();
        bench.wait_payment(&next.payment_hash, PaymentState::InFlight).await;
    });
}

/// Behind a restore the rows know nothing of a channel; it is taken in, used, and closed.
#[test]
fn a_channel_that_was_taken_in_leaves_with_what_it_held_and_not_with_what_it_came_with() {
    alone(async || {
        let bench = Bench::new("").await;
        bench.node.hold(holding(&[(1, 40_000_000)]));
        // Some of the events that a node tells again at its start come a moment later than the first look.
        begun(&bench).await;
        let payment_hash = PaymentHash(Digest::sha256(b"unasked"));
        bench.node.hold(holding(&[(1, 41_000_300)]));
        bench.node.emit(NodeEvent::PaymentReceived { payment_hash, amount: msat(1_000_300) });
        agreeing(&bench).await;
        until("a quiet look", async || bench.app.funds.observe().await.unwrap().ok_or_else(String::new))
            .await;
        // The peer's closing transaction is in a block before the node hears of it, and a hold was in flight.
        let mut funds = NodeFunds::default();
        let (channel, commitment) = channel(1, 41_000_300);
        let left = Settling { to_wallet: commitment.to_self, arriving: msat(900_000), ..Settling::default() };
        funds.settling.insert(channel.channel_id, left);
        bench.node.hold(funds);
        let reason = "the peer".to_owned();
        bench.node.emit(NodeEvent::ChannelClosed { user_channel_id: UserChannelId(1), reason });
        let closed = agreeing(&bench).await;
        assert!(closed.expected.max - closed.expected.min >= 900_000, "what was in flight is not known yet");
        // It was claimed on chain.
        let payment_hash = PaymentHash(Digest::sha256(b"on chain"));
        bench.node.emit(NodeEvent::PaymentReceived { payment_hash, amount: msat(900_000) });
        agreeing(&bench).await;
        // An operator who has followed it makes one amount of it.
        bench.app.funds.accept(0, "followed on chain").await.unwrap();
        assert_eq!(exact(agreeing(&bench).await.expected), 0);
    });
}
