//! `ailayer buy`: a paying client with its own Lightning node.

use std::path::{Path, PathBuf};
use std::time::Duration;

use ailayer_client::gateway::{Order, Output as AnswerOutput, Seller};
use ailayer_client::purchase::Terms;
use ailayer_client::{ClientConfig, GatewayClient};
use ailayer_primitives::{AmountMsat, RequestId};
use ailayer_receipt::GatewayKey;
use serde_json::json;
use uuid::Uuid;

use crate::args::BuyArgs;
use crate::exit::{Exit, Failure, internal};
use crate::output::Output;
use crate::tensors;
use sealed::Seal;

mod fetch;
mod keep;
mod purchase;
mod sealed;
mod wallet;

pub use fetch::run as fetch;
pub use purchase::{Bought, Ended, follow, pay, quote};
pub use wallet::start as start_wallet;

/// How often the gateway is asked for the anchored proof.
const ANCHOR_POLL: Duration = Duration::from_secs(1);

/// Quotes, checks, pays, fetches, checks again, saves.
pub async fn run(args: BuyArgs, out: &Output) -> Result<(), Failure> {
    let gateway = GatewayClient::new(&ClientConfig::new(&args.gateway))?;
    let seller = gateway.seller().await?;
    if seller.network != args.wallet.network {
        return Err(Failure::new(
            Exit::Refused,
            format_args!("the seller is on {}, your wallet on {}", seller.network, args.wallet.network),
        ));
    }
    let terms = terms(&args, &seller)?;
    let request_id = args.request_id.unwrap_or_else(|| RequestId::new(Uuid::new_v4()));
    // Kept before the seller hears of it: a repeat must ask with the same key.
    let seal = args.sealed.then(|| Seal::of_request(&args.out, request_id)).transpose()?;
    let order = Order {
        request_id,
        model_name: args.model.clone(),
        model_version: String::new(),
        task: crate::customer::task(args.texts.clone(), args.truncate, args.tensors.as_deref())?,
        network: args.wallet.network,
        sealed_to: seal.as_ref().map(Seal::public_key),
    };
    out.progress(format_args!(
        "request id {}: repeat it with --request-id if this is interrupted",
        order.request_id
    ));
    // The price is known, and found acceptable, before the wallet is even opened.
    let (offer, purchase) = purchase::quote(&gateway, &order, &terms).await?;
    out.progress(format_args!(
        "quote: {} for {}, job {}",
        purchase.quote.price_msat,
        metered(offer.input_tokens, offer.tensor_bytes),
        purchase.job_id()
    ));
    let kept = keep::job(&args.out, &args.gateway, &terms.seller, &order, &offer)?;
    out.progress(format_args!("job and token kept in {}", kept.display()));

    let payer = wallet::open(&args.wallet).await?;
    let outcome = async {
        wallet::ensure_channel(&payer, &args.wallet, &seller, purchase.quote.price_msat, out).await?;
        purchase::pay(&payer, &purchase).await?;
        out.progress("payment sent: locked until the answer is there");
        let ended = match &seal {
            None => purchase::follow(&gateway, &payer, &offer.key, &purchase).await?,
            Some(seal) => seal.follow(&gateway, &payer, &offer.key, &purchase, out).await?,
        };
        bought(ended)
    }
    .await;
    let bought = match outcome {
        Ok(bought) => bought,
        Err(failure) => {
            payer.stop().await.map_err(internal)?;
            return Err(failure);
        }
    };
    payer.stop().await.map_err(internal)?;

    let saved = save(&bought, &args.out, out)?;
    let bundle = match args.wait_anchor {
        None => None,
        Some(limit) => Some(anchored(&gateway, &offer.key, limit, &args.out, out).await?),
    };
    report(&bought, &Saved { bundle, ..saved }, out);
    Ok(())
}

/// The answer, unless the money came back.
fn bought(ended: Ended) -> Result<Box<Bought>, Failure> {
    match ended {
        Ended::Bought(bought) => Ok(bought),
        Ended::Released { state, reason } => Err(Failure::new(
            Exit::Payment,
            format_args!("the job ended {state:?} ({reason}); your money came back"),
        )),
    }
}

