//! `ailayer operator`, `account`, `key`, `price`, `brake`, `adjust`, `suspense`, `reconcile`: what an operator does.

use ailayer_client::admin::{
    self as pb, Account, AccountLimits, Adjustment, AdjustmentSubject, ApiKey, Brake, KeyTerms, Price,
    SuspenseItem,
};
use ailayer_client::{AdminClient, ClientConfig};
use ailayer_primitives::{Digest, RequestId};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::args::{
    AccountArgs, AccountCommand, AdjustArgs, AdjustCommand, BrakeArgs, BrakeCommand, KeyArgs, KeyCommand,
    OperatorArgs, OperatorCommand, OperatorTarget, PriceArgs, PriceCommand, Proposal, ReconcileArgs,
    SuspenseArgs, SuspenseCommand,
};
use crate::exit::{Exit, Failure, internal};
use crate::output::Output;

/// What an operator's key begins with: finders of lost secrets look for it.
const PREFIX: &str = "ailo_";

fn client(target: &OperatorTarget) -> Result<AdminClient, Failure> {
    for (value, flag, variable) in [
        (target.gateway.as_str(), "--gateway", "AILAYER_GATEWAY"),
        (target.operator_key.expose().as_str(), "--operator-key", "AILAYER_OPERATOR_KEY"),
    ] {
        if value.is_empty() {
            let message = format!("give {flag}, or set {variable}");
            return Err(Failure::new(Exit::Configuration, message));
        }
    }
    Ok(AdminClient::new(&ClientConfig::new(target.gateway.clone()), target.operator_key.expose())?)
}

fn fresh(given: Option<RequestId>) -> String {
    given.map_or_else(|| Uuid::new_v4().to_string(), |id| id.to_string())
}

/// Prints rows as a table for people, or as JSON.
fn table(out: &Output, head: &[&str], rows: Vec<Vec<String>>, values: Vec<Value>) {
    let width = |column: usize| {
        let of_row = |row: &Vec<String>| row.get(column).map_or(0, |cell| cell.chars().count());
        rows.iter().map(of_row).max().unwrap_or(0).max(head.get(column).map_or(0, |it| it.len()))
    };
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let padded = cells.enumerate().map(|(column, cell)| format!("{cell:<0$}", width(column)));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let mut text = line(&mut head.iter().copied());
    for row in &rows {
        text.push('\n');
        text.push_str(&line(&mut row.iter().map(String::as_str)));
    }
    out.result(&values, text);
}

/// Makes a key without asking any service.
pub fn new_key(args: OperatorArgs, out: &Output) -> Result<(), Failure> {
    let OperatorCommand::New { name } = args.command;
    let mut secret = [0; 32];
    getrandom::fill(&mut secret)
        .map_err(|error| Failure::new(Exit::Internal, format_args!("no random bytes: {error}")))?;
    let key = format!("{PREFIX}{}", hex::encode(secret));
    let key_sha256 = Digest::sha256(key.as_bytes()).to_string();
    let quoted = serde_json::to_string(&name).map_err(internal)?;
    let text = format!(
        "export AILAYER_OPERATOR_KEY={key}\n\nfor the gateway's configuration:\n\n\
         [[gateway.operators]]\nname = {quoted}\nkey_sha256 = \"{key_sha256}\""
    );
    out.result(&json!({ "name": name, "key": key, "key_sha256": key_sha256 }), text);
    Ok(())
}

