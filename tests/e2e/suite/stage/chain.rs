//! Blocks: mined when a scenario says so, never while money is locked, deadline scenarios apart.

use std::time::Instant;

use ailayer_client::gateway::ReceiptPromise;
use anyhow::{Context as _, bail, ensure};

use super::purchase::Deal;
use super::{PATIENCE, Stage, wait};

/// A settled job's proof bundle, and what was sent for it.
#[derive(Debug)]
pub struct Anchored {
    /// The bundle in JSON, as the gateway gave it.
    pub bundle: String,
    /// The texts the job was about.
    pub texts: Vec<String>,
}

impl Stage {
    /// Mines blocks and waits until both payers and the seller's node know them.
    pub async fn mine(&self, count: u32) -> anyhow::Result<u32> {
        let bitcoind = &self.network.backbone.bitcoind;
        bitcoind.mine(count).await?;
        let height = bitcoind.tip().await?.height;
        for payer in [&self.buyer, &self.stranger] {
            payer.wait_height(height, PATIENCE).await?;
        }
        if self.network.payment.process().is_running() {
            wait::found("the seller's node at the newest block", PATIENCE, || async {
                let node = self.payment.node().await?;
                let seen = node.tip.context("no tip")?.height;
                ensure!(
                    node.synced && seen >= height,
                    "it is at {seen} of {height}, synced: {}",
                    node.synced
                );
                Ok(())
            })
            .await?;
        }
        Ok(height)
    }

    /// Mines up to a height.
    pub async fn mine_up_to(&self, height: u32) -> anyhow::Result<()> {
        let tip = self.network.backbone.bitcoind.tip().await?.height;
        let missing = height.checked_sub(tip).with_context(|| format!("the tip {tip} is above {height}"))?;
        ensure!(missing > 0, "the tip is at {height} already");
        self.mine(missing).await?;
        Ok(())
    }

    /// The height at which the payer's money comes back by itself.
    pub async fn claim_deadline(&self, deal: &Deal) -> anyhow::Result<u32> {
        let invoice = self.payment.hold_invoice(deal.invoice_id()).await?;
        ensure!(invoice.claim_deadline_height > 0, "no money is locked");
        Ok(invoice.claim_deadline_height)
    }

    /// Mines until a settled job's receipt and closing entry are anchored.
    pub async fn anchored(&self, deal: &Deal) -> anyhow::Result<String> {
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            let status = self.gateway.receipt(deal.key()).await?;
            let promise = status.promise;
            ensure!(
                status.bundle.is_none() || promise == ReceiptPromise::Anchored,
                "a bundle at {promise:?}"
            );
            if let Some(bundle) = status.bundle_with_ending() {
                return Ok(bundle);
            }
            self.mine(1).await?;
        }
        bail!("the receipt was not anchored within {PATIENCE:?}")
    }

    /// A bundle of a settled job, bought and anchored once.
    pub async fn bundle(&self) -> anyhow::Result<&Anchored> {
        let make = || async {
            let deal = self.buy().await?;
            self.expect_settled(&deal).await?;
            Ok(Anchored { bundle: self.anchored(&deal).await?, texts: deal.order.task.texts().to_vec() })
        };
        self.bundle.get_or_try_init(make).await
    }
}
