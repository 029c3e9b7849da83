//! Prices that change while something is quoted or runs, and counts that are beyond what was agreed.

use std::time::Duration;

use ailayer_gateway::domain::job::State;
use ailayer_gateway::domain::ledger::HouseKind;
use ailayer_proto::ailayer::gateway::v1 as pb;
use pb::admin_service_server::AdminService as _;

use crate::customer::{Customer, job};
use crate::fakes::serving::Mood;
use crate::world::{Process, World, operator_key, until, with_key};

async fn set_price(gateway: &Process, per_call_msat: u64, per_token_msat: u64) {
    let price =
        pb::Price { model_name: "mini".to_owned(), per_call_msat, per_token_msat, ..Default::default() };
    let request = with_key(&operator_key("alice"), pb::SetPriceRequest { price: Some(price) });
    gateway.as_operator(|admin| async move { admin.set_price(request).await }).await.unwrap();
}

/// Ten times as dear, then a tenth, in the middle of a job of each rail: both cost what was agreed.
#[tokio::test]
async fn what_runs_costs_what_was_quoted() {
    for (per_call_msat, per_token_msat) in [(10_000, 100), (100, 1)] {
        let world = World::new().await;
        let gateway = world.start().await;
        let customer = Customer::with_balance(&world, &gateway, 50_000).await;
        let bought = gateway.quote(&["hello"]).await;
        world.serving.set(Mood::Slow(Duration::from_millis(400)));
        world.payments.pay(bought.id());
        let (answer, ()) = tokio::join!(customer.run(&gateway, job(&["hello"])), async {
            until("both run", || async { world.serving.embeds() == 2 }).await;
            set_price(&gateway, per_call_msat, per_token_msat).await;
        });
        assert_eq!(answer.unwrap().charged_msat, 1030, "the price in force when it was reserved");
        let settled = world.wait_for(bought.id(), State::Settled).await;
        assert_eq!((settled.job.price.msat(), bought.0.price_msat), (1030, 1030));
        assert_eq!(customer.balance(&world).await.balance_units, 50_000 - 1030);
        assert_eq!(world.balance(HouseKind::Revenue).await, 2 * 1030);
        let dearer = gateway.quote(&["hello"]).await;
        assert_eq!(dearer.0.price_msat, per_call_msat + 3 * per_token_msat, "it was really changed");
    }
}

/// Whatever the model counts, never more is taken than was set aside.
#[tokio::test]
async fn the_bill_is_never_above_what_was_set_aside() {
    let world = World::new().await;
    let gateway = world.start().await;
    let customer = Customer::with_balance(&world, &gateway, 50_000).await;
    // Five letters and three tokens to spare: eight are set aside.
    for (more, charged) in [(5, 1080), (6, 0), (u32::MAX / 2, 0)] {
        world.serving.set(Mood::MoreTokens(more));
        let answer = customer.run(&gateway, job(&["hello"])).await.unwrap();
        assert_eq!(answer.charged_msat, charged, "three and {more} more tokens");
        assert_eq!(answer.result.is_some(), charged > 0);
    }
    let balance = customer.balance(&world).await;
    assert_eq!((balance.balance_units, balance.reserved_units), (50_000 - 1080, 0));
}
