//! Jobs that are paid from a balance.

use std::time::Duration;

use ailayer_gateway::crash_points;
use ailayer_gateway::domain::job::State;
use ailayer_gateway::domain::ledger::HouseKind;
use ailayer_gateway::store::ledger::audit;
use ailayer_gateway::store::ties;
use ailayer_platform::error::ErrorReason;
use ailayer_primitives::JobId;
use ailayer_proto::ailayer::gateway::v1 as pb;
use ailayer_receipt::statement::Rail;
use ailayer_receipt::{Envelope, Quote, Receipt};
use pb::account_service_server::AccountService as _;
use pb::admin_service_server::AdminService as _;
use tonic::Code;

use crate::customer::{Customer, id, job, terms};
use crate::fakes::audit as audit_log;
use crate::fakes::serving::Mood;
use crate::world::{Process, World, operator_key, reason, until, with_key};

/// Per call 1000, per token 10; the fake model counts words and two more.
const PRICE_OF_HELLO: i64 = 1030;
/// Five letters and three tokens to spare.
const CAP_OF_HELLO: i64 = 1080;

fn job_id(answer: &pb::RunJobResponse) -> JobId {
    answer.job.as_ref().unwrap().job_id.parse().unwrap()
}

fn state(answer: &pb::RunJobResponse) -> pb::JobState {
    answer.job.as_ref().unwrap().state()
}

async fn sound(world: &World) {
    assert_eq!(audit::verify(world.store.pool()).await.unwrap(), audit::Findings::default());
    assert_eq!(ties::verify(world.store.pool()).await.unwrap(), ties::Ties::default());
}

#[tokio::test]
async fn what_was_used_is_taken_and_the_rest_is_free_again() {
    let world = World::new().await;
    let gateway = world.start().await;
    let customer = Customer::with_balance(&world, &gateway, 10_000).await;
    let answer = customer.run(&gateway, job(&["hello"])).await.unwrap();
    assert_eq!(state(&answer), pb::JobState::Settled);
    assert_eq!(answer.charged_msat, 1030);
    let Some(pb::run_job_response::Result::Embed(result)) = &answer.result else { panic!("no answer") };
    assert_eq!(result.embeddings.len(), 1);

    let balance = customer.balance(&world).await;
    assert_eq!((balance.balance_units, balance.reserved_units), (10_000 - PRICE_OF_HELLO, 0));
    assert_eq!(world.balance(HouseKind::Revenue).await, PRICE_OF_HELLO);
    let record = world.record(job_id(&answer)).await;
    assert_eq!(world.states(record.job_id).await, [State::Running, State::Completed, State::Settled]);

    // Quote and receipt say what happened, signed; the cap is the quote's.
    let key = gateway.info().await.unwrap().gateway_key.parse().unwrap();
    let quote: Quote = Envelope::parse(&answer.quote).unwrap().open(&key).unwrap();
    let receipt: Receipt = Envelope::parse(&answer.receipt).unwrap().open(&key).unwrap();
    assert_eq!((quote.rail, receipt.rail, receipt.payment_hash), (Rail::Prepaid, Rail::Prepaid, None));
    assert_eq!(i64::try_from(quote.price_msat.msat()).unwrap(), CAP_OF_HELLO);
    assert_eq!(receipt.price_msat.msat(), 1030);
    assert_eq!(receipt.usage.input_tokens, 3);
    assert!(world.audit.entries().contains(&answer.receipt), "the receipt is in the log");
    world.closings_relayed().await;

    // The job opens with its token, like any other.
    let opened = pb::JobKey { job_id: record.job_id.to_string(), job_token: answer.job_token.clone() };
    assert!(gateway.result(opened).await.is_ok());
    let lines = customer.statement(&gateway).await;
    let kinds: Vec<(&str, i64)> = lines.iter().map(|line| (line.kind.as_str(), line.amount_msat)).collect();
    assert_eq!(kinds, [("credit", 10_000), ("capture", -PRICE_OF_HELLO)]);
    sound(&world).await;
}

