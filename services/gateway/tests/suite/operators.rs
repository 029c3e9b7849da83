//! What operators do: prices, brakes, corrections, suspense, and the comparison of the books.

use std::time::Duration;

use ailayer_client::payment::Funds;
use ailayer_gateway::domain::job::State;
use ailayer_platform::error::{ErrorReason, violated_field};
use ailayer_primitives::JobId;
use ailayer_proto::ailayer::gateway::v1 as pb;
use pb::account_service_server::AccountService as _;
use pb::admin_service_server::AdminService as _;
use tonic::{Code, Status};

use crate::customer::{Customer, id, job, terms};
use crate::world::{Process, World, operator_key, order, reason, until, with_key};

/// Calls a method of the admin service as an operator.
macro_rules! admin {
    ($gateway:expr, $operator:literal, $method:ident, $request:expr) => {{
        let request = with_key(&operator_key($operator), $request);
        let answer = $gateway.as_operator(|admin| async move { admin.$method(request).await }).await;
        answer.map(tonic::Response::into_inner)
    }};
}

#[tokio::test]
async fn nobody_but_an_operator_gets_in() {
    let world = World::new().await;
    let gateway = world.start().await;
    let customer = Customer::new(&gateway, terms()).await;
    for key in [customer.key.as_str(), "key of mallory", "Bearer", ""] {
        let request = with_key(key, pb::ListBrakesRequest {});
        let refused = gateway.as_operator(|admin| async move { admin.list_brakes(request).await }).await;
        let refused = refused.unwrap_err();
        assert_eq!((refused.code(), reason(&refused)), (Code::Unauthenticated, ErrorReason::KeyInvalid));
    }
}

#[tokio::test]
async fn an_account_is_opened_once() {
    let world = World::new().await;
    let gateway = world.start().await;
    let request = pb::CreateAccountRequest { request_id: id(), name: "acme".to_owned(), limit_msat: -500 };
    let opened = admin!(gateway, "alice", create_account, request.clone()).unwrap().account.unwrap();
    assert_eq!(opened.limit_msat, -500, "credit");
    let again = admin!(gateway, "bob", create_account, request.clone()).unwrap().account.unwrap();
    assert_eq!(again, opened);
    let other = pb::CreateAccountRequest { name: "another".to_owned(), ..request.clone() };
    let refused = admin!(gateway, "bob", create_account, other).unwrap_err();
    assert_eq!(reason(&refused), ErrorReason::RequestIdReused);
    let generous = pb::CreateAccountRequest { limit_msat: -501, ..request.clone() };
    let refused = admin!(gateway, "bob", create_account, generous).unwrap_err();
    assert_eq!(reason(&refused), ErrorReason::RequestIdReused);
    for bad in [
        pb::CreateAccountRequest { request_id: "x".to_owned(), ..request.clone() },
        pb::CreateAccountRequest { name: String::new(), ..request.clone() },
        pb::CreateAccountRequest { limit_msat: i64::MIN, ..request.clone() },
        pb::CreateAccountRequest { limit_msat: 1, ..request },
    ] {
        let refused = admin!(gateway, "bob", create_account, bad).unwrap_err();
        assert_eq!(reason(&refused), ErrorReason::InvalidField);
    }
    let listed = admin!(gateway, "bob", list_accounts, pb::ListAccountsRequest::default()).unwrap();
    assert_eq!(listed.accounts, [opened]);
}