fn save(bought: &Bought, folder: &Path, out: &Output) -> Result<Saved, Failure> {
    let job_id = bought.receipt.job_id;
    let receipt = keep::receipt(folder, job_id, &bought.receipt_text)?;
    out.progress(format_args!("receipt saved to {}", receipt.display()));
    let answer = keep::answer(folder, job_id, &bought.answer)?;
    out.progress(format_args!("answer saved to {}", answer.display()));
    Ok(Saved { receipt, answer, bundle: None })
}

fn terms(args: &BuyArgs, seller: &Seller) -> Result<Terms, Failure> {
    let refuse = |what: &str| Failure::new(Exit::Configuration, what);
    let key: GatewayKey = match &args.seller_key {
        Some(text) => text.parse().map_err(|_| refuse("--seller-key is not of the form ed25519:<base64>"))?,
        None => seller.gateway_key,
    };
    Ok(Terms {
        seller: key,
        max_price: AmountMsat::try_new(args.max_price_msat).map_err(internal)?,
        model_digest: args.model_digest,
        payee: Some(seller.node_id),
    })
}

async fn anchored(
    gateway: &GatewayClient,
    key: &ailayer_client::gateway::JobKey,
    limit: Duration,
    folder: &Path,
    out: &Output,
) -> Result<PathBuf, Failure> {
    out.progress(format_args!("waiting up to {limit:?} for the anchor in a Bitcoin block"));
    let waited = tokio::time::timeout(limit, async {
        loop {
            if let Some(bundle) = gateway.receipt(key).await?.bundle_with_ending() {
                return Ok::<String, Failure>(bundle);
            }
            tokio::time::sleep(ANCHOR_POLL).await;
        }
    });
    let bundle = waited.await.map_err(|_| {
        Failure::new(
            Exit::Unavailable,
            "not anchored yet: the receipt is saved, ask again with the same --request-id",
        )
    })??;
    let file = keep::text(folder, &format!("{}.bundle.json", key.job_id), &bundle)?;
    out.progress(format_args!("proof saved to {0}; check it with `ailayer verify {0}`", file.display()));
    Ok(file)
}

/// Where a purchase was saved.
struct Saved {
    receipt: PathBuf,
    answer: PathBuf,
    bundle: Option<PathBuf>,
}

fn report(bought: &Bought, saved: &Saved, out: &Output) {
    let usage = bought.receipt.usage;
    let mut value = json!({
        "job_id": bought.receipt.job_id,
        "price_msat": bought.receipt.price_msat,
        "fee_msat": bought.fee_msat,
        "input_tokens": usage.input_tokens,
        "tensor_bytes": usage.tensor_bytes,
        "output_digest": bought.receipt.output_digest,
        "receipt": saved.receipt,
        "answer": saved.answer,
        "bundle": saved.bundle,
    });
    let mut text = format!(
        "paid {} and {} msat in fees for {}",
        bought.receipt.price_msat,
        bought.fee_msat,
        metered(usage.input_tokens, usage.tensor_bytes)
    );
    let (field, shown, lines) = match bought.answer.delivered.output() {
        AnswerOutput::Rows(rows) => {
            let lines: Vec<String> = rows.iter().map(|row| preview(&row.values)).collect();
            ("embeddings", json!(bought.answer.delivered.vectors()), lines.join("\n"))
        }
        AnswerOutput::Tensors(tensors) => {
            let outputs = tensors::to_json(tensors).get("outputs").cloned().unwrap_or_default();
            ("outputs", outputs, tensors::preview(tensors))
        }
    };
    if let Some(fields) = value.as_object_mut() {
        fields.insert(field.to_owned(), shown);
    }
    text.push('\n');
    text.push_str(&lines);
    out.result(&value, text);
}

/// What a price was made from, in words.
pub fn metered(input_tokens: u64, tensor_bytes: u64) -> String {
    if tensor_bytes == 0 {
        format!("{input_tokens} tokens")
    } else {
        format!("{tensor_bytes} bytes of tensors")
    }
}

/// The first numbers of a vector.
pub fn preview(row: &[f32]) -> String {
    let head: Vec<String> = row.iter().take(4).map(|value| format!("{value:+.4}")).collect();
    format!("[{}, … {} numbers]", head.join(", "), row.len())
}
