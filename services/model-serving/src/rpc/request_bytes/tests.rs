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
fn receive(budget: &Arc<Budget>, pieces: &[Vec<u8>]) -> (CountedBody, Option<Status>) {
    let limits = RequestBytesLayer { budget: Arc::clone(budget), max_message_bytes: 100 };
    let pieces: Vec<Bytes> = pieces.iter().map(|piece| Bytes::from(piece.clone())).collect();
    let mut body = CountedBody::new(Body::new(Pieces(pieces.into_iter())), limits, Arc::default());
    let mut cx = Context::from_waker(std::task::Waker::noop());
    loop {
        match http_body::Body::poll_frame(std::pin::Pin::new(&mut body), &mut cx) {
            Poll::Ready(Some(Ok(_))) => {}
            Poll::Ready(Some(Err(status))) => return (body, Some(status)),
            Poll::Ready(None) | Poll::Pending => return (body, None),
        }
    }
}

#[test]
fn a_message_is_charged_from_its_header_on() {
    let budget = Arc::new(Budget::new(250));
    let (first, error) = receive(&budget, &[header(0, 100)]);
    assert!(error.is_none());
    let (second, error) = receive(&budget, &[header(0, 100)]);
    assert!(error.is_none());
    assert_eq!(budget.charged(), 200);
    let (_, error) = receive(&budget, &[header(0, 51)]);
    let error = error.unwrap();
    assert_eq!((error.code(), reason_of(&error)), (Code::ResourceExhausted, Some(ErrorReason::Overloaded)));
    assert!(retry_after(&error).is_some());
    drop(first);
    let (third, error) = receive(&budget, &[header(0, 51)]);
    assert!(error.is_none());
    drop((second, third));
    assert_eq!(budget.charged(), 0);
}

#[test]
fn a_compressed_message_is_charged_what_it_may_become() {
    let budget = Arc::new(Budget::new(1000));
    let (_body, _) = receive(&budget, &[header(1, 20)]);
    assert_eq!(budget.charged(), 20 + 100);
}

#[test]
fn of_a_stream_the_latest_message_is_charged() {
    let budget = Arc::new(Budget::new(100));
    let message = |length: u8| [header(0, u32::from(length)), vec![0; usize::from(length)]].concat();
    let (_body, error) = receive(&budget, &[message(90), [message(80), message(70)].concat()]);
    assert!(error.is_none());
    assert_eq!(budget.charged(), 70);
}

#[test]
fn what_the_codec_refuses_is_not_charged() {
    let budget = Arc::new(Budget::new(10));
    let (_body, error) = receive(&budget, &[header(0, u32::MAX)]);
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
