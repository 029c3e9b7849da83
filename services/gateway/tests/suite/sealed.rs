//! Sealed answers: delivered as ciphertexts, taken only once they are acknowledged.

use std::time::Duration;

use ailayer_client::ErrorReason;
use ailayer_client::payment::HoldInvoiceState;
use ailayer_gateway::crash_points as point;
use ailayer_gateway::domain::job::State;
use ailayer_gateway::domain::ledger::HouseKind;
use ailayer_primitives::{Digest, Preimage};
use ailayer_proto::ailayer::gateway::v1 as pb;
use ailayer_receipt::answer::{Answer, Output};
use ailayer_receipt::statement::{Closing, Outcome, Quote};
use ailayer_receipt::{Envelope, GatewayKey, Receipt};
use ailayer_seal::{Context, NotOpened, ResultKey, SecretKey};
use futures::StreamExt as _;
use tonic::Status;
use zeroize::Zeroizing;

use crate::fakes::{audit, payments, serving};
use crate::world::{Bought, Process, World, order, reason, sealed_order, tensor_order, until};

fn secret() -> SecretKey {
    SecretKey::new(&Zeroizing::new([5; 32]))
}

fn ciphertext(answer: pb::GetResultResponse) -> Vec<u8> {
    match answer.result {
        Some(pb::get_result_response::Result::Sealed(ciphertext)) => ciphertext,
        other => panic!("not a ciphertext: {other:?}"),
    }
}

async fn paid(world: &World, gateway: &Process) -> Bought {
    let request = sealed_order(&["hello world"], &secret().public_key());
    let bought = gateway.create_quote(request).await.unwrap();
    world.payments.pay(bought.id());
    bought
}

/// The ciphertext, as soon as it can be fetched.
async fn delivered(gateway: &Process, bought: &Bought) -> Vec<u8> {
    until("the ciphertext can be fetched", || async { gateway.result(bought.key()).await.is_ok() }).await;
    ciphertext(gateway.result(bought.key()).await.unwrap())
}

async fn acknowledge(gateway: &Process, bought: &Bought, sealed: &[u8]) -> Result<pb::Job, Status> {
    gateway.acknowledge(bought.key(), Digest::sha256(sealed).as_bytes()).await
}

struct Statements {
    quote: Quote,
    receipt: Receipt,
}

async fn statements(gateway: &Process, bought: &Bought) -> Statements {
    let key: GatewayKey = gateway.info().await.unwrap().gateway_key.parse().unwrap();
    let receipt = gateway.receipt(bought.key()).await.unwrap().receipt;
    Statements {
        quote: Envelope::parse(&bought.0.quote).unwrap().open(&key).unwrap(),
        receipt: Envelope::parse(&receipt).unwrap().open(&key).unwrap(),
    }
}

fn open(
    bought: &Bought,
    said: &Statements,
    ciphertext: &[u8],
    preimage: &Preimage,
) -> Result<Vec<u8>, NotOpened> {
    let shared = secret().agree(&said.quote.seal.unwrap().gateway_key);
    let context = Context {
        job_id: bought.id(),
        attempt: said.receipt.attempt,
        quote_digest: Digest::sha256(bought.0.quote.as_bytes()),
        output_digest: said.receipt.output_digest,
    };
    ResultKey::derive(preimage, &shared, bought.id()).open(&context, ciphertext)
}

async fn assert_opens(gateway: &Process, bought: &Bought) {
    let ciphertext = delivered(gateway, bought).await;
    let said = statements(gateway, bought).await;
    let opened = open(bought, &said, &ciphertext, &payments::preimage(bought.id().uuid())).unwrap();
    assert_eq!(Answer::from_bytes(&opened).unwrap().digest(), said.receipt.output_digest);
}

async fn assert_settled_once(world: &World, gateway: &Process, bought: &Bought) {
    world.wait_for(bought.id(), State::Settled).await;
    world.closings_relayed().await;
    assert_eq!(world.audit.entries().len(), 2, "one receipt, one closing entry");
    let price = i64::try_from(bought.0.price_msat).unwrap();
    assert_eq!(world.balance(HouseKind::Lightning).await, price);
    assert_opens(gateway, bought).await;
}

