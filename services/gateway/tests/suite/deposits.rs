//! Funding a balance by Lightning: credited exactly once.

use ailayer_client::payment::EventKind;
use ailayer_gateway::crash_points;
use ailayer_gateway::domain::ledger::HouseKind;
use ailayer_gateway::store::ledger::audit;
use ailayer_gateway::store::{suspense, ties};
use ailayer_platform::error::ErrorReason;
use ailayer_primitives::JobId;
use ailayer_proto::ailayer::gateway::v1 as pb;
use pb::account_service_server::AccountService as _;
use tonic::Status;

use crate::customer::{Customer, id, terms};
use crate::world::{Process, World, reason, until, with_key};

async fn create(
    gateway: &Process,
    customer: &Customer,
    request_id: &str,
    msat: u64,
) -> Result<pb::Deposit, Status> {
    let request = pb::CreateDepositRequest { request_id: request_id.to_owned(), amount_msat: msat };
    let request = with_key(&customer.key, request);
    let made = gateway.as_customer(|accounts| async move { accounts.create_deposit(request).await }).await;
    made.map(|made| made.into_inner().deposit.unwrap())
}

async fn look(gateway: &Process, customer: &Customer, deposit: &pb::Deposit) -> pb::Deposit {
    let request = with_key(&customer.key, pb::GetDepositRequest { deposit_id: deposit.deposit_id.clone() });
    let found = gateway.as_customer(|accounts| async move { accounts.get_deposit(request).await }).await;
    found.unwrap().into_inner().deposit.unwrap()
}

fn invoice(deposit: &pb::Deposit) -> JobId {
    deposit.deposit_id.parse().unwrap()
}

async fn credited(world: &World, gateway: &Process, customer: &Customer, deposit: &pb::Deposit) {
    until("the deposit is credited", || async {
        look(gateway, customer, deposit).await.state() == pb::DepositState::Credited
    })
    .await;
    world.events_taken_in().await;
}

async fn sound(world: &World) {
    assert_eq!(audit::verify(world.store.pool()).await.unwrap(), audit::Findings::default());
    assert_eq!(ties::verify(world.store.pool()).await.unwrap(), ties::Ties::default());
}

#[tokio::test]
async fn a_paid_invoice_is_credited_once() {
    let world = World::new().await;
    let gateway = world.start().await;
    let customer = Customer::new(&gateway, terms()).await;
    let request = id();
    let deposit = create(&gateway, &customer, &request, 5_000).await.unwrap();
    assert_eq!((deposit.state(), deposit.amount_msat), (pb::DepositState::Open, 5_000));
    assert!(deposit.bolt11.starts_with("lnbcrt"), "{}", deposit.bolt11);
    assert_eq!(create(&gateway, &customer, &request, 5_000).await.unwrap(), deposit, "a repeat");
    let other = create(&gateway, &customer, &request, 5_001).await.unwrap_err();
    assert_eq!(reason(&other), ErrorReason::RequestIdReused);

    world.payments.pay(invoice(&deposit));
    credited(&world, &gateway, &customer, &deposit).await;
    assert_eq!(look(&gateway, &customer, &deposit).await.credited_msat, 5_000);
    // Events come at least once.
    let again = world.payments.invoice(invoice(&deposit));
    world.payments.emit(EventKind::HoldInvoiceClaimed(again));
    world.events_taken_in().await;
    assert_eq!(customer.balance(&world).await.balance_units, 5_000);
    assert_eq!(world.balance(HouseKind::Lightning).await, 5_000);
    let lines = customer.statement(&gateway).await;
    assert_eq!((lines.len(), lines[0].request_id.as_str()), (1, deposit.deposit_id.as_str()));
    sound(&world).await;
}

#[tokio::test]
async fn what_is_paid_beyond_the_invoice_waits_in_suspense() {
    let world = World::new().await;
    let gateway = world.start().await;
    let customer = Customer::new(&gateway, terms()).await;
    let deposit = create(&gateway, &customer, &id(), 5_000).await.unwrap();
    world.payments.pay_beyond(invoice(&deposit), 700);
    credited(&world, &gateway, &customer, &deposit).await;
    assert_eq!(customer.balance(&world).await.balance_units, 5_000);
    assert_eq!(world.balance(HouseKind::Suspense).await, 700);
    let items = suspense::list(world.store.pool(), false, 10, None).await.unwrap().items;
    assert_eq!((items.len(), items[0].amount.msat()), (1, 700));
    assert_eq!(items[0].source_id.to_string(), deposit.deposit_id);
    sound(&world).await;
}

