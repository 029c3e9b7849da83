//! The program as a stranger and an operator use it: every command that talks to services, run as a process.

use std::path::Path;
use std::time::Duration;

use ailayer_client::{AuditClient, ClientConfig, PaymentClient};
use ailayer_devnet::{AilayerBinary, Bitcoind, DataDir, Network, NetworkOptions, Tool, Toolbox, free_port};
use ailayer_payer::{Payer, PayerConfig};
use ailayer_platform::config::Secret;
use anyhow::{Context as _, ensure};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::harness::Scenario;
use crate::stage::collector::Collector;
use crate::stage::services::Service;
use crate::stage::{MODEL, wait};

const TEXT: &str = "A stranger pays and can prove it.";
/// A model that adds, and subtracts.
const TENSOR_MODEL: &str = "sum-and-difference";
const ADDS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../services/model-serving/tests/data/add.onnx");
const TENSORS: &str = r#"{
    "inputs": [
        {"name": "a", "datatype": "FP32", "shape": [1, 2], "data": [[1, 2]]},
        {"name": "b", "datatype": "FP32", "shape": [1, 2], "data": [3, 4.5]}
    ],
    "outputs": [{"name": "sum"}]
}"#;
const MISFIT: &str = r#"{"inputs": [
    {"name": "a", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]},
    {"name": "b", "datatype": "FP32", "shape": [1, 1], "data": [3]}
]}"#;
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
    let models = repository()?;
    let repository = models.path().to_string_lossy().into_owned();
    let repository = ("AILAYER_MODEL_SERVING__REPOSITORY".to_owned(), repository);
    let env = traced_to(&collector).into_iter().chain([repository]).collect();
    let options = NetworkOptions { env, ..Default::default() };
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
    ground.sell_tensors().await?;
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

/// The model of all scenarios, and one that takes tensors.
fn repository() -> anyhow::Result<tempfile::TempDir> {
    let folder = tempfile::tempdir()?;
    let of_texts = Toolbox::discover().path_of(Tool::Models)?.join(MODEL);
    std::os::unix::fs::symlink(of_texts, folder.path().join(MODEL))?;
    let of_tensors = folder.path().join(TENSOR_MODEL).join("1");
    std::fs::create_dir_all(&of_tensors)?;
    std::fs::copy(ADDS, of_tensors.join("model.onnx"))?;
    Ok(folder)
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

    /// An operator sets a price by the byte; a stranger and a customer pay it, each for what it is.
    async fn sell_tensors(&self) -> anyhow::Result<()> {
        let set = ["price", "set", TENSOR_MODEL, "--per-call-msat", "1000", "--per-tensor-byte-msat", "7"];
        let set = self.ailayer(&set).await?;
        ensure!(set.code == Some(0), "{set:?}");
        let listed = self.ailayer(&["model", "list"]).await?;
        ensure!(listed.stdout.contains("takes a FP32 [any, 2]"), "{listed:?}");

        let out = tempfile::tempdir()?;
        let file = |name: &str, content: &str| -> anyhow::Result<String> {
            let path = out.path().join(name);
            std::fs::write(&path, content)?;
            Ok(path.to_string_lossy().into_owned())
        };
        let folder = out.path().to_string_lossy().into_owned();
        let (request, misfit) = (file("request.json", TENSORS)?, file("misfit.json", MISFIT)?);
        let order = |file: &str, limit: &str| {
            ["buy", "--model", TENSOR_MODEL, "--tensors", file, "--max-price-msat", limit, "--out", &folder]
                .map(str::to_owned)
                .to_vec()
        };
        let run = async |order: Vec<String>, more: &[&str]| {
            let order: Vec<&str> = order.iter().map(String::as_str).chain(more.iter().copied()).collect();
            self.ailayer(&order).await
        };
        let refused = run(order(&misfit, "100000"), &[]).await?;
        ensure!(refused.code == Some(REFUSED), "tensors that do not fit: {refused:?}");
        ensure!(refused.stderr.contains("must have the shape [any, 2]"), "{refused:?}");
        let dear = run(order(&request, "1111"), &[]).await?;
        ensure!(dear.code == Some(NOT_VERIFIED), "a price above the limit: {dear:?}");

        let bought = tokio::select! {
            done = run(order(&request, "1112"), &["--json", "--wait-anchor", "2m"]) => done?,
            failed = self.mine_on() => return failed,
        };
        ensure!(bought.code == Some(0), "{bought:?}");
        let told: Value = serde_json::from_str(&bought.stdout)?;
        let field = |pointer: &str| told.pointer(pointer).with_context(|| format!("no {pointer}: {told}"));
        ensure!(field("/price_msat")? == 1112, "16 bytes cost {told}");
        ensure!(field("/outputs/0/data")? == &json!([4.0, 6.5]), "{told}");
        let saved = |pointer: &str| anyhow::Ok(field(pointer)?.as_str().context("no path")?.to_owned());
        let (bundle, answer) = (saved("/bundle")?, saved("/answer")?);
        let proof = |request: &str| {
            let pins = ["verify", &bundle, "--tensors", request, "--answer", &answer];
            pins.map(str::to_owned).to_vec()
        };
        let verified = run(proof(&request), &[]).await?;
        ensure!(verified.code == Some(0), "{verified:?}");
        ensure!(verified.stdout.contains("request digest is that of the given tensors"), "{verified:?}");
        ensure!(verified.stdout.contains("output digest is that of the given output"), "{verified:?}");
        ensure!(verified.stdout.contains("16 bytes of tensors"), "{verified:?}");
        let altered = file("altered.json", &TENSORS.replace("4.5", "4.25"))?;
        let other = run(proof(&altered), &[]).await?;
        ensure!(other.code == Some(NOT_VERIFIED), "another request: {other:?}");
        self.sell_tensors_on_credit(&request).await
    }

    async fn sell_tensors_on_credit(&self, request: &str) -> anyhow::Result<()> {
        let json = async |arguments: &[&str]| {
            let done = self.ailayer(&[&["--json"], arguments].concat()).await?;
            ensure!(done.code == Some(0), "{arguments:?}: {done:?}");
            anyhow::Ok(serde_json::from_str::<Value>(&done.stdout)?)
        };
        let text = |value: &Value, pointer: &str| {
            let found = value.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
            found.with_context(|| format!("no {pointer}: {value}"))
        };
        let opened = json(&["account", "open", "tensors", "--credit-msat", "5000"]).await?;
        let account = text(&opened, "/0/account_id")?;
        let key = text(&json(&["key", "new", &account, "--name", "tensors"]).await?, "/secret")?;
        let order = ["run", "--model", TENSOR_MODEL, "--tensors", request, "--api-key", &key];
        let ran = json(&order).await?;
        ensure!(ran.pointer("/charged_msat") == Some(&1112.into()), "{ran}");
        ensure!(ran.pointer("/outputs/0/name") == Some(&"sum".into()), "{ran}");
        ensure!(ran.pointer("/outputs/0/data") == Some(&json!([4.0, 6.5])), "{ran}");
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
        let [operator, _] = &network.operators;
        let done = Command::new(self.binary.path())
            .args(arguments)
            .env("AILAYER_GATEWAY", network.gateway.grpc_url())
            .env("AILAYER_PAYMENT", network.payment.grpc_url())
            .env("AILAYER_SERVING", network.model_serving.grpc_url())
            .env("AILAYER_INDEXER", network.indexer.grpc_url())
            .env("AILAYER_AUDIT", network.audit.grpc_url())
            .env("AILAYER_OPERATOR_KEY", &operator.key)
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
