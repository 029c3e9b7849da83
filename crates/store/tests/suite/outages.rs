//! A database that is away: typed, in time, and healed by itself.

use std::time::{Duration, Instant};

use ailayer_devnet::{Postgres, Signal};
use ailayer_platform::error::{ErrorReason, Failure};
use ailayer_store::{KeptConn, Store, StoreConfig, StoreError, event_log};
use uuid::Uuid;

use crate::schema::{MIGRATIONS, new_database, new_store};

const PATIENCE: Duration = Duration::from_secs(1);

async fn own_server() -> (Postgres, StoreConfig) {
    let postgres = Postgres::start().await.unwrap();
    let mut config = StoreConfig::new(postgres.create_database().await.unwrap());
    (config.acquire_timeout, config.startup_timeout) = (PATIENCE, PATIENCE);
    (postgres, config)
}

#[track_caller]
fn assert_unavailable_in_time<T: std::fmt::Debug>(result: Result<T, StoreError>, began: Instant) {
    let error = result.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)) && error.is_transient(), "{error:?}");
    assert!(began.elapsed() < PATIENCE + Duration::from_secs(5), "took {:?}", began.elapsed());
    assert_eq!(Failure::from(error).reason(), ErrorReason::StorageUnavailable);
}

#[tokio::test]
async fn a_server_that_is_down_at_the_start_gives_unavailable_in_time() {
    let (postgres, config) = own_server().await;
    postgres.stop().await.unwrap();
    let began = Instant::now();
    assert_unavailable_in_time(Store::connect(&config, "shop", MIGRATIONS).await, began);
}

#[tokio::test]
async fn the_pool_heals_after_the_server_was_killed() {
    let (postgres, config) = own_server().await;
    let store = Store::connect(&config, "shop", MIGRATIONS).await.unwrap();
    let append = || async {
        let mut tx = store.begin().await?;
        let cursor = event_log::append_in_tx(&mut tx, Uuid::new_v4(), "paid", b"").await?;
        tx.commit().await?;
        Ok::<_, StoreError>(cursor)
    };
    assert_eq!(append().await.unwrap(), 1);
    let mut cut = store.begin().await.unwrap();
    event_log::append_in_tx(&mut cut, Uuid::new_v4(), "lost", b"").await.unwrap();

    postgres.kill9().await.unwrap();
    // The commit of a transaction that was cut is an error too.
    let began = Instant::now();
    assert_unavailable_in_time(cut.commit().await.map_err(StoreError::from), began);
    let began = Instant::now();
    assert_unavailable_in_time(append().await, began);
    let began = Instant::now();
    assert_unavailable_in_time(store.ping().await, began);

    postgres.restart().await.unwrap();
    assert_eq!(append().await.unwrap(), 2, "what was committed is there, what was cut is not");
    store.ping().await.unwrap();
}

#[tokio::test]
async fn a_server_that_hangs_is_noticed() {
    let (postgres, config) = own_server().await;
    let store = Store::connect(&config, "shop", MIGRATIONS).await.unwrap();
    store.close().await;
    // Connections are still accepted, by the kernel, and never answered.
    postgres.process().signal(Signal::STOP).unwrap();
    let began = Instant::now();
    assert_unavailable_in_time(Store::connect(&config, "shop", MIGRATIONS).await, began);
    postgres.process().signal(Signal::CONT).unwrap();
    Store::connect(&config, "shop", MIGRATIONS).await.unwrap();
}

/// As when all services of a machine start at once: a first connection may take longer than a call waits for one.
#[tokio::test]
async fn a_slow_server_has_more_time_at_the_start_than_later() {
    let (postgres, mut config) = own_server().await;
    config.startup_timeout = Duration::from_secs(60);
    postgres.process().signal(Signal::STOP).unwrap();
    let began = Instant::now();
    let (store, ()) = tokio::join!(Store::connect(&config, "shop", MIGRATIONS), async {
        tokio::time::sleep(3 * PATIENCE).await;
        postgres.process().signal(Signal::CONT).unwrap();
    });
    store.unwrap();
    assert!(began.elapsed() >= 3 * PATIENCE);
}

#[tokio::test]
async fn an_exhausted_pool_gives_unavailable_in_time() {
    let mut config = new_database().await;
    config.max_connections = 2;
    config.acquire_timeout = PATIENCE;
    let store = Store::connect(&config, "shop", MIGRATIONS).await.unwrap();
    let _held = (store.begin().await.unwrap(), store.begin().await.unwrap());
    let began = Instant::now();
    assert_unavailable_in_time(store.begin().await.map(drop), began);
}

#[tokio::test]
async fn a_wrong_password_or_database_is_a_configuration_error_at_once() {
    let postgres = Postgres::shared().await.unwrap();
    let wrong_password = format!("postgres://ailayer:hunter2@127.0.0.1:{}/postgres", postgres.port());
    for (url, part) in
        [(wrong_password, "password authentication failed"), (postgres.url("nowhere"), "does not exist")]
    {
        let config = StoreConfig::new(url);
        let began = Instant::now();
        let error = Store::connect(&config, "shop", MIGRATIONS).await.unwrap_err();
        assert!(matches!(error, StoreError::InvalidConfig(_)), "{error:?}");
        assert!(error.to_string().contains(part) && !error.to_string().contains("hunter2"), "{error}");
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    }
}

