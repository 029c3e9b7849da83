//! `ailayer model list`.

use ailayer_client::{ClientConfig, GatewayClient};
use ailayer_receipt::tensor::TensorSpec;
use serde_json::{Value, json};

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
                "price_per_tensor_byte_msat": model.price_per_tensor_byte,
                "max_input_tokens": model.max_input_tokens,
                "max_items": model.max_items,
                "max_text_bytes": model.max_text_bytes,
                "dimensions": model.dimensions,
                "inputs": specs(&model.inputs),
                "outputs": specs(&model.outputs),
            })
        })
        .collect();
    let mut text = format!(
        "{:<24} {:>7} {:<10} {:>14} {:>15} {:>21}  sha256",
        "model", "version", "kind", "msat per call", "msat per token", "msat per tensor byte"
    );
    for model in &models {
        text.push_str(&format!(
            "\n{:<24} {:>7} {:<10} {:>14} {:>15} {:>21}  {}",
            model.name,
            model.version,
            model.kind,
            model.price_per_call.msat(),
            model.price_per_token.msat(),
            model.price_per_tensor_byte.msat(),
            model.digest
        ));
        for (what, specs) in [("takes", &model.inputs), ("gives", &model.outputs)] {
            for spec in specs {
                text.push_str(&format!("\n  {what} {} {} [{}]", spec.name, spec.datatype, sides(spec)));
            }
        }
    }
    out.result(&rows, text);
    Ok(())
}

fn specs(specs: &[TensorSpec]) -> Vec<Value> {
    let side = |side: &Option<u64>| side.map_or(json!(-1), |side| json!(side));
    let shape = |spec: &TensorSpec| spec.shape.iter().map(side).collect::<Vec<_>>();
    let spec =
        |spec: &TensorSpec| json!({ "name": spec.name, "datatype": spec.datatype, "shape": shape(spec) });
    specs.iter().map(spec).collect()
}

fn sides(spec: &TensorSpec) -> String {
    let side = |side: &Option<u64>| side.map_or_else(|| "any".to_owned(), |side| side.to_string());
    spec.shape.iter().map(side).collect::<Vec<_>>().join(", ")
}
