//! Databases, and what a crash of the server leaves.

use std::time::Instant;

use ailayer_devnet::Postgres;
use sqlx::{Connection, Executor, PgConnection, Row};

#[tokio::test]
async fn databases_of_the_shared_cluster_are_apart() {
    let postgres = Postgres::shared().await.unwrap();
    let (a, b) = (postgres.create_database().await.unwrap(), postgres.create_database().await.unwrap());
    assert_ne!(a, b);
    let mut first = PgConnection::connect(&a).await.unwrap();
    first.execute("create table only_here (id bigint)").await.unwrap();
    let mut second = PgConnection::connect(&b).await.unwrap();
    second.execute("select * from only_here").await.unwrap_err();
}

#[tokio::test]
async fn commits_survive_a_kill_on_the_same_port() {
    let postgres = Postgres::start().await.unwrap();
    let url = postgres.create_database().await.unwrap();
    let mut connection = PgConnection::connect(&url).await.unwrap();
    connection.execute("create table kept (id bigint); insert into kept values (7)").await.unwrap();
    assert_eq!(connection.fetch_one("show fsync").await.unwrap().get::<String, _>(0), "on");

    postgres.kill9().await.unwrap();
    connection.execute("select 1").await.unwrap_err();
    let began = Instant::now();
    postgres.restart().await.unwrap();
    assert!(began.elapsed().as_secs() < 20, "{:?}", began.elapsed());
    let mut connection = PgConnection::connect(&url).await.unwrap();
    assert_eq!(connection.fetch_one("select id from kept").await.unwrap().get::<i64, _>(0), 7);
}

#[tokio::test]
async fn a_stop_does_not_wait_for_clients() {
    let postgres = Postgres::start().await.unwrap();
    let url = postgres.create_database().await.unwrap();
    let _client = PgConnection::connect(&url).await.unwrap();
    let began = Instant::now();
    postgres.stop().await.unwrap();
    assert!(began.elapsed().as_secs() < 15, "{:?}", began.elapsed());
}

#[tokio::test]
async fn others_of_this_machine_need_the_password() {
    let postgres = Postgres::shared().await.unwrap();
    let url = format!("postgres://ailayer:guess@127.0.0.1:{}/postgres", postgres.port());
    PgConnection::connect(&url).await.unwrap_err();
}
