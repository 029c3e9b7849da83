//! Tensors on sale: priced by the byte, exact on both rails, checked before anything is set aside.

use ailayer_client::ErrorReason;
use ailayer_gateway::domain::job::State;
use ailayer_gateway::domain::ledger::HouseKind;
use ailayer_platform::error::violated_field;
use ailayer_proto::ailayer::gateway::v1 as pb;
use ailayer_receipt::statement::{Quote, Receipt, Task};
use ailayer_receipt::tensor::{Inference, Tensor, Tensors};
use ailayer_receipt::{Envelope, GatewayKey};
use tonic::Code;

use crate::customer::{Customer, job, tensor_job};
use crate::fakes::serving::Mood;
use crate::world::{Process, World, order, reason, tensor_order};

/// Of four bytes at 3 msat, and 1000 msat a call.
const PRICE: u64 = 1012;

fn tensor(name: &str, datatype: &str, shape: &[u64], contents: &[u8]) -> pb::Tensor {
    pb::Tensor {
        name: name.to_owned(),
        datatype: datatype.to_owned(),
        shape: shape.to_vec(),
        contents: contents.to_vec(),
    }
}

fn four() -> Vec<pb::Tensor> {
    vec![tensor("x", "INT16", &[2], &[1, 2, 3, 4])]
}

fn checked(tensors: &[pb::Tensor]) -> Tensors {
    let tensors = tensors.iter().cloned().map(|it| Tensor {
        name: it.name,
        datatype: it.datatype,
        shape: it.shape,
        contents: it.contents,
    });
    Tensors::try_new(tensors.collect()).unwrap()
}

fn reversed() -> Vec<pb::Tensor> {
    vec![tensor("x_back", "INT16", &[2], &[4, 3, 2, 1])]
}

async fn key(gateway: &Process) -> GatewayKey {
    gateway.info().await.unwrap().gateway_key.parse().unwrap()
}

#[tokio::test]
async fn a_hold_buys_tensors_at_the_exact_price() {
    let world = World::new().await;
    let gateway = world.start().await;
    let bought = gateway.create_quote(tensor_order(four())).await.unwrap();
    assert_eq!((bought.0.price_msat, bought.0.input_tokens, bought.0.tensor_bytes), (PRICE, 0, 4));
    let quote: Quote = Envelope::parse(&bought.0.quote).unwrap().open(&key(&gateway).await).unwrap();
    let asked = Inference { inputs: checked(&four()), outputs: Vec::new() };
    assert_eq!((quote.task, quote.tensor_bytes, quote.request_digest), (Task::Infer, 4, asked.digest()));

    world.payments.pay(bought.id());
    world.wait_for(bought.id(), State::Settled).await;
    let result = gateway.result(bought.key()).await.unwrap();
    let Some(pb::get_result_response::Result::Infer(infer)) = result.result else { panic!("tensors") };
    assert_eq!(infer.outputs, reversed());
    assert_eq!(result.output_digest, checked(&reversed()).digest().to_vec());

    let receipt = gateway.receipt(bought.key()).await.unwrap().receipt;
    let receipt: Receipt = Envelope::parse(&receipt).unwrap().open(&key(&gateway).await).unwrap();
    assert_eq!(receipt.output_digest.to_vec(), result.output_digest);
    assert_eq!((receipt.usage.input_tokens, receipt.usage.tensor_bytes, receipt.usage.rows), (0, 4, 1));
    assert_eq!(receipt.price_msat.msat(), PRICE);
    assert_eq!(world.balance(HouseKind::Revenue).await, 1012);
}