/// The byte form of an answer is sealed, whatever it holds.
#[tokio::test]
async fn tensors_are_sealed_too() {
    let world = World::new().await;
    let gateway = world.start().await;
    let input = pb::Tensor {
        name: "x".to_owned(),
        datatype: "INT16".to_owned(),
        shape: vec![1],
        contents: vec![1, 2],
    };
    let sealed_to = secret().public_key().as_bytes().to_vec();
    let request = pb::CreateQuoteRequest { sealed_to, ..tensor_order(vec![input]) };
    let bought = gateway.create_quote(request).await.unwrap();
    world.payments.pay(bought.id());
    let sealed = delivered(&gateway, &bought).await;
    let said = statements(&gateway, &bought).await;
    let opened = open(&bought, &said, &sealed, &payments::preimage(bought.id().uuid())).unwrap();
    let opened = Answer::from_bytes(&opened).unwrap();
    assert_eq!(opened.digest(), said.receipt.output_digest);
    let Output::Tensors(tensors) = opened.into_output() else { panic!("embeddings") };
    assert_eq!(tensors.as_slice()[0].contents, [2, 1]);
    acknowledge(&gateway, &bought, &sealed).await.unwrap();
    assert_settled_once(&world, &gateway, &bought).await;
}

#[tokio::test]
async fn a_sealed_answer_is_delivered_acknowledged_taken_and_opened() {
    let world = World::new().await;
    let gateway = world.start().await;
    let bought = paid(&world, &gateway).await;
    let sealed = delivered(&gateway, &bought).await;
    let said = statements(&gateway, &bought).await;
    assert_eq!(said.quote.seal.unwrap().buyer_key, secret().public_key());
    assert_eq!(said.receipt.sealed_digest, Some(Digest::sha256(&sealed)));
    assert_eq!(world.audit.entries().len(), 1, "the receipt is in the log before anything is delivered");

    // Nothing is taken, however long it is waited, and nothing is read without the preimage.
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert_eq!(world.state(bought.id()).await, State::Completed);
    assert_eq!(world.payments.claims(), 0);
    for guess in [[0; 32], *payments::preimage(bought.id().uuid()).payment_hash().0.as_bytes()] {
        assert_eq!(open(&bought, &said, &sealed, &Preimage::new(guess)), Err(NotOpened));
    }
    assert!(Answer::from_bytes(&sealed).is_err(), "it is no answer in the clear");

    let job = acknowledge(&gateway, &bought, &sealed).await.unwrap();
    assert_eq!(job.state(), pb::JobState::Completed);
    assert_settled_once(&world, &gateway, &bought).await;
    // Whoever says it again is told that it is so.
    acknowledge(&gateway, &bought, &sealed).await.unwrap();
    let states = world.states(bought.id()).await;
    use State::*;
    assert_eq!(states, [Quoted, Held, Running, Completed, Completed, Completed, Taking, Settled]);
    assert_eq!(world.serving.embeds(), 1);
}

#[tokio::test]
async fn an_answer_that_is_never_acknowledged_costs_nothing() {
    let mut world = World::new().await;
    world.settings.rules.acknowledge_timeout_ms = 1_000;
    let gateway = world.start().await;
    let key: GatewayKey = gateway.info().await.unwrap().gateway_key.parse().unwrap();
    let bought = paid(&world, &gateway).await;
    let sealed = delivered(&gateway, &bought).await;
    let record = world.wait_for(bought.id(), State::Expired).await;
    assert_eq!(record.job.release_reason.unwrap().as_str(), "not_acknowledged");
    assert_eq!(world.payments.state(bought.id()), Some(HoldInvoiceState::Released));
    assert_eq!(world.payments.claims(), 0);
    world.closings_relayed().await;
    let closing: Closing = Envelope::parse(&world.audit.entries()[1]).unwrap().open(&key).unwrap();
    assert_eq!((closing.outcome, closing.amount_msat.msat()), (Outcome::Voided, 0));

    let late = acknowledge(&gateway, &bought, &sealed).await.unwrap_err();
    assert_eq!(reason(&late), ErrorReason::InvalidState);
    assert_eq!(reason(&gateway.result(bought.key()).await.unwrap_err()), ErrorReason::ResultNotReady);
    assert_eq!(world.balance(HouseKind::Revenue).await, 0);
}

