//! Schemas come up to date once, whoever is first, and never silently differ.

use ailayer_store::{Migration, MigrationError, Store, StoreError};

use crate::schema::{MIGRATIONS, new_database};

const ONE: Migration = Migration::new(1, "things", "create table thing (id bigint primary key)");
const TWO: Migration = Migration::new(
    2,
    "colours",
    "alter table thing add colour text; insert into thing (id, colour) values (1, 'red'), (2, 'blue')",
);

async fn applied(store: &Store) -> i64 {
    sqlx::query_scalar("select count(*) from _sqlx_migrations").fetch_one(store.pool()).await.unwrap()
}

#[tokio::test]
async fn connecting_again_changes_nothing_and_adds_what_is_new() {
    let config = new_database().await;
    Store::connect(&config, "shop", &[ONE]).await.unwrap();
    Store::connect(&config, "shop", &[ONE]).await.unwrap();
    // Given in any order.
    let store = Store::connect(&config, "shop", &[TWO, ONE]).await.unwrap();
    let again = Store::connect(&config, "shop", &[TWO, ONE]).await.unwrap();
    assert_eq!(applied(&again).await, 2);
    let things: i64 = sqlx::query_scalar("select count(*) from thing").fetch_one(store.pool()).await.unwrap();
    assert_eq!(things, 2);
}

#[tokio::test]
async fn many_connect_at_once() {
    let config = new_database().await;
    let stores = futures::future::join_all((0..8).map(|_| Store::connect(&config, "shop", MIGRATIONS))).await;
    for store in stores {
        assert_eq!(applied(&store.unwrap()).await, 4);
    }
}

#[tokio::test]
async fn schemas_of_two_services_do_not_see_each_other() {
    let config = new_database().await;
    let of_bank = [Migration::new(1, "other", "create table account (id bigint)")];
    let (shop, bank) =
        tokio::join!(Store::connect(&config, "shop", &[ONE]), Store::connect(&config, "bank", &of_bank));
    let (shop, bank) = (shop.unwrap(), bank.unwrap());
    sqlx::query("select * from thing").execute(shop.pool()).await.unwrap();
    sqlx::query("select * from account").execute(bank.pool()).await.unwrap();
    sqlx::query("select * from account").execute(shop.pool()).await.unwrap_err();
    sqlx::query("select * from thing").execute(bank.pool()).await.unwrap_err();
}

#[tokio::test]
async fn an_edited_migration_is_refused_by_name() {
    let config = new_database().await;
    Store::connect(&config, "shop", &[ONE]).await.unwrap();
    let edited = Migration::new(1, "things", "create table thing (id bigint primary key, colour text)");
    let error = Store::connect(&config, "shop", &[edited]).await.unwrap_err();
    assert!(matches!(error, StoreError::Migration(MigrationError::Changed { version: 1, .. })), "{error:?}");
    assert_eq!(
        error.to_string(),
        "migration 1 (things) of schema shop was changed after it had been applied; \
         restore its text and add a new migration instead"
    );
}

#[tokio::test]
async fn an_older_program_refuses_a_newer_schema() {
    let config = new_database().await;
    Store::connect(&config, "shop", &[ONE, TWO]).await.unwrap();
    let error = Store::connect(&config, "shop", &[ONE]).await.unwrap_err();
    assert!(matches!(error, StoreError::Migration(MigrationError::Unknown { version: 2, .. })), "{error:?}");
}

#[tokio::test]
async fn a_failing_migration_leaves_nothing_of_itself() {
    let config = new_database().await;
    let broken = Migration::new(2, "half", "create table half (id bigint); create table half (id bigint)");
    let error = Store::connect(&config, "shop", &[ONE, broken]).await.unwrap_err();
    assert!(
        matches!(error, StoreError::Migration(MigrationError::Failed { version: 2, name: "half", .. })),
        "{error:?}"
    );
    let whole = Migration::new(2, "half", "create table half (id bigint)");
    Store::connect(&config, "shop", &[ONE, whole]).await.unwrap();
}

#[tokio::test]
async fn two_migrations_with_one_number_are_refused() {
    let config = new_database().await;
    let error = Store::connect(&config, "shop", &[ONE, ONE]).await.unwrap_err();
    assert!(
        matches!(error, StoreError::Migration(MigrationError::Duplicate { version: 1, .. })),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_schema_name_cannot_carry_sql() {
    let config = new_database().await;
    for name in ["", "1st", "Shop", "shop; drop schema public", "shop\"", "shop.bank"] {
        let error = Store::connect(&config, name, &[]).await.unwrap_err();
        assert!(matches!(error, StoreError::InvalidConfig(_)), "{name:?}: {error:?}");
    }
}
