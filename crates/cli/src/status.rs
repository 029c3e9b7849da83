//! `ailayer status`: one line a service.

use ailayer_client::{
    AuditClient, CallError, ClientConfig, GatewayClient, IndexerClient, PaymentClient, ServingClient,
};
use ailayer_platform::convert::network_from_proto;
use ailayer_primitives::Network;
use serde::Serialize;

use crate::args::StatusArgs;
use crate::exit::{Exit, Failure, chain};
use crate::output::Output;

/// What one service said.
#[derive(Debug, Serialize)]
struct Line {
    service: &'static str,
    ok: bool,
    detail: String,
}

/// Asks every service that was named and prints what it says; fails if one does not answer.
pub async fn run(args: StatusArgs, out: &Output) -> Result<(), Failure> {
    let mut lines = Vec::new();
    if let Some(endpoint) = args.gateway {
        lines.push(line("gateway", gateway(endpoint).await));
    }
    if let Some(endpoint) = args.serving {
        lines.push(line("model-serving", serving(endpoint).await));
    }
    if let Some(endpoint) = args.payment {
        lines.push(line("payment", payment(endpoint).await));
    }
    if let Some(endpoint) = args.indexer {
        lines.push(line("indexer", indexer(endpoint).await));
    }
    if let Some(endpoint) = args.audit {
        lines.push(line("audit", audit(endpoint).await));
    }
    if lines.is_empty() {
        return Err(Failure::new(
            Exit::Configuration,
            "name at least one service, e.g. --gateway http://127.0.0.1:8080 (or set AILAYER_GATEWAY)",
        ));
    }
    let text: Vec<String> = lines
        .iter()
        .map(|line| {
            format!("{:<14} {:<4} {}", line.service, if line.ok { "ok" } else { "DOWN" }, line.detail)
        })
        .collect();
    out.result(&lines, text.join("\n"));
    let down: Vec<&str> = lines.iter().filter(|line| !line.ok).map(|line| line.service).collect();
    if down.is_empty() {
        Ok(())
    } else {
        Err(Failure::new(Exit::Unavailable, format_args!("not answering: {}", down.join(", "))))
    }
}

fn line(service: &'static str, answer: Result<String, Failure>) -> Line {
    match answer {
        Ok(detail) => Line { service, ok: true, detail },
        Err(failure) => Line { service, ok: false, detail: failure.message },
    }
}

fn failed(error: CallError) -> Failure {
    Failure::new(Exit::Unavailable, chain(&error))
}

async fn gateway(endpoint: String) -> Result<String, Failure> {
    let client = GatewayClient::new(&ClientConfig::new(endpoint))?;
    let seller = client.seller().await.map_err(failed)?;
    let models = client.list_models().await.map_err(failed)?;
    Ok(format!(
        "{} on {}, {} models for sale, key {}",
        seller.version,
        seller.network,
        models.len(),
        seller.gateway_key
    ))
}

async fn serving(endpoint: String) -> Result<String, Failure> {
    let models = ServingClient::new(&ClientConfig::new(endpoint))?.list_models().await.map_err(failed)?;
    let names: Vec<String> =
        models.iter().map(|model| format!("{} v{}", model.name, model.version)).collect();
    Ok(names.join(", "))
}

async fn payment(endpoint: String) -> Result<String, Failure> {
    let client = PaymentClient::new(&ClientConfig::new(endpoint))?;
    let node = client.node().await.map_err(failed)?;
    let balances = client.balances().await.map_err(failed)?;
    Ok(format!(
        "node {} on {}, {}, {} usable channels, {} sat on chain, {} sat in channels, {} msat held",
        hex::encode(node.node_id),
        node.network,
        if node.synced { "synced" } else { "not synced" },
        node.usable_channels,
        balances.onchain_total_sat,
        balances.lightning_sat,
        balances.held_msat,
    ))
}

async fn indexer(endpoint: String) -> Result<String, Failure> {
    let tip = IndexerClient::new(&ClientConfig::new(endpoint))?.tip().await.map_err(failed)?;
    let height = tip.tip.map_or(0, |tip| tip.height);
    let network = network_from_proto(tip.network).map_or("an unknown network", Network::as_str);
    Ok(format!("block {height} of {network}, {}", if tip.synced { "synced" } else { "not synced" }))
}

async fn audit(endpoint: String) -> Result<String, Failure> {
    let log = AuditClient::new(&ClientConfig::new(endpoint))?.log().await.map_err(failed)?;
    Ok(format!(
        "{} with {} entries, {} sat for anchors at {}",
        log.origin, log.tree_size, log.wallet_balance_sat, log.wallet_address
    ))
}
