//! `ailayer run`, `balance`, `statement`, `deposit`: what a customer with a key does.

use std::path::Path;
use std::time::{Duration, Instant};

use ailayer_client::account::{self, DepositState, PrepaidOrder};
use ailayer_client::gateway::{JobState, Output as AnswerOutput, Task};
use ailayer_client::{AccountClient, ClientConfig};
use ailayer_primitives::RequestId;
use ailayer_receipt::answer::Answer;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::args::{BalanceArgs, DepositArgs, RunArgs, StatementArgs};
use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::tensors;

/// How often a deposit is looked at.
const POLL: Duration = Duration::from_millis(500);
/// How long a job may be waited for.
const RUN_TIMEOUT: Duration = Duration::from_secs(60);

fn client(target: &crate::args::CustomerTarget) -> Result<AccountClient, Failure> {
    let config = ClientConfig { timeout: RUN_TIMEOUT, ..ClientConfig::new(target.gateway.clone()) };
    Ok(AccountClient::new(&config, target.api_key.expose())?)
}

fn fresh(given: Option<RequestId>) -> RequestId {
    given.unwrap_or_else(|| RequestId::new(Uuid::new_v4()))
}

/// What is asked for: texts, or the tensors of a file.
pub fn task(texts: Vec<String>, truncate: bool, tensors: Option<&Path>) -> Result<Task, Failure> {
    match tensors {
        None => Ok(Task::Embed { texts, truncate }),
        Some(file) => tensors::read_request(file).map(Task::Infer),
    }
}

/// Runs a job and shows what it brought and cost.
pub async fn run(args: RunArgs, out: &Output) -> Result<(), Failure> {
    let order = PrepaidOrder {
        request_id: fresh(args.request_id),
        model_name: args.model,
        model_version: String::new(),
        task: task(args.texts, args.truncate, args.tensors.as_deref())?,
        max_price_msat: args.max_price_msat,
    };
    out.progress(format_args!("request {} (repeat it with --request-id)", order.request_id));
    let answer = client(&args.target)?.run(&order).await?;
    let job = answer.job.clone().unwrap_or_default();
    if job.state() != JobState::Settled {
        let message = format!("the job ended {:?}: {}; nothing was taken", job.state(), job.release_reason);
        return Err(Failure::new(Exit::Refused, message));
    }
    let brought = account::answer(&answer)?;
    let mut value = json!({
        "job_id": job.job_id,
        "job_token": hex::encode(&answer.job_token),
        "charged_msat": answer.charged_msat,
        "receipt": answer.receipt,
        "quote": answer.quote,
    });
    let mut text = format!("job        {}\ncharged    {} msat", job.job_id, answer.charged_msat);
    if let Some(brought) = brought {
        show(&brought, &order.task, &mut value, &mut text);
    }
    out.result(&value, text);
    Ok(())
}

/// What a job has brought, as a field of the result and as lines behind what is told.
fn show(brought: &Answer, task: &Task, value: &mut Value, text: &mut String) {
    let (field, shown) = match brought.output() {
        AnswerOutput::Rows(rows) => {
            for (row, given) in rows.iter().zip(task.texts()) {
                text.push_str(&format!("\n{}  {given}", crate::buy::preview(&row.values)));
            }
            ("embeddings", json!(brought.vectors()))
        }
        AnswerOutput::Tensors(tensors) => {
            text.push('\n');
            text.push_str(&tensors::preview(tensors));
            ("outputs", tensors::to_json(tensors).get("outputs").cloned().unwrap_or_default())
        }
    };
    if let Some(fields) = value.as_object_mut() {
        fields.insert(field.to_owned(), shown);
    }
}

