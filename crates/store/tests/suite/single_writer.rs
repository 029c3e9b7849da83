//! One writer at a time, and a superseded one is refused.

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

use ailayer_store::{SingleWriter, Store, StoreError};

use crate::schema::{connect, new_database, new_store};

async fn check(writer: &SingleWriter, store: &Store) -> Result<(), StoreError> {
    let mut tx = store.begin().await.unwrap();
    writer.check_in_tx(&mut tx).await
}

#[tokio::test]
async fn a_second_one_is_kept_out_until_the_first_goes() {
    let config = new_database().await;
    let (store, other) = (connect(&config).await, connect(&config).await);
    let writer = SingleWriter::acquire(&store, "sequencer").await.unwrap();
    assert_eq!(writer.epoch(), 1);
    check(&writer, &store).await.unwrap();
    writer.check_session().await.unwrap();

    let began = Instant::now();
    let error =
        SingleWriter::acquire_within(&other, "sequencer", Duration::from_millis(300)).await.unwrap_err();
    assert!(matches!(&error, StoreError::WriterBusy { name } if name == "sequencer"), "{error:?}");
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    // Another name is another writer.
    SingleWriter::acquire(&other, "relay").await.unwrap();

    writer.release().await.unwrap();
    let successor = SingleWriter::acquire(&other, "sequencer").await.unwrap();
    assert_eq!(successor.epoch(), 2);
}

#[tokio::test]
async fn one_that_waits_gets_its_turn_when_the_first_is_dropped() {
    let store = new_store().await;
    let writer = SingleWriter::acquire(&store, "sequencer").await.unwrap();
    let leave = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        drop(writer);
    };
    let (successor, ()) = tokio::join!(SingleWriter::acquire(&store, "sequencer"), leave);
    assert_eq!(successor.unwrap().epoch(), 2);
}

/// The session with the lock is cut without the writer noticing: as after a long pause of its machine.
#[tokio::test]
async fn a_writer_that_lost_its_lock_is_fenced() {
    let store = new_store().await;
    let old = SingleWriter::acquire(&store, "sequencer").await.unwrap();
    // Of this database only: `pg_locks` shows the whole cluster, which other tests use.
    let cut = "select pg_terminate_backend(pid) from pg_locks join pg_database on pg_database.oid = database
        where locktype = 'advisory' and granted and datname = current_database()";
    sqlx::query(cut).execute(store.pool()).await.unwrap();
    // Nobody has taken over: what it writes is safe still.
    check(&old, &store).await.unwrap();
    let new = SingleWriter::acquire(&store, "sequencer").await.unwrap();
    let error = check(&old, &store).await.unwrap_err();
    assert!(matches!(&error, StoreError::Fenced { held: 1, current: 2, .. }), "{error:?}");
    check(&new, &store).await.unwrap();
    assert!(matches!(old.check_session().await.unwrap_err(), StoreError::Unavailable(_)));
}

/// A successor has to wait for transactions that passed the check, or both would write.
#[tokio::test]
async fn a_checked_transaction_ends_before_the_next_epoch_begins() {
    let store = new_store().await;
    let old = SingleWriter::acquire(&store, "sequencer").await.unwrap();
    let mut tx = store.begin().await.unwrap();
    old.check_in_tx(&mut tx).await.unwrap();
    drop(old);
    let committed = Cell::new(false);
    let end = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        committed.set(true);
        tx.commit().await.unwrap();
    };
    let take_over = async {
        let successor = SingleWriter::acquire(&store, "sequencer").await.unwrap();
        assert!(committed.get(), "both could write");
        successor
    };
    let (successor, ()) = tokio::join!(take_over, end);
    assert_eq!(successor.epoch(), 2);
}
