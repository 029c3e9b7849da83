//! The five services on a [`Backbone`]: the whole platform on one machine.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use bitcoin::hashes::{Hash as _, sha256};

use crate::backbone::{Backbone, Progress};
use crate::data_dir::DataDir;
use crate::error::DevnetError;
use crate::ports::{FreePort, free_port};
use crate::postgres::random_hex;
use crate::services::{AilayerBinary, ServiceProcess, ServiceSpec};
use crate::toolbox::{Tool, Toolbox};

/// Databases and services, in the order in which they start: a service starts after those it calls.
const SERVICES: [&str; 5] = ["indexer", "audit", "model-serving", "payment", "gateway"];

/// What a test may want to be different from the ordinary network.
#[derive(Debug, Clone)]
pub struct NetworkOptions {
    /// How long a held job may run before its money goes back.
    pub run_limit: Duration,
    /// How long a quote may be paid.
    pub quote_expiry: Duration,
    /// Extra TOML, appended to the configuration: more tables or keys, e.g. `[gateway.limits]`.
    pub extra_toml: String,
    /// Extra environment variables for every service.
    pub env: Vec<(String, String)>,
}

impl Default for NetworkOptions {
    fn default() -> Self {
        Self {
            run_limit: Duration::from_secs(60),
            quote_expiry: Duration::from_secs(600),
            extra_toml: String::new(),
            env: Vec::new(),
        }
    }
}

/// Who may operate the network's gateway; made anew whenever its configuration is written.
#[derive(Clone)]
pub struct Operator {
    /// The name, as it stands beside what was done.
    pub name: &'static str,
    /// The key, as `AILAYER_OPERATOR_KEY` takes it.
    pub key: String,
}

impl Operator {
    fn new(name: &'static str) -> Result<Self, DevnetError> {
        Ok(Self { name, key: format!("ailo_{}", random_hex::<32>()?) })
    }

    /// A table of the gateway's configuration.
    fn toml(&self) -> String {
        let key_sha256 = sha256::Hash::hash(self.key.as_bytes());
        format!("[[gateway.operators]]\nname = \"{}\"\nkey_sha256 = \"{key_sha256}\"\n", self.name)
    }
}

impl std::fmt::Debug for Operator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Operator").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A private network: Bitcoin Core, ElectrumX, PostgreSQL and the five services.
///
/// Dropping it ends everything, services first.
#[derive(Debug)]
pub struct Network {
    /// Two, as a correction needs one to propose it and another to approve it.
    pub operators: [Operator; 2],
    /// Sells answers.
    pub gateway: ServiceProcess,
    /// Owns the operator's Lightning node.
    pub payment: ServiceProcess,
    /// Runs models.
    pub model_serving: ServiceProcess,
    /// Keeps the log.
    pub audit: ServiceProcess,
    /// Follows the chain.
    pub indexer: ServiceProcess,
    /// What the services stand on.
    pub backbone: Backbone,
    _lightning: FreePort,
}

/// A network whose configuration is written and whose services are not started.
#[derive(Debug)]
pub struct Plan {
    /// Who may operate the gateway.
    pub operators: [Operator; 2],
    /// What the services stand on.
    pub backbone: Backbone,
    /// The services in start order.
    pub services: Vec<ServiceSpec>,
    /// Kept so that nobody else in this process is given the Lightning node's port.
    lightning: FreePort,
}

impl Plan {
    /// Starts the backbone, mines the first block, creates the databases and writes one configuration for all services.
    ///
    /// # Errors
    /// A missing tool, or a program that does not start.
    pub async fn prepare(
        data_dir: DataDir,
        toolbox: &Toolbox,
        options: &NetworkOptions,
        progress: &(impl Fn(Progress) + Sync),
    ) -> Result<Self, DevnetError> {
        let backbone = Backbone::start(data_dir, toolbox, progress).await?;
        if backbone.bitcoind.tip().await?.height == 0 {
            // Nodes take a chain that has no block since genesis for one that is years behind.
            backbone.bitcoind.mine(1).await?;
            backbone.electrumx.wait_for_tip().await?;
        }
        let mut services = Vec::new();
        for name in SERVICES {
            services.push(ServiceSpec::new(name)?);
        }
        let lightning = free_port()?;
        let operators = [Operator::new("alice")?, Operator::new("bob")?];
        let toml = configuration(&backbone, toolbox, options, &services, &lightning, &operators).await?;
        let path = backbone.data_dir.path().join("ailayer.toml");
        std::fs::write(&path, toml).map_err(DevnetError::io(format!("writing {}", path.display())))?;
        let services = services
            .into_iter()
            .map(|spec| {
                let spec = spec.config_file(&path);
                options.env.iter().fold(spec, |spec, (key, value)| spec.env(key, value))
            })
            .collect();
        Ok(Self { operators, backbone, services, lightning })
    }

