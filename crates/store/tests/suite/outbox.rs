//! Calls wait until they are done, in order for each key.

use std::time::Duration;

use ailayer_store::{
    Store,
    outbox::{NewItem, depth, done_in_tx, due, enqueue_in_tx, retry_later},
};
use uuid::Uuid;

use crate::schema::new_store;

fn item(id: Uuid, kind: &'static str, key: &str) -> NewItem {
    NewItem { id, kind, key: key.to_owned(), payload: kind.as_bytes().to_vec() }
}

async fn enqueue(store: &Store, kind: &'static str, key: &str) -> Uuid {
    let id = Uuid::new_v4();
    let mut tx = store.begin().await.unwrap();
    enqueue_in_tx(&mut tx, &[item(id, kind, key)]).await.unwrap();
    tx.commit().await.unwrap();
    id
}

async fn done(store: &Store, ids: &[Uuid]) {
    let mut tx = store.begin().await.unwrap();
    done_in_tx(&mut tx, ids).await.unwrap();
    tx.commit().await.unwrap();
}

async fn due_kinds(store: &Store) -> Vec<String> {
    due(store.pool(), 100).await.unwrap().into_iter().map(|item| item.kind).collect()
}

#[tokio::test]
async fn an_item_is_due_until_it_is_done() {
    let store = new_store().await;
    let id = enqueue(&store, "append receipt", "job-1").await;
    for _ in 0..2 {
        let items = due(store.pool(), 10).await.unwrap();
        assert_eq!(items.len(), 1);
        assert_eq!((items[0].id, items[0].attempts), (id, 0));
        assert_eq!((items[0].kind.as_str(), items[0].key.as_str()), ("append receipt", "job-1"));
        assert_eq!(items[0].payload, b"append receipt");
    }
    done(&store, &[id]).await;
    done(&store, &[id]).await;
    assert_eq!(due_kinds(&store).await, [""; 0]);
    assert_eq!(depth(store.pool()).await.unwrap(), 0);
}

#[tokio::test]
async fn an_item_put_off_comes_back_with_its_attempts() {
    let store = new_store().await;
    let id = enqueue(&store, "call", "").await;
    retry_later(store.pool(), id, Duration::from_secs(1)).await.unwrap();
    assert_eq!(due_kinds(&store).await, [""; 0]);
    assert_eq!(depth(store.pool()).await.unwrap(), 1);
    tokio::time::sleep(Duration::from_millis(1200)).await;
    assert_eq!(due(store.pool(), 10).await.unwrap()[0].attempts, 1);
    // The longest delay there is does not overflow.
    retry_later(store.pool(), id, Duration::MAX).await.unwrap();
    assert_eq!(due_kinds(&store).await, [""; 0]);
}

#[tokio::test]
async fn items_of_one_key_wait_for_each_other() {
    let store = new_store().await;
    let first = enqueue(&store, "a1", "a").await;
    enqueue(&store, "a2", "a").await;
    enqueue(&store, "b1", "b").await;
    enqueue(&store, "free 1", "").await;
    enqueue(&store, "free 2", "").await;
    assert_eq!(due_kinds(&store).await, ["a1", "b1", "free 1", "free 2"]);
    retry_later(store.pool(), first, Duration::from_secs(60)).await.unwrap();
    assert_eq!(due_kinds(&store).await, ["b1", "free 1", "free 2"], "a2 may not overtake a1");
    done(&store, &[first]).await;
    assert_eq!(due_kinds(&store).await, ["a2", "b1", "free 1", "free 2"]);
    assert_eq!(due(store.pool(), 2).await.unwrap().len(), 2);
}

#[tokio::test]
async fn enqueueing_is_part_of_the_transaction_and_idempotent() {
    let store = new_store().await;
    let id = Uuid::new_v4();
    let mut tx = store.begin().await.unwrap();
    enqueue_in_tx(&mut tx, &[item(id, "never", "")]).await.unwrap();
    tx.rollback().await.unwrap();
    assert_eq!(depth(store.pool()).await.unwrap(), 0);
    for _ in 0..2 {
        let mut tx = store.begin().await.unwrap();
        enqueue_in_tx(&mut tx, &[item(id, "once", "")]).await.unwrap();
        tx.commit().await.unwrap();
    }
    assert_eq!(due_kinds(&store).await, ["once"]);
}

#[tokio::test]
async fn many_items_are_enqueued_and_done_at_once_in_their_order() {
    let store = new_store().await;
    let ids: Vec<Uuid> = (0..3).map(|_| Uuid::new_v4()).collect();
    let items = [item(ids[0], "a1", "a"), item(ids[1], "a2", "a"), item(ids[2], "b1", "b")];
    let mut tx = store.begin().await.unwrap();
    enqueue_in_tx(&mut tx, &items).await.unwrap();
    enqueue_in_tx(&mut tx, &[]).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(due_kinds(&store).await, ["a1", "b1"]);
    done(&store, &[ids[0], ids[2]]).await;
    assert_eq!(due_kinds(&store).await, ["a2"]);
}
