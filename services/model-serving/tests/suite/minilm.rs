//! The real model: all-MiniLM-L6-v2 against numbers that other code computed.

use std::path::Path;
use std::time::Instant;

use ailayer_model_serving::Config;
use ailayer_platform::error::{ErrorReason, reason_of, retry_after};
use ailayer_proto::ailayer::serving::v1::{EmbedRequest, ListModelsRequest, TokenizeRequest, Truncation};
use ailayer_proto::inference::InferTensorContents;
use ailayer_proto::inference::model_infer_request::{InferInputTensor, InferRequestedOutputTensor};
use bytes::Bytes;
use serde_json::Value;
use tonic::Code;

use crate::support::{Running, infer, input, refused, setup};

const MODEL: &str = "all-minilm-l6-v2";
const MAX_INPUT_TOKENS: u32 = 256;

fn config() -> Config {
    let mut config = Config::new(setup("AILAYER_MODELS"));
    config.trial_executable = Some(env!("CARGO_BIN_EXE_ailayer-trial-load").into());
    config.onnxruntime_library = Some(setup("ORT_DYLIB_PATH"));
    config
}

async fn start(config: Config) -> Running {
    let mut service = Running::start(config).await;
    service.until_ready().await;
    service
}

struct Golden {
    text: String,
    ids: Vec<i64>,
    embedding: Vec<f64>,
}

fn golden() -> Vec<Golden> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/models/all-minilm-l6-v2/golden.json");
    let file: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let cases = file["cases"].as_array().unwrap().iter().map(|case| Golden {
        text: case["text"].as_str().unwrap().to_owned(),
        ids: case["ids"].as_array().unwrap().iter().map(|id| id.as_i64().unwrap()).collect(),
        embedding: case["embedding"]
            .as_array()
            .unwrap()
            .iter()
            .map(|number| number.as_f64().unwrap())
            .collect(),
    });
    cases.collect()
}

fn cosine(a: &[f32], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    let a: Vec<f64> = a.iter().map(|value| f64::from(*value)).collect();
    let dot = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| x * y).sum::<f64>();
    dot(&a, b) / (dot(&a, &a) * dot(b, b)).sqrt()
}