#[tokio::test]
async fn a_price_that_is_set_counts_for_new_quotes_at_every_replica() {
    let world = World::new().await;
    let (one, two) = (world.start().await, world.start().await);
    let before = two.quote(&["hello"]).await;
    let price = pb::Price {
        model_name: "mini".to_owned(),
        per_call_msat: 5,
        per_token_msat: 1,
        per_tensor_byte_msat: 2,
        set: false,
    };
    let set = admin!(one, "alice", set_price, pb::SetPriceRequest { price: Some(price.clone()) }).unwrap();
    assert_eq!(set.price, Some(pb::Price { set: true, ..price.clone() }));
    assert_eq!(one.quote(&["hello"]).await.0.price_msat, 8);
    tokio::time::sleep(Duration::from_millis(1_050)).await;
    assert_eq!(two.quote(&["hello"]).await.0.price_msat, 8);
    assert_eq!(before.0.price_msat, 1030, "a quote keeps its price");
    let removed =
        admin!(one, "bob", remove_price, pb::RemovePriceRequest { model_name: "mini".to_owned() }).unwrap();
    assert_eq!(removed.price.map(|price| (price.per_call_msat, price.set)), Some((1000, false)));
    let zero = pb::Price { per_call_msat: 0, per_token_msat: 0, per_tensor_byte_msat: 0, ..price };
    let refused = admin!(one, "bob", set_price, pb::SetPriceRequest { price: Some(zero) }).unwrap_err();
    assert_eq!(reason(&refused), ErrorReason::InvalidField);
}

async fn brake(gateway: &Process, name: &str, engaged: bool) -> Result<pb::SetBrakeResponse, Status> {
    let request = pb::SetBrakeRequest { name: name.to_owned(), engaged, note: "a test".to_owned() };
    admin!(gateway, "alice", set_brake, request)
}

#[tokio::test]
async fn the_brake_on_new_jobs_stops_them_and_lets_running_ones_end() {
    let world = World::new().await;
    let gateway = world.start().await;
    let customer = Customer::with_balance(&world, &gateway, 10_000).await;
    let held = gateway.quote(&["hello"]).await;
    brake(&gateway, "new_jobs", true).await.unwrap();
    let refused = gateway.create_quote(order(&["hello"])).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused)), (Code::Unavailable, ErrorReason::Paused));
    assert_eq!(reason(&customer.run(&gateway, job(&["a"])).await.unwrap_err()), ErrorReason::Paused);
    let deposit = with_key(&customer.key, pb::CreateDepositRequest { request_id: id(), amount_msat: 1 });
    let deposit = gateway.as_customer(|accounts| async move { accounts.create_deposit(deposit).await }).await;
    assert_eq!(reason(&deposit.unwrap_err()), ErrorReason::Paused);
    world.payments.pay(held.id());
    world.wait_for(held.id(), State::Settled).await;
    let shown = admin!(gateway, "bob", list_brakes, pb::ListBrakesRequest {}).unwrap().brakes;
    let shown: Vec<_> = shown.iter().map(|it| (it.name.as_str(), it.engaged, it.operator.as_str())).collect();
    assert_eq!(shown, [("claims", false, ""), ("new_jobs", true, "alice")]);
    brake(&gateway, "new_jobs", false).await.unwrap();
    customer.run(&gateway, job(&["a"])).await.unwrap();
    assert_eq!(reason(&brake(&gateway, "payouts", true).await.unwrap_err()), ErrorReason::InvalidField);
}

#[tokio::test]
async fn the_brake_on_claims_leaves_finished_jobs_waiting() {
    let world = World::new().await;
    let gateway = world.start().await;
    let customer = Customer::with_balance(&world, &gateway, 10_000).await;
    brake(&gateway, "claims", true).await.unwrap();
    let bought = gateway.quote(&["hello"]).await;
    world.payments.pay(bought.id());
    world.wait_for(bought.id(), State::Completed).await;
    let prepaid = customer.run(&gateway, job(&["hello"]));
    let release = async {
        until("the prepaid job is finished", || async { world.serving.embeds() == 2 }).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(world.state(bought.id()).await, State::Completed);
        assert_eq!((world.payments.claims(), world.audit.entries().len()), (0, 0));
        assert!(customer.balance(&world).await.reserved_units > 0);
        brake(&gateway, "claims", false).await.unwrap();
    };
    let (answer, ()) = tokio::join!(prepaid, release);
    assert_eq!(answer.unwrap().job.unwrap().state(), pb::JobState::Settled);
    world.wait_for(bought.id(), State::Settled).await;
}

