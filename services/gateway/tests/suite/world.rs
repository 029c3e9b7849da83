//! One database, one set of fakes, and gateways that can be killed: each runs on a runtime of its own.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ailayer_devnet::Postgres;
use ailayer_gateway::admission::AdmissionLimits;
use ailayer_gateway::app::{App, Ports, Settings};
use ailayer_gateway::crash_points::CrashPoints;
use ailayer_gateway::domain::api_key::hash;
use ailayer_gateway::domain::job::{Rules, State};
use ailayer_gateway::domain::keys::{Keys, Master};
use ailayer_gateway::domain::ledger::{Asset, HouseKind};
use ailayer_gateway::domain::order::OrderLimits;
use ailayer_gateway::domain::price::Price;
use ailayer_gateway::operators::Operators;
use ailayer_gateway::quotes::QuoteSettings;
use ailayer_gateway::rpc::{Accounts, Admin, Gateway};
use ailayer_gateway::store::{self, JobRecord, jobs, ledger};
use ailayer_platform::error::{ErrorReason, reason_of};
use ailayer_platform::health::Health;
use ailayer_platform::tasks::{Shutdown, Tasks};
use ailayer_primitives::{AmountMsat, JobId, Network};
use ailayer_proto::ailayer::gateway::v1 as pb;
use ailayer_seal::PublicKey;
use ailayer_store::{Store, StoreConfig, StoreError};
use pb::gateway_service_server::GatewayService as _;
use tokio::runtime::{Handle, Runtime};
use tokio::task::JoinHandle;
use tonic::{Request, Status};
use uuid::Uuid;

use crate::fakes::audit::FakeAudit;
use crate::fakes::payments::FakePayments;
use crate::fakes::serving::FakeServing;

pub const PATIENCE: Duration = Duration::from_secs(20);
/// Long enough for a machine under load to renew in time, short enough to wait for after a kill.
pub const LEASE: Duration = Duration::from_millis(1500);

/// A database and the services around the gateway; they outlive it.
pub struct World {
    pub payments: Arc<FakePayments>,
    pub serving: Arc<FakeServing>,
    pub audit: Arc<FakeAudit>,
    pub store: Store,
    pub settings: Settings,
    pub url: String,
}

/// A running gateway.
pub struct Process {
    gateway: Gateway,
    runtime: Option<Runtime>,
    shutdown: Shutdown,
    tasks: Option<Tasks>,
    pub health: Health,
}

pub fn settings() -> Settings {
    let amount = |msat| AmountMsat::try_new(msat).unwrap();
    let price = Price { per_call: amount(1000), per_token: amount(10), per_tensor_byte: amount(3) };
    Settings {
        quotes: QuoteSettings {
            network: Network::Regtest,
            prices: [
                ("mini".to_owned(), price),
                ("raw".to_owned(), price),
                ("priced-only".to_owned(), price),
            ]
            .into(),
            expiry: Duration::from_secs(600),
            limits: OrderLimits {
                max_items: 8,
                max_text_bytes: 2048,
                max_input_bytes: 8192,
                max_output_bytes: 8192,
            },
        },
        rules: Rules {
            run_limit_ms: 30_000,
            append_timeout_ms: 20_000,
            acknowledge_timeout_ms: 20_000,
            claim_margin_blocks: 2,
        },
        lease: LEASE,
        claim_again: Duration::from_millis(200),
        result_retention: Duration::from_secs(3600),
        max_running_jobs: 8,
        max_watchers: 4,
        admission: AdmissionLimits {
            max_open: 1000,
            max_open_of_payer: 1000,
            max_holds_of_payer: 1000,
            max_waiting: 1000,
        },
        payer_header: Some("x-payer".to_owned()),
        operators: Operators::new(
            ["alice", "bob"].map(|name| (name.to_owned(), hash(&operator_key(name)))).to_vec(),
        ),
        log_key: None,
        crash_points: CrashPoints::default(),
    }
}

/// The key of an operator of this world.
pub fn operator_key(name: &str) -> String {
    format!("key of {name}")
}

/// A request with a key in its header.
pub fn with_key<T>(key: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {key}").parse().unwrap());
    request
}

