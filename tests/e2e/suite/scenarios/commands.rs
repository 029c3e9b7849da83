//! The program as a stranger and an operator use it: every command that talks to services, run as a process.

use std::path::Path;
use std::time::Duration;

use ailayer_client::{AuditClient, ClientConfig, PaymentClient};
use ailayer_devnet::{AilayerBinary, Bitcoind, DataDir, Network, NetworkOptions, Toolbox, free_port};
use ailayer_payer::{Payer, PayerConfig};
use ailayer_platform::config::Secret;
use anyhow::{Context as _, ensure};
use serde_json::Value;
use tokio::process::Command;

use crate::harness::Scenario;
use crate::stage::collector::Collector;
use crate::stage::services::Service;
use crate::stage::{MODEL, wait};

const TEXT: &str = "A stranger pays and can prove it.";
const COINS_SAT: u64 = 1_500_000;
const BUYER_CHANNEL_SAT: &str = "1000000";
const SELLER_CHANNEL_SAT: u64 = 150_000;
/// Between blocks while the program waits for confirmations and the anchor.
const BLOCK_INTERVAL: Duration = Duration::from_millis(700);
/// What a quote calls, over three services.
const QUOTING: &[&str] = &[
    "ailayer-gateway: ailayer.gateway.v1.GatewayService/CreateQuote",
    "ailayer-model-serving: ailayer.serving.v1.ServingService/Tokenize",
    "ailayer-payment: ailayer.payment.v1.PaymentService/CreateHoldInvoice",
];
/// What a paid job calls: model, log, money.
const SERVING: &[&str] = &[
    "ailayer-gateway: drive_job",
    "ailayer-model-serving: ailayer.serving.v1.ServingService/Embed",
    "ailayer-audit: ailayer.audit.v1.AuditService/AppendEntry",
    "ailayer-payment: ailayer.payment.v1.PaymentService/ClaimHoldInvoice",
];
/// Exit codes, by `ailayer --help`.
const NOT_VERIFIED: i32 = 4;
const SHORT_OF_FUNDS: i32 = 5;
const NO_ANSWER: i32 = 6;
const REFUSED: i32 = 7;

/// Scenarios that bring what they need.
pub fn all() -> Vec<Scenario> {
    vec![Scenario::alone("commands::a_stranger_buys_and_an_operator_looks", strangers_and_operators)]
}

struct Ground {
    network: Network,
    binary: AilayerBinary,
    wallet: tempfile::TempDir,
}

async fn strangers_and_operators() -> anyhow::Result<()> {
    let binary = AilayerBinary::find()?;
    let collector = Collector::start().await?;
    let options = NetworkOptions { env: traced_to(&collector), ..Default::default() };
    let network =
        Network::start(DataDir::temporary()?, &Toolbox::discover(), &binary, &options, |_| {}).await?;
    let ground = Ground { network, binary, wallet: tempfile::tempdir()? };
    ground.fund_the_seller().await?;
    ground.buy().await?;
    wait::until("the purchase's calls are two traces", Duration::from_secs(30), || async {
        Ok([QUOTING, SERVING].iter().all(|calls| collector.has_trace_with(calls)))
    })
    .await
    .with_context(|| collector.shown())?;
    ground.buy_sealed().await?;
    ground.look_around().await?;
    ground.open_a_channel().await?;
    ground.network.model_serving.kill9().await?;
    let down = ground.ailayer(&["status"]).await?;
    ensure!(down.code == Some(NO_ANSWER), "status without model serving: {down:?}");
    ensure!(down.stdout.contains("DOWN") && down.stderr.contains("model-serving"), "{down:?}");
    ground.network.stop().await?;
    collector.stop().await?;
    Ok(())
}

/// One variable a service.
fn traced_to(collector: &Collector) -> Vec<(String, String)> {
    let endpoint = |service: Service| {
        let table = service.name().to_uppercase().replace('-', "_");
        (format!("AILAYER_{table}__PLATFORM__TELEMETRY__OTLP_ENDPOINT"), collector.endpoint())
    };
    Service::ALL.into_iter().map(endpoint).collect()
}

impl Ground {
    async fn fund_the_seller(&self) -> anyhow::Result<()> {
        let payment = PaymentClient::new(&ClientConfig::new(self.network.payment.grpc_url()))?;
        let audit = AuditClient::new(&ClientConfig::new(self.network.audit.grpc_url()))?;
        self.give(&payment.create_address().await?).await?;
        self.give(&audit.log().await?.wallet_address).await
    }

    async fn give(&self, address: &str) -> anyhow::Result<()> {
        let address: bitcoin::Address<bitcoin::address::NetworkUnchecked> = address.parse()?;
        let address = address.require_network(bitcoin::Network::Regtest)?;
        self.bitcoind().fund_many(&[(address, COINS_SAT)]).await?;
        self.bitcoind().mine(1).await?;
        Ok(())
    }

