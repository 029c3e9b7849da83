//! The same random operations on the pure book and on PostgreSQL, through several writers whose connections are cut at COMMIT:
//! every verdict and every balance must be the same.

use std::collections::HashMap;

use ailayer_gateway::domain::ledger::{
    Account, AccountId, Action, Amount, Asset, Book, Direction, HouseKind, Note, Operation, Refusal, Stripe,
    Terms, TransactionId, Verdict,
};
use ailayer_gateway::store::ledger;
use ailayer_gateway::tasks::write_ledger::{LedgerHandle, WriterLimits};
use ailayer_primitives::{JobId, RequestId, UnixMs};
use futures::future::join_all;
use sqlx::Row as _;
use uuid::Uuid;

use super::bank::{Bank, Random, amount, connect};
use super::proxy::{Plan, Proxy};
use crate::seeds::chosen;

/// Short histories, unless the environment says otherwise.
const SEEDS: u64 = 200;
/// Databases for them, side by side.
const GROUNDS: u64 = 4;

/// What of a verdict must not depend on who writes when.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    Applied { balance: i64, reserved: i64, shortfall: i64 },
    Duplicate { balance: i64, reserved: i64, shortfall: i64 },
    Refused(Refusal),
}

fn seen(verdict: Verdict) -> Seen {
    match verdict {
        Verdict::Applied(it) => Seen::Applied {
            balance: it.balance_units,
            reserved: it.reserved_units,
            shortfall: it.shortfall_units,
        },
        Verdict::Duplicate(it) => Seen::Duplicate {
            balance: it.balance_units,
            reserved: it.reserved_units,
            shortfall: it.shortfall_units,
        },
        Verdict::Refused(refusal) => Seen::Refused(refusal),
    }
}

/// A customer's own sequence: request ids come from a small pool, so that repeats, reuses and references to earlier requests
/// are frequent.
struct Script {
    account: AccountId,
    random: Random,
    ids: Vec<RequestId>,
    past: Vec<Operation>,
}

impl Script {
    fn new(account: AccountId, seed: u64) -> Self {
        let mut random = Random(seed);
        let ids =
            (0..30).map(|_| RequestId::new(Uuid::from_u64_pair(random.next(), random.next()))).collect();
        Self { account, random, ids, past: Vec::new() }
    }

    fn some_id(&mut self) -> RequestId {
        let length = u64::try_from(self.ids.len()).unwrap();
        self.ids[usize::try_from(self.random.below(length)).unwrap()]
    }

    fn some_amount(&mut self) -> Amount {
        amount(i64::try_from(self.random.below(60)).unwrap() + 1)
    }

    fn next(&mut self) -> Operation {
        if !self.past.is_empty() && self.random.below(8) == 0 {
            let length = u64::try_from(self.past.len()).unwrap();
            return self.past[usize::try_from(self.random.below(length)).unwrap()].clone();
        }
        let (id, action) = (self.some_id(), self.action());
        let operation = Operation::try_new(self.account, id, action).unwrap();
        let operation = match self.random.below(4) {
            0 => operation.with_note(Note::try_new("note \"with\", marks").unwrap()),
            _ => operation,
        };
        self.past.push(operation.clone());
        operation
    }

    fn action(&mut self) -> Action {
        let (amount, subject) = (self.some_amount(), self.some_id());
        match self.random.below(20) {
            0..=4 => Action::Credit { amount, from: HouseKind::Lightning },
            5..=6 => Action::Debit { amount, to: HouseKind::Revenue },
            7..=10 => Action::Reserve { amount, terms: self.terms() },
            11..=13 => Action::Capture { reservation: subject, amount, to: HouseKind::Revenue },
            14 => Action::Void { reservation: subject },
            15 => Action::Expire { reservation: subject },
            16 => Action::Reverse { deposit: subject, from: HouseKind::Lightning },
            17 => {
                let direction = if self.random.below(2) == 0 { Direction::Debit } else { Direction::Credit };
                Action::Adjust { direction, amount, against: HouseKind::Suspense }
            }
            18 => Action::Unfreeze,
            _ => Action::SetLimit { limit_units: 20 - i64::try_from(self.random.below(60)).unwrap() },
        }
    }

