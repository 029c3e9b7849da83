//! `ailayer model list`.

use ailayer_client::{ClientConfig, GatewayClient};
use serde_json::json;

use crate::args::{ModelArgs, ModelCommand};
use crate::exit::Failure;
use crate::output::Output;

/// Lists what is for sale.
pub async fn run(args: ModelArgs, out: &Output) -> Result<(), Failure> {
    let ModelCommand::List { gateway } = args.command;
    let models = GatewayClient::new(&ClientConfig::new(gateway))?.list_models().await?;
    let rows: Vec<_> = models
        .iter()
        .map(|model| {
            json!({
                "name": model.name,
                "version": model.version,
                "sha256": model.digest,
                "kind": model.kind,
                "price_per_call_msat": model.price_per_call,
                "price_per_token_msat": model.price_per_token,
                "max_input_tokens": model.max_input_tokens,
                "max_items": model.max_items,
                "max_text_bytes": model.max_text_bytes,
                "dimensions": model.dimensions,
            })
        })
        .collect();
    let mut text = format!(
        "{:<24} {:>7} {:<10} {:>14} {:>15}  sha256",
        "model", "version", "kind", "msat per call", "msat per token"
    );
    for model in &models {
        text.push_str(&format!(
            "\n{:<24} {:>7} {:<10} {:>14} {:>15}  {}",
            model.name,
            model.version,
            model.kind,
            model.price_per_call.msat(),
            model.price_per_token.msat(),
            model.digest
        ));
    }
    out.result(&rows, text);
    Ok(())
}
