//! The feed has no gaps, follows commits, and never lets a reader skip an event.

use std::{collections::BTreeSet, time::Duration};

use ailayer_store::{
    Store, StoreError,
    event_log::{Signal, append_in_tx, head, read_after},
};
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use crate::schema::{connect, new_database, new_store};

async fn append(store: &Store, kind: &str) -> u64 {
    let mut tx = store.begin().await.unwrap();
    let cursor = append_in_tx(&mut tx, Uuid::new_v4(), kind, b"").await.unwrap();
    tx.commit().await.unwrap();
    cursor
}

#[tokio::test]
async fn what_is_appended_is_read_back() {
    let store = new_store().await;
    assert_eq!(head(store.pool()).await.unwrap(), 0);
    assert_eq!(read_after(store.pool(), 0, 10).await.unwrap(), []);
    let id = Uuid::new_v4();
    let mut tx = store.begin().await.unwrap();
    assert_eq!(append_in_tx(&mut tx, id, "paid", &[0, 255, 1]).await.unwrap(), 1);
    assert_eq!(append_in_tx(&mut tx, Uuid::new_v4(), "sent", b"").await.unwrap(), 2);
    tx.commit().await.unwrap();

    let events = read_after(store.pool(), 0, 10).await.unwrap();
    assert_eq!(events.iter().map(|event| event.cursor).collect::<Vec<_>>(), [1, 2]);
    assert_eq!((events[0].event_id, events[0].kind.as_str()), (id, "paid"));
    assert_eq!(events[0].payload, [0, 255, 1]);
    assert!(events[0].recorded_unix_ms > 1_700_000_000_000);
    assert_eq!(read_after(store.pool(), 1, 10).await.unwrap()[0].kind, "sent");
    assert_eq!(read_after(store.pool(), 0, 1).await.unwrap().len(), 1);
    assert_eq!(read_after(store.pool(), 2, 10).await.unwrap(), []);
    assert_eq!(head(store.pool()).await.unwrap(), 2);
}

/// The classic trap: with a sequence, B commits event 2 while A still holds event 1; a reader sees 2, moves its
/// cursor past 1, and never sees it.
#[tokio::test]
async fn a_transaction_held_open_cannot_make_readers_skip() {
    let store = new_store().await;
    let mut held = store.begin().await.unwrap();
    append_in_tx(&mut held, Uuid::new_v4(), "slow", b"").await.unwrap();

    let appender = store.clone();
    let later = async move { append(&appender, "quick").await };
    let reader = async {
        // The quick one has had every chance to overtake.
        sleep(Duration::from_millis(400)).await;
        assert_eq!(read_after(store.pool(), 0, 10).await.unwrap(), []);
        held.commit().await.unwrap();
        let seen = read_after(store.pool(), 0, 1).await.unwrap();
        assert_eq!((seen[0].cursor, seen[0].kind.as_str()), (1, "slow"));
    };
    let (cursor, ()) = tokio::join!(later, reader);
    assert_eq!(cursor, 2);
    assert_eq!(read_after(store.pool(), 1, 10).await.unwrap()[0].kind, "quick");
}