#[tokio::test]
async fn the_brake_on_claims_leaves_deposits_waiting() {
    let world = World::new().await;
    let gateway = world.start().await;
    let customer = Customer::new(&gateway, terms()).await;
    let deposit = with_key(&customer.key, pb::CreateDepositRequest { request_id: id(), amount_msat: 5_000 });
    let deposit = gateway.as_customer(|accounts| async move { accounts.create_deposit(deposit).await }).await;
    let deposit: JobId = deposit.unwrap().into_inner().deposit.unwrap().deposit_id.parse().unwrap();
    brake(&gateway, "claims", true).await.unwrap();
    world.payments.pay(deposit);
    world.events_taken_in().await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(world.payments.claims(), 0);
    brake(&gateway, "claims", false).await.unwrap();
    until("the balance has it", || async { customer.balance(&world).await.balance_units == 5_000 }).await;
}

#[tokio::test]
async fn a_correction_takes_two_operators() {
    let world = World::new().await;
    let gateway = world.start().await;
    let customer = Customer::with_balance(&world, &gateway, 1_000).await;
    let request = pb::ProposeAdjustmentRequest {
        request_id: id(),
        account_id: customer.id.to_string(),
        amount_msat: 250,
        note: "goodwill".to_owned(),
        ..Default::default()
    };
    let proposed = admin!(gateway, "alice", propose_adjustment, request.clone()).unwrap().adjustment.unwrap();
    let again = admin!(gateway, "alice", propose_adjustment, request.clone()).unwrap().adjustment.unwrap();
    assert_eq!((&again, proposed.applied_unix_ms), (&proposed, 0));
    assert_eq!(customer.balance(&world).await.balance_units, 1_000, "a proposal moves nothing");
    let approve = pb::ApproveAdjustmentRequest { adjustment_id: proposed.adjustment_id.clone() };
    let refused = admin!(gateway, "alice", approve_adjustment, approve.clone()).unwrap_err();
    assert_eq!((refused.code(), reason(&refused)), (Code::PermissionDenied, ErrorReason::NotAllowed));
    for _ in 0..2 {
        let applied =
            admin!(gateway, "bob", approve_adjustment, approve.clone()).unwrap().adjustment.unwrap();
        assert_eq!((applied.approved_by.as_str(), applied.applied_unix_ms > 0), ("bob", true));
    }
    assert_eq!(customer.balance(&world).await.balance_units, 1_250, "once");

    // Nothing is taken that is not there, and then nothing is approved either.
    let much = pb::ProposeAdjustmentRequest { request_id: id(), amount_msat: -2_000, ..request.clone() };
    let much = admin!(gateway, "bob", propose_adjustment, much).unwrap().adjustment.unwrap();
    let approve = pb::ApproveAdjustmentRequest { adjustment_id: much.adjustment_id };
    let refused = admin!(gateway, "alice", approve_adjustment, approve).unwrap_err();
    assert_eq!(reason(&refused), ErrorReason::InsufficientFunds);
    let listed =
        admin!(gateway, "bob", list_adjustments, pb::ListAdjustmentsRequest::default()).unwrap().adjustments;
    assert_eq!(listed.iter().map(|it| it.approved_by.as_str()).collect::<Vec<_>>(), ["", "bob"]);
    let mut page = pb::ListAdjustmentsRequest { page_size: 1, ..Default::default() };
    for expected in &listed {
        let found = admin!(gateway, "bob", list_adjustments, page.clone()).unwrap();
        assert_eq!(found.adjustments.as_slice(), std::slice::from_ref(expected), "one page after the other");
        page.page_token = found.next_page_token;
    }
    let end = admin!(gateway, "bob", list_adjustments, page.clone());
    assert!(page.page_token.is_empty() || end.unwrap().adjustments.is_empty(), "then it is over");
    let foreign = pb::ListSuspenseRequest { page_token: "of another list".to_owned(), ..Default::default() };
    assert!(admin!(gateway, "bob", list_suspense, foreign).is_err());
    for bad in [
        pb::ProposeAdjustmentRequest { amount_msat: 0, ..request.clone() },
        pb::ProposeAdjustmentRequest { amount_msat: i64::MIN, ..request.clone() },
        pb::ProposeAdjustmentRequest { note: " ".to_owned(), ..request.clone() },
    ] {
        let refused = admin!(gateway, "bob", propose_adjustment, bad).unwrap_err();
        assert_eq!(reason(&refused), ErrorReason::InvalidField);
    }
    let nobody = pb::ProposeAdjustmentRequest { request_id: id(), account_id: id(), ..request };
    let refused = admin!(gateway, "bob", propose_adjustment, nobody).unwrap_err();
    assert_eq!(reason(&refused), ErrorReason::AccountNotFound);
}

