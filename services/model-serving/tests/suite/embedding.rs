//! Texts through a tiny graph whose right answers can be worked out by hand.

use ailayer_platform::error::ErrorReason;
use ailayer_proto::ailayer::serving::v1::{EmbedRequest, ListModelsRequest, TokenizeRequest, Truncation};
use tonic::Code;

use crate::support::{Repository, Running, refused};

/// Token `n` of the tiny table is `[2n, 2n + 1]`; an embedding is the mean over the tokens.
fn mean(ids: &[u8]) -> Vec<f32> {
    let sum: f32 = ids.iter().map(|id| f32::from(*id) * 2.0).sum();
    let count = ids.iter().fold(0.0, |count: f32, _| count + 1.0);
    vec![sum / count, sum / count + 1.0]
}

#[tokio::test(flavor = "multi_thread")]
async fn order_is_kept_across_padded_batches() {
    let repository = Repository::new();
    repository.add("embed", "embed", "1");
    let mut config = repository.config();
    config.max_batch_rows = 2;
    let mut service = Running::start(config).await;
    service.until_ready().await;
    let texts = ["one two three four", "five", "one", "six seven", "two two two two two two"];
    let expected: [&[u8]; 5] = [&[1, 2, 3, 4], &[5], &[1], &[6, 7], &[2; 6]];
    let answer = service.embed("embed", &texts).await.unwrap();
    for (embedding, ids) in answer.embeddings.iter().zip(expected) {
        assert_eq!(embedding.values, mean(ids));
        assert_eq!(usize::try_from(embedding.input_tokens).unwrap(), ids.len());
        assert!(!embedding.truncated);
    }
    assert_eq!(answer.input_tokens, 4 + 1 + 1 + 2 + 6);
    assert!(answer.inference_time_us > 0);
    service.stop().await;
}

