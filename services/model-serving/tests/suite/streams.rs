//! Streams of texts: every message is answered once, whatever comes of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ailayer_platform::error::{ErrorReason, reason_of};
use ailayer_proto::ailayer::common::v1::MessageError;
use ailayer_proto::ailayer::serving::v1::{
    EmbedRequest, EmbedStreamRequest, TokenizeRequest, TokenizeStreamRequest, embed_stream_response,
    tokenize_stream_response,
};
use futures::{StreamExt as _, stream};
use tonic::Code;

use crate::support::{Repository, Running};

fn message(id: &str, model: &str, texts: &[&str]) -> EmbedStreamRequest {
    let request = EmbedRequest {
        model_name: model.to_owned(),
        texts: texts.iter().map(|text| (*text).to_owned()).collect(),
        ..Default::default()
    };
    EmbedStreamRequest { id: id.to_owned(), request: Some(request) }
}

fn assert_error(error: &MessageError, code: Code, reason: ErrorReason, field: &str, again: bool) {
    let said = (Code::from(error.code), error.reason(), error.field.as_str(), error.retry_after_ms.is_some());
    assert_eq!(said, (code, reason, field, again), "{error:?}");
    assert!(!error.message.is_empty());
}

/// Good and bad messages together; the client has sent its last one before it reads.
#[tokio::test(flavor = "multi_thread")]
async fn every_message_is_answered_by_its_id_and_failures_do_not_end_the_stream() {
    let (mut service, _repository) = Running::with_tiny(&["embed"]).await;
    let mut messages: Vec<_> =
        (0..100).map(|number| message(&format!("good-{number}"), "embed", &["one", "two three"])).collect();
    messages.insert(10, message("unknown", "nothing", &["one"]));
    messages.insert(30, message("empty", "embed", &["one", " "]));
    messages.insert(50, EmbedStreamRequest { id: "nothing".to_owned(), request: None });
    let mut cut = message("dimensions", "embed", &["one"]);
    cut.request.as_mut().unwrap().dimensions = Some(9);
    messages.insert(70, cut);
    let sent = messages.len();
    let answers = service.serving.embed_stream(stream::iter(messages)).await.unwrap().into_inner();
    let answers: Vec<_> = answers.map(|answer| answer.unwrap()).collect().await;
    assert_eq!(answers.len(), sent);
    let answers: BTreeMap<_, _> =
        answers.into_iter().map(|answer| (answer.id, answer.outcome.unwrap())).collect();
    assert_eq!(answers.len(), sent, "an id came twice");
    for (id, outcome) in answers {
        match (id.as_str(), outcome) {
            (good, embed_stream_response::Outcome::Response(answer)) if good.starts_with("good") => {
                assert_eq!(answer.input_tokens, 3);
                let values: Vec<_> = answer.embeddings.iter().map(|text| text.values.clone()).collect();
                assert_eq!(values, [[2.0, 3.0], [5.0, 6.0]]);
            }
            ("unknown", embed_stream_response::Outcome::Error(error)) => {
                assert_error(&error, Code::NotFound, ErrorReason::ModelNotFound, "", false);
            }
            ("nothing", embed_stream_response::Outcome::Error(error)) => {
                assert_error(&error, Code::InvalidArgument, ErrorReason::InvalidField, "request", false);
            }
            ("empty", embed_stream_response::Outcome::Error(error)) => {
                assert_error(&error, Code::InvalidArgument, ErrorReason::InputEmpty, "texts[1]", false);
            }
            ("dimensions", embed_stream_response::Outcome::Error(error)) => {
                assert_error(&error, Code::InvalidArgument, ErrorReason::InvalidField, "dimensions", false);
            }
            (id, outcome) => panic!("{id}: {outcome:?}"),
        }
    }
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_counted_in_a_stream() {
    let (mut service, _repository) = Running::with_tiny(&["embed"]).await;
    let message = |id: &str, text: &str| {
        let request = TokenizeRequest {
            model_name: "embed".to_owned(),
            texts: vec![text.to_owned()],
            include_tokens: true,
            ..Default::default()
        };
        TokenizeStreamRequest { id: id.to_owned(), request: Some(request) }
    };
    let messages =
        [message("3", "one two three"), message("long", "one one one one one one one"), message("1", "four")];
    let answers = service.serving.tokenize_stream(stream::iter(messages)).await.unwrap().into_inner();
    let mut answers: Vec<_> = answers.map(|answer| answer.unwrap()).collect().await;
    answers.sort_by(|a, b| a.id.cmp(&b.id));
    for (answer, ids) in answers.iter().zip([&[4][..], &[1, 2, 3]]) {
        let Some(tokenize_stream_response::Outcome::Response(response)) = &answer.outcome else {
            panic!("{answer:?}")
        };
        assert_eq!(response.tokens[0].ids, ids);
        assert_eq!(response.token_counts[0].to_string(), answer.id);
    }
    let Some(tokenize_stream_response::Outcome::Error(error)) = &answers[2].outcome else {
        panic!("{answers:?}")
    };
    assert_error(error, Code::InvalidArgument, ErrorReason::InputTooLarge, "texts[0]", false);
    service.stop().await;
}

/// A full queue refuses a message, says when to come back, and does not end the stream.
#[tokio::test(flavor = "multi_thread")]
async fn overload_is_told_by_message() {
    let repository = Repository::new();
    repository.add("embed", "embed", "1");
    let mut config = repository.config();
    config.queue_capacity = 4;
    let mut service = Running::start(config).await;
    service.until_ready().await;
    let messages = [message("many", "embed", &["one"; 32]), message("few", "embed", &["one"; 2])];
    // One after the other, so that the second finds room.
    let messages = stream::iter(messages).then(|message| async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        message
    });
    let answers = service.serving.embed_stream(messages).await.unwrap().into_inner();
    let answers: Vec<_> = answers.map(|answer| answer.unwrap()).collect().await;
    let [many, few] = &answers[..] else { panic!("{answers:?}") };
    let Some(embed_stream_response::Outcome::Error(error)) = &many.outcome else { panic!("{many:?}") };
    assert_error(error, Code::ResourceExhausted, ErrorReason::Overloaded, "", true);
    assert!(matches!(few.outcome, Some(embed_stream_response::Outcome::Response(_))), "{few:?}");
    service.stop().await;
}

