//! `ailayer demo`: a paid inference from end to end on a private network of real software.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ailayer_client::gateway::{Order, Seller, Task};
use ailayer_client::purchase::Terms;
use ailayer_client::{AuditClient, ClientConfig, GatewayClient, PaymentClient};
use ailayer_devnet::{AilayerBinary, DataDir, Network, NetworkOptions, Toolbox};
use ailayer_payer::{Payer, PayerConfig};
use ailayer_platform::config::Secret;
use ailayer_platform::tasks::Shutdown;
use ailayer_primitives::{AmountMsat, RequestId};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::args::DemoArgs;
use crate::buy::{Bought, Ended, follow, pay, preview, quote, start_wallet};
use crate::exit::{Exit, Failure, chain, internal};
use crate::output::Output;

mod prepaid;
mod similarity;

/// What is embedded when nothing is given.
const TEXTS: [&str; 3] = [
    "Bitcoin settles in blocks.",
    "A payment is final once it is buried under work.",
    "The cat sleeps in the warm kitchen.",
];
const MODEL: &str = "all-minilm-l6-v2";
/// The buyer's channel to the seller.
const CHANNEL_SAT: u64 = 1_000_000;
/// What the buyer gets: the channel, its reserve and fees.
const BUYER_SAT: u64 = 1_500_000;
/// What the seller keeps on chain to bump a force-close.
const SELLER_SAT: u64 = 200_000;
/// What the audit log spends on anchors.
const LOG_SAT: u64 = 1_000_000;
/// Blocks after which both nodes use the channel.
const CHANNEL_BLOCKS: u32 = 6;
/// The most the buyer pays for one answer.
const MAX_PRICE_MSAT: u64 = 100_000;
/// How long a held job may run before its money goes back; short, so that nobody waits for the failing one.
const RUN_LIMIT: Duration = Duration::from_secs(6);
/// How long any single wait may take before the demo gives up with a clear word.
const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(200);

/// Runs the story. Nothing is left running, also after Ctrl-C.
pub async fn run(args: DemoArgs, out: &Output) -> Result<(), Failure> {
    let shutdown = Shutdown::on_signals().map_err(internal)?;
    tokio::select! {
        told = tell(args, out) => told,
        () = shutdown.cancelled() => Err(Failure::new(Exit::Internal, "interrupted; everything was ended")),
    }
}

async fn tell(args: DemoArgs, out: &Output) -> Result<(), Failure> {
    let began = Instant::now();
    let data_dir = match &args.data_dir {
        Some(path) => DataDir::at(path)?,
        None => DataDir::temporary()?,
    };
    let bundle_file = args.bundle.clone();
    let texts = in_company(args.texts);

    out.line("1. A private network: Bitcoin Core, ElectrumX, PostgreSQL and the five services");
    let options = NetworkOptions { run_limit: RUN_LIMIT, ..Default::default() };
    let network =
        Network::start(data_dir, &Toolbox::discover(), &AilayerBinary::current()?, &options, |news| {
            out.line(format_args!("   {news}"))
        })
        .await?;
    let stage = Stage::open(&network, out).await?;

    let (bought, bundle) = stage.paid(&texts, bundle_file, out).await?;
    let prepaid = stage.prepaid(&texts, out).await?;
    let failed = stage.failing(&texts, out).await?;

    stage.payer.stop().await.map_err(wallet)?;
    network.stop().await?;
    out.line(format_args!("\nDone in {:.0} s; nothing is left running.", began.elapsed().as_secs_f64()));
    if out.is_json() {
        out.result(
            &json!({ "paid": summary(&bought), "bundle": bundle, "prepaid": prepaid, "failed": failed }),
            "",
        );
    }
    Ok(())
}

/// A single text has nothing to be similar to: it is compared with ours.
fn in_company(texts: Vec<String>) -> Vec<String> {
    if texts.len() > 1 {
        return texts;
    }
    let ours = TEXTS.map(str::to_owned).into_iter().filter(|ours| !texts.contains(ours)).collect();
    [texts, ours].concat()
}

fn summary(bought: &Bought) -> Value {
    let rows = bought.answer.delivered.vectors();
    json!({
        "receipt": bought.receipt,
        "fee_msat": bought.fee_msat,
        "embeddings": rows,
    })
}

/// The buyer and the seller, ready to trade.
struct Stage<'a> {
    network: &'a Network,
    gateway: GatewayClient,
    seller: Seller,
    payer: Payer,
}

