//! An operator and a customer with the program in their hands: accounts, keys, prices, brakes, corrections, the books.

use anyhow::{Context as _, ensure};
use serde_json::Value;
use tokio::process::Command;

use crate::stage::services::Service;
use crate::stage::{MODEL, PRICE_PER_CALL_MSAT, PRICE_PER_TOKEN_MSAT, Stage};

const TEXT: &str = "an operator opens an account";
/// Exit codes, by `ailayer --help`.
const REFUSED: i32 = 7;
const SHORT_OF_FUNDS: i32 = 5;
const NOT_CONFIGURED: i32 = 3;
/// What the correction gives.
const GIFT_MSAT: i64 = 30_000;

/// How one command ended.
#[derive(Debug)]
struct Done {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Done {
    fn json(&self) -> anyhow::Result<Value> {
        ensure!(self.code == Some(0), "{self:?}");
        serde_json::from_str(&self.stdout).with_context(|| format!("no JSON: {self:?}"))
    }

    fn refused(&self, code: i32, word: &str) -> anyhow::Result<()> {
        ensure!(self.code == Some(code), "exit code {code} was expected: {self:?}");
        // With --json an error is told where its reader looks.
        ensure!(self.stdout.contains(word) && self.stderr.is_empty(), "no {word} in {self:?}");
        Ok(())
    }
}

/// Who types.
#[derive(Clone, Copy)]
enum Who<'a> {
    Alice,
    Bob,
    Customer(&'a str),
}

async fn ailayer(stage: &Stage, who: Who<'_>, arguments: &[&str]) -> anyhow::Result<Done> {
    let [alice, bob] = &stage.network.operators;
    let (variable, secret) = match who {
        Who::Alice => ("AILAYER_OPERATOR_KEY", alice.key.as_str()),
        Who::Bob => ("AILAYER_OPERATOR_KEY", bob.key.as_str()),
        Who::Customer(key) => ("AILAYER_API_KEY", key),
    };
    let done = Command::new(stage.binary.path())
        .arg("--json")
        .args(arguments)
        .env("AILAYER_GATEWAY", stage.network.gateway.grpc_url())
        .env(variable, secret)
        .kill_on_drop(true)
        .output()
        .await?;
    Ok(Done {
        code: done.status.code(),
        stdout: String::from_utf8(done.stdout)?,
        stderr: String::from_utf8(done.stderr)?,
    })
}

fn text(value: &Value, pointer: &str) -> anyhow::Result<String> {
    let found = value.pointer(pointer).and_then(Value::as_str);
    Ok(found.with_context(|| format!("no {pointer} in {value}"))?.to_owned())
}

fn number(value: &Value, pointer: &str) -> anyhow::Result<i64> {
    value.pointer(pointer).and_then(Value::as_i64).with_context(|| format!("no {pointer} in {value}"))
}

/// Everything that `docs/operating/money.md` has an operator type, once.
pub async fn from_the_price_to_the_books(stage: &Stage) -> anyhow::Result<()> {
    let opened = ailayer(stage, Who::Alice, &["account", "open", "a shop"]).await?.json()?;
    let account = text(&opened, "/0/account_id")?;
    let made = ailayer(stage, Who::Alice, &["key", "new", &account, "--name", "web"]).await?.json()?;
    let (key_id, key) = (text(&made, "/key/key_id")?, text(&made, "/secret")?);
    stage.keep_secret("a key that the program made", key.clone());
    let customer = Who::Customer(&key);

    ailayer(stage, customer, &["run", TEXT]).await?.refused(SHORT_OF_FUNDS, "INSUFFICIENT_FUNDS")?;
    correct(stage, &account).await?;
    let balance = ailayer(stage, customer, &["balance"]).await?.json()?;
    ensure!(number(&balance, "/balance_msat")? == GIFT_MSAT, "after the correction: {balance}");

    let charged = priced(stage, customer).await?;
    let statement = ailayer(stage, customer, &["statement"]).await?.json()?;
    ensure!(number(&statement, "/0/amount_msat")? == GIFT_MSAT, "{statement}");
    ensure!(number(&statement, "/1/amount_msat")? == -charged, "{statement}");
    ensure!(number(&statement, "/1/balance_msat")? == GIFT_MSAT - charged, "{statement}");
    let theirs = ailayer(stage, customer, &["statement", "--export", "csv"]).await?;
    let ours = ailayer(stage, Who::Alice, &["account", "statement", &account]).await?;
    ensure!(theirs.code == Some(0) && theirs.stdout.lines().count() == 3, "the exported file: {theirs:?}");
    ensure!(ours.stdout == theirs.stdout, "the operator's file is another one: {ours:?}");
    let deposit = ailayer(stage, customer, &["deposit", "5000"]).await?.json()?;
    ensure!(text(&deposit, "/bolt11")?.starts_with("lnbcrt"), "{deposit}");
    let listed = ailayer(stage, Who::Alice, &["account", "list"]).await?.json()?;
    let ours = listed
        .as_array()
        .and_then(|all| all.iter().find(|it| it.pointer("/account_id") == Some(&account.clone().into())));
    let ours = ours.with_context(|| format!("the account is not listed: {listed}"))?;
    ensure!(number(ours, "/balance_msat")? == GIFT_MSAT - charged, "{ours}");

    braked(stage, customer).await?;
    ailayer(stage, Who::Alice, &["account", "freeze", &account, "--note", "asked to"]).await?.json()?;
    ailayer(stage, customer, &["run", TEXT]).await?.refused(REFUSED, "ACCOUNT_FROZEN")?;
    ailayer(stage, Who::Bob, &["account", "unfreeze", &account]).await?.json()?;
    ailayer(stage, customer, &["run", TEXT]).await?.json()?;

    let keys = ailayer(stage, Who::Alice, &["key", "list", &account]).await?;
    ensure!(!keys.stdout.contains(&key), "a list of keys shows a secret");
    ensure!(text(&keys.json()?, "/0/key_id")? == key_id, "{keys:?}");
    ailayer(stage, Who::Alice, &["key", "revoke", &key_id]).await?.json()?;
    ailayer(stage, customer, &["balance"]).await?.refused(REFUSED, "KEY_INVALID")?;
    ailayer(stage, customer, &["price", "list"]).await?.refused(NOT_CONFIGURED, "--operator-key")?;

    let recalled = stage.metric(Service::Gateway, "ailayer_ledger_batches", "decided=\"recalled\"").await?;
    ensure!(recalled >= 1.0, "no batch of the ledger was decided from memory");
    let waiting = ailayer(stage, Who::Alice, &["suspense", "list"]).await?.json()?;
    ensure!(waiting.as_array().is_some_and(Vec::is_empty), "in suspense: {waiting}");
    let books = ailayer(stage, Who::Bob, &["reconcile"]).await?.json()?;
    ensure!(number(&books, "/residue_msat")? == 0 && number(&books, "/node/residue_msat")? == 0, "{books}");
    lost(stage, number(&books, "/ledger_lightning_msat")?).await?;
    let other = ["reconcile", "--accept-node-residue", "-5", "--note", "not there"];
    ailayer(stage, Who::Bob, &other).await?.refused(REFUSED, "residue of -5 msat")?;
    let made = ailayer(stage, Who::Alice, &["operator", "new", "carol"]).await?.json()?;
    ensure!(text(&made, "/key")?.starts_with("ailo_"), "an operator's key without its prefix");
    Ok(())
}

/// One proposes, and cannot approve.
async fn correct(stage: &Stage, account: &str) -> anyhow::Result<()> {
    let gift = GIFT_MSAT.to_string();
    let propose = ["adjust", "propose", account, &gift, "--note", "a gift"];
    let proposed = ailayer(stage, Who::Alice, &propose).await?.json()?;
    let id = text(&proposed, "/0/adjustment_id")?;
    let own = ailayer(stage, Who::Alice, &["adjust", "approve", &id]).await?;
    ensure!(own.code == Some(REFUSED), "one operator alone has moved money: {own:?}");
    let applied = ailayer(stage, Who::Bob, &["adjust", "approve", &id]).await?.json()?;
    ensure!(number(&applied, "/0/applied_unix_ms")? > 0, "{applied}");
    ailayer(stage, Who::Bob, &["adjust", "approve", &id]).await?.json()?;
    let name = "ailayer_gateway_adjusted_amount";
    let seen = stage.metric(Service::Gateway, name, "direction=\"credit\"").await?;
    ensure!(seen == 30_000.0, "{name} says {seen} after a gift of {GIFT_MSAT} msat");
    Ok(())
}

/// A channel takes money with it, and gives it back; of `taken` millisatoshi.
async fn lost(stage: &Stage, taken: i64) -> anyhow::Result<()> {
    for (msat, lost) in [("400", 400), ("-400", 0)] {
        let propose = ["adjust", "propose-loss", msat, "--note", "dust of a channel closed by force"];
        let proposed = ailayer(stage, Who::Alice, &propose).await?.json()?;
        ensure!(text(&proposed, "/0/subject")? == "channel_loss", "{proposed}");
        let id = text(&proposed, "/0/adjustment_id")?;
        ailayer(stage, Who::Bob, &["adjust", "approve", &id]).await?.json()?;
        let books = ailayer(stage, Who::Bob, &["reconcile"]).await?.json()?;
        let found = ["/lost_with_channels_msat", "/ledger_lightning_msat", "/residue_msat"]
            .map(|pointer| number(&books, pointer));
        let [found_lost, in_lightning, residue] = found;
        ensure!((found_lost?, in_lightning?, residue?) == (lost, taken - lost, 0), "{books}");
    }
    Ok(())
}

/// A price that is set counts at once, and is forgotten at once; answers what a job was charged.
async fn priced(stage: &Stage, customer: Who<'_>) -> anyhow::Result<i64> {
    let set = ["price", "set", MODEL, "--per-call-msat", "7000", "--per-token-msat", "0"];
    ailayer(stage, Who::Alice, &set).await?.json()?;
    let ran = ailayer(stage, customer, &["run", TEXT]).await;
    let removed = ailayer(stage, Who::Alice, &["price", "remove", MODEL]).await?.json()?;
    let charged = number(&ran?.json()?, "/charged_msat")?;
    ensure!(charged == 7000, "charged {charged} msat at a price of 7000 msat a call");
    let per_call = number(&removed, "/0/per_call_msat")?;
    let per_token = number(&removed, "/0/per_token_msat")?;
    let configured = (i64::try_from(PRICE_PER_CALL_MSAT)?, i64::try_from(PRICE_PER_TOKEN_MSAT)?);
    ensure!((per_call, per_token) == configured, "the configuration's price is not back: {removed}");
    Ok(charged)
}

async fn braked(stage: &Stage, customer: Who<'_>) -> anyhow::Result<()> {
    let on = ["brake", "on", "new_jobs", "--note", "maintenance"];
    ailayer(stage, Who::Alice, &on).await?.json()?;
    let stopped = ailayer(stage, customer, &["run", TEXT]).await;
    let while_on = is_seen_on(stage).await;
    let off = ailayer(stage, Who::Bob, &["brake", "off", "new_jobs"]).await?.json()?;
    ensure!(off.pointer("/0/engaged") == Some(&Value::Bool(false)), "{off}");
    let stopped = stopped?;
    ensure!(stopped.stdout.contains("PAUSED"), "a brake stops nothing: {stopped:?}");
    ensure!(while_on? && !is_seen_on(stage).await?, "the brake's metric does not follow it");
    Ok(())
}

/// What the metrics page says of the brake.
async fn is_seen_on(stage: &Stage) -> anyhow::Result<bool> {
    let on = stage.metric(Service::Gateway, "ailayer_gateway_brake_engaged", "brake=\"new_jobs\"").await?;
    Ok(on == 1.0)
}
