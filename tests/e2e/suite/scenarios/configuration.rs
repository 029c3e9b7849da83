//! A wrong configuration stops the start with one clear line that names the key and shows no secret.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ailayer_devnet::AilayerBinary;
use anyhow::{Context as _, ensure};
use futures::future::join_all;
use tokio::process::Command;

use crate::harness::Scenario;
use crate::stage::services::Service;

/// "The configuration or the environment is wrong", by `ailayer --help`.
const WRONG_CONFIGURATION: i32 = 3;
/// In a URL that must never be shown.
const PASSWORD: &str = "hunter2-correct-horse";
/// A service that cannot start says so within this time.
const TO_GIVE_UP: Duration = Duration::from_secs(60);

/// Scenarios that bring what they need.
pub fn all() -> Vec<Scenario> {
    vec![
        Scenario::alone("configuration::every_mistake_is_named", every_mistake_is_named),
        Scenario::alone("configuration::no_service_takes_an_unknown_key", no_service_takes_an_unknown_key),
        Scenario::alone("configuration::real_money_needs_consent", real_money_needs_consent),
        Scenario::alone("configuration::a_taken_port_is_named", a_taken_port_is_named),
        Scenario::alone("configuration::a_missing_database_is_named", a_missing_database_is_named),
    ]
}

/// A configuration with nothing wrong in it, as far as can be seen without starting.
struct Sandbox {
    folder: tempfile::TempDir,
}

impl Sandbox {
    fn new() -> anyhow::Result<Self> {
        Ok(Self { folder: tempfile::tempdir()? })
    }

    /// With a database that nobody serves.
    fn text(&self) -> String {
        let folder = self.folder.path().display();
        let store = format!("store.url = \"postgres://ailayer:{PASSWORD}@127.0.0.1:1/ailayer\"");
        format!(
            r#"[indexer]
network = "regtest"
electrum_url = "tcp://127.0.0.1:1"
{store}

[audit]
network = "regtest"
origin = "ailayer.example/e2e"
data_dir = "{folder}/audit"
indexer.endpoint = "http://127.0.0.1:1"
{store}

[model-serving]
repository = "{folder}"
onnxruntime_library = "/bin/sh"

[payment]
network = "regtest"
data_dir = "{folder}/payment"
bitcoind_rpc_port = 1
bitcoind_rpc_user = "ailayer"
bitcoind_rpc_password = "{PASSWORD}"
{store}

[gateway]
network = "regtest"
data_dir = "{folder}/gateway"
payment.endpoint = "http://127.0.0.1:1"
serving.endpoint = "http://127.0.0.1:1"
audit.endpoint = "http://127.0.0.1:1"
{store}
[[gateway.prices]]
model = "all-minilm-l6-v2"
per_call_msat = 1000
"#
        )
    }

    fn write(&self, text: &str) -> anyhow::Result<PathBuf> {
        let file = self.folder.path().join("ailayer.toml");
        std::fs::write(&file, text)?;
        Ok(file)
    }
}

/// How a start ended.
struct Start {
    code: Option<i32>,
    lines: Vec<String>,
}

impl Start {
    /// Its only line of error, which is the last thing it says.
    fn error(&self) -> anyhow::Result<&str> {
        let errors = self.lines.iter().filter(|line| line.starts_with("error: ")).count();
        let last = self.lines.last().map(String::as_str).unwrap_or_default();
        ensure!(errors == 1 && last.starts_with("error: "), "not one error at the end: {:#?}", self.lines);
        Ok(last)
    }
}

async fn serve(service: &str, file: &Path, environment: &[(&str, &str)]) -> anyhow::Result<Start> {
    let mut command = Command::new(AilayerBinary::find()?.path());
    command.args(["serve", service, "--config"]).arg(file).env_clear().envs(environment.iter().copied());
    let output = command.kill_on_drop(true).output();
    let output = tokio::time::timeout(TO_GIVE_UP, output).await.context("it still tries to start")??;
    ensure!(output.stdout.is_empty(), "something on standard output");
    let text = String::from_utf8(output.stderr)?;
    ensure!(!text.contains(PASSWORD), "a secret is shown: {text}");
    ensure!(!text.contains("panicked"), "a panic: {text}");
    Ok(Start { code: output.status.code(), lines: text.lines().map(str::to_owned).collect() })
}

/// Before anything is started there is nothing to log: the error is all there is.
async fn refused(service: &str, file: &Path, environment: &[(&str, &str)], word: &str) -> anyhow::Result<()> {
    let start = serve(service, file, environment).await?;
    ensure!(start.code == Some(WRONG_CONFIGURATION), "{word}: exit code {:?}: {:?}", start.code, start.lines);
    ensure!(start.lines.len() == 1, "{word}: not one line: {:#?}", start.lines);
    let error = start.error()?;
    ensure!(error.contains(word), "no word of {word}: {error}");
    Ok(())
}