impl<'a> Stage<'a> {
    /// Funds seller, audit log and buyer, and opens the buyer's channel.
    async fn open(network: &'a Network, out: &Output) -> Result<Self, Failure> {
        out.line("\n2. Money: coins for both sides, and a channel from the buyer to the seller");
        let bitcoind = &network.backbone.bitcoind;
        let gateway = GatewayClient::new(&ClientConfig::new(network.gateway.grpc_url()))?;
        let seller = gateway.seller().await?;
        let payer = start_wallet(PayerConfig {
            data_dir: network.backbone.data_dir.subfolder("buyer")?,
            network: ailayer_primitives::Network::Regtest,
            rpc_host: "127.0.0.1".to_owned(),
            rpc_port: bitcoind.rpc_port(),
            rpc_user: bitcoind.rpc_user().to_owned(),
            rpc_password: Secret::new(bitcoind.rpc_password().to_owned()),
            listen: None,
        })
        .await?;
        let audit = AuditClient::new(&ClientConfig::new(network.audit.grpc_url()))?;
        let payment = PaymentClient::new(&ClientConfig::new(network.payment.grpc_url()))?;
        let coins = [
            (regtest(&audit.log().await?.wallet_address)?, LOG_SAT),
            (regtest(&payment.create_address().await?)?, SELLER_SAT),
            (payer.new_address().await.map_err(wallet)?, BUYER_SAT),
        ];
        bitcoind.fund_many(&coins).await?;
        bitcoind.mine(1).await?;
        let stage = Self { network, gateway, seller, payer };
        stage.everyone_synced(&payment).await?;
        stage.payer.wait_funds(CHANNEL_SAT, PATIENCE).await.map_err(wallet)?;
        let peer = stage.seller.node_addresses.first().cloned().unwrap_or_default();
        stage.payer.open_channel(&stage.seller.node_id, &peer, CHANNEL_SAT, 0).await.map_err(wallet)?;
        stage.payer.wait_funding(PATIENCE).await.map_err(wallet)?;
        patiently("the channel's funding transaction in the mempool", || async {
            Ok(!bitcoind.mempool().await?.is_empty())
        })
        .await?;
        bitcoind.mine(CHANNEL_BLOCKS).await?;
        stage.payer.wait_channel_usable(MAX_PRICE_MSAT, PATIENCE).await.map_err(wallet)?;
        stage.everyone_synced(&payment).await?;
        let balances = stage.payer.balances().await.map_err(wallet)?;
        out.line(format_args!(
            "   channel of {CHANNEL_SAT} sat open; the buyer can send {} msat",
            balances.outbound_msat
        ));
        Ok(stage)
    }

    /// A hold must not be taken on a chain that is about to move on: everyone first sees the newest block.
    async fn everyone_synced(&self, payment: &PaymentClient) -> Result<(), Failure> {
        let tip = self.network.backbone.bitcoind.tip().await?;
        self.payer.wait_height(tip.height, PATIENCE).await.map_err(wallet)?;
        patiently("the seller's node at the newest block", || async {
            let node = payment.node().await?;
            Ok(node.synced && node.tip.is_some_and(|seen| seen.height >= tip.height))
        })
        .await
    }

    fn order(&self, texts: &[String]) -> Order {
        Order {
            request_id: RequestId::new(Uuid::new_v4()),
            model_name: MODEL.to_owned(),
            model_version: String::new(),
            task: Task::Embed { texts: texts.to_vec(), truncate: true },
            network: self.seller.network,
            sealed_to: None,
        }
    }

    fn terms(&self) -> Result<Terms, Failure> {
        Ok(Terms {
            seller: self.seller.gateway_key,
            max_price: AmountMsat::try_new(MAX_PRICE_MSAT).map_err(internal)?,
            model_digest: None,
            payee: Some(self.seller.node_id),
        })
    }

    /// The paid answer, its anchor and its offline verification.
    async fn paid(
        &self,
        texts: &[String],
        bundle_file: Option<PathBuf>,
        out: &Output,
    ) -> Result<(Bought, PathBuf), Failure> {
        out.line("\n3. A paid inference");
        let order = self.order(texts);
        let (offer, purchase) = quote(&self.gateway, &order, &self.terms()?).await?;
        out.line(format_args!(
            "   price      {} for {} tokens (signed quote, job {})",
            purchase.quote.price_msat,
            offer.input_tokens,
            purchase.job_id()
        ));
        out.line(format_args!("   model      {} sha256 {}", purchase.model().name, purchase.model().digest));
        let before = self.payer.balances().await.map_err(wallet)?.outbound_msat;
        let began = Instant::now();
        pay(&self.payer, &purchase).await?;
        out.line(format_args!(
            "   payment    {} locked to a hold invoice, hash {}",
            purchase.quote.price_msat, purchase.payment_hash
        ));
        let bought = match follow(&self.gateway, &self.payer, &offer.key, &purchase).await? {
            Ended::Bought(bought) => *bought,
            Ended::Released { state, reason } => {
                return Err(Failure::new(Exit::Payment, format_args!("the job ended {state:?}: {reason}")));
            }
        };
        let after = self.payer.balances().await.map_err(wallet)?.outbound_msat;
        out.line(format_args!(
            "   settled    in {:.2} s: the buyer can send {before} -> {after} msat",
            began.elapsed().as_secs_f64()
        ));
        let rows = bought.answer.delivered.vectors();
        for (row, text) in rows.iter().zip(texts) {
            out.line(format_args!("   {}  {}", preview(row), similarity::shorten(text, 48)));
        }
        out.line("   similarity (cosine)");
        for line in similarity::table(&rows) {
            out.line(format_args!("   {line}"));
        }

        out.line("\n4. The proof: the audit log's checkpoint goes into a Bitcoin block");
        let bundle = self.anchored(&offer.key, out).await?;
        let path = bundle_file.unwrap_or_else(|| {
            std::env::temp_dir().join(format!("ailayer-demo-{}.bundle.json", purchase.job_id()))
        });
        let answer = path.with_extension("answer");
        for (file, content) in [(&path, bundle), (&answer, json!(rows).to_string())] {
            std::fs::write(file, content)
                .map_err(|error| Failure::new(Exit::Internal, format_args!("{}: {error}", file.display())))?;
        }
        self.verified(&path, &answer, texts, out)?;
        Ok((bought, path))
    }