impl World {
    pub async fn new() -> Self {
        Self::on(Postgres::shared().await.unwrap().create_database().await.unwrap()).await
    }

    /// On this database.
    pub async fn on(url: String) -> Self {
        let store =
            store::connect(&StoreConfig { max_connections: 4, ..StoreConfig::new(&url) }).await.unwrap();
        Self {
            payments: FakePayments::new(),
            serving: FakeServing::new(),
            audit: FakeAudit::new(),
            store,
            settings: settings(),
            url,
        }
    }

    pub async fn start(&self) -> Process {
        self.start_with(self.settings.clone()).await
    }

    pub async fn start_halting_at(&self, point: &'static str) -> (Process, CrashPoints) {
        let crash_points = CrashPoints::halting_at(point);
        let settings = Settings { crash_points: crash_points.clone(), ..self.settings.clone() };
        (self.start_with(settings).await, crash_points)
    }

    pub async fn start_with(&self, settings: Settings) -> Process {
        let config = StoreConfig { max_connections: 8, ..StoreConfig::new(&self.url) };
        self.try_start(settings, config).await.unwrap()
    }

    /// Starts a gateway that reaches the database its own way.
    pub async fn try_start(&self, settings: Settings, config: StoreConfig) -> Result<Process, StoreError> {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let ports = Ports {
            payments: self.payments.clone(),
            serving: self.serving.clone(),
            audit: self.audit.clone(),
            books: None,
        };
        let keys = Keys::derive(&Master::new([7; 32]));
        let (shutdown, health) = (Shutdown::new(), Health::new());
        let parts = (shutdown.clone(), health.clone());
        let started = runtime.spawn(async move {
            let (shutdown, health) = parts;
            let store = store::connect(&config).await?;
            let tasks = Tasks::new(shutdown.clone(), Duration::from_secs(2));
            let app = App::new(store, keys, ports, settings, shutdown);
            let gateway = app.gateway();
            app.spawn(&tasks, &health);
            Ok((gateway, tasks))
        });
        match started.await.unwrap() {
            Ok((gateway, tasks)) => {
                Ok(Process { gateway, runtime: Some(runtime), shutdown, tasks: Some(tasks), health })
            }
            Err(error) => {
                runtime.shutdown_background();
                Err(error)
            }
        }
    }

    pub async fn record(&self, job_id: JobId) -> JobRecord {
        jobs::by_id(self.store.pool(), job_id).await.unwrap().unwrap()
    }

    /// The database's clock, Unix milliseconds.
    pub async fn record_clock(&self) -> u64 {
        store::now(self.store.pool()).await.unwrap().0
    }

    pub async fn state(&self, job_id: JobId) -> State {
        self.record(job_id).await.job.state
    }