/// Accounts.
pub async fn account(args: AccountArgs, out: &Output) -> Result<(), Failure> {
    let client = client(&args.target)?;
    let accounts = match args.command {
        AccountCommand::List => client.accounts().await?,
        AccountCommand::Statement { account, from_unix_ms, until_unix_ms, export } => {
            let format = ailayer_client::account::StatementFormat::from(export).into();
            let request = pb::ExportAccountStatementRequest {
                account_id: account,
                from_unix_ms,
                until_unix_ms,
                format,
            };
            return crate::statement::write(client.export_statement(request).await?, out).await;
        }
        AccountCommand::Open { name, credit_msat, request_id } => {
            let credit = i64::try_from(credit_msat).unwrap_or(i64::MAX);
            let limit_msat = credit.saturating_neg();
            let request = pb::CreateAccountRequest { request_id: fresh(request_id), name, limit_msat };
            vec![client.create_account(request).await?]
        }
        AccountCommand::Freeze { account, note } => {
            let request = pb::FreezeAccountRequest { request_id: fresh(None), account_id: account, note };
            vec![client.freeze(request).await?]
        }
        AccountCommand::Unfreeze { account, note } => {
            let request = pb::UnfreezeAccountRequest { request_id: fresh(None), account_id: account, note };
            vec![client.unfreeze(request).await?]
        }
        AccountCommand::Limit {
            account,
            spend_limit_msat,
            spend_window,
            requests_per_minute,
            tokens_per_minute,
        } => {
            let limits = AccountLimits {
                spend_limit_msat: spend_limit_msat.unwrap_or(0),
                spend_window_s: spend_window.map_or(0, |window| window.as_secs()),
                requests_per_minute: requests_per_minute.unwrap_or(0),
                tokens_per_minute: tokens_per_minute.unwrap_or(0),
            };
            let request = pb::SetAccountLimitsRequest { account_id: account, limits: Some(limits) };
            vec![client.set_limits(request).await?]
        }
    };
    let row = |it: &Account| {
        vec![
            it.account_id.clone(),
            it.balance_msat.to_string(),
            it.reserved_msat.to_string(),
            it.limit_msat.to_string(),
            if it.frozen { "FROZEN".to_owned() } else { "open".to_owned() },
            it.name.clone(),
        ]
    };
    let value = |it: &Account| {
        json!({
            "account_id": it.account_id, "name": it.name, "balance_msat": it.balance_msat,
            "reserved_msat": it.reserved_msat, "limit_msat": it.limit_msat, "frozen": it.frozen,
            "created_unix_ms": it.created_unix_ms, "limits": it.limits.as_ref().map(limits),
            "spent_msat": it.spent_msat,
        })
    };
    let head = ["account", "balance msat", "reserved", "limit", "state", "name"];
    table(out, &head, accounts.iter().map(row).collect(), accounts.iter().map(value).collect());
    Ok(())
}

fn limits(limits: &AccountLimits) -> Value {
    json!({
        "spend_limit_msat": limits.spend_limit_msat, "spend_window_s": limits.spend_window_s,
        "requests_per_minute": limits.requests_per_minute, "tokens_per_minute": limits.tokens_per_minute,
    })
}

