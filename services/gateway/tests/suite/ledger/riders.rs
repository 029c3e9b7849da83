//! A row of another table that changes in the same coalesced commit, as a job's state will.

use std::collections::HashMap;
use std::time::Duration;

use ailayer_gateway::domain::ledger::{Posted, Refusal, Verdict};
use ailayer_gateway::tasks::write_ledger::{
    Fit, LedgerHandle, LedgerWriter, Rider, Riders, SubmitError, WriterLimits,
};
use ailayer_store::{Store, StoreError, Tx};
use async_trait::async_trait;
use futures::future::join_all;
use sqlx::Row as _;

use super::bank::{Bank, connect, debit, operation};
use super::proxy::{Cut, Plan, Proxy};

/// Moves a row from one version to the next.
struct Move {
    id: i64,
    from: i64,
}

/// What a change of this suite says it takes.
const BYTES_OF_A_MOVE: usize = 5000;

struct Moves;

impl Rider for Move {
    fn bytes(&self) -> usize {
        BYTES_OF_A_MOVE
    }
}

#[async_trait]
impl Riders for Moves {
    type Row = Move;

    async fn lock_in_tx(&self, tx: &mut Tx, rows: &[&Move]) -> Result<Vec<Fit>, StoreError> {
        let ids: Vec<i64> = rows.iter().map(|row| row.id).collect();
        let locked = sqlx::query("select id, version from thing where id = any($1) order by id for update")
            .bind(ids)
            .fetch_all(&mut **tx)
            .await?;
        let mut versions: HashMap<i64, i64> = locked.iter().map(|row| (row.get(0), row.get(1))).collect();
        let fit = |row: &&Move| match versions.remove(&row.id) {
            Some(version) if version == row.from => Fit::Fits,
            Some(version) if version == row.from + 1 => Fit::Written,
            _ => Fit::Moved,
        };
        Ok(rows.iter().map(fit).collect())
    }

    async fn write_in_tx(&self, tx: &mut Tx, rows: &[(&Move, Option<Posted>)]) -> Result<(), StoreError> {
        let ids: Vec<i64> = rows.iter().map(|(row, _)| row.id).collect();
        let update = "update thing set version = version + 1 where id = any($1)";
        sqlx::query(update).bind(ids).execute(&mut **tx).await?;
        Ok(())
    }
}

fn writer(bank: &Bank, store: Store) -> LedgerHandle<Move> {
    writer_within(bank, store, WriterLimits::default())
}

fn writer_within(bank: &Bank, store: Store, limits: WriterLimits) -> LedgerHandle<Move> {
    let (writer, handle) = LedgerWriter::new(&store, Moves, limits);
    bank.tasks.spawn("write_ledger", writer.run(bank.shutdown.clone()));
    handle
}

async fn table(bank: &Bank) {
    let create = "create table thing (id bigint primary key, version bigint not null);
         insert into thing select id, 0 from generate_series(1, 50) id";
    sqlx::raw_sql(create).execute(bank.store.pool()).await.unwrap();
}