    const fn bitcoind(&self) -> &Bitcoind {
        &self.network.backbone.bitcoind
    }

    /// Told where to send coins; then channel, payment, answer, anchor, proof, and the proof of the very answer.
    async fn buy(&self) -> anyhow::Result<()> {
        let out = tempfile::tempdir()?;
        let folder = out.path().to_string_lossy().into_owned();
        let order = ["buy", TEXT, "--max-price-msat", "100000", "--out", &folder];
        let poor = self.ailayer(&[&order[..], &["--open-channel-sat", BUYER_CHANNEL_SAT]].concat()).await?;
        ensure!(poor.code == Some(SHORT_OF_FUNDS), "an empty wallet: {poor:?}");
        let address = poor.stderr.rsplit("sat to ").next().and_then(|rest| rest.split(',').next());
        self.give(address.with_context(|| format!("it names no address: {poor:?}"))?).await?;

        let dear = self.ailayer(&["buy", TEXT, "--max-price-msat", "1", "--out", &folder]).await?;
        ensure!(dear.code == Some(NOT_VERIFIED), "a price above the limit: {dear:?}");

        let arguments =
            [&["--json"], &order[..], &["--open-channel-sat", BUYER_CHANNEL_SAT, "--wait-anchor", "2m"]]
                .concat();
        let bought = tokio::select! {
            done = self.ailayer(&arguments) => done?,
            failed = self.mine_on() => return failed,
        };
        ensure!(bought.code == Some(0), "{bought:?}");
        let told: Value = serde_json::from_str(&bought.stdout)?;
        let file = |key: &str| -> anyhow::Result<String> {
            let path = told.get(key).and_then(Value::as_str).with_context(|| format!("no {key}: {told}"))?;
            ensure!(Path::new(path).is_file(), "{path} is not there");
            Ok(path.to_owned())
        };
        file("receipt")?;
        let (bundle, answer) = (file("bundle")?, file("answer")?);
        let pins = ["verify", &bundle, "--text", TEXT, "--network", "regtest", "--answer", &answer];
        let verified = self.ailayer(&pins).await?;
        ensure!(verified.code == Some(0), "{verified:?}");
        ensure!(verified.stdout.contains("output digest is that of the given output"), "{verified:?}");
        ensure!(verified.stdout.contains("SETTLED"), "{verified:?}");

        // One digit of one number of the answer.
        let mut altered: Vec<Vec<f32>> = serde_json::from_slice(&std::fs::read(&answer)?)?;
        let first = altered.first_mut().and_then(|row| row.first_mut()).context("an empty answer")?;
        *first = f32::from_bits(first.to_bits() ^ 1);
        std::fs::write(&answer, serde_json::to_vec(&altered)?)?;
        let refused = self.ailayer(&pins).await?;
        ensure!(refused.code == Some(NOT_VERIFIED), "an altered answer: {refused:?}");
        ensure!(refused.stderr.contains("output_digest"), "{refused:?}");
        Ok(())
    }

    /// The same with a sealed answer; then its opening is lost and done again, with the seller and without.
    async fn buy_sealed(&self) -> anyhow::Result<()> {
        let out = tempfile::tempdir()?;
        let folder = out.path().to_string_lossy().into_owned();
        let order = ["--json", "buy", "--sealed", TEXT, "--max-price-msat", "100000", "--out", &folder];
        let order = [&order[..], &["--wait-anchor", "2m"]].concat();
        let bought = tokio::select! {
            done = self.ailayer(&order) => done?,
            failed = self.mine_on() => return failed,
        };
        ensure!(bought.code == Some(0), "{bought:?}");
        let told: Value = serde_json::from_str(&bought.stdout)?;
        let job_id = told.get("job_id").and_then(Value::as_str).context("no job_id")?;
        let file = |end: &str| format!("{folder}/{job_id}.{end}");
        let [answer, sealed, job] = ["answer.json", "sealed", "job.json"].map(file);
        let pins = ["verify", &file("bundle.json"), "--answer", &answer, "--sealed", &sealed];
        let verified = self.ailayer(&pins).await?;
        ensure!(verified.code == Some(0), "{verified:?}");
        ensure!(verified.stdout.contains("sealed digest is that of the given ciphertext"), "{verified:?}");
        ensure!(verified.stdout.contains("sealed       to x25519:"), "{verified:?}");

        let first = std::fs::read(&answer)?;
        // As a buyer finds it who died between acknowledging and opening.
        std::fs::remove_file(&answer)?;
        let mut elsewhere: Value = serde_json::from_slice(&std::fs::read(&job)?)?;
        *elsewhere.get_mut("gateway").context("no gateway")? = "http://127.0.0.1:1".into();
        let alone = file("alone.job.json");
        std::fs::write(&alone, elsewhere.to_string())?;
        let opened = self.ailayer(&["fetch", &alone]).await?;
        ensure!(opened.code == Some(0), "without the seller: {opened:?}");
        ensure!(std::fs::read(&answer)? == first, "another answer was opened");

        for lost in [&answer, &sealed] {
            std::fs::remove_file(lost)?;
        }
        let fetched = self.ailayer(&["fetch", &job]).await?;
        ensure!(fetched.code == Some(0), "with the seller: {fetched:?}");
        ensure!(std::fs::read(&answer)? == first, "another answer was fetched");
        Ok(())
    }

