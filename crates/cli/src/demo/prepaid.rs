//! The other rail: a customer with a key pays one invoice, and then for answers out of a balance.

use ailayer_client::account::{DepositState, PrepaidOrder, RunResult, job_key};
use ailayer_client::admin::{CreateAccountRequest, CreateApiKeyRequest, KeyTerms, ReconcileResponse};
use ailayer_client::gateway::{JobState, Task};
use ailayer_client::{AccountClient, AdminClient, ClientConfig};
use ailayer_primitives::{AmountMsat, RequestId};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{MAX_PRICE_MSAT, MODEL, Stage, patiently, similarity, wallet};
use crate::buy::preview;
use crate::exit::{Exit, Failure, internal};
use crate::output::Output;

/// What the customer puts on the account.
const DEPOSIT_MSAT: u64 = 100_000;

fn fresh() -> RequestId {
    RequestId::new(Uuid::new_v4())
}

impl Stage<'_> {
    /// Account, key, deposit, answer, receipt, and the operator's look into the books.
    pub(super) async fn prepaid(&self, texts: &[String], out: &Output) -> Result<Value, Failure> {
        out.line("\n5. A customer with a balance: one invoice, then answers without a wallet");
        let operator = self.operator()?;
        let (account, customer) = self.customer(&operator).await?;
        out.line(format_args!("   account    {account}, opened by the operator, with an API key"));
        self.deposit(&customer, out).await?;

        let order = PrepaidOrder {
            request_id: fresh(),
            model_name: MODEL.to_owned(),
            model_version: String::new(),
            task: Task::Embed { texts: texts.to_vec(), truncate: true },
            max_price_msat: MAX_PRICE_MSAT,
        };
        let before = balance(&customer).await?;
        let answer = customer.run(&order).await?;
        let job = answer.job.clone().unwrap_or_default();
        if job.state() != JobState::Settled {
            let message = format!("the job ended {:?}: {}", job.state(), job.release_reason);
            return Err(Failure::new(Exit::Payment, message));
        }
        let charged = answer.charged_msat;
        let after = balance(&customer).await?;
        if i64::try_from(charged).ok().and_then(|charged| before.checked_sub(charged)) != Some(after) {
            let message = format!("charged {charged} msat, and the balance went from {before} to {after}");
            return Err(Failure::new(Exit::Verification, message));
        }
        out.line(format_args!("   charged    {charged} msat: the balance is {before} -> {after} msat"));
        let Some(RunResult::Embed(result)) = &answer.result else {
            return Err(Failure::new(Exit::Verification, "a settled job without an answer"));
        };
        let rows: Vec<&[f32]> = result.embeddings.iter().map(|row| row.values.as_slice()).collect();
        for (row, text) in rows.iter().zip(texts) {
            out.line(format_args!("   {}  {}", preview(row), similarity::shorten(text, 48)));
        }
        let bundle = self.anchored(&job_key(&answer)?, out).await?;
        let folder = self.network.backbone.data_dir.subfolder("prepaid")?;
        self.verified_quietly(&folder, bundle, &rows, texts, out)?;
        let books = self.books(&operator, out).await?;
        Ok(json!({
            "account_id": account, "charged_msat": charged, "balance_msat": after, "receipt": answer.receipt,
            "residue_msat": books.residue_msat,
        }))
    }

    fn operator(&self) -> Result<AdminClient, Failure> {
        let [operator, _] = &self.network.operators;
        Ok(AdminClient::new(&ClientConfig::new(self.network.gateway.grpc_url()), &operator.key)?)
    }

    /// An account and who calls with its key.
    async fn customer(&self, operator: &AdminClient) -> Result<(String, AccountClient), Failure> {
        let request = CreateAccountRequest {
            request_id: fresh().to_string(),
            name: "a customer".to_owned(),
            ..Default::default()
        };
        let account = operator.create_account(request).await?.account_id;
        let terms = KeyTerms {
            name: "demo".to_owned(),
            scopes: ["run", "read", "fund"].map(str::to_owned).to_vec(),
            ..Default::default()
        };
        let request = CreateApiKeyRequest {
            request_id: fresh().to_string(),
            account_id: account.clone(),
            terms: Some(terms),
        };
        let (_, secret) = operator.create_key(request).await?;
        let config = ClientConfig::new(self.network.gateway.grpc_url());
        Ok((account, AccountClient::new(&config, &secret)?))
    }

    async fn deposit(&self, customer: &AccountClient, out: &Output) -> Result<(), Failure> {
        let deposit = customer.create_deposit(fresh(), DEPOSIT_MSAT).await?;
        let amount = AmountMsat::try_new(DEPOSIT_MSAT).map_err(internal)?;
        self.payer.pay(&deposit.bolt11, amount).await.map_err(wallet)?;
        patiently("the deposit's credit", || async {
            Ok(customer.deposit(&deposit.deposit_id).await?.state() == DepositState::Credited)
        })
        .await?;
        out.line(format_args!("   deposit    {DEPOSIT_MSAT} msat paid over Lightning and credited"));
        Ok(())
    }

    /// Runs `ailayer verify` again; tells only how it ended.
    fn verified_quietly(
        &self,
        folder: &std::path::Path,
        bundle: String,
        rows: &[&[f32]],
        texts: &[String],
        out: &Output,
    ) -> Result<(), Failure> {
        let (bundle_file, answer_file) = (folder.join("bundle.json"), folder.join("answer.json"));
        for (file, content) in [(&bundle_file, bundle), (&answer_file, json!(rows).to_string())] {
            std::fs::write(file, content).map_err(internal)?;
        }
        let told = self.verify(&bundle_file, &answer_file, texts)?;
        let checks = told.lines().filter(|line| line.trim_start().starts_with('✓')).count();
        out.line(format_args!("   verified   offline, {checks} checks: quote, receipt, ending, log, block"));
        Ok(())
    }

    /// The operator's own check: ledger and node, to the millisatoshi.
    async fn books(&self, operator: &AdminClient, out: &Output) -> Result<ReconcileResponse, Failure> {
        let report = operator.reconcile().await?;
        let node_agrees = report.node.is_some_and(|node| node.residue_msat == 0);
        if report.residue_msat != 0 || !node_agrees || !report.findings.is_empty() {
            return Err(Failure::new(Exit::Verification, format_args!("the books do not agree: {report:?}")));
        }
        out.line(format_args!(
            "   books      {} msat in the ledger, {} msat taken by the Lightning node, residue {}",
            report.ledger_lightning_msat, report.journal_taken_msat, report.residue_msat
        ));
        Ok(report)
    }
}

async fn balance(customer: &AccountClient) -> Result<i64, Failure> {
    Ok(customer.account().await?.account.unwrap_or_default().balance_msat)
}
