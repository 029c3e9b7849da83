//! A database with customers, and writers that come and go.

use std::sync::Arc;
use std::time::Duration;

use ailayer_devnet::Postgres;
use ailayer_gateway::domain::ledger::{
    Account, AccountId, Action, Amount, Asset, CustomerId, HouseKind, Operation, Posted, Refusal, Terms,
    Verdict,
};
use ailayer_gateway::store::{self, ledger};
use ailayer_gateway::tasks::write_ledger::{
    LedgerHandle, LedgerWriter, NoRiders, Rider, SubmitError, WriterLimits,
};
use ailayer_platform::tasks::{Shutdown, Tasks};
use ailayer_primitives::{JobId, RequestId};
use ailayer_store::{Store, StoreConfig};
use uuid::Uuid;

/// A generator that gives the same numbers for the same seed (splitmix64).
#[derive(Debug, Clone)]
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

pub struct Bank {
    pub store: Store,
    pub url: String,
    pub port: u16,
    pub tasks: Arc<Tasks>,
    pub shutdown: Shutdown,
}

impl Bank {
    pub async fn new() -> Self {
        let postgres = Postgres::shared().await.unwrap();
        Self::on(postgres.create_database().await.unwrap(), postgres.port()).await
    }

    /// On a server that nobody else uses.
    pub async fn alone() -> (Self, Postgres) {
        let postgres = Postgres::start().await.unwrap();
        let bank = Self::on(postgres.create_database().await.unwrap(), postgres.port()).await;
        (bank, postgres)
    }

    async fn on(url: String, port: u16) -> Self {
        let store = connect(&url).await;
        let shutdown = Shutdown::new();
        let tasks = Arc::new(Tasks::new(shutdown.clone(), Duration::from_secs(5)));
        Self { store, url, port, tasks, shutdown }
    }

    /// A customer's account with this balance.
    pub async fn customer(&self, balance_units: i64) -> AccountId {
        let customer = CustomerId::new(Uuid::new_v4());
        ledger::accounts::open(&self.store, customer, Asset::Btc).await.unwrap();
        let account = AccountId::customer(customer, Asset::Btc);
        if balance_units > 0 {
            let writer = self.writer();
            applied(&writer, operation(account, credit(balance_units))).await;
        }
        account
    }

    /// A writer of its own, as on another replica.
    pub fn writer(&self) -> LedgerHandle {
        self.writer_with(self.store.clone(), WriterLimits::default())
    }

    pub fn writer_with(&self, store: Store, limits: WriterLimits) -> LedgerHandle {
        let (writer, handle) = LedgerWriter::new(&store, NoRiders, limits);
        self.tasks.spawn("write_ledger", writer.run(self.shutdown.child()));
        handle
    }

    pub async fn account(&self, id: AccountId) -> Account {
        ledger::accounts::by_id(self.store.pool(), id).await.unwrap().unwrap()
    }

    pub async fn balance(&self, id: AccountId) -> i64 {
        self.account(id).await.balance_units
    }

    pub async fn house(&self, kind: HouseKind) -> i64 {
        ledger::accounts::house_balance(self.store.pool(), kind, Asset::Btc).await.unwrap()
    }

    /// The tables agree with each other.
    pub async fn verify(&self) {
        let findings = ledger::audit::verify(self.store.pool()).await.unwrap();
        assert_eq!(findings, ledger::audit::Findings::default());
    }

    /// Holds an account's row, so that whoever writes to it waits.
    pub async fn hold(&self, account: AccountId) -> ailayer_store::Tx {
        let mut tx = self.store.begin().await.unwrap();
        let lock = sqlx::query("select 1 from ledger_accounts where code = $1 for update");
        lock.bind(account.to_string()).execute(&mut *tx).await.unwrap();
        tx
    }
}

pub async fn connect(url: &str) -> Store {
    store::connect(&StoreConfig { max_connections: 6, ..StoreConfig::new(url) }).await.unwrap()
}

pub fn new_id() -> RequestId {
    RequestId::new(Uuid::new_v4())
}

pub fn amount(units: i64) -> Amount {
    Amount::try_new(units).unwrap()
}

pub fn operation(account: AccountId, action: Action) -> Operation {
    Operation::try_new(account, new_id(), action).unwrap()
}

pub fn credit(units: i64) -> Action {
    Action::Credit { amount: amount(units), from: HouseKind::Lightning }
}

pub fn debit(units: i64) -> Action {
    Action::Debit { amount: amount(units), to: HouseKind::Revenue }
}

pub fn reserve(units: i64) -> Action {
    Action::Reserve { amount: amount(units), terms: Terms::HeldBy(JobId::new(Uuid::from_u128(1))) }
}

pub fn capture(reservation: RequestId, units: i64) -> Action {
    Action::Capture { reservation, amount: amount(units), to: HouseKind::Revenue }
}

pub async fn applied<Row: Rider>(writer: &LedgerHandle<Row>, operation: Operation) -> Posted {
    match writer.submit(operation).await {
        Ok(Verdict::Applied(posted)) => posted,
        other => panic!("not applied: {other:?}"),
    }
}

pub async fn refused<Row: Rider>(writer: &LedgerHandle<Row>, operation: Operation) -> Refusal {
    match writer.submit(operation).await {
        Ok(Verdict::Refused(refusal)) => refusal,
        other => panic!("not refused: {other:?}"),
    }
}

pub type Answer = Result<Verdict, SubmitError>;

pub fn count(answers: &[Answer], is: impl Fn(&Answer) -> bool) -> usize {
    answers.iter().filter(|answer| is(answer)).count()
}