    /// Mines until the receipt and its closing entry are anchored.
    async fn anchored(&self, key: &ailayer_client::gateway::JobKey, out: &Output) -> Result<String, Failure> {
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            if let Some(bundle) = self.gateway.receipt(key).await?.bundle_with_ending() {
                out.line(format_args!("   anchored after {:.1} s", began.elapsed().as_secs_f64()));
                return Ok(bundle);
            }
            self.network.backbone.bitcoind.mine(1).await?;
            tokio::time::sleep(POLL * 3).await;
        }
        Err(Failure::new(Exit::Unavailable, "the receipt was not anchored in time"))
    }

    fn verified(&self, bundle: &Path, answer: &Path, texts: &[String], out: &Output) -> Result<(), Failure> {
        let told = self.verify(bundle, answer, texts)?;
        out.line(format_args!(
            "   $ ailayer verify {} --gateway-key … --log-key … --answer … --text …",
            bundle.display()
        ));
        for line in told.lines() {
            out.line(format_args!("   {line}"));
        }
        Ok(())
    }

    /// Runs `ailayer verify`, as the buyer would on another machine; answers what it tells.
    fn verify(&self, bundle: &Path, answer: &Path, texts: &[String]) -> Result<String, Failure> {
        let program = std::env::current_exe().map_err(internal)?;
        let mut command = std::process::Command::new(program);
        command.arg("verify").arg(bundle).args(["--network", "regtest"]).arg("--answer").arg(answer);
        command.args(["--gateway-key", &self.seller.gateway_key.to_string()]);
        command.args(["--log-key", &self.seller.log_verification_key]);
        for text in texts {
            command.arg("--text").arg(text);
        }
        let done = command.output().map_err(internal)?;
        if done.status.success() {
            Ok(String::from_utf8_lossy(&done.stdout).into_owned())
        } else {
            Err(Failure::new(Exit::Verification, String::from_utf8_lossy(&done.stderr).trim()))
        }
    }

    /// The model server dies between payment and answer: the buyer's money must come back.
    async fn failing(&self, texts: &[String], out: &Output) -> Result<Value, Failure> {
        out.line("\n6. A job that fails: the model server is killed before the money arrives");
        let (offer, purchase) = quote(&self.gateway, &self.order(texts), &self.terms()?).await?;
        self.network.model_serving.kill9().await?;
        let before = self.payer.balances().await.map_err(wallet)?.outbound_msat;
        pay(&self.payer, &purchase).await?;
        out.line(format_args!(
            "   payment    {} locked, hash {}",
            purchase.quote.price_msat, purchase.payment_hash
        ));
        let Ended::Released { state, reason } =
            follow(&self.gateway, &self.payer, &offer.key, &purchase).await?
        else {
            return Err(Failure::new(Exit::Verification, "a job without a model server was answered"));
        };
        patiently("the buyer's money back", || async {
            Ok(self.payer.balances().await.map_err(wallet)?.outbound_msat == before)
        })
        .await?;
        out.line(format_args!(
            "   released   the job is {state:?} ({reason}); the buyer's node reports the payment failed"
        ));
        out.line(format_args!("   untouched  the buyer can send {before} msat before and after"));
        Ok(json!({ "state": format!("{state:?}"), "reason": reason, "outbound_msat": before }))
    }
}

async fn patiently<F>(what: &'static str, mut holds: impl FnMut() -> F) -> Result<(), Failure>
where
    F: Future<Output = Result<bool, Failure>>,
{
    let began = Instant::now();
    while began.elapsed() < PATIENCE {
        if holds().await? {
            return Ok(());
        }
        tokio::time::sleep(POLL).await;
    }
    Err(Failure::new(Exit::Unavailable, format_args!("{what}: did not happen within {PATIENCE:?}")))
}

fn regtest(address: &str) -> Result<bitcoin::Address, Failure> {
    let address: bitcoin::Address<bitcoin::address::NetworkUnchecked> = address.parse().map_err(internal)?;
    address.require_network(bitcoin::Network::Regtest).map_err(internal)
}

fn wallet(error: ailayer_payer::PayerError) -> Failure {
    Failure::new(Exit::Payment, chain(&error))
}
