//! `ailayer buy`: a paying client with its own Lightning node.

use std::path::{Path, PathBuf};
use std::time::Duration;

use ailayer_client::gateway::{Order, Seller};
use ailayer_client::purchase::Terms;
use ailayer_client::{ClientConfig, GatewayClient};
use ailayer_primitives::{AmountMsat, RequestId};
use ailayer_receipt::GatewayKey;
use serde_json::json;
use uuid::Uuid;

use crate::args::BuyArgs;
use crate::exit::{Exit, Failure, internal};
use crate::output::Output;

mod keep;
mod purchase;
mod wallet;

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
    let order = Order {
        request_id: args.request_id.unwrap_or_else(|| RequestId::new(Uuid::new_v4())),
        model_name: args.model.clone(),
        model_version: String::new(),
        texts: args.texts.clone(),
        truncate: args.truncate,
        network: args.wallet.network,
    };
    out.progress(format_args!(
        "request id {}: repeat it with --request-id if this is interrupted",
        order.request_id
    ));
    // The price is known, and found acceptable, before the wallet is even opened.
    let (offer, purchase) = purchase::quote(&gateway, &order, &terms).await?;
    out.progress(format_args!(
        "quote: {} for {} tokens, job {}",
        purchase.quote.price_msat,
        offer.input_tokens,
        purchase.job_id()
    ));
    let kept = keep::job(&args.out, &args.gateway, &order, &offer)?;
    out.progress(format_args!("job and token kept in {}", kept.display()));

    let payer = wallet::open(&args.wallet).await?;
    let outcome = async {
        wallet::ensure_channel(&payer, &args.wallet, &seller, purchase.quote.price_msat, out).await?;
        purchase::pay(&payer, &purchase).await?;
        out.progress("payment sent: locked until the answer is there");
        match purchase::follow(&gateway, &payer, &offer.key, &purchase).await? {
            Ended::Bought(bought) => Ok(bought),
            Ended::Released { state, reason } => Err(Failure::new(
                Exit::Payment,
                format_args!("the job ended {state:?} ({reason}); your money came back"),
            )),
        }
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

    let receipt_file =
        keep::text(&args.out, &format!("{}.receipt.json", purchase.job_id()), &bought.receipt_text)?;
    out.progress(format_args!("receipt saved to {}", receipt_file.display()));
    let answer_file = keep::answer(&args.out, purchase.job_id(), &bought.answer)?;
    out.progress(format_args!("answer saved to {}", answer_file.display()));
    let bundle_file = match args.wait_anchor {
        None => None,
        Some(limit) => Some(anchored(&gateway, &offer.key, limit, &args.out, out).await?),
    };
    report(&bought, &Saved { receipt: receipt_file, answer: answer_file, bundle: bundle_file }, out);
    Ok(())
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
    let rows: Vec<&[f32]> = bought.answer.rows.iter().map(AsRef::as_ref).collect();
    let value = json!({
        "job_id": bought.receipt.job_id,
        "price_msat": bought.receipt.price_msat,
        "fee_msat": bought.fee_msat,
        "input_tokens": bought.receipt.usage.input_tokens,
        "output_digest": bought.receipt.output_digest,
        "receipt": saved.receipt,
        "answer": saved.answer,
        "bundle": saved.bundle,
        "embeddings": rows,
    });
    let mut text = format!(
        "paid {} and {} msat in fees for {} tokens",
        bought.receipt.price_msat, bought.fee_msat, bought.receipt.usage.input_tokens
    );
    for row in rows {
        text.push('\n');
        text.push_str(&preview(row));
    }
    out.result(&value, text);
}

/// The first numbers of a vector.
pub fn preview(row: &[f32]) -> String {
    let head: Vec<String> = row.iter().take(4).map(|value| format!("{value:+.4}")).collect();
    format!("[{}, … {} numbers]", head.join(", "), row.len())
}