    /// Starts every service and waits until all are ready.
    ///
    /// # Errors
    /// The first service that does not become ready, with its last log lines.
    pub async fn launch(
        self,
        binary: &AilayerBinary,
        progress: impl Fn(Progress) + Sync,
    ) -> Result<Network, DevnetError> {
        let Self { operators, backbone, services, lightning } = self;
        let mut started = Vec::new();
        for spec in services {
            // All are launched at once; each waits by itself for those it calls.
            progress(Progress::Starting { name: static_name(spec.name()) });
            started.push(spec.launch(binary, &backbone.data_dir)?);
        }
        let began = Instant::now();
        for service in &started {
            service.wait_until_ready().await?;
            progress(Progress::Ready { name: static_name(service.name()), took: began.elapsed() });
        }
        let mut started = started.into_iter();
        let mut next =
            || started.next().ok_or_else(|| DevnetError::NotRunning { name: "a service".to_owned() });
        let (indexer, audit, model_serving, payment, gateway) = (next()?, next()?, next()?, next()?, next()?);
        Ok(Network {
            operators,
            gateway,
            payment,
            model_serving,
            audit,
            indexer,
            backbone,
            _lightning: lightning,
        })
    }
}

impl Network {
    /// Starts everything in `data_dir` and waits until every service is ready.
    ///
    /// # Errors
    /// The first program that is missing or does not become ready; those started before have ended by then.
    pub async fn start(
        data_dir: DataDir,
        toolbox: &Toolbox,
        binary: &AilayerBinary,
        options: &NetworkOptions,
        progress: impl Fn(Progress) + Sync,
    ) -> Result<Self, DevnetError> {
        Plan::prepare(data_dir, toolbox, options, &progress).await?.launch(binary, progress).await
    }

    /// The services, in the order in which they start.
    pub fn services(&self) -> [&ServiceProcess; 5] {
        [&self.indexer, &self.audit, &self.model_serving, &self.payment, &self.gateway]
    }

    /// Ends everything in good order, so that the data can be continued with.
    ///
    /// # Errors
    /// `Io` when an end cannot be observed.
    pub async fn stop(self) -> Result<(), DevnetError> {
        for service in self.services().into_iter().rev() {
            service.stop().await?;
        }
        self.backbone.stop().await
    }
}

fn static_name(name: &str) -> &'static str {
    SERVICES.into_iter().find(|known| *known == name).unwrap_or("service")
}

/// One file with a table for every service.
async fn configuration(
    backbone: &Backbone,
    toolbox: &Toolbox,
    options: &NetworkOptions,
    services: &[ServiceSpec],
    lightning: &FreePort,
    operators: &[Operator],
) -> Result<String, DevnetError> {
    let endpoint = |name: &str| {
        let spec = SERVICES.iter().zip(services).find(|(known, _)| **known == name);
        spec.map(|(_, spec)| spec.addresses().grpc_url()).unwrap_or_default()
    };
    let database = backbone.postgres.create_database_named("ailayer").await?;
    let folder = |name: &str| backbone.data_dir.subfolder(name).map(|path| path.display().to_string());
    let bitcoind = &backbone.bitcoind;
    let mut toml = String::new();
    // Writing to a string cannot fail.
    let _ = write!(
        toml,
        r#"# Written by the development network; regtest only.
[indexer]
network = "regtest"
electrum_url = "{electrum}"
poll_interval = "200ms"
store.url = "{database}"

[audit]
network = "regtest"
origin = "ailayer.example/devnet"
data_dir = "{audit_dir}"
store.url = "{database}"
indexer.endpoint = "{indexer}"
checkpoint_interval = "200ms"
anchor_interval = "1s"
anchor_confirmations = 3
chain_poll_interval = "300ms"

[model-serving]
repository = "{models}"
onnxruntime_library = "{onnxruntime}"

[payment]
network = "regtest"
data_dir = "{payment_dir}"
bitcoind_rpc_host = "127.0.0.1"
bitcoind_rpc_port = {rpc_port}
bitcoind_rpc_user = "{rpc_user}"
bitcoind_rpc_password = "{rpc_password}"
listen_addresses = ["{lightning}"]
node_alias = "ailayer-devnet"
store.url = "{database}"
audit.endpoint = "{audit}"

[gateway]
network = "regtest"
data_dir = "{gateway_dir}"
store.url = "{database}"
payment.endpoint = "{payment}"
serving.endpoint = "{serving}"
audit.endpoint = "{audit}"
quote_expiry = "{quote_expiry}s"
run_limit = "{run_limit}ms"
[[gateway.prices]]
model = "all-minilm-l6-v2"
per_call_msat = 1000
per_token_msat = 10
{operators}
{extra}
"#,
        electrum = backbone.electrumx.url(),
        audit_dir = folder("audit")?,
        indexer = endpoint("indexer"),
        models = toolbox.path_of(Tool::Models)?.display(),
        onnxruntime = toolbox.path_of(Tool::OnnxRuntime)?.display(),
        payment_dir = folder("payment")?,
        rpc_port = bitcoind.rpc_port(),
        rpc_user = bitcoind.rpc_user(),
        rpc_password = bitcoind.rpc_password(),
        lightning = lightning.address(),
        gateway_dir = folder("gateway")?,
        payment = endpoint("payment"),
        serving = endpoint("model-serving"),
        audit = endpoint("audit"),
        quote_expiry = options.quote_expiry.as_secs(),
        run_limit = options.run_limit.as_millis(),
        operators = operators.iter().map(Operator::toml).collect::<String>(),
        extra = options.extra_toml,
    );
    Ok(toml)
}
