//! What is decided from memory, and what others have done meanwhile.

use std::time::{Duration, Instant};

use ailayer_gateway::domain::ledger::{
    AccountId, Action, HouseKind, Operation, Refusal, ReservationState, Stripe, Terms, Verdict,
};
use ailayer_gateway::store::ledger::{
    self, Decision, Recall, Submission, apply_locked_in_tx, write_recalled,
};
use ailayer_gateway::tasks::write_ledger::{LedgerHandle, SubmitError, WriterLimits};
use ailayer_primitives::UnixMs;
use futures::future::join_all;
use sqlx::Row as _;
use uuid::Uuid;

use super::bank::{
    Answer, Bank, applied, capture, connect, count, credit, debit, new_id, operation, refused, reserve,
};
use super::proxy::{Cut, LATE, Plan, Proxy};

fn stripe() -> Stripe {
    Stripe::of_writer(Uuid::from_u128(1))
}

fn batch(operations: impl IntoIterator<Item = Operation>) -> Vec<Submission> {
    operations.into_iter().map(Submission::new).collect()
}

/// A memory that has seen one commit under locks.
async fn recalling(bank: &Bank, operations: impl IntoIterator<Item = Operation>) -> Recall {
    let mut recall = Recall::default();
    let mut tx = ledger::begin(&bank.store).await.unwrap();
    let done = apply_locked_in_tx(&mut tx, stripe(), &batch(operations)).await.unwrap();
    tx.commit().await.unwrap();
    recall.remember(&done);
    recall
}

/// Whether what was decided from memory could be written; commits it if so.
async fn is_written(bank: &Bank, decision: Decision) -> bool {
    let mut tx = ledger::begin(&bank.store).await.unwrap();
    let written = write_recalled(&mut tx, decision).await.unwrap().is_some();
    if written {
        tx.commit().await.unwrap();
    } else {
        tx.rollback().await.unwrap();
    }
    written
}

async fn clock(bank: &Bank) -> u64 {
    let now: i64 = sqlx::query_scalar("select unix_ms()").fetch_one(bank.store.pool()).await.unwrap();
    u64::try_from(now).unwrap()
}

#[tokio::test]
async fn a_batch_is_decided_from_memory_and_dated_by_the_database() {
    let bank = Bank::new().await;
    let account = bank.customer(1000).await;
    let set_aside = operation(account, reserve(100));
    let mut recall = recalling(&bank, [set_aside.clone(), operation(account, debit(1))]).await;
    for _ in 0..3 {
        let before = clock(&bank).await;
        let orders = batch([operation(account, debit(10)), operation(account, reserve(20))]);
        let decision = recall.decide(stripe(), orders.iter()).expect("all of it is known");
        let mut tx = ledger::begin(&bank.store).await.unwrap();
        let done = write_recalled(&mut tx, decision).await.unwrap().unwrap();
        tx.commit().await.unwrap();
        recall.remember(&done);
        for (order, verdict) in orders.iter().zip(&done.verdicts) {
            let posted = verdict.posted().unwrap();
            assert!((before..=clock(&bank).await).contains(&posted.posted_at.0), "{posted:?}");
            // What a repeat is answered with is what was answered.
            let again = bank.writer().submit(order.operation.clone()).await.unwrap();
            assert_eq!(again, Verdict::Duplicate(posted));
        }
    }
    let decision =
        recall.decide(stripe(), batch([operation(account, capture(set_aside.request_id(), 70))]).iter());
    let mut tx = ledger::begin(&bank.store).await.unwrap();
    assert!(write_recalled(&mut tx, decision.expect("the reservation is known")).await.unwrap().is_some());
    tx.commit().await.unwrap();
    let row = sqlx::query("select state, captured_units from ledger_reservations where reservation_id = $1");
    let row = row.bind(set_aside.request_id().uuid()).fetch_one(bank.store.pool()).await.unwrap();
    assert_eq!((row.get::<&str, _>(0), row.get::<i64, _>(1)), ("POSTED", 70));
    let found = bank.account(account).await;
    assert_eq!((found.balance_units, found.reserved_units), (1000 - 1 - 30 - 70, 60));
    bank.verify().await;
}