    /// Waits until a job is in a state; the states it went through are in the message if it never gets there.
    pub async fn wait_for(&self, job_id: JobId, state: State) -> JobRecord {
        let history = || async {
            let events = store::history::after(self.store.pool(), job_id, 0).await.unwrap();
            format!("waiting for {state}: {events:?}")
        };
        let since = Instant::now();
        loop {
            let record = self.record(job_id).await;
            if record.job.state == state {
                return record;
            }
            let ended = record.job.state.is_terminal();
            assert!(!ended && since.elapsed() < PATIENCE, "{}", history().await);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// What one of the gateway's own accounts holds in bitcoin, on its own side.
    pub async fn balance(&self, kind: HouseKind) -> i64 {
        ledger::accounts::house_balance(self.store.pool(), kind, Asset::Btc).await.unwrap()
    }

    pub async fn states(&self, job_id: JobId) -> Vec<State> {
        let events = store::history::after(self.store.pool(), job_id, 0).await.unwrap();
        events.into_iter().map(|event| event.state).collect()
    }

    /// Waits until the gateway has taken in every event there is.
    pub async fn events_taken_in(&self) {
        let head = self.payments.head();
        until("events are taken in", || async {
            ailayer_store::inbox::cursor(self.store.pool(), "payment").await.unwrap() == head
        })
        .await;
    }

    /// Waits until the outbox is empty.
    pub async fn closings_relayed(&self) {
        until("the outbox is empty", || async {
            ailayer_store::outbox::depth(self.store.pool()).await.unwrap() == 0
        })
        .await;
    }
}

pub async fn until<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let since = Instant::now();
    while !holds().await {
        assert!(since.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

impl Process {
    /// Ends as by `kill -9`: nothing is finished, nothing is given back.
    pub fn kill(mut self) {
        self.runtime.take().unwrap().shutdown_background();
    }

    /// Ends in good order.
    pub async fn stop(mut self) {
        self.shutdown.trigger();
        let tasks = self.tasks.take().unwrap();
        self.runtime.as_ref().unwrap().spawn(tasks.join()).await.unwrap().unwrap();
        self.runtime.take().unwrap().shutdown_background();
    }

    /// A way to call it that outlives it.
    pub fn line(&self) -> Line {
        Line { gateway: self.gateway.clone(), runtime: self.runtime.as_ref().unwrap().handle().clone() }
    }

    async fn on_runtime<T, F>(&self, call: impl FnOnce(Gateway) -> F) -> T
    where
        F: Future<Output = T> + Send + 'static,
        T: Send + 'static,
    {
        self.line().call(call).await.expect("it was not killed")
    }

    pub async fn create_quote(&self, request: pb::CreateQuoteRequest) -> Result<Bought, Status> {
        let call = |gateway: Gateway| async move { gateway.create_quote(Request::new(request)).await };
        self.on_runtime(call).await.map(|answer| Bought(answer.into_inner()))
    }

    /// Through a proxy that says who asks.
    pub async fn create_quote_from(
        &self,
        payer: &str,
        order: pb::CreateQuoteRequest,
    ) -> Result<Bought, Status> {
        let mut request = Request::new(order);
        request.metadata_mut().insert("x-payer", payer.parse().unwrap());
        let call = |gateway: Gateway| async move { gateway.create_quote(request).await };
        self.on_runtime(call).await.map(|answer| Bought(answer.into_inner()))
    }

    pub async fn quote(&self, texts: &[&str]) -> Bought {
        self.create_quote(order(texts)).await.unwrap()
    }

    pub async fn job(&self, key: pb::JobKey) -> Result<pb::Job, Status> {
        let request = pb::GetJobRequest { key: Some(key) };
        let call = |gateway: Gateway| async move { gateway.get_job(Request::new(request)).await };
        self.on_runtime(call).await.map(|answer| answer.into_inner().job.unwrap())
    }

    pub async fn cancel(&self, key: pb::JobKey) -> Result<pb::Job, Status> {
        let request = pb::CancelJobRequest { key: Some(key) };
        let call = |gateway: Gateway| async move { gateway.cancel_job(Request::new(request)).await };
        self.on_runtime(call).await.map(|answer| answer.into_inner().job.unwrap())
    }

    pub async fn result(&self, key: pb::JobKey) -> Result<pb::GetResultResponse, Status> {
        let request = pb::GetResultRequest { key: Some(key) };
        let call = |gateway: Gateway| async move { gateway.get_result(Request::new(request)).await };
        self.on_runtime(call).await.map(tonic::Response::into_inner)
    }

    pub async fn acknowledge(&self, key: pb::JobKey, sealed_digest: &[u8]) -> Result<pb::Job, Status> {
        let request = pb::AcknowledgeResultRequest { key: Some(key), sealed_digest: sealed_digest.to_vec() };
        let call = |gateway: Gateway| async move { gateway.acknowledge_result(Request::new(request)).await };
        self.on_runtime(call).await.map(|answer| answer.into_inner().job.unwrap())
    }

    pub async fn receipt(&self, key: pb::JobKey) -> Result<pb::GetReceiptResponse, Status> {
        let request = pb::GetReceiptRequest { key: Some(key) };
        let call = |gateway: Gateway| async move { gateway.get_receipt(Request::new(request)).await };
        self.on_runtime(call).await.map(tonic::Response::into_inner)
    }

    pub async fn watch(
        &self,
        key: pb::JobKey,
    ) -> Result<futures::stream::BoxStream<'static, Result<pb::WatchJobResponse, Status>>, Status> {
        let request = pb::WatchJobRequest { key: Some(key) };
        let call = |gateway: Gateway| async move { gateway.watch_job(Request::new(request)).await };
        self.on_runtime(call).await.map(tonic::Response::into_inner)
    }

    pub async fn info(&self) -> Result<pb::GetInfoResponse, Status> {
        let call =
            |gateway: Gateway| async move { gateway.get_info(Request::new(pb::GetInfoRequest {})).await };
        self.on_runtime(call).await.map(tonic::Response::into_inner)
    }

    /// A call of a customer.
    pub async fn as_customer<T, F>(&self, call: impl FnOnce(Accounts) -> F) -> T
    where
        F: Future<Output = T> + Send + 'static,
        T: Send + 'static,
    {
        self.on_runtime(|gateway| call(Accounts(gateway))).await
    }

    /// A call of an operator.
    pub async fn as_operator<T, F>(&self, call: impl FnOnce(Admin) -> F) -> T
    where
        F: Future<Output = T> + Send + 'static,
        T: Send + 'static,
    {
        self.on_runtime(|gateway| call(Admin(gateway))).await
    }

    pub async fn models(&self) -> Result<Vec<pb::ModelOffer>, Status> {
        let request = Request::new(pb::ListModelsRequest {});
        let call = |gateway: Gateway| async move { gateway.list_models(request).await };
        self.on_runtime(call).await.map(|answer| answer.into_inner().models)
    }
}

/// A caller's connection to a gateway.
#[derive(Clone)]
pub struct Line {
    gateway: Gateway,
    runtime: Handle,
}

impl Line {
    /// Begins a call, which goes on by itself.
    pub fn begin<T, F>(&self, call: impl FnOnce(Gateway) -> F) -> JoinHandle<T>
    where
        F: Future<Output = T> + Send + 'static,
        T: Send + 'static,
    {
        self.runtime.spawn(call(self.gateway.clone()))
    }

    /// Calls; none if the gateway was killed before it had answered.
    pub async fn call<T, F>(&self, call: impl FnOnce(Gateway) -> F) -> Option<T>
    where
        F: Future<Output = T> + Send + 'static,
        T: Send + 'static,
    {
        match self.begin(call).await {
            Ok(answer) => Some(answer),
            Err(error) if error.is_cancelled() => None,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// A quote and the key to its job.
#[derive(Debug, Clone, PartialEq)]
pub struct Bought(pub pb::CreateQuoteResponse);

impl Bought {
    pub fn id(&self) -> JobId {
        self.0.job_id.parse().unwrap()
    }

    pub fn key(&self) -> pb::JobKey {
        pb::JobKey { job_id: self.0.job_id.clone(), job_token: self.0.job_token.clone() }
    }
}

pub fn order(texts: &[&str]) -> pb::CreateQuoteRequest {
    let texts = texts.iter().map(|text| (*text).to_owned()).collect();
    pb::CreateQuoteRequest {
        request_id: Uuid::new_v4().to_string(),
        model_name: "mini".to_owned(),
        model_version: String::new(),
        task: Some(pb::create_quote_request::Task::Embed(pb::EmbedTask { texts, truncate: false })),
        network: ailayer_proto::ailayer::common::v1::Network::Regtest as i32,
        sealed_to: Vec::new(),
    }
}

/// An order of a tensor model.
pub fn tensor_order(inputs: Vec<pb::Tensor>) -> pb::CreateQuoteRequest {
    let infer = pb::InferTask { inputs, outputs: Vec::new() };
    pb::CreateQuoteRequest {
        model_name: "raw".to_owned(),
        task: Some(pb::create_quote_request::Task::Infer(infer)),
        ..order(&[])
    }
}

/// An order for an answer that is sealed to this key.
pub fn sealed_order(texts: &[&str], sealed_to: &PublicKey) -> pb::CreateQuoteRequest {
    pb::CreateQuoteRequest { sealed_to: sealed_to.as_bytes().to_vec(), ..order(texts) }
}

pub fn reason(status: &Status) -> ErrorReason {
    reason_of(status).unwrap_or_else(|| panic!("a status without a reason: {status:?}"))
}
