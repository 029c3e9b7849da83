use std::time::Duration;

use ailayer_devnet::Postgres;
use ailayer_store::StoreConfig;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use sqlx::{Connection as _, PgConnection};

use super::*;

const MIGRATION: &str = include_str!("../../../migrations/0008_journal_sums.sql");
const MOVES: usize = 400;

async fn connect() -> (Rows, PgConnection) {
    let url = Postgres::shared().await.unwrap().create_database().await.unwrap();
    let config = StoreConfig { acquire_timeout: Duration::from_secs(5), ..StoreConfig::new(&url) };
    let rows = Rows::connect(&config).await.unwrap();
    let mut database = PgConnection::connect(&url).await.unwrap();
    sqlx::query("set search_path = payment").execute(&mut database).await.unwrap();
    (rows, database)
}

/// What the rows add up to, each read.
async fn counted(database: &mut PgConnection) -> [i64; 6] {
    let row = sqlx::query(
        "select
            (select coalesce(sum(accepted_amount_msat), 0)::bigint from hold_invoice where state = 'CLAIMED'),
            (select coalesce(sum(amount_msat), 0)::bigint from unexpected_receipt),
            (select coalesce(sum(amount_msat), 0)::bigint from outgoing_payment where state = 'SUCCEEDED'),
            (select coalesce(sum(fee_msat), 0)::bigint from outgoing_payment where state = 'SUCCEEDED')
                + (select coalesce(sum(fee_msat), 0)::bigint from unexpected_payment),
            (select count(*) from unexpected_payment),
            (select coalesce(sum(amount_msat), 0)::bigint from unexpected_payment)",
    )
    .fetch_one(database)
    .await
    .unwrap();
    std::array::from_fn(|column| row.get(column))
}

fn kept(journal: &Journal) -> [i64; 6] {
    let Journal { claimed_msat, unexpected_received_msat, sent_msat, fees_msat, .. } = *journal;
    let sums = [
        claimed_msat,
        unexpected_received_msat,
        sent_msat,
        fees_msat,
        journal.unexpected_payments,
        journal.unexpected_sent_msat,
    ];
    sums.map(u64::cast_signed)
}

/// A row of one of the tables comes, moves to any state with any amount, or goes: also in ways that no code here has.
fn random_move(random: &mut StdRng) -> String {
    let (key, amount) = (random.random_range(0..12), random.random_range(1..1_000_000));
    let fee = random.random_range(0..1_000);
    let hash = format!("sha256('{key}')");
    let hold = ["OPEN", "ACCEPTED", "CLAIM_REQUESTED", "CLAIMED", "RELEASED"];
    let sent = ["PENDING", "IN_FLIGHT", "FAILED", "SUCCEEDED"];
    match random.random_range(0..12) {
        0..=2 => {
            let state = hold[random.random_range(0..hold.len())];
            format!(
                "insert into hold_invoice (invoice_id, payment_hash, state, expiry_unix_s, accepted_amount_msat,
                    accepted_unix_ms, claim_deadline_height, created_unix_ms, updated_unix_ms)
                 values (md5('{key}')::uuid, {hash}, '{state}', 0, {amount}, 0, 7, 0, 0)
                 on conflict (invoice_id) do update set state = excluded.state,
                    accepted_amount_msat = excluded.accepted_amount_msat"
            )
        }
        3 => format!("delete from hold_invoice where payment_hash = {hash}"),
        4..=6 => {
            let state = sent[random.random_range(0..sent.len())];
            let preimage = if state == "SUCCEEDED" { hash.as_str() } else { "null" };
            format!(
                "insert into outgoing_payment (payment_hash, bolt11, amount_msat, fee_limit_msat, fee_msat, state,
                    preimage, created_unix_ms, updated_unix_ms)
                 values ({hash}, '', {amount}, 0, {fee}, '{state}', {preimage}, 0, 0)
                 on conflict (payment_hash) do update set state = excluded.state, fee_msat = excluded.fee_msat,
                    preimage = excluded.preimage"
            )
        }
        7 => format!("delete from outgoing_payment where payment_hash = {hash}"),
        8 => format!(
            "insert into unexpected_receipt values ({hash}, {amount}, '', 0)
             on conflict (payment_hash) do update set amount_msat = excluded.amount_msat"
        ),
        9 => format!("delete from unexpected_receipt where payment_hash = {hash}"),
        10 => {
            let amount = if random.random() { amount.to_string() } else { "null".to_owned() };
            format!(
                "insert into unexpected_payment (payment_hash, preimage, fee_msat, amount_msat, note, recorded_unix_ms)
                 values ({hash}, {hash}, {fee}, {amount}, '', 0)
                 on conflict (payment_hash) do update set fee_msat = excluded.fee_msat,
                    amount_msat = excluded.amount_msat"
            )
        }
        _ => format!("delete from unexpected_payment where payment_hash = {hash}"),
    }
}