#[tokio::test]
async fn every_connection_has_its_limits() {
    let mut config = new_database().await;
    config.statement_timeout = Duration::from_secs(2);
    let store = Store::connect(&config, "shop", MIGRATIONS).await.unwrap();
    let show = |setting: &'static str| {
        let pool = store.pool().clone();
        async move {
            let query = sqlx::query_scalar::<_, String>("select current_setting($1)").bind(setting);
            query.fetch_one(&pool).await.unwrap()
        }
    };
    assert_eq!(show("search_path").await, "shop");
    assert_eq!(show("application_name").await, "ailayer-shop");
    assert_eq!(show("statement_timeout").await, "2s");
    assert_eq!(show("lock_timeout").await, "1s");
    assert_eq!(show("idle_in_transaction_session_timeout").await, "1min");

    let slow = sqlx::query("select pg_sleep(5)").execute(store.pool()).await.unwrap_err();
    assert!(matches!(StoreError::from(slow), StoreError::TimedOut(_)));
}

#[tokio::test]
async fn a_pool_of_its_own_has_its_own_settings_and_the_same_limits() {
    let store = new_store().await;
    let own = store.with_settings(1, &[("enable_seqscan", "off")]);
    let mut conn = own.acquire().await.unwrap();
    let mut show = async |name: &str| -> String {
        sqlx::query_scalar("select current_setting($1)").bind(name).fetch_one(&mut *conn).await.unwrap()
    };
    assert_eq!(show("enable_seqscan").await, "off");
    assert_eq!(show("search_path").await, store.schema());
    let limit: String = sqlx::query_scalar("show statement_timeout").fetch_one(store.pool()).await.unwrap();
    assert_eq!(show("statement_timeout").await, limit);
    drop(conn);
    let other: String = sqlx::query_scalar("show enable_seqscan").fetch_one(store.pool()).await.unwrap();
    assert_eq!(other, "on", "the pool that it was made from is as it was");
    own.close().await;
    store.ping().await.unwrap();
}

#[tokio::test]
async fn a_connection_that_is_kept_is_replaced_when_it_has_gone() {
    let store = new_store().await;
    let mut kept = KeptConn::default();
    let mut backends = Vec::new();
    for _ in 0..3 {
        let mut conn = kept.take(&store).await.unwrap();
        let pid: i32 = sqlx::query_scalar("select pg_backend_pid()").fetch_one(&mut *conn).await.unwrap();
        backends.push(pid);
        kept.put(conn);
        if backends.len() == 2 {
            let cut = sqlx::query("select pg_terminate_backend($1, 5000)").bind(pid);
            cut.execute(store.pool()).await.unwrap();
            tokio::time::sleep(Duration::from_millis(150)).await;
        }
    }
    assert_eq!(backends[0], backends[1], "it is kept");
    assert_ne!(backends[1], backends[2], "and asked for a sign of life when it has idled");
    kept.close().await;
}

#[tokio::test]
async fn errors_are_told_apart() {
    let store = new_store().await;
    let run = |sql: &'static str| {
        let pool = store.pool().clone();
        async move { sqlx::raw_sql(sql).execute(&pool).await.map_err(StoreError::from).unwrap_err() }
    };
    sqlx::raw_sql("create table thing (id bigint constraint thing_id unique, size bigint not null constraint small check (size < 10))")
        .execute(store.pool())
        .await
        .unwrap();
    let error = run("insert into thing values (1, 1), (1, 2)").await;
    assert_eq!(error.conflicting_constraint(), Some("thing_id"));
    assert!(error.is_refusal());
    assert_eq!(error.to_string(), "unique constraint thing_id is violated");
    let error = run("insert into thing values (1, 11)").await;
    assert!(matches!(&error, StoreError::Violation { constraint } if constraint == "small"), "{error:?}");
    let error = run("insert into thing values (1, null)").await;
    assert!(
        matches!(&error, StoreError::Violation { constraint } if constraint.contains("size")),
        "{error:?}"
    );
    let error = run("select * from nothing").await;
    assert!(matches!(error, StoreError::Database(_)) && !error.is_transient(), "{error:?}");
    assert!(error.is_refusal());
    let cut = run("select pg_terminate_backend(pg_backend_pid())").await;
    assert!(matches!(cut, StoreError::Unavailable(_)) && !cut.is_refusal(), "{cut:?}");
    assert_eq!(Failure::from(error).reason(), ErrorReason::Internal);
    let misread = sqlx::query_scalar::<_, i64>("select 'text'").fetch_one(store.pool()).await.unwrap_err();
    assert!(matches!(StoreError::from(misread), StoreError::Corrupt(_)));
}

#[tokio::test]
async fn a_deadlock_is_a_serialization_failure() {
    let store = new_store().await;
    sqlx::raw_sql("create table thing (id bigint); insert into thing values (1), (2)")
        .execute(store.pool())
        .await
        .unwrap();
    let lock = |id: i64| sqlx::query("select 1 from thing where id = $1 for update").bind(id);
    let (mut a, mut b) = (store.begin().await.unwrap(), store.begin().await.unwrap());
    lock(1).execute(&mut *a).await.unwrap();
    lock(2).execute(&mut *b).await.unwrap();
    let (first, second) = tokio::join!(lock(2).execute(&mut *a), lock(1).execute(&mut *b));
    let lost = first.err().or(second.err()).expect("one of them has to give way");
    let error = StoreError::from(lost);
    assert!(matches!(error, StoreError::Serialization(_)) && error.is_transient(), "{error:?}");
}
