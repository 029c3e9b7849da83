use ailayer_primitives::{JobToken, RequestId, UnixMs};
use ailayer_receipt::GatewaySigner;
use ailayer_receipt::statement::{Claim, Task, Usage};

use super::*;

mod sealed;
use crate::gateway::{JobKey, Row};
use crate::invoice::tests::{invoice, node_id};

const NOW: UnixS = UnixS(1_800_000_100);

fn signer() -> GatewaySigner {
    GatewaySigner::new(&[3; 32])
}

fn order() -> Order {
    Order {
        request_id: "7b0f6c0e-6f3c-4f7c-9f5e-0a7f3f0d9c11".parse::<RequestId>().unwrap(),
        model_name: "all-minilm-l6-v2".to_owned(),
        model_version: String::new(),
        task: crate::gateway::Task::embed(["hello", "world"]),
        network: Network::Regtest,
        sealed_to: None,
    }
}

fn terms() -> Terms {
    Terms {
        seller: signer().public_key(),
        max_price: AmountMsat::try_new(2000).unwrap(),
        model_digest: Some(Digest::sha256(b"model")),
        payee: Some(node_id()),
    }
}

fn quote() -> Quote {
    Quote {
        version: 1,
        job_id: "6f1b1d0e-6f3c-4f7c-9f5e-0a7f3f0d9c11".parse().unwrap(),
        network: Network::Regtest,
        seller: signer().public_key(),
        model: Model {
            name: "all-minilm-l6-v2".to_owned(),
            version: "1".to_owned(),
            digest: Digest::sha256(b"model"),
        },
        task: Task::Embed,
        request_digest: order().task.digest().unwrap(),
        input_tokens: 7,
        tensor_bytes: 0,
        price_msat: AmountMsat::try_new(1070).unwrap(),
        rail: Rail::Hold,
        expiry_unix_s: UnixS(1_800_000_600),
        created_unix_s: UnixS(1_800_000_000),
        seal: None,
    }
}

fn offer(quote: &Quote) -> Offer {
    let envelope = signer().sign(quote).unwrap();
    let payment_hash = PaymentHash(Digest::sha256(b"preimage"));
    Offer {
        key: JobKey { job_id: quote.job_id, token: JobToken::new([1; 16]) },
        bolt11: invoice(quote.network, quote.price_msat.msat(), envelope.digest(), payment_hash),
        quote: envelope.into_string(),
        price: quote.price_msat,
        input_tokens: quote.input_tokens,
        tensor_bytes: quote.tensor_bytes,
        payment_hash,
        expiry: quote.expiry_unix_s,
    }
}

fn purchase() -> Purchase {
    check_offer(&order(), &terms(), &offer(&quote()), NOW).unwrap()
}

fn rows() -> Vec<Row> {
    let row = |values: [f32; 2]| Row { values: values.to_vec(), input_tokens: 3, truncated: false };
    vec![row([0.5, -0.5]), row([1.0, 0.0])]
}

fn delivered(rows: Vec<Row>) -> ailayer_receipt::answer::Answer {
    ailayer_receipt::answer::Answer::try_new(rows).unwrap()
}

fn answer() -> Answer {
    Answer::opened(delivered(rows()))
}

fn receipt() -> Receipt {
    let purchase = purchase();
    Receipt {
        version: 1,
        job_id: purchase.quote.job_id,
        network: Network::Regtest,
        model: purchase.quote.model.clone(),
        execution_provider: "CPUExecutionProvider".to_owned(),
        request_digest: purchase.quote.request_digest,
        output_digest: answer().output_digest,
        usage: Usage { input_tokens: 7, tensor_bytes: 0, rows: 2 },
        price_msat: purchase.quote.price_msat,
        rail: Rail::Hold,
        payment_hash: Some(purchase.payment_hash),
        quote_digest: purchase.quote_digest,
        attempt: 1,
        held_unix_ms: UnixMs(1_800_000_101_000),
        started_unix_ms: UnixMs(1_800_000_101_001),
        completed_unix_ms: UnixMs(1_800_000_101_002),
        claims: Claim::ClaimAuthorised,
        sealed_digest: None,
    }
}

#[test]
fn an_honest_offer_may_be_paid() {
    let purchase = purchase();
    assert_eq!(purchase.quote, quote());
    assert_eq!(purchase.job_id(), quote().job_id);
}

#[test]
fn an_offer_that_differs_from_the_order_is_refused() {
    let refused = |change: fn(&mut Quote)| {
        let mut quote = quote();
        change(&mut quote);
        check_offer(&order(), &terms(), &offer(&quote), NOW).unwrap_err()
    };
    assert_eq!(refused(|it| it.network = Network::Signet), OfferError::Other("network"));
    assert_eq!(refused(|it| it.model.name = "other".to_owned()), OfferError::Other("model"));
    assert_eq!(refused(|it| it.model.digest = Digest::sha256(b"")), OfferError::Other("model digest"));
    assert_eq!(refused(|it| it.request_digest = Digest::sha256(b"")), OfferError::Other("request"));
    assert_eq!(
        refused(|it| it.seller = GatewaySigner::new(&[9; 32]).public_key()),
        OfferError::Other("seller")
    );
    assert!(matches!(
        refused(|it| it.price_msat = AmountMsat::try_new(2001).unwrap()),
        OfferError::TooExpensive { .. }
    ));
    assert_eq!(refused(|it| it.expiry_unix_s = NOW), OfferError::Expired);
}