async fn every_mistake_is_named() -> anyhow::Result<()> {
    let sandbox = Sandbox::new()?;
    let good = sandbox.text();
    let replaced = |from: &str, to: &str| {
        // In the gateway's table, which is the last.
        let at = good.rfind(from).unwrap_or(good.len());
        let (head, tail) = good.split_at(at);
        format!("{head}{}", tail.replacen(from, to, 1))
    };
    let with = |line: &str| replaced("[gateway]\n", &format!("[gateway]\n{line}\n"));
    let cases = [
        ("gateway.max_opne_quotes", with("max_opne_quotes = 5")),
        ("gateway.platform.server.lisen", with("platform.server.lisen = \"127.0.0.1:1\"")),
        ("gateway.run_limit", with("run_limit = 60")),
        ("gateway.run_limit", with("run_limit = \"soon\"")),
        ("gateway.run_limit", with("run_limit = \"2h\"")),
        ("gateway.quote_expiry", with("quote_expiry = \"0s\"")),
        ("gateway.max_items", with("max_items = 0")),
        ("gateway.max_items", with("max_items = \"many\"")),
        ("gateway.network", replaced("network = \"regtest\"", "network = \"mainnet\"")),
        ("gateway.store.url", replaced("postgres://", "mysql://")),
        ("gateway.store.url", replaced("127.0.0.1:1/ailayer", "127.0.0.1:port/ailayer")),
        ("gateway.store.max_connections", with("store.max_connections = 0")),
        (
            "gateway.payment.endpoint",
            replaced("payment.endpoint = \"http://127.0.0.1:1\"", "payment.endpoint = 7"),
        ),
        ("gateway.prices", replaced("per_call_msat = 1000", "per_call_msat = 0")),
        ("gateway.prices", replaced("model = \"all-minilm-l6-v2\"", "modle = \"all-minilm-l6-v2\"")),
        ("store", replaced("store.url", "#")),
        ("gatway", replaced("[gateway]", "[gatway]")),
        ("line", with("this is not TOML")),
        ("platform.telemetry.log_filter", with("platform.telemetry.log_filter = \"ailayer=loud\"")),
    ];
    for (word, text) in cases {
        let file = sandbox.write(&text)?;
        refused("gateway", &file, &[], word).await?;
    }
    let file = sandbox.write(&good)?;
    refused("gateway", &file, &[("AILAYER_GATEWAY__NOPE", "1")], "gateway.nope").await?;
    refused("gateway", &file, &[("AILAYER_GATEWAY__RUN_LIMIT", "soon")], "gateway.run_limit").await?;
    let missing = sandbox.folder.path().join("nothing.toml");
    refused("gateway", &missing, &[], "nothing.toml").await
}

async fn no_service_takes_an_unknown_key() -> anyhow::Result<()> {
    let sandbox = Sandbox::new()?;
    for service in Service::ALL {
        let name = service.name();
        let table = format!("[{name}]\n");
        let file =
            sandbox.write(&sandbox.text().replacen(&table, &format!("{table}colour = \"blue\"\n"), 1))?;
        refused(name, &file, &[], &format!("{name}.colour")).await?;
    }
    Ok(())
}

async fn real_money_needs_consent() -> anyhow::Result<()> {
    let sandbox = Sandbox::new()?;
    let file = sandbox.write(&sandbox.text().replace("network = \"regtest\"", "network = \"bitcoin\""))?;
    for service in [Service::Gateway, Service::Payment, Service::Audit] {
        let name = service.name();
        refused(name, &file, &[], &format!("{name}.network")).await?;
        let start = serve(name, &file, &[]).await?;
        ensure!(
            start.error()?.contains("allow_mainnet"),
            "{name} does not say how to consent: {:?}",
            start.lines
        );
    }
    Ok(())
}

/// The port is named by its key; what was started before is ended.
async fn a_taken_port_is_named() -> anyhow::Result<()> {
    let sandbox = Sandbox::new()?;
    let file = sandbox.write(&sandbox.text())?;
    let taken = TcpListener::bind(("127.0.0.1", 0))?;
    let address = taken.local_addr()?.to_string();
    // The indexer needs nobody in order to start.
    for (variable, key) in [
        ("AILAYER_INDEXER__PLATFORM__SERVER__LISTEN", "platform.server.listen"),
        ("AILAYER_INDEXER__PLATFORM__ADMIN_LISTEN", "platform.admin_listen"),
    ] {
        let postgres = ailayer_devnet::Postgres::shared().await?;
        let database = postgres.create_database().await?;
        let environment = [(variable, address.as_str()), ("AILAYER_INDEXER__STORE__URL", database.as_str())];
        let start = serve("indexer", &file, &environment).await?;
        let error = start.error()?;
        ensure!(error.contains(key) && error.contains(&address), "no word of {key} = {address}: {error}");
        ensure!(start.code.is_some_and(|code| code != 0), "exit code {:?}", start.code);
    }
    Ok(())
}

/// Supervisors restart what ends; a service that waits for ever would look alive.
async fn a_missing_database_is_named() -> anyhow::Result<()> {
    let sandbox = Sandbox::new()?;
    let file = sandbox.write(&sandbox.text())?;
    let services = [Service::Gateway, Service::Payment, Service::Audit, Service::Indexer];
    let starts = join_all(services.map(|service| serve(service.name(), &file, &[]))).await;
    for (service, start) in services.into_iter().zip(starts) {
        let start = start.with_context(|| service.name())?;
        let error = start.error().with_context(|| service.name())?;
        let named = ["database", "store", "postgres"].iter().any(|word| error.contains(word));
        ensure!(named, "{}: no word of the database: {error}", service.name());
        ensure!(start.code.is_some_and(|code| code != 0), "{}: exit code {:?}", service.name(), start.code);
    }
    Ok(())
}
