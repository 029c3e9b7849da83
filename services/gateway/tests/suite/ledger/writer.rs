//! The coalescing writer under races, refusals, cuts and crashes.

use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use ailayer_gateway::domain::ledger::{Action, HouseKind, Note, Operation, Refusal, Stripe, Verdict};
use ailayer_gateway::store::ledger;
use ailayer_gateway::tasks::write_ledger::{LedgerWriter, NoRiders, SubmitError, WriterLimits};
use ailayer_platform::tasks::Shutdown;
use ailayer_store::StoreError;
use futures::future::{abortable, join_all};
use uuid::Uuid;

use super::bank::{Answer, Bank, amount, applied, connect, count, credit, debit, new_id, operation};
use super::proxy::{Cut, Plan, Proxy};
use crate::world::until;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_racing_debits_as_many_succeed_as_there_is_money_for() {
    let bank = Bank::new().await;
    let account = bank.customer(1000).await;
    let writers = [bank.writer(), bank.writer(), bank.writer()];
    let submitted = (0..400).map(|number| writers[number % 3].submit(operation(account, debit(10))));
    let answers: Vec<Answer> = join_all(submitted).await;
    assert_eq!(count(&answers, |it| matches!(it, Ok(Verdict::Applied(_)))), 100);
    let poor = |it: &Answer| matches!(it, Ok(Verdict::Refused(Refusal::InsufficientFunds)));
    assert_eq!(count(&answers, poor), 300);
    assert_eq!(bank.balance(account).await, 0);
    assert_eq!(bank.house(HouseKind::Revenue).await, 1000);
    bank.verify().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_unit_is_taken_once() {
    let bank = Bank::new().await;
    let writers = [bank.writer(), bank.writer()];
    for _ in 0..20 {
        let account = bank.customer(1).await;
        let (first, second) = tokio::join!(
            writers[0].submit(operation(account, debit(1))),
            writers[1].submit(operation(account, debit(1)))
        );
        let answers = [first, second];
        assert_eq!(count(&answers, |it| matches!(it, Ok(Verdict::Applied(_)))), 1, "{answers:?}");
        assert_eq!(bank.balance(account).await, 0);
    }
    bank.verify().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_repeats_at_once_have_one_effect_and_one_answer() {
    let bank = Bank::new().await;
    let account = bank.customer(100).await;
    let writers = [bank.writer(), bank.writer()];
    let request = operation(account, debit(30));
    let submitted = (0..10).map(|number| writers[number % 2].submit(request.clone()));
    let answers: Vec<Answer> = join_all(submitted).await;
    assert_eq!(count(&answers, |it| matches!(it, Ok(Verdict::Applied(_)))), 1);
    let results: Vec<_> = answers.into_iter().map(|it| it.unwrap().posted().unwrap()).collect();
    assert!(results.iter().all(|it| *it == results[0]), "{results:?}");
    assert_eq!(bank.balance(account).await, 70);

    let other = Operation::try_new(account, request.request_id(), debit(31)).unwrap();
    let verdict = writers[0].submit(other).await.unwrap();
    assert_eq!(verdict, Verdict::Refused(Refusal::RequestIdReused));
    // The same id on another account is another request.
    let elsewhere = bank.customer(50).await;
    applied(&writers[0], Operation::try_new(elsewhere, request.request_id(), debit(31)).unwrap()).await;
    bank.verify().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_database_refuses_fails_alone() {
    let bank = Bank::new().await;
    sqlx::raw_sql(
        "create function poison() returns trigger language plpgsql as $$ begin
            raise exception 'poison' using errcode = 'check_violation', constraint = 'poison'; end $$;
         create trigger poison before insert on ledger_transactions for each row
            when (new.note = 'poison') execute function poison();",
    )
    .execute(bank.store.pool())
    .await
    .unwrap();
    let account = bank.customer(1000).await;
    let writer = bank.writer();
    let held = bank.hold(account).await;
    let mut operations: Vec<Operation> = (0..50).map(|_| operation(account, debit(1))).collect();
    for place in [0, 17, 49] {
        operations[place] = operations[place].clone().with_note(Note::try_new("poison").unwrap());
    }
    let submitted = operations.iter().map(|it| writer.submit(it.clone()));
    let (answers, ()) = tokio::join!(join_all(submitted), async {
        // All of them are in one batch by then.
        tokio::time::sleep(Duration::from_millis(200)).await;
        drop(held);
    });
    for (place, answer) in answers.iter().enumerate() {
        match answer {
            Ok(Verdict::Applied(_)) => assert!(![0, 17, 49].contains(&place)),
            Err(SubmitError::Failed(error)) => {
                assert!([0, 17, 49].contains(&place), "{error:?}");
                assert!(matches!(&**error, StoreError::Violation { constraint } if constraint == "poison"));
            }
            other => panic!("{place}: {other:?}"),
        }
    }
    assert_eq!(bank.balance(account).await, 1000 - 47);
    bank.verify().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_is_never_answered_is_unknown_and_a_repeat_finds_the_truth() {
    for cut in [Cut::Before, Cut::After, Cut::Racing] {
        let bank = Bank::new().await;
        let account = bank.customer(100).await;
        let proxy = Proxy::start(bank.port, &bank.tasks).await;
        let url = bank.url.replace(&format!(":{}/", bank.port), &format!(":{}/", proxy.port));
        let writer = bank.writer_with(connect(&url).await, WriterLimits::default());
        proxy.set(Plan::Always(cut));
        let request = operation(account, debit(30));
        let answer = writer.submit(request.clone()).await;
        if cut == Cut::Before {
            assert!(matches!(answer, Err(SubmitError::Unknown(_))), "{answer:?}");
        }
        // A look at the rows needs no commit: what was done is answered although every commit is still cut.
        if cut == Cut::After {
            assert!(matches!(answer, Ok(Verdict::Applied(_))), "{answer:?}");
        }
        proxy.set(Plan::Never);
        let repeated = writer.submit(request.clone()).await.unwrap();
        assert!(repeated.posted().is_ok(), "{cut:?}: {repeated:?}");
        assert!(matches!(writer.submit(request).await, Ok(Verdict::Duplicate(_))));
        assert_eq!(bank.balance(account).await, 70, "{cut:?}");
        bank.verify().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn verdicts_after_a_cut_commit_are_those_of_the_input_order() {
    let bank = Bank::new().await;
    let account = bank.customer(0).await;
    let proxy = Proxy::start(bank.port, &bank.tasks).await;
    let url = bank.url.replace(&format!(":{}/", bank.port), &format!(":{}/", proxy.port));
    let writer = bank.writer_with(connect(&url).await, WriterLimits::default());
    proxy.set(Plan::Always(Cut::After));
    let held = bank.hold(account).await;
    // The debit comes first and is poor. Tried again after the credit, it would not be.
    let (debited, credited, ()) = tokio::join!(
        writer.submit(operation(account, debit(5))),
        writer.submit(operation(account, credit(5))),
        async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            drop(held);
        }
    );
    assert_eq!(debited.unwrap(), Verdict::Refused(Refusal::InsufficientFunds));
    assert!(matches!(credited.unwrap(), Verdict::Applied(_)));
    assert_eq!(bank.balance(account).await, 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_killed_by_the_server_lose_nothing() {
    let bank = Bank::new().await;
    let account = bank.customer(10_000).await;
    let writers = [bank.writer(), bank.writer()];
    let mut applied_units = 0;
    for _ in 0..10 {
        let submitted = (0..40).map(|number| writers[number % 2].submit(operation(account, debit(1))));
        let kill = async {
            tokio::time::sleep(Duration::from_millis(3)).await;
            let kill = "select pg_terminate_backend(pid) from pg_stat_activity
                where datname = current_database() and pid <> pg_backend_pid() and state <> 'idle'";
            sqlx::query(kill).execute(bank.store.pool()).await.unwrap();
        };
        let (answers, ()) = tokio::join!(join_all(submitted), kill);
        let answers: Vec<Answer> = answers;
        assert_eq!(count(&answers, |it| matches!(it, Ok(Verdict::Applied(_)))), 40, "{answers:?}");
        applied_units += 40;
    }
    assert_eq!(bank.balance(account).await, 10_000 - applied_units);
    bank.verify().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_that_dies_in_a_batch_leaves_all_or_nothing() {
    let bank = Bank::new().await;
    let account = bank.customer(100).await;
    let (writer, handle) = LedgerWriter::new(&bank.store, NoRiders, WriterLimits::default());
    let (running, abort) = abortable(writer.run(Shutdown::new()));
    bank.tasks.spawn("write_ledger", async move {
        let _ = running.await;
    });
    let held = bank.hold(account).await;
    let operations: Vec<Operation> = (0..5).map(|_| operation(account, debit(10))).collect();
    let submitted = join_all(operations.iter().map(|it| handle.submit(it.clone())));
    let (answers, ()) = tokio::join!(submitted, async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        abort.abort();
    });
    assert_eq!(count(&answers, |it| matches!(it, Err(SubmitError::Unknown(None)))), 5, "{answers:?}");
    drop(held);
    // Killed a moment ago: its queue may still be there, but nobody reads it any more.
    let refused = handle.submit(operations[0].clone()).await;
    assert!(matches!(refused, Err(SubmitError::ShuttingDown | SubmitError::Unknown(None))), "{refused:?}");

    let next = bank.writer();
    for it in &operations {
        applied(&next, it.clone()).await;
        assert!(matches!(next.submit(it.clone()).await, Ok(Verdict::Duplicate(_))));
    }
    assert_eq!(bank.balance(account).await, 50);
    bank.verify().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_caller_gave_up_on_is_written_all_the_same() {
    let bank = Bank::new().await;
    let account = bank.customer(100).await;
    let writer = bank.writer();
    let request = operation(account, debit(30));
    {
        let mut submitted = pin!(writer.submit(request.clone()));
        let accepted = futures::poll!(submitted.as_mut());
        assert!(matches!(accepted, Poll::Pending));
    }
    until("the debit is posted", || async { bank.balance(account).await == 70 }).await;
    assert!(matches!(writer.submit(request).await, Ok(Verdict::Duplicate(_))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_answers_everything_that_waits() {
    let bank = Bank::new().await;
    let account = bank.customer(100).await;
    let limits = WriterLimits { max_batch_operations: 4, ..WriterLimits::default() };
    let writer = bank.writer_with(bank.store.clone(), limits);
    let held = bank.hold(account).await;
    let submitted = join_all((0..30).map(|_| writer.submit(operation(account, debit(1)))));
    let (answers, ()) = tokio::join!(submitted, async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        bank.shutdown.trigger();
        tokio::time::sleep(Duration::from_millis(100)).await;
        drop(held);
    });
    assert_eq!(count(&answers, |it| matches!(it, Ok(Verdict::Applied(_)))), 30, "{answers:?}");
    let late = writer.submit(operation(account, debit(1))).await;
    assert!(matches!(late, Err(SubmitError::ShuttingDown)), "{late:?}");
    assert_eq!(bank.balance(account).await, 70);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_queue_and_old_orders_are_refused_and_never_written() {
    let bank = Bank::new().await;
    let account = bank.customer(1000).await;
    let limits = WriterLimits {
        queue_capacity: 4,
        max_batch_operations: 1,
        max_age: Duration::from_millis(150),
        ..WriterLimits::default()
    };
    let writer = bank.writer_with(bank.store.clone(), limits);
    let held = bank.hold(account).await;
    let first = async { writer.submit(operation(account, debit(1))).await };
    let rest = async {
        // The first is being written by then.
        tokio::time::sleep(Duration::from_millis(100)).await;
        join_all((0..10).map(|_| writer.submit(operation(account, debit(1))))).await
    };
    let (first, rest, ()) = tokio::join!(first, rest, async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        drop(held);
    });
    assert!(matches!(first, Ok(Verdict::Applied(_))), "{first:?}");
    assert_eq!(
        count(&rest, |it| matches!(it, Err(SubmitError::Overloaded))),
        10,
        "6 full, 4 too old: {rest:?}"
    );
    assert_eq!(bank.balance(account).await, 999);

    let tiny = WriterLimits { max_queued_bytes: 100, ..WriterLimits::default() };
    let writer = bank.writer_with(bank.store.clone(), tiny);
    let refused = writer.submit(operation(account, debit(1))).await;
    assert!(matches!(refused, Err(SubmitError::Overloaded)), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_jobs_own_transaction_and_the_writers_exclude_each_other() {
    let bank = Bank::new().await;
    let account = bank.customer(100).await;
    let writer = bank.writer();
    let stripe = Stripe::of_writer(Uuid::new_v4());
    let request = operation(account, debit(60));
    let mut tx = bank.store.begin().await.unwrap();
    let verdict = ledger::apply_one_in_tx(&mut tx, stripe, request.clone()).await.unwrap();
    assert!(matches!(verdict, Verdict::Applied(_)));
    let poor = operation(account, debit(60));
    let (waited, ()) = tokio::join!(writer.submit(poor), async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        tx.commit().await.unwrap();
    });
    assert_eq!(waited.unwrap(), Verdict::Refused(Refusal::InsufficientFunds));

    // Rolled back is as never asked.
    let again = operation(account, debit(40));
    let mut tx = bank.store.begin().await.unwrap();
    ledger::apply_one_in_tx(&mut tx, stripe, again.clone()).await.unwrap();
    tx.rollback().await.unwrap();
    applied(&writer, again).await;
    assert_eq!(bank.balance(account).await, 0);
    bank.verify().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_that_lock_the_same_accounts_in_other_orders_do_not_deadlock() {
    let bank = Bank::new().await;
    let mut accounts = Vec::new();
    for _ in 0..8 {
        accounts.push(bank.customer(1000).await);
    }
    let writers = [bank.writer(), bank.writer(), bank.writer()];
    let mut submitted = Vec::new();
    for number in 0..600 {
        let place = if number % 2 == 0 { number / 3 } else { 600 - number };
        submitted.push(writers[number % 3].submit(operation(accounts[place % 8], debit(1))));
    }
    let answers: Vec<Answer> = join_all(submitted).await;
    assert_eq!(count(&answers, |it| matches!(it, Ok(Verdict::Applied(_)))), 600, "{answers:?}");
    bank.verify().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_debits_are_coalesced() {
    let bank = Bank::new().await;
    let account = bank.customer(1_000_000).await;
    let writer = bank.writer();
    let since = std::time::Instant::now();
    for _ in 0..4 {
        let answers: Vec<Answer> =
            join_all((0..2000).map(|_| writer.submit(operation(account, debit(1))))).await;
        assert_eq!(count(&answers, |it| matches!(it, Ok(Verdict::Applied(_)))), 2000);
    }
    println!("{:.0} debits/s on one account", 8000.0 / since.elapsed().as_secs_f64());
    let commits: i64 = sqlx::query_scalar("select count(distinct xact) from ledger_transactions")
        .fetch_one(bank.store.pool())
        .await
        .unwrap();
    assert!(commits < 200, "{commits} commits for 8000 debits");
    assert_eq!(bank.balance(account).await, 1_000_000 - 8000);
    bank.verify().await;
    let unknown = Action::Void { reservation: new_id() };
    let verdict = writer.submit(operation(account, unknown)).await.unwrap();
    assert_eq!(verdict, Verdict::Refused(Refusal::UnknownReservation));
    assert_eq!(amount(1).units(), 1);
}
