//! The whole platform in real processes, with a model that does nothing behind the gateway, and the bare hop beside it.

use std::path::Path;

use ailayer_bench::cores::{Cores, move_family, start_as_server};
use ailayer_bench::server::{Launch, Server, itself};
use ailayer_bench::usage::Of;
use ailayer_devnet::{
    AilayerBinary, DataDir, Network, NetworkOptions, Process, ServiceProcess, ServiceSpec, Toolbox,
};
use anyhow::Context as _;

use crate::customers::Customers;
use crate::database::size_as_a_server;

/// Numbers of an embedding, as the real model has.
pub const DIMENSIONS: u32 = 384;
/// Customers, as many as calls in flight.
const CUSTOMERS: usize = 32;
/// Jobs at once in a gateway. Arrivals do not wait for each other: what a hiccup of the machine piles up shall be late, not
/// refused.
const UNBOUNDED: [(&str, &str); 2] = [
    ("AILAYER_GATEWAY__MAX_RUNNING_JOBS", "1024"),
    ("AILAYER_GATEWAY__PLATFORM__SERVER__MAX_CONCURRENT_REQUESTS", "4096"),
];
/// The database of all services.
const DATABASE: &str = "ailayer";

/// Everything that runs.
pub struct Platform {
    /// The services; their gateway sells the null model's answers.
    pub network: Network,
    /// The null model, on the generator's core.
    pub null: Server,
    /// The bare hop to it, on the server's core.
    pub relay: Server,
    /// Who buys.
    pub customers: Customers,
    cores: Option<Cores>,
    binary: AilayerBinary,
}

/// A further gateway on the same tables.
pub struct Gateway {
    /// The process; before its folder, which it logs to.
    pub process: ServiceProcess,
    _place: DataDir,
}

impl Platform {
    /// Starts it on the server's core; null model and generator are on the other. Helpers log to `logs`.
    pub async fn start(cores: Option<Cores>, logs: &Path) -> anyhow::Result<Self> {
        let launch = |name: &str, core, role: [&str; 3]| {
            let mut command = vec![itself()?];
            command.extend(role.map(str::to_owned));
            anyhow::Ok(Launch { command, core, log: logs.join(format!("{name}.log")) })
        };
        let (own, others) = (cores.map(|cores| cores.server), cores.map(|cores| cores.generator));
        let dimensions = DIMENSIONS.to_string();
        let null = launch("null", others, ["null", "--dimensions", &dimensions])?.announcing().await?;
        let model = null.address.to_string();
        let relay = launch("relay", own, ["relay", "--model", &model])?.announcing().await?;

        let binary = AilayerBinary::find()?;
        let serving = ("AILAYER_GATEWAY__SERVING__ENDPOINT".to_owned(), format!("http://{model}"));
        let bounds = UNBOUNDED.map(|(key, bound)| (key.to_owned(), bound.to_owned()));
        let env = bounds.into_iter().chain([serving]).collect();
        let options = NetworkOptions { env, ..NetworkOptions::default() };
        let (place, toolbox) = (DataDir::temporary()?, Toolbox::discover());
        let start = Network::start(place, &toolbox, &binary, &options, |_| {});
        let network = start_as_server(cores, start).await??;
        // The services find it again.
        start_as_server(cores, size_as_a_server(&network.backbone.postgres)).await??;
        let customers = Customers::open(&network, CUSTOMERS).await.context("customers")?;
        Ok(Self { network, null, relay, customers, cores, binary })
    }

    /// Starts a further gateway that differs in these keys of its table, on the server's core.
    pub async fn gateway(&self, keys: &[(&str, String)]) -> anyhow::Result<Gateway> {
        self.gateway_of(&self.binary, keys).await
    }

    /// The same from another program.
    pub async fn gateway_of(
        &self,
        binary: &AilayerBinary,
        keys: &[(&str, String)],
    ) -> anyhow::Result<Gateway> {
        let spec = ServiceSpec::new("gateway")?
            .config_file(self.network.backbone.data_dir.path().join("ailayer.toml"));
        let spec = UNBOUNDED.iter().fold(spec, |spec, (key, bound)| spec.env(*key, *bound));
        let spec =
            keys.iter().fold(spec, |spec, (key, value)| spec.env(format!("AILAYER_GATEWAY__{key}"), value));
        let place = DataDir::temporary()?;
        let process = start_as_server(self.cores, spec.start(binary, &place)).await??;
        Ok(Gateway { process, _place: place })
    }

    /// The database of all services.
    pub fn database(&self) -> String {
        self.network.backbone.postgres.url(DATABASE)
    }

    /// From now on model serving has the server's core for itself, and everything else, `gateway` too, shares the
    /// generator's.
    pub fn leave_the_core_to_the_model(&self, gateway: &Gateway) -> anyhow::Result<()> {
        let Some(cores) = self.cores else { return Ok(()) };
        let Network { gateway: own, payment, audit, indexer, backbone, .. } = &self.network;
        let services = [own, payment, audit, indexer, &gateway.process].map(ServiceProcess::process);
        let others = [backbone.postgres.process(), backbone.bitcoind.process(), backbone.electrumx.process()];
        for process in services.into_iter().chain(others) {
            move_family(id(process)?, cores.generator)?;
        }
        Ok(())
    }

    /// Whose time counts when a job is run: the gateway first.
    pub fn paid_path(&self, gateway: &ServiceProcess) -> anyhow::Result<Vec<(&'static str, Of)>> {
        let Network { payment, audit, backbone, .. } = &self.network;
        Ok(vec![
            ("gateway", Of::Process(id(gateway.process())?)),
            ("PostgreSQL", Of::Family(id(backbone.postgres.process())?)),
            ("audit", Of::Process(id(audit.process())?)),
            ("payment", Of::Process(id(payment.process())?)),
            ("generator", Of::Process(std::process::id())),
        ])
    }

    /// The process of model serving.
    pub fn model_serving(&self) -> anyhow::Result<u32> {
        id(self.network.model_serving.process())
    }

    /// Fails unless the books agree with every answer.
    pub async fn verify(&self) -> anyhow::Result<()> {
        self.customers.verify(&self.database()).await
    }

    /// Ends everything.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.network.stop().await?;
        self.relay.stop().await?;
        self.null.stop().await
    }
}

/// What the null model answers is right only in one way.
pub fn is_null_answer(values: &[f32]) -> bool {
    usize::try_from(DIMENSIONS) == Ok(values.len()) && values.first() == Some(&1.0)
}

pub fn id(process: &Process) -> anyhow::Result<u32> {
    process.pid().with_context(|| format!("{} has ended", process.name()))
}