/// It is the buyer's turn: the job is due again at the end of it, and nobody drives it meanwhile.
#[tokio::test]
async fn a_job_that_waits_for_its_buyer_costs_nothing() {
    let world = World::new().await;
    let gateway = world.start().await;
    let bought = paid(&world, &gateway).await;
    delivered(&gateway, &bought).await;
    // The clock of the rest is read a moment before or behind that of the note.
    let due = "select abs(wake_unix_ms - appended_unix_ms - 20001) <= 2000 and lease_owner is null from jobs";
    until("nobody drives it", || async {
        let row = sqlx::query(due).fetch_one(world.store.pool()).await.unwrap();
        sqlx::Row::try_get(&row, 0).unwrap()
    })
    .await;
}

#[tokio::test]
async fn another_replica_takes_the_acknowledgement_and_a_third_the_money() {
    let world = World::new().await;
    let first = world.start().await;
    let bought = paid(&world, &first).await;
    let sealed = delivered(&first, &bought).await;
    let second = world.start().await;
    first.kill();
    let (one, two) =
        tokio::join!(acknowledge(&second, &bought, &sealed), acknowledge(&second, &bought, &sealed));
    assert!(one.is_ok() && two.is_ok(), "{one:?} {two:?}");
    second.kill();
    let third = world.start().await;
    assert_settled_once(&world, &third, &bought).await;
}

#[tokio::test]
async fn only_the_receipts_ciphertext_is_acknowledged() {
    let world = World::new().await;
    let gateway = world.start().await;
    let bought = paid(&world, &gateway).await;
    let sealed = delivered(&gateway, &bought).await;
    let said = statements(&gateway, &bought).await;
    for wrong in [Digest::sha256(b"other"), said.receipt.output_digest] {
        let refused = gateway.acknowledge(bought.key(), wrong.as_bytes()).await.unwrap_err();
        assert_eq!(reason(&refused), ErrorReason::DigestMismatch);
    }
    for length in [0, 31, 33] {
        let refused = gateway.acknowledge(bought.key(), &vec![1; length]).await.unwrap_err();
        assert_eq!(reason(&refused), ErrorReason::InvalidField);
    }
    let stranger = pb::JobKey { job_token: vec![1; 16], ..bought.key() };
    let refused = gateway.acknowledge(stranger, Digest::sha256(&sealed).as_bytes()).await.unwrap_err();
    assert_eq!(reason(&refused), ErrorReason::JobNotFound);
    assert_eq!(world.payments.claims(), 0);
    assert_eq!(world.state(bought.id()).await, State::Completed);
}

#[tokio::test]
async fn there_is_nothing_to_acknowledge_before_the_delivery_and_of_an_answer_in_the_clear() {
    let world = World::new().await;
    let gateway = world.start().await;
    let digest = Digest::sha256(b"whatever");
    let clear = gateway.create_quote(order(&["hello"])).await.unwrap();
    let refused = gateway.acknowledge(clear.key(), digest.as_bytes()).await.unwrap_err();
    assert_eq!(reason(&refused), ErrorReason::InvalidState);

    world.audit.set(audit::Mood::Hangs);
    let bought = paid(&world, &gateway).await;
    let record = world.wait_for(bought.id(), State::Completed).await;
    assert_eq!(reason(&gateway.result(bought.key()).await.unwrap_err()), ErrorReason::ResultNotReady);
    let known = record.sealed_digest.unwrap();
    let early = gateway.acknowledge(bought.key(), known.as_bytes()).await.unwrap_err();
    assert_eq!(reason(&early), ErrorReason::ResultNotReady, "the receipt is not in the log");
}