#[tokio::test]
async fn what_the_write_could_not_compare_is_not_decided_from_memory() {
    let bank = Bank::new().await;
    let (account, stranger) = (bank.customer(100).await, bank.customer(100).await);
    let set_aside = operation(
        account,
        Action::Reserve { amount: super::bank::amount(5), terms: Terms::ExpiresAt(UnixMs(1)) },
    );
    let mut recall = recalling(&bank, [set_aside.clone()]).await;
    let known =
        |recall: &mut Recall, orders: Vec<Submission>| recall.decide(stripe(), orders.iter()).is_some();
    let to_revenue = |account: AccountId| operation(account, debit(1));
    // The house's account is not known yet, and neither is a stranger's.
    assert!(!known(&mut recall, batch([to_revenue(account)])));
    let mut recall = recalling(&bank, [to_revenue(account)]).await;
    assert!(known(&mut recall, batch([to_revenue(account)])));
    assert!(!known(&mut recall, batch([to_revenue(stranger)])));
    assert!(!known(&mut recall, batch([to_revenue(account), to_revenue(stranger)])));
    // Refusals, repeats, what has moved, what time decides, and reservations of which nothing is known.
    assert!(!known(&mut recall, batch([operation(account, debit(1000))])));
    let twice = to_revenue(account);
    assert!(!known(&mut recall, batch([twice.clone(), twice])));
    let moved = Submission { may_apply: false, ..Submission::new(to_revenue(account)) };
    assert!(!known(&mut recall, vec![moved]));
    assert!(!known(
        &mut recall,
        batch([operation(account, Action::Expire { reservation: set_aside.request_id() })])
    ));
    assert!(!known(&mut recall, batch([operation(account, Action::Freeze)])));
    assert!(!known(&mut recall, batch([operation(account, capture(new_id(), 1))])));
    assert!(known(&mut recall, batch([to_revenue(account)])), "and all that has changed nothing");
    recall.forget_all();
    assert!(!known(&mut recall, batch([to_revenue(account)])));
}

#[tokio::test]
async fn nothing_is_written_of_what_others_have_moved() {
    let bank = Bank::new().await;
    let account = bank.customer(100).await;
    let other = bank.writer();
    let mut recall = recalling(&bank, [operation(account, debit(1))]).await;
    let repeated = operation(account, debit(2));
    let stale = [operation(account, debit(3)), operation(account, reserve(3))];
    let decided: Vec<_> =
        stale.into_iter().map(|it| recall.decide(stripe(), batch([it]).iter()).unwrap()).collect();
    applied(&other, repeated.clone()).await;
    for decision in decided {
        assert!(!is_written(&bank, decision).await);
    }
    assert_eq!(bank.balance(account).await, 97);

    // A request id that the other has used, decided on the account as it is.
    let mut recall = recalling(&bank, [operation(account, debit(1))]).await;
    let decision = recall.decide(stripe(), batch([repeated]).iter()).unwrap();
    assert!(!is_written(&bank, decision).await);
    assert_eq!(bank.balance(account).await, 96);
    bank.verify().await;
}

/// The account is fresh in memory, the reservation is not: its state is compared, too.
#[tokio::test]
async fn a_reservation_that_others_have_ended_is_not_ended_again() {
    let bank = Bank::new().await;
    let account = bank.customer(100).await;
    let set_aside = operation(account, reserve(10));
    let mut recall = recalling(&bank, [set_aside.clone(), operation(account, debit(1))]).await;
    applied(&bank.writer(), operation(account, Action::Void { reservation: set_aside.request_id() })).await;
    let mut tx = ledger::begin(&bank.store).await.unwrap();
    let done = apply_locked_in_tx(&mut tx, stripe(), &batch([operation(account, debit(1))])).await.unwrap();
    tx.commit().await.unwrap();
    recall.remember(&done);
    let orders = batch([operation(account, capture(set_aside.request_id(), 10))]);
    assert!(!is_written(&bank, recall.decide(stripe(), orders.iter()).unwrap()).await);
    assert_eq!(bank.balance(account).await, 98);
    // Forgotten, and no account with it that the batch does not name.
    recall.forget(stripe(), orders.iter());
    for _ in 0..8 {
        assert!(recall.decide(stripe(), orders.iter()).is_none());
    }
    bank.verify().await;
}