/// What was taken and then went down with a channel: booked by two, and the job that it was taken for stays settled.
#[tokio::test]
async fn what_a_channel_has_lost_is_an_expense_and_the_books_agree() {
    let world = World::new().await;
    let gateway = world.start().await;
    let bought = gateway.quote(&["hello"]).await;
    world.payments.pay(bought.id());
    world.wait_for(bought.id(), State::Settled).await;
    world.events_taken_in().await;
    let reconcile = async || admin!(gateway, "alice", reconcile, pb::ReconcileRequest::default()).unwrap();
    let taken = reconcile().await.ledger_lightning_msat;
    assert!(taken > 700);
    let request = pb::ProposeAdjustmentRequest {
        request_id: id(),
        amount_msat: 700,
        note: "dust of channel 7".to_owned(),
        subject: pb::AdjustmentSubject::ChannelLoss.into(),
        ..Default::default()
    };
    for bad in [
        pb::ProposeAdjustmentRequest { account_id: id(), ..request.clone() },
        pb::ProposeAdjustmentRequest { subject: 7, ..request.clone() },
        pb::ProposeAdjustmentRequest { amount_msat: 0, ..request.clone() },
    ] {
        let refused = admin!(gateway, "alice", propose_adjustment, bad).unwrap_err();
        assert_eq!(reason(&refused), ErrorReason::InvalidField);
    }
    let mut booked = 0;
    for msat in [700, -200] {
        let request = pb::ProposeAdjustmentRequest { request_id: id(), amount_msat: msat, ..request.clone() };
        let proposed =
            admin!(gateway, "alice", propose_adjustment, request.clone()).unwrap().adjustment.unwrap();
        assert_eq!(
            (proposed.subject(), proposed.account_id.as_str()),
            (pb::AdjustmentSubject::ChannelLoss, "")
        );
        let other = pb::ProposeAdjustmentRequest { amount_msat: msat + 1, ..request };
        let refused = admin!(gateway, "alice", propose_adjustment, other).unwrap_err();
        assert_eq!(reason(&refused), ErrorReason::RequestIdReused);
        let approve = pb::ApproveAdjustmentRequest { adjustment_id: proposed.adjustment_id };
        let refused = admin!(gateway, "alice", approve_adjustment, approve.clone()).unwrap_err();
        assert_eq!(reason(&refused), ErrorReason::NotAllowed);
        assert_eq!(reconcile().await.lost_with_channels_msat, booked, "a proposal books nothing");
        for _ in 0..2 {
            admin!(gateway, "bob", approve_adjustment, approve.clone()).unwrap();
        }
        booked += msat;
        let report = reconcile().await;
        assert_eq!(
            (report.ledger_lightning_msat, report.lost_with_channels_msat, report.residue_msat),
            (taken - booked, booked, 0)
        );
        assert_eq!(report.findings, []);
    }
    // A sign or a digit too many.
    for much in [-501, taken] {
        let request = pb::ProposeAdjustmentRequest { request_id: id(), amount_msat: much, ..request.clone() };
        let proposed = admin!(gateway, "alice", propose_adjustment, request).unwrap().adjustment.unwrap();
        let approve = pb::ApproveAdjustmentRequest { adjustment_id: proposed.adjustment_id };
        let refused = admin!(gateway, "bob", approve_adjustment, approve).unwrap_err();
        assert_eq!(reason(&refused), ErrorReason::InsufficientFunds);
    }
    assert_eq!(reconcile().await.lost_with_channels_msat, 500);
    world.wait_for(bought.id(), State::Settled).await;
}