#[tokio::test]
async fn a_balance_buys_tensors_for_what_they_cost() {
    let world = World::new().await;
    let gateway = world.start().await;
    let customer = Customer::with_balance(&world, &gateway, 10_000).await;
    let request = tensor_job(four());
    let answer = customer.run(&gateway, request.clone()).await.unwrap();
    assert_eq!(answer.charged_msat, PRICE);
    let Some(pb::run_job_response::Result::Infer(infer)) = &answer.result else { panic!("tensors") };
    assert_eq!(infer.outputs, reversed());
    assert_eq!(customer.balance(&world).await.balance_units, 10_000 - 1012);
    assert_eq!(world.serving.accounts.lock().unwrap().as_slice(), [Some(customer.id.uuid())]);

    // Once, however often it is asked; from the stored answer, too.
    assert_eq!(customer.run(&gateway, request.clone()).await.unwrap(), answer);
    let mut other = four();
    other[0].contents[0] = 9;
    let other = pb::RunJobRequest { request_id: request.request_id, ..tensor_job(other) };
    let refused = customer.run(&gateway, other).await.unwrap_err();
    assert_eq!(reason(&refused), ErrorReason::RequestIdReused);

    let cheap = pb::RunJobRequest { max_price_msat: PRICE - 1, ..tensor_job(four()) };
    assert_eq!(reason(&customer.run(&gateway, cheap).await.unwrap_err()), ErrorReason::PriceTooHigh);
    let exact = pb::RunJobRequest { max_price_msat: PRICE, ..tensor_job(four()) };
    assert_eq!(customer.run(&gateway, exact).await.unwrap().charged_msat, PRICE);
}

/// A model must not be asked for the other task's price.
#[tokio::test]
async fn a_model_does_its_own_task_only() {
    let world = World::new().await;
    let gateway = world.start().await;
    let customer = Customer::with_balance(&world, &gateway, 10_000).await;
    let embeds = |request: pb::RunJobRequest| pb::RunJobRequest { model_name: "raw".to_owned(), ..request };
    let infers = |request: pb::RunJobRequest| pb::RunJobRequest { model_name: "mini".to_owned(), ..request };
    for request in [embeds(job(&["hello"])), infers(tensor_job(four()))] {
        let refused = customer.run(&gateway, request).await.unwrap_err();
        assert_eq!(
            (reason(&refused), violated_field(&refused).as_deref()),
            (ErrorReason::InvalidField, Some("task"))
        );
    }
    for (model, wrong) in [("mini", tensor_order(four())), ("raw", order(&["hello"]))] {
        let wrong = pb::CreateQuoteRequest { model_name: model.to_owned(), ..wrong };
        let refused = gateway.create_quote(wrong).await.map(drop).unwrap_err();
        assert_eq!(violated_field(&refused).as_deref(), Some("task"), "{model}: {refused:?}");
    }
    for gone in [("gone", ""), ("raw", "7")] {
        let order = pb::CreateQuoteRequest {
            model_name: gone.0.to_owned(),
            model_version: gone.1.to_owned(),
            ..tensor_order(four())
        };
        let refused = gateway.create_quote(order).await.map(drop).unwrap_err();
        assert_eq!((refused.code(), reason(&refused)), (Code::NotFound, ErrorReason::ModelNotFound));
    }
    assert_eq!(customer.balance(&world).await.balance_units, 10_000);
}

#[tokio::test]
async fn what_is_no_tensor_is_refused_before_anything_is_set_aside() {
    let world = World::new().await;
    let gateway = world.start().await;
    let customer = Customer::with_balance(&world, &gateway, 10_000).await;
    use ErrorReason::{
        ContentMismatch, DatatypeMismatch, InputEmpty, InputTooLarge, InvalidField, ShapeMismatch,
    };
    let cases = [
        (Vec::new(), InputEmpty),
        (vec![tensor("", "INT8", &[1], &[0])], InvalidField),
        (vec![tensor("x", "INT8", &[1], &[0]), tensor("x", "INT8", &[1], &[0])], InvalidField),
        (vec![tensor("x", "INT9", &[1], &[0])], DatatypeMismatch),
        (vec![tensor("x", "INT8", &[u64::MAX, 2], &[0])], ShapeMismatch),
        (vec![tensor("x", "INT16", &[0], &[])], ShapeMismatch),
        (vec![tensor("x", "INT8", &[2], &[0])], ContentMismatch),
        (vec![tensor("x", "BYTES", &[1], &[9, 0, 0, 0])], ContentMismatch),
        (vec![tensor("y", "INT16", &[1], &[0; 2])], InvalidField),
        (vec![tensor("x", "INT8", &[1], &[0])], DatatypeMismatch),
        (vec![tensor("x", "INT16", &[1, 1], &[0; 2])], ShapeMismatch),
        (vec![tensor("x", "INT8", &[8193], &[0; 8193])], InputTooLarge),
        ((0..9).map(|at| tensor(&at.to_string(), "INT8", &[1], &[0])).collect(), InputTooLarge),
    ];
    for (inputs, expected) in cases {
        let of_balance = customer.run(&gateway, tensor_job(inputs.clone())).await.unwrap_err();
        let of_hold = gateway.create_quote(tensor_order(inputs)).await.map(drop).unwrap_err();
        for refused in [of_balance, of_hold] {
            assert_eq!((reason(&refused), refused.code()), (expected, Code::InvalidArgument), "{refused:?}");
            assert_eq!(violated_field(&refused).as_deref(), Some("infer.inputs"), "{refused:?}");
        }
    }
    for (output, field) in [("", "infer.outputs"), ("y", "infer.outputs")] {
        let infer = pb::InferTask { inputs: four(), outputs: vec![output.to_owned()] };
        let task = Some(pb::run_job_request::Task::Infer(infer));
        let request = pb::RunJobRequest { task, ..tensor_job(four()) };
        let refused = customer.run(&gateway, request).await.unwrap_err();
        assert_eq!((reason(&refused), violated_field(&refused).as_deref()), (InvalidField, Some(field)));
    }
    assert_eq!(customer.balance(&world).await.reserved_units, 0);
    assert_eq!(world.serving.infers.load(std::sync::atomic::Ordering::SeqCst), 0);
}