/// Keys.
pub async fn key(args: KeyArgs, out: &Output) -> Result<(), Failure> {
    let client = client(&args.target)?;
    let keys = match args.command {
        KeyCommand::List { account } => client.keys(account).await?,
        KeyCommand::Revoke { key } => vec![client.revoke_key(key).await?],
        KeyCommand::New {
            account,
            name,
            scopes,
            spend_limit_msat,
            spend_window,
            requests_per_minute,
            tokens_per_minute,
            expires_unix_ms,
        } => {
            let all = || ["run", "read", "fund"].map(str::to_owned).to_vec();
            let terms = KeyTerms {
                name,
                scopes: if scopes.is_empty() { all() } else { scopes },
                spend_limit_msat: spend_limit_msat.unwrap_or(0),
                spend_window_s: spend_window.map_or(0, |window| window.as_secs()),
                requests_per_minute: requests_per_minute.unwrap_or(0),
                tokens_per_minute: tokens_per_minute.unwrap_or(0),
                expires_unix_ms: expires_unix_ms.unwrap_or(0),
            };
            let request =
                pb::CreateApiKeyRequest { request_id: fresh(None), account_id: account, terms: Some(terms) };
            let (key, secret) = client.create_key(request).await?;
            let value = json!({ "key": key_value(&key), "secret": secret });
            let text = format!(
                "key        {}\nexport AILAYER_API_KEY={secret}\nkeep it: it is stored as a hash and never shown again",
                key.key_id
            );
            out.result(&value, text);
            return Ok(());
        }
    };
    let row = |it: &ApiKey| {
        let terms = it.terms.clone().unwrap_or_default();
        let limit = match terms.spend_limit_msat {
            0 => "none".to_owned(),
            limit => format!("{} of {limit} in {} s", it.spent_msat, terms.spend_window_s),
        };
        let is_past = |time: u64| time != 0 && time <= ailayer_platform::clock::now_ms().0;
        let state = match (it.revoked_unix_ms, is_past(terms.expires_unix_ms)) {
            (0, false) => "good",
            (0, true) => "EXPIRED",
            _ => "REVOKED",
        };
        vec![it.key_id.clone(), state.to_owned(), terms.scopes.join(","), limit, terms.name]
    };
    let head = ["key", "state", "scopes", "spent msat", "name"];
    table(out, &head, keys.iter().map(row).collect(), keys.iter().map(key_value).collect());
    Ok(())
}

fn key_value(key: &ApiKey) -> Value {
    let terms = key.terms.clone().unwrap_or_default();
    json!({
        "key_id": key.key_id, "account_id": key.account_id, "name": terms.name, "scopes": terms.scopes,
        "spend_limit_msat": terms.spend_limit_msat, "spend_window_s": terms.spend_window_s,
        "spent_msat": key.spent_msat, "requests_per_minute": terms.requests_per_minute,
        "tokens_per_minute": terms.tokens_per_minute, "expires_unix_ms": terms.expires_unix_ms,
        "created_unix_ms": key.created_unix_ms, "revoked_unix_ms": key.revoked_unix_ms,
    })
}

/// Prices.
pub async fn price(args: PriceArgs, out: &Output) -> Result<(), Failure> {
    let client = client(&args.target)?;
    let prices = match args.command {
        PriceCommand::List => client.prices().await?,
        PriceCommand::Set { model, per_call_msat, per_token_msat, per_tensor_byte_msat } => {
            let price =
                Price { model_name: model, per_call_msat, per_token_msat, per_tensor_byte_msat, set: true };
            vec![client.set_price(price).await?]
        }
        PriceCommand::Remove { model } => client.remove_price(model).await?.into_iter().collect(),
    };
    let row = |it: &Price| {
        let from = if it.set { "set" } else { "configuration" };
        vec![
            it.model_name.clone(),
            it.per_call_msat.to_string(),
            it.per_token_msat.to_string(),
            it.per_tensor_byte_msat.to_string(),
            from.to_owned(),
        ]
    };
    let value = |it: &Price| {
        json!({
            "model": it.model_name, "per_call_msat": it.per_call_msat,
            "per_token_msat": it.per_token_msat, "per_tensor_byte_msat": it.per_tensor_byte_msat, "set": it.set,
        })
    };
    let head = ["model", "msat per call", "msat per token", "msat per tensor byte", "from"];
    table(out, &head, prices.iter().map(row).collect(), prices.iter().map(value).collect());
    Ok(())
}

/// Brakes.
pub async fn brake(args: BrakeArgs, out: &Output) -> Result<(), Failure> {
    let client = client(&args.target)?;
    let brakes = match args.command {
        BrakeCommand::List => client.brakes().await?,
        BrakeCommand::On { brake, note } => vec![client.set_brake(brake, true, note).await?],
        BrakeCommand::Off { brake, note } => vec![client.set_brake(brake, false, note).await?],
    };
    let row = |it: &Brake| {
        let state = if it.engaged { "ON" } else { "off" };
        vec![it.name.clone(), state.to_owned(), it.operator.clone(), it.note.clone()]
    };
    let value = |it: &Brake| {
        json!({
            "brake": it.name, "engaged": it.engaged, "note": it.note, "operator": it.operator,
            "changed_unix_ms": it.changed_unix_ms,
        })
    };
    let head = ["brake", "state", "by", "why"];
    table(out, &head, brakes.iter().map(row).collect(), brakes.iter().map(value).collect());
    Ok(())
}

