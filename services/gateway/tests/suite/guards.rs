//! The last line of defence: what the tables refuse, whoever writes to them, and by which rule.

use ailayer_gateway::domain::job::State;
use sqlx::{AssertSqlSafe, PgPool};

use crate::customer::{Customer, job};
use crate::world::World;

/// A job of each rail that has settled, a quote that waits, and the ledger behind them.
async fn settled() -> World {
    let world = World::new().await;
    let gateway = world.start().await;
    let customer = Customer::with_balance(&world, &gateway, 100_000).await;
    let bought = gateway.quote(&["hello"]).await;
    world.payments.pay(bought.id());
    world.wait_for(bought.id(), State::Settled).await;
    customer.run(&gateway, job(&["hello"])).await.unwrap();
    gateway.quote(&["one that waits"]).await;
    world
}

/// The rule that refuses a statement, and what it says.
async fn refused(pool: &PgPool, statement: &str) -> (String, String) {
    let refused = sqlx::query(AssertSqlSafe(statement)).execute(pool).await;
    let Err(sqlx::Error::Database(error)) = refused else { panic!("{statement}: {refused:?}") };
    (error.constraint().unwrap_or_default().to_owned(), error.message().to_owned())
}

/// Every statement is refused by that rule, in those words.
async fn all_refused(pool: &PgPool, statements: &[(&str, &str, &str)]) {
    for (statement, rule, words) in statements {
        let (by, message) = refused(pool, statement).await;
        assert_eq!(by, *rule, "{statement}: {message}");
        assert!(message.contains(words), "{statement}: {message}");
    }
}

