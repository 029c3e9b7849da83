//! The composition root: every part is made here, and nowhere else.

use std::sync::Arc;
use std::time::Duration;

use ailayer_client::{AuditClient, ClientError, PaymentClient, ServingClient};
use ailayer_platform::config::ConfigError;
use ailayer_platform::health::Health;
use ailayer_platform::server::{Server, ServerError};
use ailayer_platform::tasks::{Shutdown, Tasks, TasksError};
use ailayer_proto::ailayer::gateway::v1::account_service_server::AccountServiceServer;
use ailayer_proto::ailayer::gateway::v1::admin_service_server::AdminServiceServer;
use ailayer_proto::ailayer::gateway::v1::gateway_service_server::GatewayServiceServer;
use ailayer_store::{Store, StoreError};
use ailayer_tlog::note::Verifier;
use thiserror::Error;
use tokio::sync::Semaphore;
use tonic::service::Routes;

use crate::access::Access;
use crate::admission::{Admission, AdmissionLimits};
use crate::audit_log::Log;
use crate::brakes::Brakes;
use crate::config::Config;
use crate::crash_points::CrashPoints;
use crate::deposits::Deposits;
use crate::domain::job::Rules;
use crate::domain::keys::Keys;
use crate::driver::Driver;
use crate::jobs::{JobRow, JobRows, Jobs};
use crate::models::Models;
use crate::operators::Operators;
use crate::places::Places;
use crate::ports::{AuditLog, Books, Payments, Serving};
use crate::prepaid::{Prepaid, PrepaidSettings};
use crate::prices::Prices;
use crate::quotes::{QuoteSettings, Quotes};
use crate::rpc::{Accounts, Admin, Gateway};
use crate::secrets::{self, SecretError};
use crate::signals::Signals;
use crate::store;
use crate::tasks::follow_payments::FollowPayments;
use crate::tasks::refresh_known::RefreshKnown;
use crate::tasks::relay_closings::RelayClosings;
use crate::tasks::write_ledger::{LedgerHandle, LedgerWriter, WriterLimits};
use crate::tasks::{claim_deposits, drive_jobs, erase_results, expire_reservations, watch_dependencies};

/// The service's name in configuration, logs and health.
pub const NAME: &str = "gateway";
/// The gRPC services' full names.
const GRPC_NAMES: [&str; 3] = [
    "ailayer.gateway.v1.GatewayService",
    "ailayer.gateway.v1.AccountService",
    "ailayer.gateway.v1.AdminService",
];
/// How long after a claim was asked for it is asked for again, if no event has come.
const CLAIM_AGAIN: Duration = Duration::from_secs(5);

