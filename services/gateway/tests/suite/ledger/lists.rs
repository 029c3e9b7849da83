//! Statements, lists and exports, while others write.

use ailayer_gateway::domain::ledger::export::Format;
use ailayer_gateway::domain::ledger::page::PageToken;
use ailayer_gateway::domain::ledger::{AccountId, HouseKind, Stripe, TransactionId};
use ailayer_gateway::store::ledger::accounts::ListError;
use ailayer_gateway::store::ledger::statements::Period;
use ailayer_gateway::store::ledger::{self, statements, transactions};
use ailayer_primitives::UnixMs;
use futures::TryStreamExt as _;
use futures::future::join_all;
use uuid::Uuid;

use super::bank::{Bank, applied, credit, debit, operation, reserve};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_statement_opens_runs_and_closes() {
    let bank = Bank::new().await;
    let account = bank.customer(0).await;
    let writer = bank.writer();
    let mut times = Vec::new();
    for units in [100, 50, 25] {
        times.push(applied(&writer, operation(account, credit(units))).await.posted_at);
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        applied(&writer, operation(account, reserve(1))).await;
        applied(&writer, operation(account, debit(10))).await;
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let pool = bank.store.pool();
    let all = statements::statement(pool, account, Period::ALL).await.unwrap().unwrap();
    assert_eq!((all.opening_units, all.closing_units), (0, 145));
    let middle = Period { from: times[1], until: times[2] };
    let statement = statements::statement(pool, account, middle).await.unwrap().unwrap();
    assert_eq!((statement.opening_units, statement.closing_units), (90, 130));
    let lines = statements::lines(pool, account, middle, 10, None).await.unwrap();
    let seen: Vec<(i64, i64)> = lines.items.iter().map(|it| (it.change_units, it.balance_units)).collect();
    assert_eq!((seen, lines.next), (vec![(50, 140), (-10, 130)], None));
    let after = Period { from: UnixMs(times[2].0 + 3_600_000), until: UnixMs(u64::MAX) };
    let statement = statements::statement(pool, account, after).await.unwrap().unwrap();
    assert_eq!((statement.opening_units, statement.closing_units), (145, 145));
    assert!(statements::lines(pool, account, after, 10, None).await.unwrap().items.is_empty());
    let nobody =
        AccountId::customer(ailayer_gateway::domain::ledger::CustomerId::new(Uuid::new_v4()), account.asset);
    assert_eq!(statements::statement(pool, nobody, Period::ALL).await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_of_an_account_are_stable_while_others_write() {
    let bank = Bank::new().await;
    let account = bank.customer(100_000).await;
    let writers = [bank.writer(), bank.writer()];
    let write = async {
        for _ in 0..20 {
            join_all((0..20).map(|number| writers[number % 2].submit(operation(account, debit(1))))).await;
        }
    };
    let read = async {
        let (mut lines, mut token): (Vec<_>, Option<PageToken>) = (Vec::new(), None);
        loop {
            let page =
                statements::lines(bank.store.pool(), account, Period::ALL, 7, token.as_ref()).await.unwrap();
            lines.extend(page.items);
            match page.next {
                Some(next) => token = Some(next),
                None if lines.len() == 401 => return lines,
                // Not full: look again from the last full page on.
                None => lines.truncate(lines.len() / 7 * 7),
            }
        }
    };
    let (lines, ()) = tokio::join!(read, write);
    for pair in lines.windows(2) {
        assert!(pair[0].version < pair[1].version && pair[0].posted_at <= pair[1].posted_at);
        assert_eq!(pair[0].balance_units + pair[1].change_units, pair[1].balance_units);
    }
    assert_eq!(lines.last().unwrap().balance_units, 100_000 - 400);

    for format in [Format::Csv, Format::JsonLines] {
        let export = statements::export(bank.store.pool().clone(), account, Period::ALL, format);
        let chunks: Vec<String> = export.try_collect().await.unwrap();
        let heads = usize::from(format == Format::Csv);
        assert_eq!(chunks.concat().lines().count(), 401 + heads);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_of_many_pages_comes_in_chunks() {
    let bank = Bank::new().await;
    let account = bank.customer(100_000).await;
    let writer = bank.writer();
    join_all((0..2500).map(|_| writer.submit(operation(account, debit(1))))).await;
    let export = statements::export(bank.store.pool().clone(), account, Period::ALL, Format::Csv);
    let chunks: Vec<String> = export.try_collect().await.unwrap();
    assert_eq!(chunks.len(), 4, "a head, and pages of 1000");
    assert!(chunks.iter().all(|chunk| chunk.lines().count() <= 1000));
    assert_eq!(chunks.concat().lines().count(), 2502);
}

/// Ids become visible out of the order in which they were given: a transaction that is held open must delay the list, and
/// must not be left out of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_that_is_held_open_is_not_skipped_by_the_list() {
    // A server of its own: the oldest running transaction is the server's.
    let (bank, _postgres) = Bank::alone().await;
    let (account, other) = (bank.customer(100).await, bank.customer(100).await);
    let writer = bank.writer();
    let pool = bank.store.pool();
    let read = |token: Option<PageToken>| async move {
        let (mut ids, mut token): (Vec<TransactionId>, _) = (Vec::new(), token);
        loop {
            let page = transactions::list(pool, 2, token.as_ref()).await.unwrap();
            ids.extend(page.items.iter().map(|it| it.transaction_id));
            match page.next {
                Some(next) => token = Some(next),
                None => return (ids, token),
            }
        }
    };
    let before = read(None).await.0;
    assert_eq!(before.len(), 2, "both deposits");

    let mut held = bank.store.begin().await.unwrap();
    let stripe = Stripe::of_writer(Uuid::new_v4());
    let slow = ledger::apply_one_in_tx(&mut held, stripe, operation(account, debit(1))).await.unwrap();
    let slow = slow.posted().unwrap().transaction_id;
    let mut fast = Vec::new();
    for _ in 0..5 {
        fast.push(applied(&writer, operation(other, debit(1))).await.transaction_id);
    }
    let (during, token) = read(None).await;
    assert_eq!(during, before, "nothing behind the one that is held open");
    held.commit().await.unwrap();

    // The reader goes on from where it was.
    let mut after = read(token).await.0;
    assert!(!after.contains(&before[0]) || after.len() == 8);
    after.retain(|id| !before.contains(id));
    let expected: Vec<TransactionId> = std::iter::once(slow).chain(fast).collect();
    assert_eq!(after, expected);

    let lines = transactions::lines(pool, slow).await.unwrap();
    assert_eq!((lines.len(), lines[0].account, lines[0].amount_units), (2, account, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn accounts_are_listed_page_by_page_and_tokens_belong_to_their_list() {
    let bank = Bank::new().await;
    let mut customers = Vec::new();
    for _ in 0..5 {
        customers.push(bank.customer(3).await);
    }
    let pool = bank.store.pool();
    let (mut ids, mut token) = (Vec::new(), None);
    loop {
        let page = ledger::accounts::list(pool, None, 3, token.as_ref()).await.unwrap();
        ids.extend(page.items.iter().map(|it| it.id));
        let Some(next) = page.next else { break };
        token = Some(next.to_string().parse::<PageToken>().unwrap());
    }
    assert!(customers.iter().all(|id| ids.iter().filter(|it| *it == id).count() == 1), "{ids:?}");
    assert!(ids.iter().any(|id| id.kind() == HouseKind::Lightning.as_str()));
    let own = ledger::accounts::list(pool, customers[0].customer_id(), 10, None).await.unwrap();
    assert_eq!(own.items.len(), 2, "the balance and the receivable");

    let foreign = PageToken::new("transactions", "x");
    let refused = ledger::accounts::list(pool, None, 3, Some(&foreign)).await;
    assert!(matches!(refused, Err(ListError::PageToken(_))));
    for position in ["x", "1/y", "-1/00000000-0000-0000-0000-000000000001"] {
        let refused = transactions::list(pool, 3, Some(&PageToken::new("transactions", position))).await;
        assert!(matches!(refused, Err(ListError::PageToken(_))), "{position}");
    }
}
