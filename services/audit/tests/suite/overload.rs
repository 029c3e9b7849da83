//! A full queue refuses with a reason and a time to come back; a database that is away costs no entry.

use std::time::Duration;

use ailayer_devnet::Postgres;
use ailayer_platform::error::{ErrorReason, reason_of, retry_after};
use ailayer_proto::ailayer::audit::v1 as pb;
use sqlx::{Connection, PgConnection};
use tokio::task::JoinSet;

use crate::harness::{Home, wait_for};

fn request(number: u32) -> pb::AppendEntryRequest {
    pb::AppendEntryRequest { entry: number.to_be_bytes().to_vec().into() }
}

#[tokio::test]
async fn a_full_queue_sheds_and_recovers() {
    let home = Home::without_chain("queue_capacity = 4\nmax_batch_entries = 2").await;
    let audit = home.start().await;
    // The sequencer waits for this lock, and everybody else for the sequencer.
    let mut blocker = home.sql().await;
    let mut lock = blocker.begin().await.unwrap();
    sqlx::query("lock table entry in exclusive mode").execute(&mut *lock).await.unwrap();

    let mut tasks = JoinSet::new();
    for number in 0..40 {
        let mut client = audit.client.clone();
        tasks.spawn(async move { client.append_entry(request(number)).await });
    }
    let shed = tokio::time::timeout(Duration::from_secs(10), tasks.join_next()).await.unwrap();
    let status = shed.unwrap().unwrap().unwrap_err();
    assert_eq!(reason_of(&status), Some(ErrorReason::Overloaded));
    assert!(retry_after(&status).is_some_and(|delay| delay > Duration::ZERO));

    lock.rollback().await.unwrap();
    let (mut taken, mut refused) = (0, 1);
    while let Some(outcome) = tasks.join_next().await {
        match outcome.unwrap() {
            Ok(_) => taken += 1,
            Err(status) => {
                assert_eq!(reason_of(&status), Some(ErrorReason::Overloaded));
                refused += 1;
            }
        }
    }
    assert!(taken >= 4 && taken + refused == 40, "{taken} taken, {refused} refused");
    for number in 0..40 {
        audit.client.clone().append_entry(request(number)).await.unwrap();
    }
    assert_eq!(audit.log().await.tree_size, 40);
    audit.stop().await;
}

/// Killed connections are the unclear end of a commit: the sequencer looks before it answers.
#[tokio::test]
async fn cut_connections_lose_and_double_nothing() {
    let home = Home::without_chain("").await;
    let audit = home.start().await;
    let mut admin = PgConnection::connect(&home.database).await.unwrap();
    let mut tasks = JoinSet::new();
    for number in 0..120u32 {
        let mut client = audit.client.clone();
        tasks.spawn(async move {
            tokio::time::sleep(Duration::from_millis(u64::from(number) * 5)).await;
            loop {
                if let Ok(answer) = client.append_entry(request(number)).await {
                    return answer;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
    }
    for _ in 0..12 {
        tokio::time::sleep(Duration::from_millis(45)).await;
        // Every connection of the pool, but not the session that holds the writer's lock.
        sqlx::query(
            "select pg_terminate_backend(pid) from pg_stat_activity
             where datname = current_database() and pid <> pg_backend_pid()
               and pid not in (select pid from pg_locks where locktype = 'advisory')",
        )
        .execute(&mut admin)
        .await
        .unwrap();
    }
    let mut indices = Vec::new();
    while let Some(answer) = tasks.join_next().await {
        indices.push(answer.unwrap().into_inner().leaf_index);
    }
    indices.sort_unstable();
    assert!(indices.into_iter().eq(0..120), "dense and without repeats");
    audit.checkpoint_over(120).await;
    audit.stop().await;
    home.start().await.stop().await;
}

#[tokio::test]
async fn a_restarted_database_is_waited_for() {
    let postgres = Postgres::start().await.unwrap();
    let home = Home::without_chain("").await;
    let url = postgres.create_database().await.unwrap();
    let config = home.config_text().replace(&home.database, &url);
    let config = config.replace("[audit.store]\n", "[audit.store]\nacquire_timeout = \"1s\"\n");
    let audit = home.start_with(&config).await;
    audit.append(b"before").await;
    postgres.stop().await.unwrap();
    let status = audit
        .client
        .clone()
        .append_entry(pb::AppendEntryRequest { entry: b"meanwhile".to_vec().into() })
        .await
        .unwrap_err();
    assert_eq!(reason_of(&status), Some(ErrorReason::StorageUnavailable));
    postgres.restart().await.unwrap();
    let mut client = audit.client.clone();
    let answer = wait_for("appending goes on", async || {
        let request = pb::AppendEntryRequest { entry: b"after".to_vec().into() };
        client.append_entry(request).await.ok()
    })
    .await;
    assert!(answer.into_inner().leaf_index >= 1);
    audit.append(b"meanwhile").await;
    audit.checkpoint_over(3).await;
    audit.stop().await;
}