#[tokio::test]
async fn a_repeat_answers_the_same_and_another_body_is_refused() {
    let world = World::new().await;
    let gateway = world.start().await;
    let customer = Customer::with_balance(&world, &gateway, 10_000).await;
    let request = job(&["hello"]);
    let first = customer.run(&gateway, request.clone()).await.unwrap();
    let twins = futures::future::join_all((0..4).map(|_| customer.run(&gateway, request.clone()))).await;
    for twin in twins {
        assert_eq!(twin.unwrap(), first);
    }
    let other = pb::RunJobRequest { max_price_msat: 5000, ..request.clone() };
    let refused = customer.run(&gateway, other).await.unwrap_err();
    assert_eq!(reason(&refused), ErrorReason::RequestIdReused);
    assert_eq!(world.serving.embeds(), 1);
    assert_eq!(customer.balance(&world).await.balance_units, 10_000 - PRICE_OF_HELLO);

    // The same id of another customer is another job.
    let stranger = Customer::with_balance(&world, &gateway, 10_000).await;
    let answer = stranger.run(&gateway, request).await.unwrap();
    assert_ne!(job_id(&answer), job_id(&first));
}

#[tokio::test]
async fn twins_at_once_make_one_job() {
    let world = World::new().await;
    let gateways = [world.start().await, world.start().await];
    let customer = Customer::with_balance(&world, &gateways[0], 100_000).await;
    for _ in 0..5 {
        let request = job(&["hello"]);
        let calls = (0..6).map(|number| customer.run(&gateways[number % 2], request.clone()));
        let answers = futures::future::join_all(calls).await;
        let ids: Vec<JobId> = answers.iter().map(|answer| job_id(answer.as_ref().unwrap())).collect();
        assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    }
    let balance = customer.balance(&world).await;
    assert_eq!((balance.balance_units, balance.reserved_units), (100_000 - 5 * PRICE_OF_HELLO, 0));
    sound(&world).await;
}

#[tokio::test]
async fn nothing_is_taken_for_a_job_that_fails() {
    let world = World::new().await;
    let gateway = world.start().await;
    let customer = Customer::with_balance(&world, &gateway, 10_000).await;
    for (mood, reason) in [
        (Mood::Fails(ErrorReason::ModelFailed), "model_failed"),
        (Mood::OtherModel, "model_changed"),
        (Mood::NotFinite, "model_failed"),
    ] {
        world.serving.set(mood);
        let answer = customer.run(&gateway, job(&["hello"])).await.unwrap();
        let failed = answer.job.as_ref().unwrap();
        assert_eq!((failed.state(), failed.release_reason.as_str()), (pb::JobState::Failed, reason));
        assert_eq!((answer.charged_msat, answer.result), (0, None));
    }
    let balance = customer.balance(&world).await;
    assert_eq!((balance.balance_units, balance.reserved_units), (10_000, 0));
    assert_eq!(world.balance(HouseKind::Revenue).await, 0);
    sound(&world).await;
}

#[tokio::test]
async fn what_the_balance_does_not_cover_never_begins() {
    let world = World::new().await;
    let gateway = world.start().await;
    let customer = Customer::with_balance(&world, &gateway, CAP_OF_HELLO - 1).await;
    let refused = customer.run(&gateway, job(&["hello"])).await.unwrap_err();
    assert_eq!(
        (refused.code(), reason(&refused)),
        (Code::FailedPrecondition, ErrorReason::InsufficientFunds)
    );
    // A caller who allows less has the texts counted: what they really cost is set aside, or refused.
    let counted = pb::RunJobRequest { max_price_msat: PRICE_OF_HELLO.unsigned_abs(), ..job(&["hello"]) };
    assert_eq!(customer.run(&gateway, counted).await.unwrap().charged_msat, PRICE_OF_HELLO.unsigned_abs());
    let low = pb::RunJobRequest { max_price_msat: PRICE_OF_HELLO.unsigned_abs() - 1, ..job(&["hello"]) };
    assert_eq!(reason(&customer.run(&gateway, low).await.unwrap_err()), ErrorReason::PriceTooHigh);
    for (change, expected) in [
        (pb::RunJobRequest { model_name: "none".to_owned(), ..job(&["a"]) }, ErrorReason::ModelNotFound),
        (pb::RunJobRequest { model_version: "9".to_owned(), ..job(&["a"]) }, ErrorReason::ModelNotFound),
        (job(&[]), ErrorReason::InputEmpty),
        (job(&[""]), ErrorReason::InputEmpty),
        (pb::RunJobRequest { request_id: "1".to_owned(), ..job(&["a"]) }, ErrorReason::InvalidField),
        (pb::RunJobRequest { task: None, ..job(&["a"]) }, ErrorReason::InvalidField),
    ] {
        assert_eq!(reason(&customer.run(&gateway, change).await.unwrap_err()), expected);
    }
    assert_eq!(customer.balance(&world).await.reserved_units, 0);
}