async fn execute(database: &mut PgConnection, sql: String) {
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(database).await.unwrap();
}

#[tokio::test]
async fn the_sums_follow_every_move_of_a_row() {
    let (rows, mut database) = connect().await;
    let mut random = StdRng::seed_from_u64(8);
    let mut seen = [false; 6];
    for number in 0..MOVES {
        let sql = random_move(&mut random);
        execute(&mut database, sql.clone()).await;
        let sums = kept(&read(&rows).await.unwrap());
        assert_eq!(sums, counted(&mut database).await, "behind move {number}: {sql}");
        seen = std::array::from_fn(|at| seen[at] || sums[at] != 0);
    }
    assert_eq!(seen, [true; 6], "every sum was moved");
}

#[tokio::test]
async fn a_table_that_is_summed_up_is_not_emptied_at_once() {
    let (_rows, mut database) = connect().await;
    for table in ["hold_invoice cascade", "outgoing_payment", "unexpected_receipt", "unexpected_payment"] {
        let truncate = sqlx::AssertSqlSafe(format!("truncate {table}"));
        let refused = sqlx::raw_sql(truncate).execute(&mut database).await.unwrap_err();
        assert!(refused.to_string().contains("row by row"), "{refused}");
    }
}

/// Somebody mends a row from a session that knows nothing of the schema.
#[tokio::test]
async fn a_correction_by_hand_moves_the_sums_too() {
    let (rows, mut database) = connect().await;
    execute(
        &mut database,
        "reset search_path; insert into payment.unexpected_receipt values (sha256('a'), 7, '', 0)".to_owned(),
    )
    .await;
    assert_eq!(read(&rows).await.unwrap().unexpected_received_msat, 7);
    execute(&mut database, "delete from payment.unexpected_receipt".to_owned()).await;
    assert_eq!(read(&rows).await.unwrap().unexpected_received_msat, 0);
}

/// A service that was in use before the sums were kept begins with what its rows add up to.
#[tokio::test]
async fn the_sums_begin_with_what_the_rows_add_up_to() {
    let (rows, mut database) = connect().await;
    let mut undo = "drop table journal_sum;".to_owned();
    for function in [
        "sum_hold_invoice",
        "sum_outgoing_payment",
        "sum_unexpected_receipt",
        "sum_unexpected_payment",
        "refuse_truncate",
    ] {
        undo.push_str(&format!("drop function {function} cascade;"));
    }
    execute(&mut database, undo).await;
    let mut random = StdRng::seed_from_u64(9);
    for _ in 0..MOVES {
        execute(&mut database, random_move(&mut random)).await;
    }
    while counted(&mut database).await.contains(&0) {
        execute(&mut database, random_move(&mut random)).await;
    }
    execute(&mut database, MIGRATION.to_owned()).await;
    assert_eq!(kept(&read(&rows).await.unwrap()), counted(&mut database).await);
}
