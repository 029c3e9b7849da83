use std::convert::Infallible;
use std::sync::Arc;

use ailayer_platform::error::{ErrorReason, reason_of, retry_after};
use bytes::Bytes;
use http_body::Frame;
use proptest::prelude::*;
use tonic::{Code, Status};

use super::frames::{Announced, Frames};
use super::*;

fn header(flag: u8, length: u32) -> Vec<u8> {
    [&[flag][..], &length.to_be_bytes()].concat()
}

/// A body of some pieces, and then nothing more for ever.
struct Pieces(std::vec::IntoIter<Bytes>);

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.next().map_or(Poll::Pending, |piece| Poll::Ready(Some(Ok(Frame::data(piece)))))
    }
}

/// Polls a body that announces messages; answers its first error.
fn receive(budget: &Arc<Budget>, pieces: &[Vec<u8>]) -> (CountedBody, Charges, Option<Status>) {
    let charges = Charges::default();
    let message_time = Duration::from_millis(50);
    let limits = RequestBytesLayer { budget: Arc::clone(budget), max_message_bytes: 100, message_time };
    let pieces: Vec<Bytes> = pieces.iter().map(|piece| Bytes::from(piece.clone())).collect();
    let mut body = CountedBody::new(Body::new(Pieces(pieces.into_iter())), limits, charges.clone());
    let mut cx = Context::from_waker(std::task::Waker::noop());
    loop {
        match http_body::Body::poll_frame(std::pin::Pin::new(&mut body), &mut cx) {
            Poll::Ready(Some(Ok(_))) => {}
            Poll::Ready(Some(Err(status))) => return (body, charges, Some(status)),
            Poll::Ready(None) | Poll::Pending => return (body, charges, None),
        }
    }
}

#[tokio::test]
async fn a_message_is_charged_from_its_header_on() {
    let budget = Arc::new(Budget::new(250));
    let (first, held, error) = receive(&budget, &[header(0, 100)]);
    assert!(error.is_none());
    let (second, held_too, error) = receive(&budget, &[header(0, 100)]);
    assert!(error.is_none());
    assert_eq!(budget.charged(), 200);
    let (_, _, error) = receive(&budget, &[header(0, 51)]);
    let error = error.unwrap();
    assert_eq!((error.code(), reason_of(&error)), (Code::ResourceExhausted, Some(ErrorReason::Overloaded)));
    assert!(retry_after(&error).is_some());
    drop((first, held));
    let (third, last, error) = receive(&budget, &[header(0, 51)]);
    assert!(error.is_none());
    drop((second, third, held_too, last));
    assert_eq!(budget.charged(), 0);
}

#[tokio::test]
async fn a_compressed_message_is_charged_what_it_may_become() {
    let budget = Arc::new(Budget::new(1000));
    let (_body, _charges, _) = receive(&budget, &[header(1, 20)]);
    assert_eq!(budget.charged(), 20 + 100);
}

#[tokio::test]
async fn every_message_of_a_stream_is_charged_until_it_is_answered() {
    let budget = Arc::new(Budget::new(250));
    let message = |length: u8| [header(0, u32::from(length)), vec![0; usize::from(length)]].concat();
    let (_body, charges, error) = receive(&budget, &[message(90), [message(80), message(70)].concat()]);
    assert!(error.is_none());
    assert_eq!(budget.charged(), 240);
    drop(charges.take());
    assert_eq!(budget.charged(), 150);
    let (second, third) = (charges.take(), charges.take());
    drop(third);
    assert_eq!(budget.charged(), 80);
    drop(second);
    assert_eq!(budget.charged(), 0);
    let (_, _, error) = receive(&budget, &[[message(100), message(100), message(100)].concat()]);
    assert_eq!(error.map(|error| error.code()), Some(Code::ResourceExhausted));
    assert_eq!(budget.charged(), 0, "what was taken in goes with the stream");
}

/// Whoever announces a message and sends only a part of it must not keep its room for ever.
#[tokio::test]
async fn a_message_that_does_not_come_to_its_end_is_given_up() {
    let budget = Arc::new(Budget::new(250));
    for begun in [header(0, 100), [header(0, 100), vec![0; 99]].concat(), vec![0; 3]] {
        let (mut body, charges, error) = receive(&budget, &[begun]);
        assert!(error.is_none());
        let next = std::future::poll_fn(|cx| http_body::Body::poll_frame(std::pin::Pin::new(&mut body), cx));
        let status = next.await.unwrap().unwrap_err();
        assert_eq!(status.code(), Code::DeadlineExceeded);
        drop((body, charges));
        assert_eq!(budget.charged(), 0);
    }
    // Between messages a stream may rest.
    let (mut body, _charges, _) = receive(&budget, &[[header(0, 1), vec![0]].concat()]);
    let next = std::future::poll_fn(|cx| http_body::Body::poll_frame(std::pin::Pin::new(&mut body), cx));
    assert!(tokio::time::timeout(Duration::from_millis(200), next).await.is_err());
}

#[tokio::test]
async fn what_the_codec_refuses_is_not_charged() {
    let budget = Arc::new(Budget::new(10));
    let (_body, _charges, error) = receive(&budget, &[header(0, u32::MAX)]);
    assert!(error.is_none());
    assert_eq!(budget.charged(), 0);
}

proptest! {
    /// However a body is cut into pieces, the same headers are found.
    #[test]
    fn pieces_do_not_matter(
        messages in proptest::collection::vec((any::<bool>(), 0u8..40), 0..6),
        cuts in proptest::collection::vec(1usize..9, 1..8),
    ) {
        let body: Vec<u8> = messages.iter().flat_map(|(compressed, length)| {
            [header(u8::from(*compressed), u32::from(*length)), vec![7; usize::from(*length)]].concat()
        }).collect();
        let mut frames = Frames::default();
        let mut found = Vec::new();
        let (mut rest, mut cuts) = (body.as_slice(), cuts.iter().cycle());
        while !rest.is_empty() {
            let (piece, after) = rest.split_at((*cuts.next().unwrap()).min(rest.len()));
            found.extend(frames.scan(piece));
            rest = after;
        }
        let expected: Vec<_> = messages.iter()
            .map(|(compressed, length)| Announced { compressed: *compressed, bytes: usize::from(*length) })
            .collect();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn any_bytes_are_scanned(pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..30), 0..8)) {
        let mut frames = Frames::default();
        for piece in pieces {
            let _ = frames.scan(&piece);
        }
    }
}