    async fn mine_on(&self) -> anyhow::Result<()> {
        loop {
            self.bitcoind().mine(1).await?;
            tokio::time::sleep(BLOCK_INTERVAL).await;
        }
    }

    async fn look_around(&self) -> anyhow::Result<()> {
        let status = self.ailayer(&["status"]).await?;
        ensure!(status.code == Some(0), "{status:?}");
        for service in self.network.services() {
            let line = status.stdout.lines().find(|line| line.starts_with(service.name()));
            ensure!(line.is_some_and(|line| line.contains(" ok ")), "{}: {status:?}", service.name());
        }
        let models = self.ailayer(&["--json", "model", "list"]).await?;
        let models: Value = serde_json::from_str(&models.stdout)?;
        let name = models.get(0).and_then(|model| model.get("name")).and_then(Value::as_str);
        ensure!(name == Some(MODEL), "for sale: {models}");
        let unknown =
            self.ailayer(&["buy", TEXT, "--model", "no-such", "--max-price-msat", "100000"]).await?;
        ensure!(unknown.code == Some(REFUSED), "an unknown model: {unknown:?}");
        ensure!(unknown.stderr.contains("MODEL_NOT_FOUND"), "{unknown:?}");
        Ok(())
    }

    /// The operator's own channel, to a peer of ours.
    async fn open_a_channel(&self) -> anyhow::Result<()> {
        let (folder, port) = (tempfile::tempdir()?, free_port()?);
        let bitcoind = self.bitcoind();
        let peer = Payer::start(PayerConfig {
            data_dir: folder.path().to_owned(),
            network: ailayer_primitives::Network::Regtest,
            rpc_host: "127.0.0.1".to_owned(),
            rpc_port: bitcoind.rpc_port(),
            rpc_user: bitcoind.rpc_user().to_owned(),
            rpc_password: Secret::new(bitcoind.rpc_password().to_owned()),
            listen: Some(port.address()),
        })
        .await?;
        let amount = SELLER_CHANNEL_SAT.to_string();
        let to = format!("{}@{}", hex::encode(peer.node_id()), port.address());
        let opened = self.ailayer(&["channel", "open", &to, "--amount-sat", &amount]).await?;
        ensure!(opened.code == Some(0), "{opened:?}");
        wait::until("the new channel is usable", Duration::from_secs(60), || async {
            bitcoind.mine(1).await?;
            let listed = self.ailayer(&["--json", "channel", "list"]).await?;
            let channels: Vec<Value> = serde_json::from_str(&listed.stdout)?;
            let ours =
                channels.iter().find(|it| it.get("channel_amount_sat") == Some(&SELLER_CHANNEL_SAT.into()));
            Ok(ours.and_then(|it| it.get("usable")) == Some(&Value::Bool(true)))
        })
        .await?;
        peer.stop().await?;
        Ok(())
    }

    /// Runs the program with the variables that `ailayer up` prints.
    async fn ailayer(&self, arguments: &[&str]) -> anyhow::Result<Done> {
        let network = &self.network;
        let done = Command::new(self.binary.path())
            .args(arguments)
            .env("AILAYER_GATEWAY", network.gateway.grpc_url())
            .env("AILAYER_PAYMENT", network.payment.grpc_url())
            .env("AILAYER_SERVING", network.model_serving.grpc_url())
            .env("AILAYER_INDEXER", network.indexer.grpc_url())
            .env("AILAYER_AUDIT", network.audit.grpc_url())
            .env("AILAYER_WALLET", self.wallet.path())
            .env("AILAYER_BITCOIND_RPC", self.bitcoind().rpc_url())
            .env("AILAYER_BITCOIND_USER", self.bitcoind().rpc_user())
            .env("AILAYER_BITCOIND_PASSWORD", self.bitcoind().rpc_password())
            .kill_on_drop(true)
            .output()
            .await?;
        Ok(Done {
            code: done.status.code(),
            stdout: String::from_utf8(done.stdout)?,
            stderr: String::from_utf8(done.stderr)?,
        })
    }
}

#[derive(Debug)]
struct Done {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}