async fn version(bank: &Bank, id: i64) -> i64 {
    let query = sqlx::query_scalar("select version from thing where id = $1").bind(id);
    query.fetch_one(bank.store.pool()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_and_its_operation_change_together_or_not_at_all() {
    let bank = Bank::new().await;
    table(&bank).await;
    let account = bank.customer(40).await;
    let ledger = writer(&bank, bank.store.clone());
    // Money for 40 of 50.
    let submitted = (1..=50).map(|id| ledger.submit_with(operation(account, debit(1)), Move { id, from: 0 }));
    let answers = join_all(submitted).await;
    for (id, answer) in (1..).zip(&answers) {
        let is_applied = matches!(answer, Ok(Verdict::Applied(_)));
        assert_eq!(version(&bank, id).await, i64::from(is_applied), "{id}: {answer:?}");
    }
    assert_eq!(answers.iter().filter(|it| matches!(it, Ok(Verdict::Applied(_)))).count(), 40);

    // A row that has moved on refuses its operation, which is answered all the same if it was applied before.
    let other = bank.customer(10).await;
    let moved = ledger.submit_with(operation(other, debit(1)), Move { id: 1, from: 0 }).await.unwrap();
    assert_eq!(moved, Verdict::Refused(Refusal::Moved));
    let request = operation(other, debit(1));
    let first = ledger.submit_with(request.clone(), Move { id: 1, from: 1 }).await.unwrap();
    let again = ledger.submit_with(request, Move { id: 1, from: 1 }).await.unwrap();
    assert_eq!((first.posted(), version(&bank, 1).await), (again.posted(), 2));
    assert!(matches!(again, Verdict::Duplicate(_)));

    // Two changes of one row at once: one fits.
    let held = bank.hold(other).await;
    let (one, two, ()) = tokio::join!(
        ledger.submit_with(operation(other, debit(1)), Move { id: 1, from: 2 }),
        ledger.submit_with(operation(other, debit(1)), Move { id: 1, from: 2 }),
        async {
            tokio::time::sleep(Duration::from_millis(150)).await;
            drop(held);
        }
    );
    assert!(matches!(one, Ok(Verdict::Applied(_))), "{one:?}");
    assert_eq!(two.unwrap(), Verdict::Refused(Refusal::Moved));
    assert_eq!((version(&bank, 1).await, bank.balance(other).await), (3, 8));
    bank.verify().await;

    // And a commit whose answer is lost moves it once.
    let proxy = Proxy::start(bank.port, &bank.tasks).await;
    let url = bank.url.replace(&format!(":{}/", bank.port), &format!(":{}/", proxy.port));
    let behind = writer(&bank, connect(&url).await);
    proxy.set(Plan::Always(Cut::After));
    let cut = behind.submit_with(operation(other, debit(1)), Move { id: 1, from: 3 }).await.unwrap();
    assert!(matches!(cut, Verdict::Applied(_)), "{cut:?}");
    assert_eq!((version(&bank, 1).await, bank.balance(other).await), (4, 7));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_rides_counts_in_the_bounds_of_the_queue() {
    let bank = Bank::new().await;
    table(&bank).await;
    let limits = WriterLimits { max_queued_bytes: 8192, ..WriterLimits::default() };
    let ledger = writer_within(&bank, bank.store.clone(), limits);
    let customer = bank.customer(10).await;
    let held = bank.hold(customer).await;
    let (one, two, ()) = tokio::join!(
        ledger.submit_with(operation(customer, debit(1)), Move { id: 1, from: 0 }),
        ledger.submit_with(operation(customer, debit(1)), Move { id: 2, from: 0 }),
        async {
            tokio::time::sleep(Duration::from_millis(150)).await;
            drop(held);
        }
    );
    assert!(matches!(one, Ok(Verdict::Applied(_))), "{one:?}");
    assert!(
        matches!(two, Err(SubmitError::Overloaded)),
        "two changes and their operations are too much: {two:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_rides_alone_changes_once_beside_operations_that_are_refused() {
    let bank = Bank::new().await;
    table(&bank).await;
    let ledger = writer(&bank, bank.store.clone());
    // In one batch with operations that find no money and a change that comes too late.
    let poor = bank.customer(0).await;
    let held = bank.hold(poor).await;
    let (first, refused, late, _, ()) = tokio::join!(
        ledger.submit(operation(poor, debit(1))),
        ledger.submit_with(operation(poor, debit(1)), Move { id: 1, from: 0 }),
        ledger.write(Move { id: 2, from: 7 }),
        ledger.write(Move { id: 3, from: 0 }),
        async {
            tokio::time::sleep(Duration::from_millis(150)).await;
            drop(held);
        }
    );
    let no_money = Verdict::Refused(Refusal::InsufficientFunds);
    assert_eq!((first.unwrap(), refused.unwrap(), late.unwrap()), (no_money, no_money, false));
    assert_eq!((version(&bank, 1).await, version(&bank, 2).await, version(&bank, 3).await), (0, 0, 1));
    // The same change again is known, another one is not.
    assert!(ledger.write(Move { id: 3, from: 0 }).await.unwrap());
    assert!(!ledger.write(Move { id: 3, from: 5 }).await.unwrap());
    assert_eq!(version(&bank, 3).await, 1);

    // A commit whose answer is lost moves it once.
    let proxy = Proxy::start(bank.port, &bank.tasks).await;
    let url = bank.url.replace(&format!(":{}/", bank.port), &format!(":{}/", proxy.port));
    let behind = writer(&bank, connect(&url).await);
    proxy.set(Plan::Always(Cut::After));
    assert!(behind.write(Move { id: 3, from: 1 }).await.unwrap());
    assert_eq!(version(&bank, 3).await, 2);
}