/// Nothing that was remembered is believed of a row that was changed by hand, or put back with a backup.
#[tokio::test]
async fn an_account_is_compared_by_what_it_holds() {
    let bank = Bank::new().await;
    for change in ["frozen = true", "limit_units = -5", "reserved_units = 7"] {
        let account = bank.customer(100).await;
        let mut recall = recalling(&bank, [operation(account, debit(1))]).await;
        let decision = recall.decide(stripe(), batch([operation(account, debit(1))]).iter()).unwrap();
        let mut tx = bank.store.begin().await.unwrap();
        // As a restore does, past the schema's rules.
        sqlx::query("set local session_replication_role = replica").execute(&mut *tx).await.unwrap();
        let by_hand = format!("update ledger_accounts set {change} where code = $1");
        sqlx::query(sqlx::AssertSqlSafe(by_hand)).bind(account.to_string()).execute(&mut *tx).await.unwrap();
        tx.commit().await.unwrap();
        assert!(!is_written(&bank, decision).await, "{change}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_waits_for_a_row_goes_by_what_comes_of_it() {
    let bank = Bank::new().await;
    for commits in [true, false] {
        let account = bank.customer(100).await;
        let mut recall = recalling(&bank, [operation(account, debit(1))]).await;
        let decision = recall.decide(stripe(), batch([operation(account, debit(2))]).iter()).unwrap();
        let mut tx = ledger::begin(&bank.store).await.unwrap();
        ledger::apply_one_in_tx(&mut tx, Stripe::of_writer(Uuid::from_u128(2)), operation(account, debit(4)))
            .await
            .unwrap();
        let (written, ()) = tokio::join!(is_written(&bank, decision), async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            if commits { tx.commit().await.unwrap() } else { tx.rollback().await.unwrap() }
        });
        assert_eq!(written, !commits);
        assert_eq!(bank.balance(account).await, if commits { 95 } else { 97 });
        bank.verify().await;
    }
}

/// A writer whose connections can be cut, and which remembers `account`, two less than it was.
async fn through_a_proxy(bank: &Bank, account: AccountId) -> (Proxy, LedgerHandle) {
    let proxy = Proxy::start(bank.port, &bank.tasks).await;
    let url = bank.url.replace(&format!(":{}/", bank.port), &format!(":{}/", proxy.port));
    let writer = bank.writer_with(connect(&url).await, WriterLimits::default());
    applied(&writer, operation(account, debit(1))).await;
    applied(&writer, operation(account, debit(1))).await;
    (proxy, writer)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_of_what_was_decided_from_memory_may_be_cut_as_any_other() {
    for cut in [Cut::Before, Cut::After, Cut::Racing, Cut::Late] {
        let bank = Bank::new().await;
        let account = bank.customer(100).await;
        let (proxy, writer) = through_a_proxy(&bank, account).await;
        proxy.set(Plan::Always(cut));
        let request = operation(account, debit(30));
        let answer = writer.submit(request.clone()).await;
        proxy.set(Plan::Never);
        assert!(proxy.cuts() > 0);
        assert!(matches!(answer, Ok(Verdict::Applied(_)) | Err(SubmitError::Unknown(_))), "{answer:?}");
        assert!(writer.submit(request).await.unwrap().posted().is_ok(), "{cut:?}");
        applied(&writer, operation(account, debit(1))).await;
        assert_eq!(bank.balance(account).await, 67, "{cut:?}");
        bank.verify().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_statement_that_comes_when_it_was_given_up_is_refused() {
    let bank = Bank::new().await;
    let account = bank.customer(100).await;
    let (proxy, writer) = through_a_proxy(&bank, account).await;
    proxy.set(Plan::Once(Cut::Late));
    let started = Instant::now();
    applied(&writer, operation(account, debit(30))).await;
    assert!(started.elapsed() < LATE, "it was applied anew, and did not wait for what comes late");
    assert_eq!(proxy.cuts(), 1);
    tokio::time::sleep(LATE * 2).await;
    assert_eq!(bank.balance(account).await, 68);
    applied(&writer, operation(account, debit(1))).await;
    bank.verify().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_that_remembers_sees_what_others_do() {
    let bank = Bank::new().await;
    let (ours, theirs) = (bank.writer(), bank.writer());
    // Again and again, so that it is met both with something remembered and behind a rest.
    for _ in 0..12 {
        let account = bank.customer(100).await;
        applied(&ours, operation(account, debit(10))).await;
        applied(&ours, operation(account, debit(10))).await;
        let taken = operation(account, debit(80));
        applied(&theirs, taken.clone()).await;
        assert_eq!(refused(&ours, operation(account, debit(1))).await, Refusal::InsufficientFunds);
        assert!(matches!(ours.submit(taken).await.unwrap(), Verdict::Duplicate(_)));
        applied(&theirs, operation(account, credit(50))).await;
        applied(&ours, operation(account, debit(50))).await;
        applied(&ours, operation(account, credit(9))).await;
        applied(&theirs, operation(account, Action::Freeze)).await;
        assert_eq!(refused(&ours, operation(account, debit(1))).await, Refusal::Frozen);
        applied(&theirs, operation(account, Action::Unfreeze)).await;

        let set_aside = operation(account, reserve(5));
        applied(&ours, set_aside.clone()).await;
        let void = Action::Void { reservation: set_aside.request_id() };
        applied(&theirs, operation(account, void)).await;
        let ended = refused(&ours, operation(account, capture(set_aside.request_id(), 5))).await;
        assert_eq!(ended, Refusal::ReservationEnded(ReservationState::Voided));
        assert_eq!(bank.balance(account).await, 9);
    }
    bank.verify().await;
}

/// Both lock the account before the reservation: neither waits for the other with what the other waits for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_that_end_the_same_reservations_one_does() {
    let bank = Bank::new().await;
    let writers = [bank.writer(), bank.writer()];
    let mut accounts = Vec::new();
    for _ in 0..4 {
        accounts.push(bank.customer(1000).await);
    }
    for round in 0..25 {
        let set_aside: Vec<Operation> =
            (0..16).map(|number| operation(accounts[number % 4], reserve(10))).collect();
        let answers: Vec<Answer> =
            join_all(set_aside.iter().map(|it| writers[round % 2].submit(it.clone()))).await;
        assert_eq!(count(&answers, |it| matches!(it, Ok(Verdict::Applied(_)))), 16, "{answers:?}");
        let taken = set_aside.iter().map(|it| operation(it.account(), capture(it.request_id(), 1)));
        let freed = set_aside
            .iter()
            .rev()
            .map(|it| operation(it.account(), Action::Void { reservation: it.request_id() }));
        let (taken, freed): (Vec<Operation>, Vec<Operation>) = (taken.collect(), freed.collect());
        let (first, second) = tokio::join!(
            join_all(taken.iter().map(|it| writers[0].submit(it.clone()))),
            join_all(freed.iter().map(|it| writers[1].submit(it.clone())))
        );
        let ends: Vec<Answer> = first.into_iter().chain(second).collect();
        assert_eq!(count(&ends, |it| matches!(it, Ok(Verdict::Applied(_)))), 16, "{ends:?}");
        let late = |it: &Answer| matches!(it, Ok(Verdict::Refused(Refusal::ReservationEnded(_))));
        assert_eq!(count(&ends, late), 16, "{ends:?}");
    }
    let taken = bank.house(HouseKind::Revenue).await;
    let mut left = 0;
    for account in accounts {
        let found = bank.account(account).await;
        assert_eq!(found.reserved_units, 0);
        left += found.balance_units;
    }
    assert_eq!(left + taken, 4000);
    bank.verify().await;
}
