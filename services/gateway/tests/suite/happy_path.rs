use ailayer_client::payment::HoldInvoiceState;
use ailayer_gateway::domain::job::State;
use ailayer_gateway::domain::ledger::HouseKind;
use ailayer_proto::ailayer::gateway::v1 as pb;
use ailayer_receipt::digest::{embed_input, embed_output_rows};
use ailayer_receipt::statement::{Closing, Outcome, Quote, Receipt};
use ailayer_receipt::{Envelope, GatewayKey};

use crate::world::World;

#[tokio::test]
async fn a_paid_job_is_served_logged_settled_and_closed() {
    let world = World::new().await;
    let gateway = world.start().await;
    let key: GatewayKey = gateway.info().await.unwrap().gateway_key.parse().unwrap();
    let bought = gateway.quote(&["hello world", "goodbye"]).await;
    let quote: Quote = Envelope::parse(&bought.0.quote).unwrap().open(&key).unwrap();
    assert_eq!(quote.request_digest, embed_input(&["hello world", "goodbye"]).unwrap());
    assert_eq!((bought.0.price_msat, bought.0.input_tokens), (1070, 7));
    assert_eq!(quote.price_msat.msat(), 1070);

    world.payments.pay(bought.id());
    let record = world.wait_for(bought.id(), State::Settled).await;
    world.closings_relayed().await;

    use State::*;
    assert_eq!(world.states(bought.id()).await, [Quoted, Held, Running, Completed, Taking, Settled]);
    assert_eq!(world.payments.state(bought.id()), Some(HoldInvoiceState::Claimed));

    let result = gateway.result(bought.key()).await.unwrap();
    let Some(pb::get_result_response::Result::Embed(embed)) = result.result else { panic!("embeddings") };
    let rows: Vec<Vec<f32>> = embed.embeddings.iter().map(|it| it.values.clone()).collect();
    assert_eq!(embed_output_rows(&rows).unwrap().to_vec(), result.output_digest);
    assert_eq!(embed.embeddings[0].input_tokens, 4);

    let answer = gateway.receipt(bought.key()).await.unwrap();
    let envelope = Envelope::parse(&answer.receipt).unwrap();
    let receipt: Receipt = envelope.open(&key).unwrap();
    assert_eq!(receipt.output_digest.to_vec(), result.output_digest);
    assert_eq!(receipt.payment_hash.unwrap().0.to_vec(), bought.0.payment_hash);
    assert_eq!(receipt.quote_digest, Envelope::parse(&bought.0.quote).unwrap().digest());
    assert_eq!((receipt.attempt, receipt.usage.rows, receipt.usage.input_tokens), (1, 2, 7));
    assert!(receipt.held_unix_ms <= receipt.started_unix_ms);
    assert!(receipt.started_unix_ms <= receipt.completed_unix_ms);
    let closing: Closing = Envelope::parse(&answer.closing).unwrap().open(&key).unwrap();
    assert_eq!(closing.outcome, Outcome::Settled);
    assert_eq!((closing.receipt_leaf_hash, closing.amount_msat.msat()), (envelope.leaf_hash(), 1070));

    assert_eq!(world.audit.entries(), [answer.receipt, answer.closing]);
    assert_eq!(record.leaf_index, Some(0));
    assert_eq!(world.record(bought.id()).await.closing_leaf_index, Some(1));
    assert_eq!(world.balance(HouseKind::Lightning).await, 1070);
    assert_eq!(world.balance(HouseKind::Revenue).await, 1070);
    assert_eq!(world.serving.embeds(), 1);
}

#[tokio::test]
async fn what_is_paid_beyond_the_price_is_not_revenue() {
    let world = World::new().await;
    let gateway = world.start().await;
    let bought = gateway.quote(&["hello"]).await;
    world.payments.pay_beyond(bought.id(), 30);
    world.wait_for(bought.id(), State::Settled).await;
    let price = i64::try_from(bought.0.price_msat).unwrap();
    let balance = |kind| world.balance(kind);
    assert_eq!(balance(HouseKind::Lightning).await, price + 30);
    assert_eq!(balance(HouseKind::Revenue).await, price);
    assert_eq!(balance(HouseKind::Suspense).await, 30);
}

#[tokio::test]
async fn many_jobs_at_once_all_settle() {
    let world = World::new().await;
    let gateway = world.start().await;
    let mut bought = Vec::new();
    for number in 0..20 {
        bought.push(gateway.quote(&[&format!("text number {number}")]).await);
    }
    bought.iter().for_each(|it| world.payments.pay(it.id()));
    for it in &bought {
        world.wait_for(it.id(), State::Settled).await;
    }
    world.closings_relayed().await;
    assert_eq!(world.audit.entries().len(), 40);
    assert_eq!(world.serving.embeds(), 20);
    let total: u64 = bought.iter().map(|it| it.0.price_msat).sum();
    let lightning = world.balance(HouseKind::Lightning).await;
    assert_eq!(lightning, i64::try_from(total).unwrap());
}

#[tokio::test]
async fn the_seller_says_what_is_for_sale() {
    let world = World::new().await;
    let gateway = world.start().await;
    let models = gateway.models().await.unwrap();
    let [model, raw] = models.as_slice() else { panic!("two models have a price: {models:?}") };
    assert_eq!((raw.kind.as_str(), raw.price_per_tensor_byte_msat), ("tensor", 3));
    assert_eq!((raw.inputs[0].datatype.as_str(), raw.inputs[0].shape.as_slice()), ("INT16", &[-1][..]));
    assert_eq!(
        (model.name.as_str(), model.price_per_call_msat, model.price_per_token_msat),
        ("mini", 1000, 10)
    );
    assert_eq!((model.max_items, model.max_text_bytes), (8, 2048), "the tighter limit holds");
    let info = gateway.info().await.unwrap();
    assert_eq!(info.log_verification_key, world.audit.key());
    assert_eq!(info.node_id, [2; 33]);
}