/// The tiny `tokenizer.json` pads to six and cuts at three by itself; neither may happen.
#[tokio::test(flavor = "multi_thread")]
async fn the_tokenizers_own_padding_and_truncation_are_overridden() {
    let (mut service, _repository) = Running::with_tiny(&["embed"]).await;
    let request = |truncation: Truncation| TokenizeRequest {
        model_name: "embed".to_owned(),
        model_version: "1".to_owned(),
        texts: vec!["one".to_owned(), "one two three four five six seven".to_owned()],
        truncation: truncation.into(),
        include_tokens: false,
    };
    let counts = service.serving.tokenize(request(Truncation::End)).await.unwrap().into_inner();
    assert_eq!(counts.token_counts, [1, 6]);
    refused(
        service.serving.tokenize(request(Truncation::Unspecified)).await,
        Code::InvalidArgument,
        ErrorReason::InputTooLarge,
    );
    let from_the_start = service.serving.tokenize(request(Truncation::Start)).await.unwrap().into_inner();
    assert_eq!((counts.truncated, from_the_start.truncated), (vec![false, true], vec![false, true]));
    assert_eq!(from_the_start.token_counts, [1, 6]);
    let cut =
        service.embed_with("embed", &["one two three four five six seven"], Truncation::End).await.unwrap();
    assert_eq!(cut.embeddings[0].values, mean(&[1, 2, 3, 4, 5, 6]));
    assert!(cut.embeddings[0].truncated);
    let text = "one two three four five six seven";
    let cut = service.embed_with("embed", &[text, text], Truncation::Start).await.unwrap();
    assert!(cut.embeddings.iter().all(|text| text.truncated && text.values == mean(&[2, 3, 4, 5, 6, 7])));
    // The next call's choice is its own.
    let cut = service.embed_with("embed", &[text], Truncation::End).await.unwrap();
    assert_eq!(cut.embeddings[0].values, mean(&[1, 2, 3, 4, 5, 6]));
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_listed_if_asked_for() {
    let (mut service, _repository) = Running::with_tiny(&["embed"]).await;
    let mut request = TokenizeRequest {
        model_name: "embed".to_owned(),
        texts: vec!["one  two".to_owned(), "é one two three four five six".to_owned()],
        truncation: Truncation::Start.into(),
        ..Default::default()
    };
    let answer = service.serving.tokenize(request.clone()).await.unwrap().into_inner();
    assert_eq!((answer.token_counts, answer.tokens), (vec![2, 6], vec![]));
    request.include_tokens = true;
    let answer = service.serving.tokenize(request.clone()).await.unwrap().into_inner();
    assert_eq!(answer.token_counts, [2, 6]);
    let [first, second] = &answer.tokens[..] else { panic!("{answer:?}") };
    assert_eq!((&first.ids[..], &first.starts[..], &first.ends[..]), (&[1, 2][..], &[0, 5][..], &[3, 8][..]));
    assert_eq!(second.ids, [1, 2, 3, 4, 5, 6]);
    // In bytes of the text that was sent: its first letter has two.
    let text = &request.texts[1];
    let words = second.starts.iter().zip(&second.ends).map(|(start, end)| {
        let at = |place: &u32| usize::try_from(*place).unwrap();
        &text[at(start)..at(end)]
    });
    assert_eq!(words.collect::<Vec<_>>(), ["one", "two", "three", "four", "five", "six"]);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_that_is_not_finite_is_never_answered() {
    let (mut service, _repository) = Running::with_tiny(&["embed_poisoned"]).await;
    let answer = service.embed("embed_poisoned", &["one", "one nan two"]).await;
    refused(answer, Code::Internal, ErrorReason::ModelFailed);
    // Another call's text in the same run is answered.
    let (mut first, mut second) = (service.serving.clone(), service.serving.clone());
    let request = |text: &str| EmbedRequest {
        model_name: "embed_poisoned".to_owned(),
        texts: vec![text.to_owned(); 8],
        ..Default::default()
    };
    let (good, bad) = tokio::join!(first.embed(request("one two")), second.embed(request("one nan")));
    assert!(good.unwrap().into_inner().embeddings.iter().all(|text| text.values == mean(&[1, 2])));
    refused(bad, Code::Internal, ErrorReason::ModelFailed);
    assert_eq!(service.embed("embed_poisoned", &["one"]).await.unwrap().embeddings[0].values, mean(&[1]));
    service.stop().await;
}

/// A graph in which padding changes the answer is found out when it is loaded, and never batched.
#[tokio::test(flavor = "multi_thread")]
async fn rows_that_would_disturb_each_other_run_alone() {
    let (mut service, _repository) = Running::with_tiny(&["embed_leaky"]).await;
    let answer = service.embed("embed_leaky", &["one", "two three four five"]).await.unwrap();
    assert_eq!(answer.embeddings[0].values, mean(&[1]));
    assert_eq!(answer.embeddings[1].values, mean(&[2, 3, 4, 5]));
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn models_are_listed_with_their_limits() {
    let (mut service, _repository) = Running::with_tiny(&["embed", "add"]).await;
    let models = service.serving.list_models(ListModelsRequest {}).await.unwrap().into_inner().models;
    let [add, embed] = &models[..] else { panic!("{models:?}") };
    assert_eq!((add.name.as_str(), add.kind.as_str(), add.max_input_tokens), ("add", "tensor", 0));
    assert_eq!((embed.name.as_str(), embed.kind.as_str()), ("embed", "embedding"));
    assert_eq!((embed.max_input_tokens, embed.dimensions), (6, 2));
    assert_eq!((embed.max_items, embed.max_text_bytes), (32, 64 * 1024));
    assert_eq!(embed.execution_provider, "CPUExecutionProvider");
    let bytes = include_bytes!("../data/embed.onnx");
    assert_eq!(embed.digest, ailayer_primitives::Digest::sha256(bytes).to_vec());
    service.stop().await;
}