#[tokio::test]
async fn late_money_is_the_customers_nevertheless() {
    let world = World::new().await;
    let gateway = world.start().await;
    let customer = Customer::new(&gateway, terms()).await;
    let deposit = create(&gateway, &customer, &id(), 5_000).await.unwrap();
    let open = world.payments.invoice(invoice(&deposit));
    world.payments.emit(EventKind::HoldInvoiceExpired(open));
    until("the deposit expires", || async {
        look(&gateway, &customer, &deposit).await.state() == pb::DepositState::Expired
    })
    .await;
    world.payments.pay(invoice(&deposit));
    credited(&world, &gateway, &customer, &deposit).await;
    assert_eq!(customer.balance(&world).await.balance_units, 5_000);
    sound(&world).await;
}

#[tokio::test]
async fn money_that_went_back_is_not_credited_and_money_that_came_after_all_is_kept_apart() {
    let world = World::new().await;
    world.payments.set(|mood| mood.slow_claims = true);
    let gateway = world.start().await;
    let customer = Customer::new(&gateway, terms()).await;
    let deposit = create(&gateway, &customer, &id(), 5_000).await.unwrap();
    world.payments.pay(invoice(&deposit));
    until("the money is asked for", || async { world.payments.claims() > 0 }).await;
    assert_eq!(look(&gateway, &customer, &deposit).await.state(), pb::DepositState::Taking);
    world.payments.claim_is_lost(invoice(&deposit));
    until("the deposit is returned", || async {
        look(&gateway, &customer, &deposit).await.state() == pb::DepositState::Returned
    })
    .await;
    assert_eq!(customer.balance(&world).await.balance_units, 0);
    // The node finds that it has the money after all.
    world.payments.received_after_all(invoice(&deposit));
    world.events_taken_in().await;
    assert_eq!(customer.balance(&world).await.balance_units, 0);
    assert_eq!(world.balance(HouseKind::Suspense).await, 5_000);
    let items = suspense::list(world.store.pool(), false, 10, None).await.unwrap().items;
    assert_eq!(items.iter().map(|item| item.source.as_str()).collect::<Vec<_>>(), ["receipt"]);
    sound(&world).await;
}

#[tokio::test]
async fn a_crash_behind_every_write_credits_once() {
    for point in
        [crash_points::DEPOSIT_STORED, crash_points::DEPOSIT_CLAIM_CALLED, crash_points::DEPOSIT_CREDITED]
    {
        let world = World::new().await;
        let (dying, crash) = world.start_halting_at(point).await;
        let customer = Customer::new(&dying, terms()).await;
        let request = id();
        let pay = async {
            let deposit = create(&dying, &customer, &request, 5_000).await.unwrap();
            world.payments.pay(invoice(&deposit));
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = crash.reached() => {}
            () = pay => {}
        }
        dying.kill();
        let gateway = world.start().await;
        let deposit = create(&gateway, &customer, &request, 5_000).await.unwrap();
        if deposit.state() == pb::DepositState::Open {
            world.payments.pay(invoice(&deposit));
        }
        credited(&world, &gateway, &customer, &deposit).await;
        assert_eq!(customer.balance(&world).await.balance_units, 5_000, "{point}");
        assert_eq!(world.balance(HouseKind::Lightning).await, 5_000, "{point}");
        sound(&world).await;
    }
}

#[tokio::test]
async fn bad_orders_and_too_many_are_refused() {
    let world = World::new().await;
    let gateway = world.start().await;
    let customer = Customer::new(&gateway, terms()).await;
    for (request, msat) in
        [("", 1), ("6f1b1d0e-6f3c-1f7c-9f5e-0a7f3f0d9c11", 1), (&*id(), 0), (&*id(), u64::MAX)]
    {
        let refused = create(&gateway, &customer, request, msat).await.unwrap_err();
        assert_eq!(reason(&refused), ErrorReason::InvalidField, "{request} {msat}");
    }
    for _ in 0..16 {
        create(&gateway, &customer, &id(), 1_000).await.unwrap();
    }
    let refused = create(&gateway, &customer, &id(), 1_000).await.unwrap_err();
    assert_eq!(reason(&refused), ErrorReason::TooManyOpen);
}