    /// Long past or never, so that the clock decides nothing here.
    fn terms(&mut self) -> Terms {
        match self.random.below(3) {
            0 => Terms::ExpiresAt(UnixMs(1)),
            1 => Terms::ExpiresAt(UnixMs(1 << 60)),
            _ => Terms::HeldBy(JobId::new(Uuid::from_u128(5))),
        }
    }
}

fn stripe() -> Stripe {
    Stripe::of_writer(Uuid::from_u128(1))
}

fn put_customers(book: &mut Book, accounts: &[AccountId]) {
    for id in accounts {
        book.put_account(*id, Account::new(Some(0), UnixMs(0)));
        let receivable = AccountId::receivable(id.customer_id().unwrap(), Asset::Btc);
        book.put_account(receivable, Account::new(None, UnixMs(0)));
    }
}

fn empty_book() -> Book {
    let mut book = Book::default();
    for kind in HouseKind::ALL {
        book.put_account(AccountId::house(kind, Asset::Btc, stripe()), Account::new(None, UnixMs(0)));
    }
    book
}

/// A database, writers whose connections are cut, and what the database should say.
struct Ground {
    bank: Bank,
    writers: Vec<LedgerHandle>,
    proxies: Vec<Proxy>,
    book: Book,
}

/// How long a history is.
struct Length {
    customers: usize,
    writers: usize,
    rounds: usize,
}

impl Ground {
    async fn new(writers: usize) -> Self {
        let mut ground =
            Self { bank: Bank::new().await, writers: Vec::new(), proxies: Vec::new(), book: empty_book() };
        for _ in 0..writers {
            let bank = &ground.bank;
            let proxy = Proxy::start(bank.port, &bank.tasks).await;
            let url = bank.url.replace(&format!(":{}/", bank.port), &format!(":{}/", proxy.port));
            let limits = WriterLimits { max_batch_operations: 16, ..WriterLimits::default() };
            ground.writers.push(bank.writer_with(connect(&url).await, limits));
            ground.proxies.push(proxy);
        }
        ground
    }

    /// Customers of their own, whose sequences nothing but the seed decides.
    async fn run(&mut self, seed: u64, length: &Length) {
        for (number, proxy) in (0..).zip(&self.proxies) {
            proxy.set(Plan::Sometimes(Random(seed + number)));
        }
        let mut accounts = Vec::new();
        for _ in 0..length.customers {
            accounts.push(self.bank.customer(0).await);
        }
        put_customers(&mut self.book, &accounts);
        let mut scripts: Vec<Script> =
            accounts.iter().zip(seed * 1000..).map(|(account, seed)| Script::new(*account, seed)).collect();
        for round in 0..length.rounds {
            // Some operations of every customer at once; a customer's next ones go to another writer.
            let parts: Vec<Vec<Operation>> = scripts
                .iter_mut()
                .map(|script| (0..=script.random.below(5)).map(|_| script.next()).collect())
                .collect();
            let submitted = parts.iter().enumerate().map(|(number, part)| {
                let writer: &LedgerHandle = &self.writers[(number + round) % length.writers];
                join_all(part.iter().map(|operation| writer.submit(operation.clone())))
            });
            let answered = join_all(submitted).await;
            for (part, answers) in parts.iter().zip(answered) {
                for (operation, answer) in part.iter().zip(answers) {
                    let transaction_id = TransactionId::new(Uuid::new_v4());
                    let expected = self.book.apply(operation, transaction_id, stripe(), UnixMs(1000));
                    let again = format!("AILAYER_GATEWAY_SEED={seed}, round {round}: {operation}");
                    let found = answer.unwrap_or_else(|error| panic!("{again}: {error:?}"));
                    assert_eq!(seen(found), seen(expected), "{again}");
                }
            }
            self.bank.verify().await;
        }
        compare_customers(&self.bank, &self.book, &accounts, seed).await;
    }

