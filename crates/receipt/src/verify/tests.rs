use ailayer_primitives::{AmountMsat, Digest, Network};
use bitcoin::hashes::Hash;

use super::*;
use crate::bundle::assemble;
use crate::statement::{Outcome, Task, Usage};
use crate::tensor::Tensor;
use crate::testing::{Block, CLOSING_INDEX, Fixture, RECEIPT_INDEX};
use crate::{GatewaySigner, Trust};

mod altered;

/// Verifies what the fixture makes with nothing pinned, and wants this error.
fn refused(fixture: &Fixture) -> String {
    verify(&fixture.bundle(), &Trust::default()).unwrap_err().to_string()
}

fn msat(amount: u64) -> AmountMsat {
    AmountMsat::try_new(amount).unwrap()
}

#[test]
fn every_ending_is_reported() {
    let endings = [
        (Some(Outcome::Settled), Ending::Settled, "SETTLED"),
        (Some(Outcome::Voided), Ending::Voided, "VOIDED"),
        (Some(Outcome::Lost), Ending::Lost, "LOST"),
        (None, Ending::NoClosingEntry, "no closing entry"),
    ];
    for (outcome, ending, words) in endings {
        let fixture = Fixture::with_ending(outcome);
        for trust in [Trust::default(), fixture.trust()] {
            let report = verify(&fixture.bundle(), &trust).unwrap();
            assert_eq!((report.ending, report.ending.to_string().as_str()), (ending, words));
        }
    }
}

