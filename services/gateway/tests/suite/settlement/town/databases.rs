//! Databases with the tables and no rows. One that a town has left is emptied, which is much faster than making another.

use std::sync::Mutex;
use std::time::Duration;

use ailayer_devnet::Postgres;
use ailayer_gateway::store;
use ailayer_store::StoreConfig;
use sqlx::{Connection as _, Executor as _, PgConnection};

static LEFT: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// What killed gateways have left running.
const END_OTHERS: &str = "select count(pg_terminate_backend(pid)) from pg_stat_activity
    where datname = current_database() and pid <> pg_backend_pid()";

/// The triggers that keep rows for ever are not asked.
const EMPTY: &str = "do $$ declare found record; begin
    set local session_replication_role = replica;
    for found in select tablename from pg_tables where schemaname = 'gateway' and tablename <> '_sqlx_migrations' loop
        execute format('delete from gateway.%I', found.tablename);
    end loop;
end $$";

pub async fn empty() -> String {
    let left = LEFT.lock().unwrap().pop();
    if let Some(url) = left {
        return url;
    }
    let url = Postgres::shared().await.unwrap().create_database().await.unwrap();
    let config = StoreConfig { max_connections: 1, ..StoreConfig::new(&url) };
    store::connect(&config).await.unwrap().close().await;
    url
}

pub async fn give_back(url: String) {
    let mut connection = PgConnection::connect(&url).await.unwrap();
    while sqlx::query_scalar::<_, i64>(END_OTHERS).fetch_one(&mut connection).await.unwrap() > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    connection.execute(EMPTY).await.unwrap();
    connection.close().await.unwrap();
    LEFT.lock().unwrap().push(url);
}