/// Corrections.
pub async fn adjust(args: AdjustArgs, out: &Output) -> Result<(), Failure> {
    let client = client(&args.target)?;
    let all = match args.command {
        AdjustCommand::List => client.adjustments().await?,
        AdjustCommand::Approve { adjustment } => vec![client.approve(adjustment).await?],
        AdjustCommand::Propose { account, amount_msat, proposal } => {
            let subject = AdjustmentSubject::Unspecified;
            vec![client.propose(proposed(subject, account, amount_msat, proposal)).await?]
        }
        AdjustCommand::ProposeLoss { amount_msat, proposal } => {
            let subject = AdjustmentSubject::ChannelLoss;
            vec![client.propose(proposed(subject, String::new(), amount_msat, proposal)).await?]
        }
    };
    let is_loss = |it: &Adjustment| it.subject() == AdjustmentSubject::ChannelLoss;
    let row = |it: &Adjustment| {
        let state = if it.applied_unix_ms == 0 { "waits" } else { "applied" };
        vec![
            it.adjustment_id.clone(),
            if is_loss(it) { "channel loss".to_owned() } else { it.account_id.clone() },
            it.amount_msat.to_string(),
            state.to_owned(),
            it.proposed_by.clone(),
            it.approved_by.clone(),
            it.note.clone(),
        ]
    };
    let value = |it: &Adjustment| {
        json!({
            "adjustment_id": it.adjustment_id, "subject": if is_loss(it) { "channel_loss" } else { "customer" },
            "account_id": it.account_id, "amount_msat": it.amount_msat, "note": it.note, "proposed_by": it.proposed_by, "approved_by": it.approved_by,
            "proposed_unix_ms": it.proposed_unix_ms, "applied_unix_ms": it.applied_unix_ms,
        })
    };
    let head = ["correction", "account", "msat", "state", "proposed by", "approved by", "why"];
    table(out, &head, all.iter().map(row).collect(), all.iter().map(value).collect());
    Ok(())
}

fn proposed(
    subject: AdjustmentSubject,
    account_id: String,
    amount_msat: i64,
    proposal: Proposal,
) -> pb::ProposeAdjustmentRequest {
    let Proposal { note, request_id } = proposal;
    let request_id = fresh(request_id);
    pb::ProposeAdjustmentRequest { request_id, account_id, amount_msat, note, subject: subject.into() }
}

/// The suspense queue.
pub async fn suspense(args: SuspenseArgs, out: &Output) -> Result<(), Failure> {
    let client = client(&args.target)?;
    let items = match args.command {
        SuspenseCommand::List { all } => client.suspense(all).await?,
        SuspenseCommand::Give { item, account } => vec![client.resolve(item, account).await?],
    };
    let row = |it: &SuspenseItem| {
        let given = if it.account_id.is_empty() { "waits".to_owned() } else { it.account_id.clone() };
        vec![
            it.item_id.clone(),
            it.amount_msat.to_string(),
            format!("{} {}", it.source, it.source_id),
            given,
            it.note.clone(),
        ]
    };
    let value = |it: &SuspenseItem| {
        json!({
            "item_id": it.item_id, "amount_msat": it.amount_msat, "source": it.source,
            "source_id": it.source_id, "note": it.note, "created_unix_ms": it.created_unix_ms,
            "account_id": it.account_id, "resolved_by": it.resolved_by,
        })
    };
    let head = ["item", "msat", "from", "given to", "why"];
    table(out, &head, items.iter().map(row).collect(), items.iter().map(value).collect());
    Ok(())
}