#[test]
fn an_offer_of_another_seller_or_with_a_foreign_invoice_is_refused() {
    let honest = offer(&quote());
    let other_terms = Terms { seller: GatewaySigner::new(&[9; 32]).public_key(), ..terms() };
    let refused = check_offer(&order(), &other_terms, &honest, NOW);
    assert_eq!(refused, Err(OfferError::Quote(EnvelopeError::ForeignKey)));

    let mut dearer = quote();
    dearer.price_msat = AmountMsat::try_new(1999).unwrap();
    let swapped = Offer { bolt11: offer(&dearer).bolt11, ..honest.clone() };
    let refused = check_offer(&order(), &terms(), &swapped, NOW).unwrap_err();
    assert!(matches!(refused, OfferError::Invoice(InvoiceError::WrongAmount { .. })));

    let mut other = quote();
    other.input_tokens = 8;
    let uncommitted = Offer { bolt11: offer(&other).bolt11, ..honest.clone() };
    let refused = check_offer(&order(), &terms(), &uncommitted, NOW);
    assert_eq!(refused, Err(OfferError::Invoice(InvoiceError::WrongDescription)));

    let other_payee = Terms { payee: Some([2; 33]), ..terms() };
    let refused = check_offer(&order(), &other_payee, &honest, NOW);
    assert_eq!(refused, Err(OfferError::Invoice(InvoiceError::WrongPayee)));
}

/// The price is made from them, and the buyer knows how many there are.
#[test]
fn an_offer_for_tensors_names_their_bytes() {
    let tensor = ailayer_receipt::tensor::Tensor {
        name: "x".to_owned(),
        datatype: "INT8".to_owned(),
        shape: vec![3],
        contents: vec![1, 2, 3],
    };
    let inputs = ailayer_receipt::tensor::Tensors::try_new(vec![tensor]).unwrap();
    let task = crate::gateway::Task::Infer(ailayer_receipt::tensor::Inference { inputs, outputs: vec![] });
    let honest = Quote {
        task: Task::Infer,
        request_digest: task.digest().unwrap(),
        input_tokens: 0,
        tensor_bytes: 3,
        ..quote()
    };
    let order = Order { task, ..order() };
    assert!(check_offer(&order, &terms(), &offer(&honest), NOW).is_ok());
    let inflated = Quote { tensor_bytes: 4, ..honest };
    let refused = check_offer(&order, &terms(), &offer(&inflated), NOW);
    assert_eq!(refused, Err(OfferError::Other("number of bytes")));
}

#[test]
fn an_honest_answer_is_accepted() {
    let envelope = signer().sign(&receipt()).unwrap().into_string();
    assert_eq!(check_answer(&purchase(), &envelope, &answer()), Ok(receipt()));
}

#[test]
fn an_answer_that_the_receipt_does_not_cover_is_refused() {
    let envelope = signer().sign(&receipt()).unwrap().into_string();
    let refused = |change: fn(&mut Answer)| {
        let mut answer = answer();
        change(&mut answer);
        check_answer(&purchase(), &envelope, &answer).unwrap_err()
    };
    let other = |it: &mut Answer| {
        let mut rows = rows();
        rows[1].values[0] = 0.9;
        it.delivered = delivered(rows);
    };
    assert_eq!(refused(other), AnswerError::OutputDigest);
    assert_eq!(refused(|it| it.output_digest = Digest::sha256(b"")), AnswerError::OutputDigest);
    assert_eq!(refused(|it| it.delivered = delivered(rows()[..1].to_vec())), AnswerError::Shape);
}

#[test]
fn a_receipt_about_something_else_is_refused() {
    let refused = |change: fn(&mut Receipt)| {
        let mut receipt = receipt();
        change(&mut receipt);
        let envelope = signer().sign(&receipt).unwrap().into_string();
        check_receipt(&purchase(), &envelope).unwrap_err()
    };
    assert_eq!(refused(|it| it.model.version = "2".to_owned()), AnswerError::Differs("model"));
    assert_eq!(refused(|it| it.request_digest = Digest::sha256(b"")), AnswerError::Differs("request"));
    assert_eq!(
        refused(|it| it.payment_hash = Some(PaymentHash(Digest::sha256(b"")))),
        AnswerError::Differs("payment")
    );
    assert_eq!(refused(|it| it.quote_digest = Digest::sha256(b"")), AnswerError::Differs("quote"));
    assert_eq!(refused(|it| it.usage.input_tokens = 6), AnswerError::Differs("number of tokens"));
    assert_eq!(refused(|it| it.usage.tensor_bytes = 6), AnswerError::Differs("number of bytes"));
    assert_eq!(
        refused(|it| it.price_msat = AmountMsat::try_new(1071).unwrap()),
        AnswerError::Differs("price")
    );
    let foreign = GatewaySigner::new(&[9; 32]).sign(&receipt()).unwrap().into_string();
    assert_eq!(check_receipt(&purchase(), &foreign), Err(AnswerError::Receipt(EnvelopeError::ForeignKey)));
}