#[tokio::test]
async fn a_job_is_refused_that_contradicts_itself() {
    let world = settled().await;
    let change = |what: &str, of: &str| format!("update jobs set {what} where {of}");
    let (hold, prepaid) = ("rail = 'hold' and state = 'SETTLED'", "rail = 'prepaid'");
    let quoted = "state = 'QUOTED'";
    let cases = [
        ("version = 0", hold, "jobs_counts"),
        ("attempt = -1", hold, "jobs_counts"),
        ("input_tokens = -1", hold, "jobs_counts"),
        ("tensor_bytes = -1", hold, "jobs_counts"),
        ("invoice_expiry_s = 0", hold, "jobs_counts"),
        ("body_digest = 'short'", hold, "jobs_digests"),
        ("token_hash = 'short'", hold, "jobs_digests"),
        ("model_digest = 'short'", hold, "jobs_digests"),
        ("request_digest = 'short'", hold, "jobs_digests"),
        ("payment_hash = 'short'", hold, "jobs_digests"),
        ("output_digest = 'short'", hold, "jobs_digests"),
        ("sealed_to = 'short'", hold, "jobs_digests"),
        ("sealed_digest = 'short'", hold, "jobs_digests"),
        ("payer = 'short'", quoted, "jobs_digests"),
        ("price_msat = 0", hold, "jobs_amounts"),
        ("held_amount_msat = price_msat - 1", hold, "jobs_amounts"),
        ("per_call_msat = -1", prepaid, "jobs_amounts"),
        ("per_token_msat = -1", prepaid, "jobs_amounts"),
        ("per_tensor_byte_msat = -1", prepaid, "jobs_amounts"),
        ("charge_msat = price_msat + 1", prepaid, "jobs_amounts"),
        ("charge_msat = -1", prepaid, "jobs_amounts"),
        ("rail = 'hold'", prepaid, "jobs_rail"),
        ("rail = 'prepaid'", hold, "jobs_rail"),
        ("rail = 'barter'", hold, "jobs_invoice"),
        ("account_id = null", prepaid, "jobs_rail"),
        ("key_id = null", prepaid, "jobs_rail"),
        ("per_call_msat = null", prepaid, "jobs_rail"),
        ("per_token_msat = null", prepaid, "jobs_rail"),
        ("per_tensor_byte_msat = 1", hold, "jobs_rail"),
        ("invoice_expiry_s = null", hold, "jobs_rail"),
        ("bolt11 = null", hold, "jobs_invoice"),
        ("payment_hash = null", hold, "jobs_invoice"),
        ("bolt11 = 'lnbcrt1', payment_hash = sha256('x')", prepaid, "jobs_invoice"),
        ("accepted_unix_ms = null", hold, "jobs_held"),
        ("claim_deadline_height = null", hold, "jobs_held"),
        ("claim_deadline_height = 7", prepaid, "jobs_held"),
        ("completed_unix_ms = null", hold, "jobs_receipt"),
        ("receipt = 'x'", quoted, "jobs_receipt"),
        ("state = 'HELD'", quoted, "jobs_state"),
        ("state = 'RUNNING'", quoted, "jobs_state"),
        ("state = 'COMPLETED'", quoted, "jobs_state"),
        ("state = 'TAKING'", quoted, "jobs_state"),
        ("state = 'SETTLED'", quoted, "jobs_state"),
        ("state = 'LOST'", quoted, "jobs_state"),
        ("state = 'SOLD'", quoted, "jobs_state"),
        ("leaf_index = null", hold, "jobs_state"),
        ("closing = null", hold, "jobs_state"),
        ("state = 'RELEASING'", quoted, "jobs_release"),
        ("release_reason = 'canceled'", hold, "jobs_release"),
        ("taken_msat = null", hold, "jobs_taken"),
        ("taken_msat = price_msat - 1", hold, "jobs_taken"),
        ("taken_msat = charge_msat + 1", prepaid, "jobs_taken"),
        ("taken_msat = price_msat", quoted, "jobs_taken"),
        ("sealed_digest = sha256('x')", hold, "jobs_sealed"),
        ("appended_unix_ms = 1", hold, "jobs_sealed"),
        ("acknowledged_unix_ms = 1", hold, "jobs_sealed"),
        ("sealed_to = sha256('x')", hold, "jobs_sealed"),
        ("sealed_to = sha256('x')", prepaid, "jobs_sealed"),
        ("sealed_to = sha256('x'), sealed_digest = sha256('x')", hold, "jobs_sealed"),
        ("sealed_to = sha256('x'), acknowledged_unix_ms = 1", quoted, "jobs_sealed"),
        ("sealed_to = sha256('x'), appended_unix_ms = 1", quoted, "jobs_sealed"),
        // What has ended has ended.
        ("state = 'QUOTED'", hold, "jobs_state_order"),
        ("state = 'LOST', taken_msat = null", hold, "jobs_state_order"),
        ("state = 'FAILED', release_reason = 'canceled', taken_msat = null", prepaid, "jobs_state_order"),
    ];
    for (what, of, rule) in cases {
        let statement = change(what, of);
        assert_eq!(refused(world.store.pool(), &statement).await.0, rule, "{statement}");
    }
    // The same rules for rows that are new.
    let copy = "insert into jobs (job_id, request_id, body_digest, token_hash, model_name, model_version, model_digest,
            request_digest, input_tokens, quote, price_msat, created_unix_ms, expiry_unix_ms, invoice_expiry_s, state,
            updated_unix_ms)
        select gen_random_uuid(), gen_random_uuid(), body_digest, token_hash, model_name, model_version, model_digest,
            request_digest, input_tokens, quote, PRICE, created_unix_ms, expiry_unix_ms, invoice_expiry_s, 'QUOTED',
            updated_unix_ms from jobs where state = 'QUOTED'";
    let pool = world.store.pool();
    assert_eq!(refused(pool, &copy.replace("PRICE", "0")).await.0, "jobs_amounts");
    let copied = sqlx::query(AssertSqlSafe(copy.replace("PRICE", "1"))).execute(pool).await.unwrap();
    assert_eq!(copied.rows_affected(), 1);
}

#[tokio::test]
async fn what_was_posted_stays() {
    let world = settled().await;
    let forbidden = [
        "update job_events set state = 'HELD'",
        "delete from job_events",
        "update ledger_lines set amount_units = amount_units * 2",
        "truncate ledger_lines",
        "delete from ledger_transactions",
        "delete from ledger_accounts",
    ];
    all_refused(world.store.pool(), &forbidden.map(|it| (it, "append_only", "is append-only"))).await;
}