/// The model knows more of its inputs than the gateway does: what it refuses costs nothing.
#[tokio::test]
async fn what_the_model_refuses_and_another_model_cost_nothing() {
    let world = World::new().await;
    let gateway = world.start().await;
    let customer = Customer::with_balance(&world, &gateway, 10_000).await;
    let cases = [
        (Mood::Fails(ErrorReason::ShapeMismatch), "input_refused"),
        (Mood::Fails(ErrorReason::DatatypeMismatch), "input_refused"),
        (Mood::Fails(ErrorReason::ModelFailed), "model_failed"),
        (Mood::OtherModel, "model_changed"),
    ];
    for (mood, expected) in cases {
        world.serving.set(mood);
        let ended = customer.run(&gateway, tensor_job(four())).await.unwrap();
        let job = ended.job.unwrap();
        assert_eq!((job.state(), job.release_reason.as_str()), (pb::JobState::Failed, expected), "{mood:?}");
        assert_eq!((ended.charged_msat, ended.result), (0, None));
    }
    assert_eq!(customer.balance(&world).await.balance_units, 10_000);
    // More than is kept.
    world.serving.set(Mood::Longer(8193));
    let ended = customer.run(&gateway, tensor_job(four())).await.unwrap();
    assert_eq!(ended.job.unwrap().release_reason, "model_failed");
    world.serving.set(Mood::Longer(8192));
    assert_eq!(customer.run(&gateway, tensor_job(four())).await.unwrap().charged_msat, PRICE);
}

/// What was stored of tensors is run by whoever takes the job over.
#[tokio::test]
async fn tensors_survive_the_gateway() {
    let world = World::new().await;
    let gateway = world.start().await;
    world.serving.set(Mood::Hangs);
    let bought = gateway.create_quote(tensor_order(four())).await.unwrap();
    world.payments.pay(bought.id());
    world.wait_for(bought.id(), State::Running).await;
    gateway.kill();
    world.serving.set(Mood::Works);
    let gateway = world.start().await;
    world.wait_for(bought.id(), State::Settled).await;
    let result = gateway.result(bought.key()).await.unwrap();
    let Some(pb::get_result_response::Result::Infer(infer)) = result.result else { panic!("tensors") };
    assert_eq!(infer.outputs, reversed());
}

/// The digests of texts and of tensors have domains of their own, and so have the orders.
#[tokio::test]
async fn a_request_id_belongs_to_one_task() {
    let world = World::new().await;
    let gateway = world.start().await;
    let of_tensors = tensor_order(four());
    let request_id = of_tensors.request_id.clone();
    let bought = gateway.create_quote(of_tensors.clone()).await.unwrap();
    assert_eq!(gateway.create_quote(of_tensors).await.unwrap().0, bought.0);
    let of_texts = pb::CreateQuoteRequest { request_id, ..order(&["hello"]) };
    let refused = gateway.create_quote(of_texts).await.map(drop).unwrap_err();
    assert_eq!(reason(&refused), ErrorReason::RequestIdReused);
}