/// Compares the books; a difference is an error.
pub async fn reconcile(args: ReconcileArgs, out: &Output) -> Result<(), Failure> {
    let client = client(&args.target)?;
    let note = args.note.unwrap_or_default();
    if let Some(payments) = args.explain_payments {
        client.explain_payments(payments, note).await?;
    } else if let Some(residue_msat) = args.accept_node_residue {
        client.accept_node_residue(residue_msat, note).await?;
    }
    let report = client.reconcile().await?;
    let node = report
        .node
        .ok_or_else(|| Failure::new(Exit::Internal, "the gateway compared nothing with the node"))?;
    let named = |list: &[pb::Finding]| -> Vec<Value> {
        list.iter().map(|it| json!({ "name": it.name, "amount": it.amount })).collect()
    };
    let value = json!({
        "findings": named(&report.findings),
        "ledger_lightning_msat": report.ledger_lightning_msat,
        "journal_taken_msat": report.journal_taken_msat,
        "cursor": report.cursor,
        "explained": named(&report.explained),
        "residue_msat": report.residue_msat,
        "explained_payments": report.explained_payments,
        "lost_with_channels_msat": report.lost_with_channels_msat,
        "node": {
            "expected_min_msat": node.expected_min_msat,
            "expected_max_msat": node.expected_max_msat,
            "held_min_msat": node.held_min_msat,
            "held_max_msat": node.held_max_msat,
            "residue_msat": node.residue_msat,
            "closed_max_msat": node.closed_max_msat,
            "settling_sat": node.settling_sat,
            "sweeping_sat": node.sweeping_sat,
            "forwarding_earned_msat": node.forwarding_earned_msat,
        },
    });
    let lost = match report.lost_with_channels_msat {
        0 => String::new(),
        msat => format!(", {msat} msat lost with channels"),
    };
    let mut text = format!(
        "as of event       {}\nledger            {} msat in Lightning{lost}\njournal           {} msat taken\nresidue           {} msat",
        report.cursor, report.ledger_lightning_msat, report.journal_taken_msat, report.residue_msat
    );
    for it in &report.explained {
        text.push_str(&format!("\nbesides           {} msat {}", it.amount, it.name));
    }
    if report.explained_payments > 0 {
        text.push_str(&format!("\nexplained         {} payments without a row", report.explained_payments));
    }
    text.push_str(&node_lines(&node));
    for it in &report.findings {
        text.push_str(&format!("\nBROKEN RULE       {} in {} rows", it.name, it.amount));
    }
    let sound = report.residue_msat == 0 && node.residue_msat == 0 && report.findings.is_empty();
    text.push_str(if sound { "\nthe books agree" } else { "\nTHE BOOKS DO NOT AGREE" });
    out.result(&value, text);
    match sound {
        true => Ok(()),
        false => Err(Failure::new(Exit::Verification, "the books do not agree; see docs/operating/money.md")),
    }
}

/// The journal against the node's channels, for people.
fn node_lines(node: &pb::NodeFunds) -> String {
    let between = |min: i64, max: i64| if min == max { format!("{min}") } else { format!("{min} to {max}") };
    let mut text = format!(
        "\nin channels       {} msat expected, {} msat there\nnode's residue    {} msat",
        between(node.expected_min_msat, node.expected_max_msat),
        between(node.held_min_msat, node.held_max_msat),
        node.residue_msat
    );
    for (amount, what) in [
        (node.closed_max_msat.to_string(), "msat were in channels that are closed"),
        (node.settling_sat.to_string(), "sat of closed channels wait for blocks"),
        (node.sweeping_sat.to_string(), "sat of closed channels go to the wallet"),
        (node.forwarding_earned_msat.to_string(), "msat earned by forwarding"),
    ] {
        if amount != "0" {
            text.push_str(&format!("\nbesides           {amount} {what}"));
        }
    }
    text
}