#[tokio::test]
async fn an_account_is_refused_that_its_lines_do_not_explain() {
    let world = settled().await;
    let by = "ledger_balance";
    let (name, kind) = ("keeps its name", "below its limit, or of no known kind");
    let forbidden = [
        ("update ledger_accounts set balance_units = balance_units + 1", by, "a balance without its line"),
        ("update ledger_accounts set asset = 'other'", by, name),
        ("update ledger_accounts set code = code || 'x'", by, name),
        ("update ledger_accounts set side = -side", by, name),
        ("update ledger_accounts set version = version - 1 where version > 0", by, name),
        ("update ledger_accounts set customer_id = gen_random_uuid() where customer_id is not null", by, name),
        ("update ledger_accounts set reserved_units = balance_units + 1 where customer_id is not null", by, kind),
        ("update ledger_accounts set reserved_units = -1 where customer_id is not null", by, kind),
        ("update ledger_accounts set limit_units = null where customer_id is not null", by, kind),
        ("update ledger_accounts set frozen = true where customer_id is null", by, kind),
        ("update ledger_accounts set kind = 'asset:gold' where customer_id is null", by, kind),
        ("update ledger_accounts set frozen = true where limit_units is not null", by, "without a new version"),
        (
            "insert into ledger_accounts (code, kind, asset, side, opened_unix_ms, updated_unix_ms)
             values ('x', 'asset:gold', 'BTC', 1, 0, 0)",
            by,
            kind,
        ),
        (
            "insert into ledger_accounts (code, kind, asset, side, balance_units, opened_unix_ms, updated_unix_ms)
             values ('x', 'expense:fees', 'BTC', 1, 5, 0, 0)",
            by,
            "a balance without its line",
        ),
    ];
    all_refused(world.store.pool(), &forbidden).await;
}

#[tokio::test]
async fn a_transaction_is_refused_that_is_not_whole() {
    let world = settled().await;
    // The columns of a header, beside one that is there.
    let header = |id: &str, account: &str, kind: &str, shortfall: &str| {
        format!(
            "insert into ledger_transactions (transaction_id, account_id, request_id, kind, amount_units, body_digest,
                balance_units, reserved_units, shortfall_units, posted_unix_ms, note)
             select gen_random_uuid(), {account}, {id}, '{kind}', 0, body_digest, 0, 0, {shortfall}, 0, ''
             from ledger_transactions limit 1"
        )
    };
    let by = "ledger_balance";
    let pool = world.store.pool();
    let new = "gen_random_uuid()";
    // A job ends in the books once.
    let again = refused(pool, &header("request_id", "account_id", "freeze", "0")).await;
    assert_eq!(again.0, "ledger_transactions_request");
    let statements = [
        (header(new, "account_id", "post", "0"), "a transaction without lines"),
        (header(new, "0", "freeze", "0"), "a transaction without its account"),
        (header(new, "account_id", "gift", "0"), "a transaction of no known kind"),
        (header(new, "account_id", "freeze", "-1"), "impossible digest or shortfall"),
        (header(new, "account_id", "freeze", "0").replace("body_digest, 0", "'short', 0"), "impossible digest"),
        (
            "insert into ledger_lines select account_id, account_version + 1000, transaction_id, line + 2, amount_units,
                balance_units, posted_unix_ms from ledger_lines"
                .to_owned(),
            "comes with all its lines",
        ),
        (
            "insert into ledger_lines select account_id, account_version + 1000, gen_random_uuid(), 0, 5, 0, 0
                from ledger_lines limit 1"
                .to_owned(),
            "comes with all its lines",
        ),
        (lines("side, balance_units + 1", "1").replace("by account_id)) - 1", "by account_id)) - 2"), "all its lines"),
        (lines("side, balance_units + 1", "0").replace("select account_id, version + 1", "select -account_id, version + 1"), "does not sum to zero"),
        (lines("1, balance_units + side", "two.side"), "does not sum to zero"),
        (lines("side, balance_units + 1", "2"), "a balance without its line"),
        (
            lines("side, balance_units + 1", "1").replace("version + 1, transaction_id", "version + 2, transaction_id"),
            "does not carry its last line",
        ),
        (
            lines("side, balance_units + 1", "1").replace("= account.version + 1", "= account.version"),
            "moved without a new version",
        ),
        (lines("side, balance_units + 1", "1").replace("'post'", "'freeze'"), "lines that move nothing"),
        (
            lines("side, balance_units + 1", "1").replace("select gen_random_uuid(), account_id,", "select gen_random_uuid(), -5,"),
            "a transaction without its account",
        ),
    ];
    for (statement, words) in &statements {
        let (rule, message) = refused(pool, statement).await;
        assert_eq!(rule, by, "{statement}: {message}");
        assert!(message.contains(words), "{statement}: {message}");
    }
    let sound = lines("side, balance_units + 1", "1");
    sqlx::query(AssertSqlSafe(sound.clone())).execute(pool).await.unwrap();
    let other = "insert into ledger_accounts (code, kind, asset, side, opened_unix_ms, updated_unix_ms)
        values ('other', 'revenue:inference', 'other', -1, 0, 0)";
    sqlx::query(other).execute(pool).await.unwrap();
    let between = sound.replace("order by side)", "where side = 1 or asset = 'other' order by side)");
    let (rule, message) = refused(pool, &between).await;
    assert_eq!(rule, by, "{message}");
    assert!(message.contains("in one asset"), "{message}");
}