#[tokio::test]
async fn a_frozen_account_sets_nothing_aside() {
    let world = World::new().await;
    let gateway = world.start().await;
    let customer = Customer::with_balance(&world, &gateway, 10_000).await;
    let freeze = pb::FreezeAccountRequest {
        request_id: id(),
        account_id: customer.id.to_string(),
        note: "looks odd".to_owned(),
    };
    let freeze = with_key(&operator_key("bob"), freeze);
    let frozen = gateway.as_operator(|admin| async move { admin.freeze_account(freeze).await }).await;
    assert!(frozen.unwrap().into_inner().account.unwrap().frozen);
    let refused = customer.run(&gateway, job(&["hello"])).await.unwrap_err();
    assert_eq!(reason(&refused), ErrorReason::AccountFrozen);
    let unfreeze = pb::UnfreezeAccountRequest {
        request_id: id(),
        account_id: customer.id.to_string(),
        note: String::new(),
    };
    let unfreeze = with_key(&operator_key("bob"), unfreeze);
    gateway.as_operator(|admin| async move { admin.unfreeze_account(unfreeze).await }).await.unwrap();
    assert_eq!(state(&customer.run(&gateway, job(&["hello"])).await.unwrap()), pb::JobState::Settled);
}

#[tokio::test]
async fn a_job_can_be_given_up_while_it_runs_and_not_after() {
    let world = World::new().await;
    let gateway = world.start().await;
    let customer = Customer::with_balance(&world, &gateway, 10_000).await;
    world.serving.set(Mood::Hangs);
    let cancel = async |gateway: &Process| {
        until("the model runs", || async { world.serving.embeds() == 1 }).await;
        let listed = with_key(&customer.key, pb::ListJobsRequest::default());
        let listed = gateway.as_customer(|accounts| async move { accounts.list_jobs(listed).await }).await;
        let running = listed.unwrap().into_inner().jobs.remove(0);
        assert_eq!(running.state(), pb::JobState::Running);
        assert_eq!(customer.balance(&world).await.reserved_units, CAP_OF_HELLO);
        let keys =
            ailayer_gateway::domain::keys::Keys::derive(&ailayer_gateway::domain::keys::Master::new([7; 32]));
        let token = keys.token(running.job_id.parse().unwrap()).expose().to_vec();
        gateway.cancel(pb::JobKey { job_id: running.job_id, job_token: token }).await.unwrap()
    };
    let (answer, canceled) = tokio::join!(customer.run(&gateway, job(&["hello"])), cancel(&gateway));
    assert_eq!(canceled.state(), pb::JobState::Canceled);
    assert_eq!(state(&answer.unwrap()), pb::JobState::Canceled);
    let balance = customer.balance(&world).await;
    assert_eq!((balance.balance_units, balance.reserved_units), (10_000, 0));
    world.serving.set(Mood::Works);
    let settled = customer.run(&gateway, job(&["hello"])).await.unwrap();
    let key = pb::JobKey { job_id: job_id(&settled).to_string(), job_token: settled.job_token.clone() };
    assert_eq!(reason(&gateway.cancel(key).await.unwrap_err()), ErrorReason::InvalidState);
    sound(&world).await;
}