#[tokio::test]
async fn suspense_goes_to_one_customer_once() {
    let world = World::new().await;
    let gateway = world.start().await;
    let customer = Customer::new(&gateway, terms()).await;
    let bought = gateway.quote(&["hello"]).await;
    world.payments.pay_beyond(bought.id(), 70);
    world.wait_for(bought.id(), State::Settled).await;
    let items = admin!(gateway, "bob", list_suspense, pb::ListSuspenseRequest::default()).unwrap().items;
    assert_eq!((items.len(), items[0].amount_msat, items[0].source.as_str()), (1, 70, "job"));
    let resolve =
        pb::ResolveSuspenseRequest { item_id: items[0].item_id.clone(), account_id: customer.id.to_string() };
    for _ in 0..2 {
        let item = admin!(gateway, "bob", resolve_suspense, resolve.clone()).unwrap().item.unwrap();
        assert_eq!((item.account_id, item.resolved_by.as_str()), (customer.id.to_string(), "bob"));
    }
    assert_eq!(customer.balance(&world).await.balance_units, 70);
    let other = Customer::new(&gateway, terms()).await;
    let twice = pb::ResolveSuspenseRequest { account_id: other.id.to_string(), ..resolve };
    assert!(admin!(gateway, "bob", resolve_suspense, twice).is_err());
    let left = admin!(gateway, "bob", list_suspense, pb::ListSuspenseRequest::default()).unwrap().items;
    assert!(left.is_empty());
    let all =
        admin!(gateway, "bob", list_suspense, pb::ListSuspenseRequest { all: true, ..Default::default() })
            .unwrap()
            .items;
    assert_eq!(all.len(), 1);
}

#[tokio::test]
async fn the_books_agree_with_the_journal_to_the_millisatoshi() {
    let world = World::new().await;
    let gateway = world.start().await;
    let customer = Customer::new(&gateway, terms()).await;
    let bought = gateway.quote(&["hello"]).await;
    world.payments.pay_beyond(bought.id(), 70);
    world.wait_for(bought.id(), State::Settled).await;
    let deposit = with_key(&customer.key, pb::CreateDepositRequest { request_id: id(), amount_msat: 5_000 });
    let deposit = gateway.as_customer(|accounts| async move { accounts.create_deposit(deposit).await }).await;
    let deposit: JobId = deposit.unwrap().into_inner().deposit.unwrap().deposit_id.parse().unwrap();
    world.payments.pay(deposit);
    until("the balance has it", || async { customer.balance(&world).await.balance_units == 5_000 }).await;
    customer.run(&gateway, job(&["hello"])).await.unwrap();
    world.events_taken_in().await;
    let report = admin!(gateway, "bob", reconcile, pb::ReconcileRequest {}).unwrap();
    assert_eq!((report.residue_msat, report.findings.len()), (0, 0));
    assert_eq!((report.ledger_lightning_msat, report.journal_taken_msat), (6_100, 6_100));
    assert_eq!(report.cursor, world.payments.head());

    // Money that no event told of is a residue, whoever made it.
    customer.fund(&world, 11).await;
    let report = admin!(gateway, "bob", reconcile, pb::ReconcileRequest {}).unwrap();
    assert_eq!(report.residue_msat, 11);
}

