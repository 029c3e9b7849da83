//! Reservations, reversals and what the schema refuses, through SQL.

use std::time::Duration;

use ailayer_gateway::domain::ledger::{
    AccountId, Action, Amount, Asset, CustomerId, HouseKind, Operation, Refusal, ReservationState, Terms,
    Verdict,
};
use ailayer_gateway::store::clock::Clock;
use ailayer_gateway::store::{self, ledger};
use ailayer_gateway::tasks::expire_reservations;
use ailayer_primitives::UnixMs;
use futures::future::join_all;
use uuid::Uuid;

use super::bank::{
    Answer, Bank, amount, applied, capture, count, credit, debit, operation, refused, reserve,
};
use crate::world::until;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reservation_is_captured_once_by_whoever_is_first() {
    let bank = Bank::new().await;
    let account = bank.customer(100).await;
    let writers = [bank.writer(), bank.writer()];
    let reservation = operation(account, reserve(80));
    let id = reservation.request_id();
    applied(&writers[0], reservation).await;
    assert_eq!(refused(&writers[1], operation(account, debit(21))).await, Refusal::InsufficientFunds);
    let captures = (0..10).map(|number| writers[number % 2].submit(operation(account, capture(id, 30))));
    let answers: Vec<Answer> = join_all(captures).await;
    let ended = Refusal::ReservationEnded(ReservationState::Posted);
    assert_eq!(count(&answers, |it| matches!(it, Ok(Verdict::Applied(_)))), 1);
    assert_eq!(count(&answers, |it| matches!(it, Ok(Verdict::Refused(why)) if *why == ended)), 9);
    let account = bank.account(account).await;
    assert_eq!((account.balance_units, account.reserved_units), (70, 0), "the rest is free");
    assert_eq!(bank.house(HouseKind::Revenue).await, 30);
    bank.verify().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reservation_may_begin_and_end_within_one_batch() {
    let bank = Bank::new().await;
    let account = bank.customer(100).await;
    let writer = bank.writer();
    let held = bank.hold(account).await;
    let reservation = operation(account, reserve(80));
    let id = reservation.request_id();
    let (reserved, captured, again, ()) = tokio::join!(
        writer.submit(reservation),
        writer.submit(operation(account, capture(id, 5))),
        writer.submit(operation(account, reserve(95))),
        async {
            tokio::time::sleep(Duration::from_millis(150)).await;
            drop(held);
        }
    );
    for verdict in [reserved, captured, again] {
        assert!(matches!(verdict, Ok(Verdict::Applied(_))), "{verdict:?}");
    }
    let account = bank.account(account).await;
    assert_eq!((account.balance_units, account.reserved_units), (95, 95));
    bank.verify().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_expired_is_freed_and_a_jobs_reservation_never_is() {
    let bank = Bank::new().await;
    let account = bank.customer(100).await;
    let writer = bank.writer();
    let now = store::now(bank.store.pool()).await.unwrap();
    let until_then = |at| Action::Reserve { amount: amount(10), terms: Terms::ExpiresAt(UnixMs(at)) };
    for _ in 0..3 {
        applied(&writer, operation(account, until_then(now.0 + 300))).await;
    }
    applied(&writer, operation(account, until_then(now.0 + 3_600_000))).await;
    applied(&writer, operation(account, reserve(20))).await;
    let early = ledger::reservations::expired(bank.store.pool(), 10).await.unwrap();
    assert!(early.is_empty() || store::now(bank.store.pool()).await.unwrap().0 >= now.0 + 300);
    // On two replicas at once.
    for _ in 0..2 {
        let task = expire_reservations::run(
            bank.store.clone(),
            Clock::new(bank.store.pool().clone()),
            bank.writer(),
            bank.shutdown.clone(),
        );
        bank.tasks.spawn("expire_reservations", task);
    }
    until("three are freed", || async { bank.account(account).await.reserved_units == 30 }).await;
    tokio::time::sleep(Duration::from_millis(1200)).await;
    assert_eq!(bank.account(account).await.reserved_units, 30);
    bank.verify().await;
    bank.shutdown.trigger();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reversal_of_spent_money_freezes_and_becomes_a_debt() {
    let bank = Bank::new().await;
    let account = bank.customer(0).await;
    let writer = bank.writer();
    let deposit = operation(account, credit(100));
    let id = deposit.request_id();
    applied(&writer, deposit).await;
    applied(&writer, operation(account, debit(70))).await;
    let reverse = || operation(account, Action::Reverse { deposit: id, from: HouseKind::Lightning });
    let posted = applied(&writer, reverse()).await;
    assert_eq!(posted.shortfall_units, 70);
    assert_eq!(refused(&writer, reverse()).await, Refusal::AlreadyReversed);
    assert_eq!(refused(&writer, operation(account, reserve(1))).await, Refusal::Frozen);
    let receivable = AccountId::receivable(account.customer_id().unwrap(), Asset::Btc);
    assert_eq!((bank.balance(account).await, bank.balance(receivable).await), (0, 70));
    assert_eq!(bank.house(HouseKind::Lightning).await, 0);
    applied(&writer, operation(account, credit(5))).await;
    assert_eq!(refused(&writer, operation(account, debit(1))).await, Refusal::Frozen);
    applied(&writer, operation(account, Action::Unfreeze)).await;
    applied(&writer, operation(account, debit(5))).await;
    bank.verify().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_overflow_and_one_unknown_account_fail_alone() {
    let bank = Bank::new().await;
    let (rich, other) = (bank.customer(0).await, bank.customer(0).await);
    let nobody = AccountId::customer(CustomerId::new(Uuid::new_v4()), Asset::Btc);
    let writer = bank.writer();
    let most = || Action::Credit { amount: Amount::MAX, from: HouseKind::OnChain };
    let operations: Vec<Operation> = (0..5)
        .map(|_| operation(rich, most()))
        .chain([operation(nobody, credit(1)), operation(other, credit(7))])
        .collect();
    let verdicts = join_all(operations.into_iter().map(|it| writer.submit(it))).await;
    let verdicts: Vec<Verdict> = verdicts.into_iter().map(Result::unwrap).collect();
    assert!(verdicts[..4].iter().all(|it| matches!(it, Verdict::Applied(_))), "{verdicts:?}");
    assert_eq!(
        verdicts[4..6],
        [Verdict::Refused(Refusal::Overflow), Verdict::Refused(Refusal::UnknownAccount)]
    );
    assert_eq!(bank.balance(other).await, 7);
    bank.verify().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn assets_do_not_mix() {
    let bank = Bank::new().await;
    let customer = CustomerId::new(Uuid::new_v4());
    let asset = Asset::Liquid(ailayer_primitives::Digest::new([7; 32]));
    ledger::accounts::open(&bank.store, customer, asset).await.unwrap();
    ledger::accounts::open(&bank.store, customer, asset).await.unwrap();
    let account = AccountId::customer(customer, asset);
    let writer = bank.writer();
    let deposit = Action::Credit { amount: amount(9), from: HouseKind::Liquid };
    applied(&writer, operation(account, deposit)).await;
    assert_eq!(bank.balance(account).await, 9);
    let trial = ledger::audit::trial_balance(bank.store.pool()).await.unwrap();
    let of_asset: Vec<_> = trial.iter().filter(|line| line.asset == asset.to_string()).collect();
    assert_eq!(of_asset.iter().map(|line| line.net_units).sum::<i128>(), 0);
    assert_eq!(of_asset.iter().find(|line| line.kind == "asset:liquid").unwrap().net_units, 9);
    bank.verify().await;
}