    /// Answers how many connections were cut.
    async fn leave(self) -> u64 {
        compare(&self.bank, &self.book).await;
        self.bank.shutdown.trigger();
        self.proxies.iter().map(Proxy::cuts).sum()
    }
}

/// One that is long enough for everything to meet everything.
async fn long(seed: u64) {
    let mut ground = Ground::new(3).await;
    ground.run(seed, &Length { customers: 12, writers: 3, rounds: 40 }).await;
    let cuts = ground.leave().await;
    assert!(cuts > 20, "only {cuts} connections were cut");
}

async fn compare_customers(bank: &Bank, book: &Book, accounts: &[AccountId], seed: u64) {
    let without_time = |account: Account| Account { updated_at: UnixMs(0), ..account };
    for id in accounts {
        let receivable = AccountId::receivable(id.customer_id().unwrap(), Asset::Btc);
        for id in [*id, receivable] {
            let expected = *book.account(id).unwrap();
            let found = bank.account(id).await;
            assert_eq!(without_time(found), without_time(expected), "AILAYER_GATEWAY_SEED={seed}: {id}");
        }
    }
}

async fn compare(bank: &Bank, book: &Book) {
    for kind in HouseKind::ALL.into_iter().filter(|kind| kind.holds(Asset::Btc)) {
        let expected = book.account(AccountId::house(kind, Asset::Btc, stripe())).unwrap().balance_units;
        assert_eq!(bank.house(kind).await, expected, "{}", kind.as_str());
    }
    let rows = sqlx::query(
        "select code, reservation_id, state, captured_units from ledger_reservations
         join ledger_accounts using (account_id)",
    )
    .fetch_all(bank.store.pool())
    .await
    .unwrap();
    let stored: HashMap<(String, Uuid), (String, i64)> =
        rows.iter().map(|row| ((row.get(0), row.get(1)), (row.get(2), row.get(3)))).collect();
    let expected: HashMap<(String, Uuid), (String, i64)> = book
        .reservations()
        .map(|(account, id, it)| {
            ((account.to_string(), id.uuid()), (it.state.as_str().to_owned(), it.captured_units))
        })
        .collect();
    assert_eq!(stored, expected);
    let net = ledger::audit::trial_balance(bank.store.pool()).await.unwrap();
    assert_eq!(net.iter().map(|line| line.net_units).sum::<i128>(), 0);
    let transactions: i64 = sqlx::query_scalar("select count(*) from ledger_transactions")
        .fetch_one(bank.store.pool())
        .await
        .unwrap();
    assert_eq!(usize::try_from(transactions).unwrap(), book.journal().len(), "nothing twice, nothing lost");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sql_does_what_the_book_does_seed_1() {
    long(1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sql_does_what_the_book_does_seed_2() {
    long(2).await;
}

/// Two to four writers, by the seed; the databases are shared, the customers are not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sql_does_what_the_book_does_in_two_hundred_short_histories() {
    let seeds = chosen(SEEDS);
    let count = seeds.end - seeds.start;
    let grounds = (0..GROUNDS).map(|number| {
        let seeds = seeds.clone().filter(move |seed| seed % GROUNDS == number);
        async move {
            let mut ground = Ground::new(4).await;
            for seed in seeds {
                let writers = 2 + usize::try_from(seed % 3).unwrap();
                ground.run(seed, &Length { customers: 4, writers, rounds: 3 }).await;
            }
            ground.leave().await
        }
    });
    let cuts: u64 = join_all(grounds).await.into_iter().sum();
    assert!(cuts >= count / 2, "only {cuts} connections were cut in {count} histories");
}