#[tokio::test]
async fn keys_that_keep_nothing_secret_are_refused() {
    let world = World::new().await;
    let gateway = world.start().await;
    let mut one = [0; 32];
    one[0] = 1;
    let wrong = [vec![1], vec![9; 31], vec![9; 33], vec![9; 64], vec![0; 32], one.to_vec()];
    for sealed_to in wrong {
        let request = pb::CreateQuoteRequest { sealed_to, ..order(&["hello"]) };
        let refused = gateway.create_quote(request).await.unwrap_err();
        assert_eq!(reason(&refused), ErrorReason::InvalidField);
        assert!(
            refused.message().contains("sealing key") || refused.message().contains("low order"),
            "{refused}"
        );
    }
    assert_eq!(world.payments.creates(), 0);
}

#[tokio::test]
async fn a_repeat_with_another_key_is_another_order() {
    let world = World::new().await;
    let gateway = world.start().await;
    let request = sealed_order(&["hello"], &secret().public_key());
    let bought = gateway.create_quote(request.clone()).await.unwrap();
    assert_eq!(gateway.create_quote(request.clone()).await.unwrap(), bought);
    let other = SecretKey::new(&Zeroizing::new([6; 32])).public_key();
    for sealed_to in [Vec::new(), other.as_bytes().to_vec()] {
        let refused = gateway.create_quote(pb::CreateQuoteRequest { sealed_to, ..request.clone() }).await;
        assert_eq!(reason(&refused.unwrap_err()), ErrorReason::RequestIdReused);
    }
}

#[tokio::test]
async fn watchers_see_when_the_ciphertext_can_be_fetched() {
    let world = World::new().await;
    let gateway = world.start().await;
    let request = sealed_order(&["hello world"], &secret().public_key());
    let bought = gateway.create_quote(request).await.unwrap();
    let mut jobs = gateway.watch(bought.key()).await.unwrap();
    world.payments.pay(bought.id());
    let mut completed = 0;
    let sealed = loop {
        let job = jobs.next().await.unwrap().unwrap().job.unwrap();
        completed += u32::from(job.state() == pb::JobState::Completed);
        match gateway.result(bought.key()).await {
            Ok(answer) => break ciphertext(answer),
            Err(refused) => assert_eq!(reason(&refused), ErrorReason::ResultNotReady),
        }
    };
    assert!((1..=2).contains(&completed), "at the latest with the second: {completed}");
    acknowledge(&gateway, &bought, &sealed).await.unwrap();
    world.wait_for(bought.id(), State::Settled).await;
}

#[tokio::test]
async fn what_cannot_be_sealed_is_not_computed_and_not_stored_in_the_clear() {
    let world = World::new().await;
    world.payments.set(|mood| mood.no_seal_keys = true);
    let gateway = world.start().await;
    let bought = paid(&world, &gateway).await;
    let record = world.wait_for(bought.id(), State::Failed).await;
    assert_eq!(record.job.release_reason.unwrap().as_str(), "receipt_failed");
    assert_eq!(world.serving.embeds(), 0);
    assert_eq!(record.output_digest, None);
}

#[tokio::test]
async fn payment_is_away_for_a_while_when_the_key_is_asked_for() {
    let world = World::new().await;
    let gateway = world.start().await;
    let bought = paid(&world, &gateway).await;
    world.payments.set(|mood| mood.down = true);
    tokio::time::sleep(Duration::from_millis(400)).await;
    world.payments.set(|mood| mood.down = false);
    let sealed = delivered(&gateway, &bought).await;
    acknowledge(&gateway, &bought, &sealed).await.unwrap();
    assert_settled_once(&world, &gateway, &bought).await;
}

#[tokio::test]
async fn blocks_that_come_while_the_buyer_thinks_give_the_money_back() {
    let world = World::new().await;
    let gateway = world.start().await;
    let bought = paid(&world, &gateway).await;
    let sealed = delivered(&gateway, &bought).await;
    world.payments.set_tip(payments::DEADLINE - 1);
    acknowledge(&gateway, &bought, &sealed).await.unwrap();
    let record = world.wait_for(bought.id(), State::Failed).await;
    assert_eq!(record.job.release_reason.unwrap().as_str(), "deadline_too_close");
    assert_eq!(world.payments.claims(), 0);
}

