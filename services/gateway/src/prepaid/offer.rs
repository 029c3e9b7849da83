//! What a prepaid job may cost, and the quote that says so.

use ailayer_client::serving::{EmbedCall, Model as Loaded};
use ailayer_platform::blocking;
use ailayer_primitives::{AmountMsat, JobId};
use ailayer_receipt::statement::Model;
use uuid::Uuid;

use super::{Digests, Prepaid, PrepaidError, PrepaidOrder};
use crate::domain::api_key::Caller;
use crate::domain::brake::Brake;
use crate::domain::job::Rail;
use crate::domain::keys::token_hash;
use crate::domain::order::{EmbedInput, JobInput};
use crate::domain::price::{Price, Usage};
use crate::domain::statements::{QuoteFacts, sign_quote};
use crate::store::PrepaidTerms;
use crate::store::prepaid::NewPrepaidJob;

/// Tokens that a tokenizer may add to each text: the special ones at its begin and end, and one to spare.
const SPECIAL_TOKENS: u64 = 3;

impl Prepaid {
    /// Prices an order and signs its quote.
    pub(super) async fn offer(
        &self,
        caller: &Caller,
        order: &PrepaidOrder,
        digests: Digests,
    ) -> Result<NewPrepaidJob, PrepaidError> {
        let PrepaidOrder { asked, .. } = order;
        asked.check(self.settings.network, &self.settings.limits)?;
        self.brakes.check(Brake::NewJobs).await?;
        let price = self.prices.of(&asked.model_name).await?;
        let price = price.ok_or_else(|| PrepaidError::NotForSale(asked.model_name.clone()))?;
        self.driver.admission.model(&asked.model_name)?;
        let found = self.models.find(&asked.model_name, &asked.model_version).await;
        let model = found.map_err(PrepaidError::Serving)?;
        let model = model.ok_or_else(|| PrepaidError::NotLoaded(asked.model_name.clone()))?;
        asked.input.check_model(&model.kind, &model.inputs, &model.outputs)?;
        let (usage, cap) = self.bound(caller, order, &price, &model).await?;
        self.access.tokens(caller, usage.input_tokens)?;
        let job_id = JobId::new(Uuid::now_v7());
        let created_at = self.clock.now().await?;
        let facts = QuoteFacts {
            job_id,
            network: self.settings.network,
            model: Model { name: model.name, version: model.version, digest: model.digest },
            task: asked.input.task(),
            request_digest: digests.request,
            usage,
            price: cap,
            rail: Rail::Prepaid,
            created: created_at.to_s(),
            expiry: created_at.to_s(),
            seal: None,
        };
        Ok(NewPrepaidJob {
            job_id,
            request_id: asked.request_id,
            body_digest: digests.body,
            token_hash: token_hash(&self.keys.token(job_id)),
            model: facts.model.clone(),
            input: blocking::on_bytes(asked.input.content_bytes(), || asked.input.to_bytes())?,
            request_digest: facts.request_digest,
            usage,
            quote: sign_quote(self.keys.signer(), facts)?.into_string(),
            cap,
            terms: PrepaidTerms { account: caller.account, key_id: caller.key_id, price },
            created_at,
            owner: Uuid::new_v4(),
            lease: self.driver.lease,
        })
    }

    /// What may be charged for, and what that costs: what is reserved. Of texts it is reckoned from their length; only if that is more
    /// than the caller allows, their tokens are counted, and refused if they really cost more. Of tensors it is exact.
    async fn bound(
        &self,
        caller: &Caller,
        order: &PrepaidOrder,
        price: &Price,
        model: &Loaded,
    ) -> Result<(Usage, AmountMsat), PrepaidError> {
        let (most, texts) = match &order.asked.input {
            JobInput::Embed(input) => (Usage::tokens(most_tokens(input, model)), Some(input)),
            JobInput::Infer(inference) => (Usage::tensors(inference.inputs.content_bytes()), None),
        };
        let cap = price.of(&most)?;
        let Some(limit) = order.max_price.filter(|limit| cap > *limit) else { return Ok((most, cap)) };
        let Some(input) = texts else { return Err(PrepaidError::TooExpensive { price: cap, limit }) };
        let call = EmbedCall {
            model_name: order.asked.model_name.clone(),
            model_version: model.version.clone(),
            texts: input.texts.clone(),
            truncate: input.truncate,
            account: Some(caller.account.uuid()),
        };
        let counted = self.driver.serving.tokenize(&call).await.map_err(PrepaidError::Serving)?;
        let counted = counted.token_counts.iter().map(|count| u64::from(*count)).fold(0, u64::saturating_add);
        let counted = Usage::tokens(counted);
        match price.of(&counted)? {
            price if price > limit => Err(PrepaidError::TooExpensive { price, limit }),
            price => Ok((counted, price)),
        }
    }
}

/// The most tokens that texts can have: every token takes a byte at least, but for the special ones.
fn most_tokens(input: &EmbedInput, model: &Loaded) -> u64 {
    let most = u64::from(model.max_input_tokens);
    let of_text = |text: &String| {
        u64::try_from(text.len()).unwrap_or(u64::MAX).saturating_add(SPECIAL_TOKENS).min(most)
    };
    input.texts.iter().map(of_text).fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests;