#[test]
fn the_report_says_what_was_checked_and_what_was_not() {
    let fixture = Fixture::new();
    let bare = verify(&fixture.bundle(), &Trust::default()).unwrap();
    assert_eq!((bare.pinned.len(), bare.not_pinned.len()), (0, 6));
    assert_eq!((bare.block_height, bare.confirmations), (Some(150), 6));
    assert_eq!((bare.receipt_leaf_index, bare.tree_size), (RECEIPT_INDEX, 7));
    assert_eq!(bare.origin, "log.example/ailayer");
    assert_eq!(bare.receipt, fixture.receipt);
    let full = verify(&fixture.bundle(), &fixture.trust()).unwrap();
    assert_eq!((full.pinned.len(), full.not_pinned.len()), (6, 0));
    assert_eq!(full.checks.len(), bare.checks.len() + 3);
    assert!(
        full.checks.contains(&format!("closing entry is log entry {CLOSING_INDEX}")),
        "{:?}",
        full.checks
    );
    assert!(serde_json::to_string(&full).unwrap().contains(r#""ending":"SETTLED""#));
}

#[test]
fn pins_are_compared() {
    let fixture = Fixture::new();
    let bundle = fixture.bundle();
    let refused = |trust: Trust| verify(&bundle, &trust).unwrap_err().to_string();
    let stranger = GatewaySigner::new(&[9; 32]).public_key();
    let other_log = Verifier::try_new("log.example/ailayer", stranger.as_bytes()).unwrap();
    let wrong = [
        (Trust { gateway_key: Some(stranger), ..fixture.trust() }, "gateway_key: not the pinned key"),
        (Trust { log_key: Some(other_log), ..fixture.trust() }, "log_vkey: not the pinned key"),
        (
            Trust { network: Some(Network::Bitcoin), ..fixture.trust() },
            "network: bundle is for regtest, bitcoin is required",
        ),
        (
            Trust { min_confirmations: 7, ..fixture.trust() },
            "anchor.headers: 6 confirmations, 7 are required",
        ),
        (
            Trust { trusted_block: Some(BlockHash::all_zeros()), ..fixture.trust() },
            "anchor.headers: the trusted block is not among them",
        ),
        (
            Trust { request_texts: Some(vec!["another".into()]), ..fixture.trust() },
            "receipt: request_digest is not that of the given texts",
        ),
        (
            Trust { output: Some(KnownOutput::Rows(vec![vec![0.5, -0.25, 1.0]])), ..fixture.trust() },
            "receipt: output_digest is not that of the given output",
        ),
        (
            Trust { output: Some(KnownOutput::Rows(vec![vec![0.5], vec![]])), ..fixture.trust() },
            "the given output cannot be digested: the number of values is not rows times dimensions",
        ),
    ];
    for (trust, message) in wrong {
        assert_eq!(refused(trust), message);
    }
}

fn of_tensors() -> (Fixture, Inference, Tensors) {
    let tensor = |name: &str, contents: &[u8]| Tensor {
        name: name.to_owned(),
        datatype: "UINT8".to_owned(),
        shape: vec![u64::try_from(contents.len()).unwrap()],
        contents: contents.to_vec(),
    };
    let tensors = |tensor: Tensor| Tensors::try_new(vec![tensor]).unwrap();
    let request = Inference { inputs: tensors(tensor("x", &[1, 2, 3])), outputs: Vec::new() };
    let answer = tensors(tensor("y", &[4, 5]));
    let mut fixture = Fixture::new();
    (fixture.quote.task, fixture.quote.request_digest) = (Task::Infer, request.digest());
    (fixture.quote.input_tokens, fixture.quote.tensor_bytes) = (0, 3);
    (fixture.receipt.request_digest, fixture.receipt.output_digest) = (request.digest(), answer.digest());
    fixture.receipt.usage = Usage { input_tokens: 0, tensor_bytes: 3, rows: 1 };
    fixture.relink();
    (fixture, request, answer)
}

#[test]
fn tensors_are_verified_as_texts_are() {
    let (fixture, request, answer) = of_tensors();
    let trust = |request: &Inference, answer: &Tensors| Trust {
        request_texts: None,
        request_tensors: Some(request.clone()),
        output: Some(KnownOutput::Tensors(answer.clone())),
        ..fixture.trust()
    };
    let report = verify(&fixture.bundle(), &trust(&request, &answer)).unwrap();
    assert!(report.checks.contains(&"request digest is that of the given tensors".to_owned()));
    assert!(report.checks.contains(&"output digest is that of the given output".to_owned()));
    assert!(report.pinned.contains(&"request tensors"));
    let report = verify(&fixture.bundle(), &Trust::default()).unwrap();
    assert!(report.not_pinned.contains(&"request tensors: only their digest is known"));

    let error = |fixture: &Fixture, trust: Trust| verify(&fixture.bundle(), &trust).unwrap_err().to_string();
    let other = Inference { outputs: vec!["y".to_owned()], ..request.clone() };
    let found = error(&fixture, trust(&other, &answer));
    assert_eq!(found, "receipt: request_digest is not that of the given tensors");
    let found = error(&fixture, trust(&request, &request.inputs));
    assert_eq!(found, "receipt: output_digest is not that of the given output");
    let (mut inflated, ..) = of_tensors();
    (inflated.quote.tensor_bytes, inflated.receipt.usage.tensor_bytes) = (30, 30);
    inflated.relink();
    let found = error(&inflated, trust(&request, &answer));
    assert_eq!(found, "receipt: usage.tensor_bytes is not the number of bytes of the given tensors");
    inflated.quote.tensor_bytes = 3;
    inflated.relink();
    assert_eq!(refused(&inflated), "receipt: usage.tensor_bytes is above the quote's");
}

#[test]
fn a_sealed_answer_is_sealed_in_quote_and_receipt() {
    let fixture = Fixture::sealed();
    let report = verify(&fixture.bundle(), &fixture.trust()).unwrap();
    assert!(report.pinned.contains(&"ciphertext"));
    assert!(report.checks.contains(&"sealed digest is that of the given ciphertext".to_owned()));
    let report = verify(&fixture.bundle(), &Trust::default()).unwrap();
    assert_eq!(report.not_pinned.last(), Some(&"ciphertext: only its digest is known"));
    let other = Trust { sealed_digest: Some(Digest::sha256(b"other")), ..fixture.trust() };
    let error = verify(&fixture.bundle(), &other).unwrap_err().to_string();
    assert_eq!(error, "receipt: sealed_digest is not that of the given ciphertext");
    let error = verify(&Fixture::new().bundle(), &other).unwrap_err().to_string();
    assert!(error.contains("sealed_digest"), "an answer in the clear has no ciphertext: {error}");

    for change in [|f: &mut Fixture| f.quote.seal = None, |f: &mut Fixture| f.receipt.sealed_digest = None] {
        let mut fixture = Fixture::sealed();
        change(&mut fixture);
        fixture.relink();
        assert_eq!(refused(&fixture), "receipt: sealed_digest is not that of the quote");
    }
}

#[test]
fn signed_statements_that_contradict_each_other_are_refused() {
    type Change = fn(&mut Fixture);
    let contradictions: [(Change, &str); 14] = [
        (|f| f.quote.network = Network::Signet, "quote: network is not that of the bundle's network"),
        (
            |f| f.quote.seller = GatewaySigner::new(&[9; 32]).public_key(),
            "quote: seller is not that of gateway_key",
        ),
        (|f| f.network = Network::Signet, "quote: network is not that of the bundle's network"),
        (
            |f| f.receipt.job_id = f.receipt.job_id.uuid().to_string().replace('1', "2").parse().unwrap(),
            "receipt: job_id",
        ),
        (|f| f.receipt.network = Network::Signet, "receipt: network is not that of the quote"),
        (|f| f.receipt.model.digest = Digest::sha256(b"others"), "receipt: model is not that of the quote"),
        (|f| f.receipt.model.version = "2".into(), "receipt: model is not that of the quote"),
        (
            |f| f.receipt.request_digest = Digest::sha256(b"other"),
            "receipt: request_digest is not that of the quote",
        ),
        (|f| f.receipt.price_msat = msat(8_001), "receipt: price_msat is above the quote's"),
        (|f| f.receipt.usage.input_tokens = 9, "receipt: usage.input_tokens is above the quote's"),
        (
            |f| f.closing.as_mut().unwrap().job_id = JOB.parse().unwrap(),
            "closing: job_id is not that of the receipt",
        ),
        (
            |f| f.closing.as_mut().unwrap().amount_msat = msat(7_999),
            "closing: amount_msat of a SETTLED job is below the receipt's price_msat",
        ),
        (|f| f.block.position = 1, ""),
        (|f| f.receipt.price_msat = msat(7_999), ""),
    ];
    for (change, message) in contradictions {
        let mut fixture = Fixture::new();
        change(&mut fixture);
        fixture.relink();
        match message {
            "" => drop(verify(&fixture.bundle(), &Trust::default()).unwrap()),
            message => assert!(refused(&fixture).starts_with(message), "{} / {message}", refused(&fixture)),
        }
    }
}

const JOB: &str = "0198c0de-7e57-7000-8000-000000000002";

#[test]
fn statements_that_name_others_are_refused() {
    let mut fixture = Fixture::new();
    fixture.quote.input_tokens += 1;
    assert_eq!(refused(&fixture), "receipt: quote_digest is not that of the quote");
    let mut fixture = Fixture::new();
    fixture.receipt.attempt += 1;
    assert_eq!(refused(&fixture), "closing: receipt_leaf_hash is not that of the receipt");
}

#[test]
fn another_log_or_gateway_is_refused() {
    let fixture = Fixture::new();
    let stranger = Fixture {
        log: ailayer_tlog::note::Signer::try_new("log.example/ailayer", &[9; 32]).unwrap(),
        ..Fixture::new()
    };
    let mut bundle = fixture.bundle();
    bundle.checkpoint = stranger.bundle().checkpoint;
    let error = verify(&bundle, &Trust::default()).unwrap_err().to_string();
    assert_eq!(error, "checkpoint: note: the note is not signed by a known key");
    let mut bundle = fixture.bundle();
    bundle.gateway_key = GatewaySigner::new(&[9; 32]).public_key();
    let error = verify(&bundle, &Trust::default()).unwrap_err().to_string();
    assert_eq!(error, "quote: keyid is not that of gateway_key");
}

#[test]
fn a_checkpoint_that_is_not_the_anchored_one_is_refused() {
    let mut other = Fixture::with_ending(None);
    other.receipt.attempt = 2;
    other.relink();
    let mut parts = Fixture::new().parts();
    parts.anchor = other.parts().anchor;
    let error = verify(&assemble(parts).unwrap(), &Trust::default()).unwrap_err().to_string();
    assert_eq!(
        error,
        "anchor.transaction: output is not OP_RETURN with the SHA-256 of the checkpoint's body"
    );
}

#[test]
fn a_bundle_without_coinbase_proves_no_height() {
    let block = Block { with_coinbase: false, ..Block::default() };
    let bundle = Fixture { block, ..Fixture::new() }.bundle();
    let report = verify(&bundle, &Trust::default()).unwrap();
    assert_eq!(report.block_height, None);
    let stated = Bundle {
        anchor: crate::bundle::Anchor { block_height: Some(150), ..bundle.anchor.clone() },
        ..bundle
    };
    let error = verify(&stated, &Trust::default()).unwrap_err().to_string();
    assert_eq!(error, "anchor.coinbase: missing although anchor.block_height is there");
}

#[test]
fn cosignatures_on_the_checkpoint_are_no_obstacle() {
    let witness = ailayer_tlog::note::Signer::try_new("witness.example", &[5; 32]).unwrap();
    let mut bundle = Fixture::new().bundle();
    let note = ailayer_tlog::note::Note::parse(bundle.checkpoint.as_bytes()).unwrap();
    let cosignature = witness.sign("something else, as cosignatures do");
    bundle.checkpoint = note.with_signature(cosignature).unwrap().to_string();
    verify(&bundle, &Trust::default()).unwrap();
}

#[test]
fn blocks_of_any_size_verify() {
    for transactions in 2..20 {
        for position in 1..transactions {
            let block = Block { transactions, position, headers: 1, ..Block::default() };
            let fixture = Fixture { block, ..Fixture::new() };
            verify(&fixture.bundle(), &Trust::default()).unwrap();
        }
    }
}