/// While nobody reads, the client is not let send more than the windows of a connection and the messages in work hold.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_holds_its_own_stream_back_and_nobody_else() {
    const MESSAGES: usize = 3000;
    let (mut service, _repository) = Running::with_tiny(&["embed"]).await;
    let sent = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&sent);
    // The id comes back: an answer is as large as its message.
    let padding = "x".repeat(16 * 1024);
    let messages = stream::iter(0..MESSAGES).map(move |number| {
        counted.fetch_add(1, Ordering::SeqCst);
        message(&format!("{number}-{padding}"), "embed", &["one two"])
    });
    let mut answers = service.serving.embed_stream(messages).await.unwrap().into_inner();
    let mut before = usize::MAX;
    while before != sent.load(Ordering::SeqCst) {
        before = sent.load(Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    assert!(before < MESSAGES / 2, "{before} messages were taken without a reader");
    // Over the same connection.
    assert_eq!(service.embed("embed", &["one"]).await.unwrap().input_tokens, 1);
    let mut seen = vec![false; MESSAGES];
    while let Some(answer) = answers.next().await {
        let number: usize = answer.unwrap().id.split('-').next().unwrap().parse().unwrap();
        assert!(!std::mem::replace(&mut seen[number], true), "{number} came twice");
    }
    assert!(seen.into_iter().all(|seen| seen), "an answer is missing");
    service.stop().await;
}

/// What cannot be read as messages ends the stream, and only the stream.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_over_the_limit_ends_its_stream() {
    let (mut service, _repository) = Running::with_tiny(&["embed"]).await;
    let huge = message("huge", "embed", &[&"x".repeat(5 << 20)]);
    let mut answers = service.serving.embed_stream(stream::iter([huge])).await.unwrap().into_inner();
    let status = answers.next().await.unwrap().unwrap_err();
    assert_eq!(
        (status.code(), reason_of(&status)),
        (Code::ResourceExhausted, Some(ErrorReason::MessageTooLarge)),
        "{status:?}"
    );
    assert!(answers.next().await.is_none());
    assert_eq!(service.embed("embed", &["one"]).await.unwrap().input_tokens, 1);
    service.stop().await;
}