/// Row by row: a gateway dies behind the write, another takes over, and the customer's repeat gets the answer. Charged once.
#[tokio::test]
async fn a_crash_behind_every_write_charges_once() {
    for point in [
        crash_points::RUNNING,
        crash_points::COMPLETED,
        crash_points::APPENDED,
        crash_points::SETTLED,
        crash_points::CLOSED,
    ] {
        let world = World::new().await;
        let (dying, crash) = world.start_halting_at(point).await;
        let customer = Customer::with_balance(&world, &dying, 10_000).await;
        let request = job(&["hello"]);
        tokio::select! {
            () = crash.reached() => {}
            answer = async {
                let answer = customer.run(&dying, request.clone()).await;
                // The relay passes the last point a moment behind the answer.
                crash.reached().await;
                answer
            } => drop(answer),
        }
        dying.kill();
        let gateway = world.start().await;
        let answer = customer.run(&gateway, request).await.unwrap();
        assert_eq!(state(&answer), pb::JobState::Settled, "{point}");
        let balance = customer.balance(&world).await;
        assert_eq!((balance.balance_units, balance.reserved_units), (10_000 - PRICE_OF_HELLO, 0), "{point}");
        world.closings_relayed().await;
        let receipts = world.audit.entries().into_iter().filter(|entry| *entry == answer.receipt);
        assert_eq!(receipts.count(), 1, "{point}: one receipt in the log");
        sound(&world).await;
    }
}

#[tokio::test]
async fn a_log_that_does_not_answer_frees_the_reservation() {
    let mut world = World::new().await;
    world.settings.rules.append_timeout_ms = 300;
    world.audit.set(audit_log::Mood::Unavailable);
    let gateway = world.start().await;
    let customer = Customer::with_balance(&world, &gateway, 10_000).await;
    let answer = customer.run(&gateway, job(&["hello"])).await.unwrap();
    let failed = answer.job.as_ref().unwrap();
    assert_eq!((failed.state(), failed.release_reason.as_str()), (pb::JobState::Failed, "audit_unavailable"));
    assert_eq!(customer.balance(&world).await.balance_units, 10_000);
    assert_eq!(customer.balance(&world).await.reserved_units, 0);
    // The receipt may have reached the log: its ending must follow it.
    world.audit.set(audit_log::Mood::Works);
    world.closings_relayed().await;
    assert!(world.record(job_id(&answer)).await.closing.is_some());
    sound(&world).await;
}

#[tokio::test]
async fn a_key_spends_what_it_may_in_a_window() {
    let world = World::new().await;
    let gateway = world.start().await;
    let limited = pb::KeyTerms { spend_limit_msat: 2_100, spend_window_s: 2, ..terms() };
    let customer = Customer::new(&gateway, limited).await;
    customer.fund(&world, 100_000).await;
    let left = async || customer.account(&gateway).await.unwrap().key_left_msat;
    assert_eq!(left().await, Some(2_100));
    customer.run(&gateway, job(&["hello"])).await.unwrap();
    assert_eq!(left().await, Some(2_100 - 1030), "what was not used counts no more");
    let refused = customer.run(&gateway, job(&["hello"])).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused)), (Code::ResourceExhausted, ErrorReason::KeyLimitReached));
    tokio::time::sleep(Duration::from_millis(2_100)).await;
    customer.run(&gateway, job(&["hello"])).await.unwrap();
    assert_eq!(customer.balance(&world).await.balance_units, 100_000 - 2 * PRICE_OF_HELLO);
    // Many at once: never more than the limit.
    let calls = (0..6).map(|_| customer.run(&gateway, job(&["hello"])));
    let settled = futures::future::join_all(calls).await.into_iter().filter(Result::is_ok).count();
    assert!(settled <= 1, "{settled} jobs of 1030 fit a limit of 2100 beside one that ran");
}