#[tokio::test]
async fn a_reservation_is_refused_that_contradicts_itself() {
    let world = settled().await;
    let pool = world.store.pool();
    let new = |amount: &str, captured: &str, state: &str, until: &str, job: &str| {
        format!(
            "insert into ledger_reservations (account_id, reservation_id, amount_units, captured_units, state,
                expires_unix_ms, job_id, updated_unix_ms)
             select account_id, gen_random_uuid(), {amount}, {captured}, '{state}', {until}, {job}, 0
             from ledger_accounts where limit_units is not null limit 1"
        )
    };
    let job = "gen_random_uuid()";
    let forbidden = [
        new("0", "0", "PENDING", "5", "null"),
        new("-1", "0", "PENDING", "5", "null"),
        new("10", "0", "PENDING", "null", "null"),
        new("10", "0", "PENDING", "5", job),
        new("10", "1", "PENDING", "5", "null"),
        new("10", "0", "POSTED", "5", "null"),
        new("10", "11", "POSTED", "5", "null"),
        new("10", "-1", "POSTED", "5", "null"),
        new("10", "1", "VOIDED", "5", "null"),
        new("10", "1", "EXPIRED", "5", "null"),
        new("10", "0", "EXPIRED", "null", job),
        new("10", "0", "LOST", "5", "null"),
    ];
    for statement in &forbidden {
        assert_eq!(refused(pool, statement).await.0, "ledger_reservations_sound", "{statement}");
    }
    // What has ended is not due.
    for statement in [new("10", "0", "PENDING", "5", "null"), new("10", "0", "VOIDED", "5", "null")] {
        sqlx::query(AssertSqlSafe(statement)).execute(pool).await.unwrap();
    }
    let due: i64 =
        sqlx::query_scalar("select count(*) from ledger_reservations where due_unix_ms is not null")
            .fetch_one(pool)
            .await
            .unwrap();
    assert_eq!(due, 1);
    let ended =
        "update ledger_reservations set amount_units = amount_units + 1 where due_unix_ms is not null";
    assert_eq!(refused(pool, ended).await.0, "append_only");
}

/// Posts a header with two lines of these amounts and balances, and raises both accounts' balances by that much.
fn lines(amount_and_balance: &str, raised: &str) -> String {
    format!(
        "with two as (
            select distinct on (side) account_id, side, version, balance_units from ledger_accounts order by side),
         header as (insert into ledger_transactions (transaction_id, account_id, request_id, kind, amount_units,
                body_digest, balance_units, reserved_units, shortfall_units, posted_unix_ms, note)
            select gen_random_uuid(), account_id, gen_random_uuid(), 'post', 1, body_digest, 0, 0, 0, 0, ''
            from ledger_transactions limit 1 returning transaction_id),
         lines as (insert into ledger_lines select account_id, version + 1, transaction_id,
            (row_number() over (order by account_id)) - 1, {amount_and_balance}, 0 from two, header)
         update ledger_accounts account set balance_units = account.balance_units + {raised}, version = account.version + 1
         from two where two.account_id = account.account_id"
    )
}