/// The ledger may agree with the journal, and the node with neither.
#[tokio::test]
async fn what_the_nodes_channels_lack_is_said_beside_what_the_ledger_lacks() {
    let world = World::new().await;
    let gateway = world.start().await;
    let funds =
        Funds { residue_msat: -1_000, node_max_msat: 4_000, expected_min_msat: 5_000, ..Funds::default() };
    world.payments.set(|mood| mood.funds = Funds { unknown_channels: 1, ..funds });
    let report = admin!(gateway, "bob", reconcile, pb::ReconcileRequest {}).unwrap();
    let node = report.node.unwrap();
    assert_eq!((report.residue_msat, node.residue_msat), (0, -1_000));
    assert_eq!((node.held_max_msat, node.expected_min_msat), (4_000, 5_000));
    let findings: Vec<_> = report.findings.into_iter().map(|it| (it.name, it.amount)).collect();
    assert_eq!(findings, [("channels_without_a_row".to_owned(), 1)]);

    let accept =
        |residue_msat, note: &str| pb::AcceptNodeResidueRequest { residue_msat, note: note.to_owned() };
    for (wrong, field) in [(accept(-999, "other"), "residue_msat"), (accept(-1_000, " "), "note")] {
        let refused = admin!(gateway, "alice", accept_node_residue, wrong).unwrap_err();
        assert_eq!(violated_field(&refused).as_deref(), Some(field));
    }
    admin!(gateway, "alice", accept_node_residue, accept(-1_000, "lost in the restore")).unwrap();
    let report = admin!(gateway, "bob", reconcile, pb::ReconcileRequest {}).unwrap();
    assert_eq!((report.node.unwrap().residue_msat, report.findings.len()), (0, 0));
}

/// The journal keeps them for ever, and reconciling must come to an end.
#[tokio::test]
async fn payments_without_a_row_are_a_finding_until_somebody_explains_them() {
    let world = World::new().await;
    let gateway = world.start().await;
    let explain = |payments, note: &str| pb::ExplainPaymentsRequest { payments, note: note.to_owned() };
    let found = async || {
        let report = admin!(gateway, "bob", reconcile, pb::ReconcileRequest {}).unwrap();
        let findings: Vec<_> = report.findings.into_iter().map(|it| (it.name, it.amount)).collect();
        (findings, report.explained_payments)
    };
    let without_a_row = |count| vec![("payments_without_a_row".to_owned(), count)];
    assert_eq!(found().await, (vec![], 0));
    world.payments.set(|mood| mood.unexpected_payments = 2);
    assert_eq!(found().await, (without_a_row(2), 0));

    for (wrong, field) in
        [(explain(3, "more"), "payments"), (explain(0, "none"), "payments"), (explain(1, " "), "note")]
    {
        let refused = admin!(gateway, "alice", explain_payments, wrong).unwrap_err();
        assert_eq!(
            (reason(&refused), violated_field(&refused).as_deref()),
            (ErrorReason::InvalidField, Some(field))
        );
    }
    let said = |payments| explain(payments, "the operator's own, before the restore");
    assert_eq!(admin!(gateway, "alice", explain_payments, said(1)).unwrap().explained_payments, 1);
    assert_eq!(found().await, (without_a_row(1), 1));
    // Fewer than before is not less than before, and twice is as good as once.
    assert_eq!(admin!(gateway, "alice", explain_payments, said(2)).unwrap().explained_payments, 2);
    assert_eq!(admin!(gateway, "bob", explain_payments, said(1)).unwrap().explained_payments, 2);
    assert_eq!(admin!(gateway, "bob", explain_payments, said(2)).unwrap().explained_payments, 2);
    assert_eq!(found().await, (vec![], 2));
    world.payments.set(|mood| mood.unexpected_payments = 3);
    assert_eq!(found().await, (without_a_row(1), 2));
}
