//! `ailayer fetch`: the answer of a job that was bought before, by the file that was kept of it.

use std::path::Path;

use ailayer_client::purchase::{Purchase, kept_purchase};
use ailayer_client::{ClientConfig, GatewayClient};
use ailayer_payer::Payer;

use super::keep::{self, KeptJob};
use super::sealed::Seal;
use super::{Bought, bought, purchase, report, save, wallet};
use crate::args::FetchArgs;
use crate::exit::{Exit, Failure, internal};
use crate::output::Output;

/// Goes on where `buy` was interrupted, behind the payment: waits for the job's end, acknowledges what is not
/// acknowledged yet, opens what is sealed, checks and saves. Pays nothing. What was acknowledged and paid is opened from
/// the files and the wallet alone, also when the seller is gone.
pub async fn run(args: FetchArgs, out: &Output) -> Result<(), Failure> {
    let job = keep::read_job(&args.job)?;
    let folder = args.job.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
    let purchase = kept_purchase(job.seller, &job.quote, &job.bolt11)
        .map_err(|error| Failure::new(Exit::Verification, format_args!("{}: {error}", args.job.display())))?;
    if purchase.network() != args.wallet.network {
        return Err(Failure::new(
            Exit::Refused,
            format_args!("the job is on {}, your wallet on {}", purchase.network(), args.wallet.network),
        ));
    }
    let payer = wallet::open(&args.wallet).await?;
    let fetched = fetched(&job, folder, &payer, &purchase, out).await;
    payer.stop().await.map_err(internal)?;
    let bought = fetched?;
    let saved = save(&bought, folder, out)?;
    report(&bought, &saved, out);
    Ok(())
}

async fn fetched(
    job: &KeptJob,
    folder: &Path,
    payer: &Payer,
    purchase: &Purchase,
    out: &Output,
) -> Result<Box<Bought>, Failure> {
    let gateway = GatewayClient::new(&ClientConfig::new(&job.gateway))?;
    if purchase.quote.seal.is_none() {
        return bought(purchase::follow(&gateway, payer, &job.key, purchase).await?);
    }
    let seal = Seal::kept(folder, job.request_id)?;
    if let Some(opened) = seal.open_kept(payer, purchase)? {
        return Ok(opened);
    }
    bought(seal.follow(&gateway, payer, &job.key, purchase, out).await?)
}