/// Shows the balance.
pub async fn balance(args: BalanceArgs, out: &Output) -> Result<(), Failure> {
    let answer = client(&args.target)?.account().await?;
    let account = answer.account.unwrap_or_default();
    let value = json!({
        "account_id": account.account_id,
        "name": account.name,
        "balance_msat": account.balance_msat,
        "reserved_msat": account.reserved_msat,
        "limit_msat": account.limit_msat,
        "frozen": account.frozen,
        "key_left_msat": answer.key_left_msat,
    });
    let mut text = format!(
        "{} ({})\nbalance    {} msat, {} of it set aside{}",
        account.name,
        account.account_id,
        account.balance_msat,
        account.reserved_msat,
        if account.frozen { ", FROZEN" } else { "" }
    );
    if let Some(left) = answer.key_left_msat {
        text.push_str(&format!("\nthis key   may spend {left} msat more in its window"));
    }
    out.result(&value, text);
    Ok(())
}

/// Lists the movements of the balance, or writes them as a file.
pub async fn statement(args: StatementArgs, out: &Output) -> Result<(), Failure> {
    let client = client(&args.target)?;
    if let Some(form) = args.export {
        let parts = client.export_statement(args.from_unix_ms, args.until_unix_ms, form.into()).await?;
        return crate::statement::write(parts, out).await;
    }
    let (mut lines, mut token) = (Vec::new(), String::new());
    loop {
        let (page, next) = client.statement(args.from_unix_ms, 1000, token).await?;
        let is_last = next.is_empty() || page.is_empty();
        lines.extend(page);
        token = next;
        if is_last {
            break;
        }
    }
    let rows: Vec<_> = lines
        .iter()
        .map(|line| {
            json!({
                "posted_unix_ms": line.posted_unix_ms,
                "kind": line.kind,
                "amount_msat": line.amount_msat,
                "balance_msat": line.balance_msat,
                "request_id": line.request_id,
                "transaction_id": line.transaction_id,
                "note": line.note,
            })
        })
        .collect();
    let mut text = format!("{:>14} {:<8} {:>16} {:>16}  request", "Unix ms", "kind", "msat", "balance");
    for line in &lines {
        text.push_str(&format!(
            "\n{:>14} {:<8} {:>16} {:>16}  {}",
            line.posted_unix_ms, line.kind, line.amount_msat, line.balance_msat, line.request_id
        ));
    }
    out.result(&rows, text);
    Ok(())
}

/// Makes a funding invoice and, if asked, waits for its money.
pub async fn deposit(args: DepositArgs, out: &Output) -> Result<(), Failure> {
    let client = client(&args.target)?;
    let request_id = fresh(args.request_id);
    let mut deposit = client.create_deposit(request_id, args.amount_msat).await?;
    if let Some(patience) = args.wait {
        out.progress(format_args!("pay this within {patience:?}:\n{}", deposit.bolt11));
        let began = Instant::now();
        while matches!(deposit.state(), DepositState::Open | DepositState::Taking) {
            if began.elapsed() > patience {
                return Err(Failure::new(
                    Exit::Unavailable,
                    "nobody has paid yet; the invoice stays payable",
                ));
            }
            tokio::time::sleep(POLL).await;
            deposit = client.deposit(&deposit.deposit_id).await?;
        }
    }
    let state = format!("{:?}", deposit.state());
    let value = json!({
        "deposit_id": deposit.deposit_id,
        "request_id": request_id.to_string(),
        "state": state,
        "amount_msat": deposit.amount_msat,
        "credited_msat": deposit.credited_msat,
        "bolt11": deposit.bolt11,
        "expiry_unix_s": deposit.expiry_unix_s,
    });
    let text = format!(
        "deposit    {}\nstate      {state}, {} of {} msat credited\n{}",
        deposit.deposit_id, deposit.credited_msat, deposit.amount_msat, deposit.bolt11
    );
    out.result(&value, text);
    match deposit.state() {
        DepositState::Expired | DepositState::Returned => {
            Err(Failure::new(Exit::Payment, "the money did not come, or went back"))
        }
        _ => Ok(()),
    }
}