#[tokio::test]
async fn the_guard_gives_back_what_nobody_acknowledges() {
    let world = World::new().await;
    let gateway = world.start().await;
    let bought = paid(&world, &gateway).await;
    let sealed = delivered(&gateway, &bought).await;
    world.payments.guard_releases(bought.id());
    let record = world.wait_for(bought.id(), State::Failed).await;
    assert_eq!(record.job.release_reason.unwrap().as_str(), "hold_released");
    let late = acknowledge(&gateway, &bought, &sealed).await.unwrap_err();
    assert_eq!(reason(&late), ErrorReason::InvalidState);
}

/// Both keys of two attempts are one, and the ciphertexts are not: the attempt is in the key of each message.
#[tokio::test]
async fn another_attempt_seals_to_other_bytes() {
    let world = World::new().await;
    let (gateway, halt) = world.start_halting_at(point::RUNNING).await;
    let bought = paid(&world, &gateway).await;
    halt.reached().await;
    gateway.kill();
    let gateway = world.start().await;
    let sealed = delivered(&gateway, &bought).await;
    let said = statements(&gateway, &bought).await;
    assert_eq!(said.receipt.attempt, 2);
    let preimage = payments::preimage(bought.id().uuid());
    let opened = open(&bought, &said, &sealed, &preimage).unwrap();
    let first =
        Statements { receipt: Receipt { attempt: 1, ..said.receipt.clone() }, quote: said.quote.clone() };
    assert_eq!(open(&bought, &first, &sealed, &preimage), Err(NotOpened));
    assert_eq!(Answer::from_bytes(&opened).unwrap().digest(), said.receipt.output_digest);
}

async fn crash_behind(at: &'static str) -> (World, Process, Bought) {
    let world = World::new().await;
    let (gateway, halt) = world.start_halting_at(at).await;
    let bought = paid(&world, &gateway).await;
    if at == point::ACKNOWLEDGED {
        let sealed = delivered(&gateway, &bought).await;
        tokio::select! {
            _ = acknowledge(&gateway, &bought, &sealed) => panic!("it halts"),
            () = halt.reached() => {}
        }
    } else {
        halt.reached().await;
    }
    gateway.kill();
    let gateway = world.start().await;
    (world, gateway, bought)
}

#[tokio::test]
async fn behind_the_note_of_row_7_the_buyer_is_waited_for() {
    for at in [point::COMPLETED, point::APPENDED, point::APPEND_NOTED] {
        let (world, gateway, bought) = crash_behind(at).await;
        let sealed = delivered(&gateway, &bought).await;
        assert_eq!(world.payments.claims(), 0, "{at}");
        acknowledge(&gateway, &bought, &sealed).await.unwrap();
        assert_settled_once(&world, &gateway, &bought).await;
        assert_eq!(world.serving.embeds(), 1, "nothing is computed or sealed again");
    }
}

#[tokio::test]
async fn behind_the_acknowledgement_the_money_is_taken() {
    let (world, gateway, bought) = crash_behind(point::ACKNOWLEDGED).await;
    assert_settled_once(&world, &gateway, &bought).await;
}

#[tokio::test]
async fn a_ciphertext_is_erased_after_its_retention() {
    let mut world = World::new().await;
    world.settings.result_retention = Duration::from_millis(1);
    world.serving.set(serving::Mood::Works);
    let gateway = world.start().await;
    let bought = paid(&world, &gateway).await;
    let sealed = delivered(&gateway, &bought).await;
    acknowledge(&gateway, &bought, &sealed).await.unwrap();
    world.wait_for(bought.id(), State::Settled).await;
    // By the gateway's own task, or by this call where that is not at it.
    ailayer_gateway::store::retention::erase(&world.store, Duration::from_millis(1), 10).await.unwrap();
    until("the answer is erased", || async { gateway.result(bought.key()).await.is_err() }).await;
    let refused = gateway.result(bought.key()).await.unwrap_err();
    assert_eq!(reason(&refused), ErrorReason::ResultErased);
}