#[tokio::test]
async fn many_jobs_at_once_are_charged_to_the_millisatoshi() {
    let mut world = World::new().await;
    world.settings.max_running_jobs = 64;
    let gateways = [world.start().await, world.start().await];
    let customer = Customer::with_balance(&world, &gateways[0], 30 * PRICE_OF_HELLO + 60).await;
    let calls = (0..40).map(|number| customer.run(&gateways[number % 2], job(&["hello"])));
    let answers = futures::future::join_all(calls).await;
    let settled = answers.iter().filter(|answer| answer.is_ok()).count();
    for answer in answers.iter().filter_map(|answer| answer.as_ref().err()) {
        assert_eq!(reason(answer), ErrorReason::InsufficientFunds);
    }
    let balance = customer.balance(&world).await;
    let spent = i64::try_from(settled).unwrap() * PRICE_OF_HELLO;
    assert_eq!((balance.balance_units, balance.reserved_units), (30 * PRICE_OF_HELLO + 60 - spent, 0));
    assert_eq!(world.balance(HouseKind::Revenue).await, spent);
    assert!((25..=30).contains(&settled), "{settled}");
    sound(&world).await;
}

#[tokio::test]
async fn jobs_of_one_limited_key_begin_and_end_without_a_deadlock() {
    let mut world = World::new().await;
    world.settings.max_running_jobs = 64;
    let gateway = world.start().await;
    let limited = pb::KeyTerms { spend_limit_msat: 10_000_000, spend_window_s: 3_600, ..terms() };
    let customer = Customer::new(&gateway, limited).await;
    customer.fund(&world, 1_000_000).await;
    for _ in 0..5 {
        let calls = (0..30).map(|_| customer.run(&gateway, job(&["hello"])));
        for answer in futures::future::join_all(calls).await {
            assert_eq!(state(&answer.unwrap()), pb::JobState::Settled);
        }
    }
    let left = customer.account(&gateway).await.unwrap().key_left_msat;
    assert_eq!(left, Some(10_000_000 - 150 * PRICE_OF_HELLO.unsigned_abs()));
    // The server counts them, and shows the count within a second of a connection's falling idle.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let query = "select deadlocks from pg_stat_database where datname = current_database()";
    let deadlocks: i64 = sqlx::query_scalar(query).fetch_one(world.store.pool()).await.unwrap();
    assert_eq!(deadlocks, 0);
    sound(&world).await;
}

#[tokio::test]
async fn more_jobs_than_may_run_are_refused_before_anything_is_set_aside() {
    let mut world = World::new().await;
    world.settings.max_running_jobs = 1;
    world.settings.rules.run_limit_ms = 1_500;
    let gateway = world.start().await;
    let customer = Customer::with_balance(&world, &gateway, 10_000).await;
    world.serving.set(Mood::Hangs);
    let (first, second) = tokio::join!(customer.run(&gateway, job(&["hello"])), async {
        until("the first job runs", || async { world.serving.embeds() == 1 }).await;
        let second = customer.run(&gateway, job(&["hello"])).await;
        assert_eq!(customer.balance(&world).await.reserved_units, CAP_OF_HELLO);
        second
    });
    assert_eq!(reason(&second.unwrap_err()), ErrorReason::Overloaded);
    assert_ne!(state(&first.unwrap()), pb::JobState::Settled, "the model hangs up to the run limit");
    sound(&world).await;
}

#[tokio::test]
async fn the_model_server_is_told_for_whom_it_works() {
    let world = World::new().await;
    let gateway = world.start().await;
    let customer = Customer::with_balance(&world, &gateway, 10_000).await;
    customer.run(&gateway, job(&["hello"])).await.unwrap();
    let bought = gateway.quote(&["hello"]).await;
    world.payments.pay(bought.id());
    world.wait_for(bought.id(), State::Settled).await;
    let accounts = world.serving.accounts.lock().unwrap().clone();
    assert_eq!(accounts, [Some(customer.id.uuid()), None], "strangers are one account together");
}