#[tokio::test]
async fn a_transaction_rolled_back_leaves_no_gap() {
    let store = new_store().await;
    append(&store, "first").await;
    let mut tx = store.begin().await.unwrap();
    assert_eq!(append_in_tx(&mut tx, Uuid::new_v4(), "never", b"").await.unwrap(), 2);
    drop(tx);
    assert_eq!(append(&store, "second").await, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn eight_writers_that_sometimes_roll_back_and_a_reader_that_follows() {
    const WRITERS: u64 = 8;
    const EACH: u64 = 40;
    let config = new_database().await;
    let store = connect(&config).await;
    let committed = WRITERS * EACH * 3 / 4;

    let writer = |number: u64| {
        let store = store.clone();
        async move {
            for round in 0..EACH {
                let mut tx = store.begin().await.unwrap();
                let payload = (number * EACH + round).to_be_bytes();
                append_in_tx(&mut tx, Uuid::new_v4(), "round", &payload).await.unwrap();
                if round % 4 == 3 {
                    tx.rollback().await.unwrap();
                } else {
                    tx.commit().await.unwrap();
                }
            }
        }
    };
    let reader = async {
        let (mut cursor, mut seen) = (0, Vec::new());
        while (seen.len() as u64) < committed {
            for event in read_after(store.pool(), cursor, 7).await.unwrap() {
                assert_eq!(event.cursor, cursor + 1, "a gap or a repeat");
                cursor = event.cursor;
                seen.push(u64::from_be_bytes(event.payload.try_into().unwrap()));
            }
        }
        seen
    };
    let writers = futures::future::join_all((0..WRITERS).map(writer));
    let both = async { tokio::join!(reader, writers).0 };
    let seen = timeout(Duration::from_secs(60), both).await.expect("the reader has missed an event");

    let distinct: BTreeSet<_> = seen.iter().collect();
    assert_eq!(distinct.len() as u64, committed);
    assert!(seen.iter().all(|number| number % EACH % 4 != 3), "an event that was rolled back is in the feed");
    // Each writer's own events come in the order it committed them.
    for writer in 0..WRITERS {
        let own: Vec<_> = seen.iter().filter(|number| **number / EACH == writer).collect();
        assert!(own.is_sorted());
    }
    assert_eq!(head(store.pool()).await.unwrap(), committed);
}

#[tokio::test]
async fn the_same_event_is_not_appended_twice() {
    let store = new_store().await;
    let id = Uuid::new_v4();
    let mut tx = store.begin().await.unwrap();
    append_in_tx(&mut tx, id, "once", b"").await.unwrap();
    tx.commit().await.unwrap();
    let mut tx = store.begin().await.unwrap();
    let error = append_in_tx(&mut tx, id, "twice", b"").await.unwrap_err();
    assert_eq!(error.conflicting_constraint(), Some("event_log_event_id"));
    drop(tx);
    assert_eq!(append(&store, "next").await, 2);
}

#[tokio::test]
async fn a_reader_ahead_of_the_log_is_told() {
    let store = new_store().await;
    append(&store, "only").await;
    let error = read_after(store.pool(), 2, 10).await.unwrap_err();
    assert!(matches!(error, StoreError::CursorAhead { cursor: 2, head: 1 }), "{error:?}");
    let error = read_after(store.pool(), u64::MAX, 10).await.unwrap_err();
    assert!(matches!(error, StoreError::CursorAhead { cursor: u64::MAX, head: 1 }), "{error:?}");
}

#[tokio::test]
async fn a_feed_held_too_long_gives_a_time_out_and_not_a_hang() {
    let mut config = new_database().await;
    config.statement_timeout = Duration::from_secs(2);
    let store = connect(&config).await;
    let mut held = store.begin().await.unwrap();
    append_in_tx(&mut held, Uuid::new_v4(), "slow", b"").await.unwrap();
    let mut tx = store.begin().await.unwrap();
    let error = append_in_tx(&mut tx, Uuid::new_v4(), "impatient", b"").await.unwrap_err();
    assert!(matches!(error, StoreError::TimedOut(_)) && error.is_transient(), "{error:?}");
}

#[tokio::test]
async fn a_signal_between_reading_and_waiting_is_not_missed() {
    let signal = Signal::new();
    let mut reader = signal.clone();
    signal.notify();
    timeout(Duration::from_secs(20), reader.wait(Duration::from_secs(60))).await.expect("missed");
    // Heard once; now it only times out.
    reader.wait(Duration::from_millis(50)).await;
    let waiting = reader.wait(Duration::from_secs(60));
    let notify = async {
        sleep(Duration::from_millis(50)).await;
        signal.notify();
    };
    timeout(Duration::from_secs(20), async { tokio::join!(waiting, notify) }).await.expect("missed");
}