/// Why the gateway does not start, or ended.
#[derive(Debug, Error)]
pub enum RunError {
    /// A configuration value.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The master secret.
    #[error("gateway secret: {0}")]
    Secret(#[from] SecretError),
    /// The database.
    #[error("gateway database: {0}")]
    Store(#[from] StoreError),
    /// An endpoint.
    #[error("gateway: {0}")]
    Client(#[from] ClientError),
    /// The listeners.
    #[error("gateway: {0}")]
    Server(#[from] ServerError),
    /// A task.
    #[error("gateway: {0}")]
    Tasks(#[from] TasksError),
}

/// The services a gateway talks to.
#[derive(Clone)]
pub struct Ports {
    /// Keeps the money.
    pub payments: Arc<dyn Payments>,
    /// Runs models.
    pub serving: Arc<dyn Serving>,
    /// Keeps the receipts.
    pub audit: Arc<dyn AuditLog>,
    /// Writes prepaid jobs, in place of this gateway's own writer: for measurements without a ledger.
    pub books: Option<Arc<dyn Books>>,
}

/// Everything else a gateway is made of.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What quotes are made by.
    pub quotes: QuoteSettings,
    /// The limits of the state machine.
    pub rules: Rules,
    /// How long a replica may be silent before another takes its jobs over.
    pub lease: Duration,
    /// How long after a claim was asked for it is asked for again.
    pub claim_again: Duration,
    /// How long after a job's end its input and answer are kept.
    pub result_retention: Duration,
    /// Jobs driven at once.
    pub max_running_jobs: u32,
    /// How much may be under way at once.
    pub admission: AdmissionLimits,
    /// The header in which a proxy names the caller's address.
    pub payer_header: Option<String>,
    /// Watchers at once.
    pub max_watchers: u32,
    /// Who operates this gateway.
    pub operators: Operators,
    /// The pinned key of the audit log.
    pub log_key: Option<Verifier>,
    /// Where simulations halt.
    pub crash_points: CrashPoints,
}

/// A gateway that is ready to be started.
pub struct App {
    gateway: Gateway,
    driver: Driver,
    ledger: LedgerHandle<JobRow>,
    ledger_writer: LedgerWriter<JobRows>,
    ports: Ports,
    settings: Settings,
}

impl App {
    /// Puts a gateway together.
    pub fn new(store: Store, keys: Keys, ports: Ports, settings: Settings, shutdown: Shutdown) -> Self {
        let signals = Signals::default();
        let crash_points = settings.crash_points.clone();
        let log = Log::new(Arc::clone(&ports.audit), settings.log_key.clone());
        let (ledger_writer, ledger) = LedgerWriter::new(&store, JobRows, WriterLimits::default());
        let books = ports.books.clone().unwrap_or_else(|| Arc::new(ledger.clone()));
        let jobs = Jobs::new(
            store.clone(),
            keys.clone(),
            settings.rules,
            signals.clone(),
            crash_points.clone(),
            Arc::clone(&books),
        );
        let clock = jobs.clock().clone();
        let prices = Prices::new(store.clone(), settings.quotes.prices.clone());
        let brakes = Brakes::new(store.clone());
        let access = Access::new(store.clone());
        let admission = Admission::new(store.clone(), keys.clone(), settings.admission);
        let quotes = Quotes {
            store: store.clone(),
            keys: keys.clone(),
            settings: Arc::new(settings.quotes.clone()),
            prices: prices.clone(),
            brakes: brakes.clone(),
            admission: admission.clone(),
            payments: Arc::clone(&ports.payments),
            serving: Arc::clone(&ports.serving),
            crash_points: crash_points.clone(),
        };
        let driver = Driver {
            jobs: jobs.clone(),
            clock: clock.clone(),
            keys: keys.clone(),
            serving: Arc::clone(&ports.serving),
            payments: Arc::clone(&ports.payments),
            log: log.clone(),
            network: settings.quotes.network,
            max_output_bytes: settings.quotes.limits.max_output_bytes,
            lease: settings.lease,
            claim_again: settings.claim_again,
            brakes: brakes.clone(),
            admission,
            signals: signals.clone(),
            crash_points: crash_points.clone(),
        };
        let slots = usize::try_from(settings.max_running_jobs).unwrap_or(usize::MAX);
        let slots = slots.min(Semaphore::MAX_PERMITS);
        let prepaid = Prepaid {
            store: store.clone(),
            keys: keys.clone(),
            settings: Arc::new(PrepaidSettings {
                network: settings.quotes.network,
                limits: settings.quotes.limits,
            }),
            prices,
            brakes: brakes.clone(),
            models: Models::new(Arc::clone(&ports.serving)),
            access: access.clone(),
            clock,
            books,
            driver: driver.clone(),
            slots: Arc::new(Semaphore::new(slots)),
            signals: signals.clone(),
            crash_points: crash_points.clone(),
        };
        let deposits = Deposits {
            store,
            payments: Arc::clone(&ports.payments),
            network: settings.quotes.network,
            expiry: settings.quotes.expiry,
            brakes: brakes.clone(),
            signals: signals.clone(),
            crash_points,
        };
        let places = usize::try_from(settings.max_watchers).unwrap_or(usize::MAX);
        let gateway = Gateway {
            quotes,
            prepaid,
            deposits,
            access,
            operators: settings.operators.clone(),
            brakes,
            ledger: ledger.clone(),
            jobs,
            keys,
            serving: Arc::clone(&ports.serving),
            payments: Arc::clone(&ports.payments),
            log,
            signals,
            payer_header: settings.payer_header.clone(),
            places: Places::new(places),
            shutdown,
        };
        Self { gateway, driver, ledger, ledger_writer, ports, settings }
    }

    /// What answers calls.
    pub fn gateway(&self) -> Gateway {
        self.gateway.clone()
    }

    /// What writes to the ledger.
    pub fn ledger(&self) -> LedgerHandle<JobRow> {
        self.ledger.clone()
    }

    /// Starts the background tasks.
    pub fn spawn(self, tasks: &Tasks, health: &Health) {
        let shutdown = tasks.shutdown_token();
        let follow = FollowPayments {
            jobs: self.gateway.jobs.clone(),
            deposits: self.gateway.deposits.clone(),
            payments: Arc::clone(&self.ports.payments),
            signals: self.gateway.signals.clone(),
            component: health.component("payment_events"),
        };
        let relay = RelayClosings {
            store: self.gateway.jobs.store().clone(),
            log: self.gateway.log.clone(),
            signals: self.gateway.signals.clone(),
            crash_points: self.settings.crash_points.clone(),
        };
        let refresh = RefreshKnown {
            access: self.gateway.access.clone(),
            brakes: self.gateway.brakes.clone(),
            prices: self.gateway.prepaid.prices.clone(),
            models: self.gateway.prepaid.models.clone(),
            clock: self.driver.clock.clone(),
        };
        let clock = self.driver.clock.clone();
        let (store, kept_for) = (self.gateway.jobs.store().clone(), self.settings.result_retention);
        let database = health.component("database");
        let drive = drive_jobs::run(self.driver, self.settings.max_running_jobs, database, shutdown.clone());
        let Ports { payments, serving, audit, books: _ } = self.ports;
        let brakes = self.gateway.brakes.clone();
        let watch = watch_dependencies::run(payments, serving, audit, brakes, shutdown.clone());

        let claim = claim_deposits::run(self.gateway.deposits.clone(), shutdown.clone());
        tasks.spawn("claim_deposits", claim);
        tasks.spawn("follow_payments", follow.run(shutdown.clone()));
        tasks.spawn("drive_jobs", drive);
        tasks.spawn("refresh_known", refresh.run(shutdown.clone()));
        tasks.spawn("relay_closings", relay.run(shutdown.clone()));
        tasks.spawn("write_ledger", self.ledger_writer.run(shutdown.clone()));
        let expire = expire_reservations::run(store.clone(), clock.clone(), self.ledger, shutdown.clone());
        tasks.spawn("expire_reservations", expire);
        tasks.spawn("erase_results", erase_results::run(store, clock, kept_for, shutdown));
        tasks.spawn("watch_dependencies", watch);
    }
}

impl Ports {
    /// The services that a configuration names, and the gateway's own writer.
    ///
    /// # Errors
    /// When an endpoint is no address.
    pub fn of(config: &Config) -> Result<Self, ClientError> {
        Ok(Self {
            payments: Arc::new(PaymentClient::new(&config.payment)?),
            serving: Arc::new(ServingClient::new(&config.serving)?),
            audit: Arc::new(AuditClient::new(&config.audit)?),
            books: None,
        })
    }
}

/// Runs the gateway until `shutdown`.
pub async fn run(config: Config, shutdown: Shutdown) -> Result<(), RunError> {
    config.validate()?;
    let ports = Ports::of(&config)?;
    run_with(config, ports, shutdown).await
}

/// Runs the gateway with ports of the caller's until `shutdown`: for measurements.
pub async fn run_with(config: Config, ports: Ports, shutdown: Shutdown) -> Result<(), RunError> {
    config.validate()?;
    let master = secrets::load(config.secret.as_ref(), config.data_dir.as_deref())?;
    let keys = Keys::derive(&master);
    drop(master);
    let store = store::connect(&config.store).await?;
    tracing::info!(gateway_key = %keys.public_key(), network = %config.network, "gateway starts");

    let tasks = Tasks::new(shutdown, config.platform.grace_period);
    let health = Health::new();
    let app = App::new(store, keys, ports, settings(&config)?, tasks.shutdown_token());
    let (gateway, most) = (app.gateway(), config.platform.server.max_message_bytes);
    let routes = Routes::new(GatewayServiceServer::new(gateway.clone()).max_decoding_message_size(most))
        .add_service(AccountServiceServer::new(Accounts(gateway.clone())).max_decoding_message_size(most))
        .add_service(AdminServiceServer::new(Admin(gateway)).max_decoding_message_size(most));
    let server = Server::bind(NAME, &config.platform, health.clone()).await?;
    app.spawn(&tasks, &health);
    server.spawn(&tasks, &GRPC_NAMES, routes);
    Ok(tasks.join().await?)
}

fn settings(config: &Config) -> Result<Settings, ConfigError> {
    Ok(Settings {
        quotes: config.quote_settings()?,
        rules: config.rules(),
        lease: config.lease,
        claim_again: CLAIM_AGAIN,
        result_retention: config.result_retention,
        max_running_jobs: config.max_running_jobs,
        max_watchers: config.max_watchers,
        admission: config.admission_limits(),
        payer_header: config.payer_header.clone(),
        operators: config.operators()?,
        log_key: config.log_key()?,
        crash_points: CrashPoints::default(),
    })
}
