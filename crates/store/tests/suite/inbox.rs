//! Each event is taken in once, and reading resumes behind the last.

use std::time::Duration;

use ailayer_store::{
    Store,
    inbox::{REMEMBERED, accept_in_tx, cursor},
};
use sqlx::Row as _;
use uuid::Uuid;

use crate::schema::new_store;

async fn accept(store: &Store, source: &str, id: Uuid, at: u64) -> bool {
    let mut tx = store.begin().await.unwrap();
    let fresh = accept_in_tx(&mut tx, source, id, at).await.unwrap();
    tx.commit().await.unwrap();
    fresh
}

#[tokio::test]
async fn repeats_are_dropped_for_each_source() {
    let store = new_store().await;
    let id = Uuid::new_v4();
    assert_eq!(cursor(store.pool(), "payment").await.unwrap(), 0);
    assert!(accept(&store, "payment", id, 1).await);
    assert!(!accept(&store, "payment", id, 1).await);
    assert!(accept(&store, "audit", id, 1).await, "another source's event of that id is another event");
    // The same event under another cursor is still the same event.
    assert!(!accept(&store, "payment", id, 2).await);
    assert_eq!(cursor(store.pool(), "payment").await.unwrap(), 2);
}

#[tokio::test]
async fn the_cursor_never_moves_backwards() {
    let store = new_store().await;
    let first = Uuid::new_v4();
    accept(&store, "payment", first, 4).await;
    accept(&store, "payment", Uuid::new_v4(), 9).await;
    assert!(!accept(&store, "payment", first, 4).await);
    assert!(accept(&store, "payment", Uuid::new_v4(), 7).await);
    assert_eq!(cursor(store.pool(), "payment").await.unwrap(), 9);
}

#[tokio::test]
async fn what_is_rolled_back_was_not_taken_in() {
    let store = new_store().await;
    let id = Uuid::new_v4();
    let mut tx = store.begin().await.unwrap();
    assert!(accept_in_tx(&mut tx, "payment", id, 1).await.unwrap());
    tx.rollback().await.unwrap();
    assert_eq!(cursor(store.pool(), "payment").await.unwrap(), 0);
    assert!(accept(&store, "payment", id, 1).await);
}

#[tokio::test]
async fn of_two_at_once_one_acts() {
    let store = new_store().await;
    let id = Uuid::new_v4();
    let mut first = store.begin().await.unwrap();
    assert!(accept_in_tx(&mut first, "payment", id, 1).await.unwrap());
    let commit = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        first.commit().await.unwrap();
    };
    let (second, ()) = tokio::join!(accept(&store, "payment", id, 1), commit);
    assert!(!second);
}

#[tokio::test]
async fn cursor_zero_is_no_event() {
    let store = new_store().await;
    let mut tx = store.begin().await.unwrap();
    let error = accept_in_tx(&mut tx, "payment", Uuid::new_v4(), 0).await.unwrap_err();
    assert!(matches!(error, ailayer_store::StoreError::Violation { .. }), "{error:?}");
}

async fn remembered(store: &Store) -> i64 {
    sqlx::query("select count(*) from inbox").fetch_one(store.pool()).await.unwrap().get(0)
}

/// Events of `payment` that were taken in one after the other, written down in one go.
async fn took_in(store: &Store, from: u64, to: u64) {
    let rows = "insert into inbox (source, event_id, cursor, accepted_unix_ms)
        select 'payment', gen_random_uuid(), at, 0 from generate_series($1::bigint, $2::bigint) as at";
    let rows = sqlx::query(rows).bind(from.cast_signed()).bind(to.cast_signed());
    rows.execute(store.pool()).await.unwrap();
}

#[tokio::test]
async fn ids_are_remembered_only_near_the_cursor() {
    let store = new_store().await;
    let (old, near, other) = (Uuid::new_v4(), Uuid::new_v4(), Uuid::new_v4());
    assert!(accept(&store, "audit", other, 1).await);
    assert!(accept(&store, "payment", old, 1).await);
    took_in(&store, 2, REMEMBERED).await;
    for at in REMEMBERED + 1..=REMEMBERED + 10 {
        let id = if at == REMEMBERED + 5 { near } else { Uuid::new_v4() };
        assert!(accept(&store, "payment", id, at).await);
    }
    assert_eq!(remembered(&store).await, REMEMBERED.cast_signed() + 1, "and the other source's only one");
    assert!(!accept(&store, "payment", old, 1).await, "forgotten, and still a repeat");
    assert!(!accept(&store, "payment", near, REMEMBERED + 5).await);
    assert!(!accept(&store, "audit", other, 1).await);
    assert!(accept(&store, "payment", Uuid::new_v4(), 600).await, "out of order, but near");
}

#[tokio::test]
async fn a_table_from_before_there_was_an_end_to_it_shrinks() {
    let store = new_store().await;
    took_in(&store, 1, 2000).await;
    for at in 2001..=2070 {
        assert!(accept(&store, "payment", Uuid::new_v4(), at).await);
    }
    assert_eq!(remembered(&store).await, REMEMBERED.cast_signed());
}