#[tokio::test(flavor = "multi_thread")]
async fn embeddings_agree_with_an_independent_reference() {
    let mut service = start(config()).await;
    let golden = golden();
    assert!(golden.len() >= 10);
    let texts: Vec<&str> = golden.iter().map(|case| case.text.as_str()).collect();
    let together = service.embed(MODEL, &texts).await.unwrap();
    assert_eq!(together.embeddings.len(), golden.len());
    for (case, embedding) in golden.iter().zip(&together.embeddings) {
        let alone = service.embed(MODEL, &[&case.text]).await.unwrap();
        for embedding in [embedding, &alone.embeddings[0]] {
            let cosine = cosine(&embedding.values, &case.embedding);
            assert!(cosine >= 0.9999, "{}: cosine {cosine}", case.text);
            assert_eq!(usize::try_from(embedding.input_tokens).unwrap(), case.ids.len(), "{}", case.text);
        }
    }
    let tokens: usize = golden.iter().map(|case| case.ids.len()).sum();
    assert_eq!(usize::try_from(together.input_tokens).unwrap(), tokens);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_open_inference_protocol_gives_the_same() {
    let mut service = start(config()).await;
    let case = golden().into_iter().next().unwrap();
    let columns = i64::try_from(case.ids.len()).unwrap();
    let tensor = |name: &str| InferInputTensor {
        contents: None,
        ..input(name, "INT64", &[1, columns], InferTensorContents::default())
    };
    let raw = |values: Vec<i64>| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Bytes>();
    let names = ["input_ids", "attention_mask", "token_type_ids"];
    let mut request = infer(MODEL, names.map(tensor).to_vec());
    let ones = vec![1; case.ids.len()];
    request.raw_input_contents = vec![raw(case.ids.clone()), raw(ones), raw(vec![0; case.ids.len()])];
    request.outputs =
        vec![InferRequestedOutputTensor { name: "sentence_embedding".to_owned(), ..Default::default() }];
    let answer = service.inference.model_infer(request.clone()).await.unwrap().into_inner();
    assert_eq!(answer.outputs[0].shape, [1, 384]);
    let numbers =
        answer.raw_output_contents[0].chunks(4).map(|chunk| f32::from_le_bytes(chunk.try_into().unwrap()));
    assert!(cosine(&numbers.collect::<Vec<_>>(), &case.embedding) >= 0.9999);

    let mut outside = case.ids;
    outside[1] = 30_522;
    request.raw_input_contents[0] = raw(outside);
    refused(service.inference.model_infer(request).await, Code::InvalidArgument, ErrorReason::InvalidField);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_digest_is_that_of_the_file() {
    let mut service = start(config()).await;
    let models = service.serving.list_models(ListModelsRequest {}).await.unwrap().into_inner().models;
    let model = models.iter().find(|model| model.name == MODEL).unwrap();
    let file = setup("AILAYER_MODELS").join(MODEL).join(&model.version).join("model.onnx");
    let digest = ailayer_primitives::Digest::sha256(&std::fs::read(file).unwrap());
    assert_eq!(model.digest, digest.to_vec());
    assert_eq!((model.dimensions, model.max_input_tokens), (384, MAX_INPUT_TOKENS));
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn long_texts_are_refused_or_cut() {
    let mut service = start(config()).await;
    let long = "word ".repeat(1000);
    refused(service.embed(MODEL, &[&long]).await, Code::InvalidArgument, ErrorReason::InputTooLarge);
    let cut = service.embed_with(MODEL, &[&long], Truncation::End).await.unwrap();
    assert_eq!((cut.embeddings[0].truncated, cut.embeddings[0].input_tokens), (true, MAX_INPUT_TOKENS));
    let mebibyte = "a".repeat(1024 * 1024);
    for truncation in [Truncation::Refuse, Truncation::End] {
        let answer = service.embed_with(MODEL, &[&mebibyte], truncation).await;
        refused(answer, Code::InvalidArgument, ErrorReason::InputTooLarge);
    }
    service.stop().await;
}

/// What a price is quoted on before the compute is what is counted after it.
#[tokio::test(flavor = "multi_thread")]
async fn counts_before_compute_are_those_after_it() {
    let mut service = start(config()).await;
    let long = "A lengthy, oft-repeated sentence: naïve 東京 Straße №5! ".repeat(40);
    let mut texts: Vec<String> = golden().into_iter().map(|case| case.text).collect();
    texts.extend(
        [
            "a",
            "  spaces \t and\nlines ",
            "ÅÅ ÅÅ",
            "e\u{301}",
            "東京都は日本の首都",
            "👩‍👩‍👧‍👦 🇨🇭",
            "مرحبا بالعالم",
            "[CLS] [SEP] [MASK] [PAD]",
            "\u{200b}",
            "\u{fffd}\u{0}",
            "https://example.com/?q=1&r=%20#x",
            "0123456789012345678901234567890123456789",
        ]
        .map(str::to_owned),
    );
    texts.extend([
        long.clone(),
        format!("{long} the end"),
        "supercalifragilistic".repeat(30),
        "字".repeat(300),
    ]);
    // Around the limit: 254 words of one token each, and the two special ones.
    texts.extend([253, 254, 255].map(|words| "word ".repeat(words)));
    for truncation in [Truncation::End, Truncation::Start] {
        for texts in texts.chunks(8) {
            let (model_name, texts) = (MODEL.to_owned(), texts.to_vec());
            let request = TokenizeRequest {
                model_name: model_name.clone(),
                texts: texts.clone(),
                truncation: truncation.into(),
                ..Default::default()
            };
            let counted = service.serving.tokenize(request).await.unwrap().into_inner();
            let request =
                EmbedRequest { model_name, texts, truncation: truncation.into(), ..Default::default() };
            let embedded = service.serving.embed(request).await.unwrap().into_inner();
            let read: Vec<u32> = embedded.embeddings.iter().map(|text| text.input_tokens).collect();
            assert_eq!(counted.token_counts, read);
            assert_eq!(u64::from(counted.token_counts.iter().sum::<u32>()), embedded.input_tokens);
            let cut: Vec<bool> = embedded.embeddings.iter().map(|text| text.truncated).collect();
            assert_eq!(counted.truncated, cut);
            assert!(read.iter().all(|count| (2..=MAX_INPUT_TOKENS).contains(count)), "{read:?}");
        }
    }
    service.stop().await;
}

/// `[CLS]` and `[SEP]` stay, whichever end is dropped; between them is the one end of the text or the other.
#[tokio::test(flavor = "multi_thread")]
async fn a_cut_text_keeps_its_special_tokens() {
    let mut service = start(config()).await;
    let words = |range: std::ops::Range<u32>| range.map(|number| format!("{number} ")).collect::<String>();
    let mut ids = async |text: String, truncation: Truncation| {
        let request = TokenizeRequest {
            model_name: MODEL.to_owned(),
            texts: vec![text],
            truncation: truncation.into(),
            include_tokens: true,
            ..Default::default()
        };
        let mut answer = service.serving.tokenize(request).await.unwrap().into_inner();
        let tokens = answer.tokens.remove(0);
        assert_eq!((tokens.ids.len(), tokens.starts.len()), (tokens.ends.len(), tokens.ends.len()));
        (tokens.ids, answer.truncated[0])
    };
    let (whole, cut) = ids(words(100..300), Truncation::Refuse).await;
    assert!(!cut);
    let (cls, sep) = (whole[0], whole[whole.len() - 1]);
    let long = || words(100..1000);
    let (end, cut_at_end) = ids(long(), Truncation::End).await;
    let (start, cut_at_start) = ids(long(), Truncation::Start).await;
    assert!(cut_at_end && cut_at_start);
    for ids in [&end, &start] {
        assert_eq!(ids.len(), 256);
        assert_eq!((ids[0], ids[255]), (cls, sep));
    }
    assert_eq!(end[1..100], whole[1..100]);
    let (tail, _) = ids(words(900..1000), Truncation::Refuse).await;
    assert_eq!(start[156..], tail[tail.len() - 100..]);
    service.stop().await;
}

/// A call whose client has left must not keep the engine from the next one.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_frees_the_engine() {
    let mut service = start(config()).await;
    let text = "a handful of words that keep the engine busy for a while ".repeat(16);
    let texts = vec![text.as_str(); 32];
    let began = Instant::now();
    service.embed_with(MODEL, &texts, Truncation::End).await.unwrap();
    let whole = began.elapsed();

    let left = tokio::time::timeout(whole / 10, service.embed_with(MODEL, &texts, Truncation::End)).await;
    assert!(left.is_err(), "the call was to be left half way");
    let began = Instant::now();
    service.embed(MODEL, &["short"]).await.unwrap();
    let short = began.elapsed();
    assert!(short < whole / 2, "a short call took {short:?} behind one that takes {whole:?} and was left");
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn overload_is_shed_with_a_time_to_retry() {
    let mut config = config();
    config.queue_capacity = 8;
    let service = start(config).await;
    let text = "a handful of words that keep the engine busy for a while ".repeat(16);
    let calls = (0..12).map(|_| {
        let mut client = service.serving.clone();
        let request = EmbedRequest {
            model_name: MODEL.to_owned(),
            texts: vec![text.clone(); 4],
            truncation: Truncation::End.into(),
            ..Default::default()
        };
        async move { client.embed(request).await }
    });
    let answers = futures::future::join_all(calls).await;
    let refusals: Vec<_> = answers.iter().filter_map(|answer| answer.as_ref().err()).collect();
    assert!(!refusals.is_empty() && refusals.len() < answers.len(), "{} refused", refusals.len());
    for status in refusals {
        assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
        assert_eq!(reason_of(status), Some(ErrorReason::Overloaded));
        assert!(retry_after(status).is_some());
    }
    service.stop().await;
}
