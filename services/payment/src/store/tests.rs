use std::time::Duration;

use ailayer_devnet::Postgres;
use sqlx::{Connection as _, PgConnection};

use super::*;

async fn connect() -> (Rows, PgConnection) {
    let url = Postgres::shared().await.unwrap().create_database().await.unwrap();
    let config = StoreConfig { acquire_timeout: Duration::from_millis(800), ..StoreConfig::new(&url) };
    (Rows::connect(&config).await.unwrap(), PgConnection::connect(&url).await.unwrap())
}

/// As when the database restarts: the session with the lock is gone.
async fn cut_the_session(admin: &mut PgConnection) {
    let cut =
        "select pg_terminate_backend(pid, 5000) from pg_locks join pg_database on pg_database.oid = database
        where locktype = 'advisory' and granted and datname = current_database()";
    sqlx::query(cut).execute(admin).await.unwrap();
}

async fn wait_for_blocked(admin: &mut PgConnection, sessions: i64) {
    let count = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
    while sqlx::query_scalar::<_, i64>(count).fetch_one(&mut *admin).await.unwrap() < sessions {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A transaction that begins while the lock is being taken again meets the next epoch with the old one in hand.
#[tokio::test]
async fn taking_the_lock_again_fences_nobody_of_this_process() {
    let (rows, mut admin) = connect().await;
    cut_the_session(&mut admin).await;
    let mut gate = rows.store.begin().await.unwrap();
    sqlx::query("select epoch from single_writer for update").execute(&mut *gate).await.unwrap();
    let write = async {
        wait_for_blocked(&mut admin, 1).await;
        let open_the_gate = async {
            wait_for_blocked(&mut admin, 2).await;
            gate.rollback().await.unwrap();
        };
        tokio::join!(rows.begin(), open_the_gate).0
    };
    let (kept, written) = tokio::join!(rows.keep_writer(), write);
    kept.unwrap();
    written.unwrap().commit().await.unwrap();
    assert_eq!(rows.writer().epoch(), 2);
}

/// The network cut the session, and the server does not know yet: the lock is busy, and nobody else is the writer.
#[tokio::test]
async fn a_lock_that_is_busy_with_our_own_old_session_stops_nobody() {
    let (rows, mut admin) = connect().await;
    cut_the_session(&mut admin).await;
    let lock = "select pg_advisory_lock(hashtextextended('ailayer single writer payment/payment', 0))";
    sqlx::query(lock).execute(&mut admin).await.unwrap();
    rows.keep_writer().await.unwrap();
    rows.begin().await.unwrap().commit().await.unwrap();

    let take_over = "update payment.single_writer set epoch = epoch + 1";
    sqlx::query(take_over).execute(&mut admin).await.unwrap();
    assert!(matches!(rows.keep_writer().await, Err(StoreError::Fenced { .. })));
    assert!(matches!(rows.begin().await, Err(StoreError::Fenced { .. })));
}
