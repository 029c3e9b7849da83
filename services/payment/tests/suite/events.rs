//! The event log.

use std::time::{Duration, Instant};

use ailayer_platform::error::{ErrorReason, retry_after};
use ailayer_proto::ailayer::payment::v1::payment_service_server::PaymentService as _;
use ailayer_proto::ailayer::payment::v1::{self as pb};
use futures::StreamExt as _;
use tonic::Request;
use uuid::Uuid;

use crate::bench::Bench;
use crate::running::{Running, assert_reason, hold_invoice};
use crate::world::{alone, shared};

async fn tombstone(running: &Running) -> String {
    let id = Uuid::new_v4().to_string();
    running.release(&id, "test").await.unwrap();
    id
}

#[test]
fn a_stream_resumed_from_a_cursor_misses_and_repeats_nothing() {
    shared(async |world| {
        for _ in 0..5 {
            tombstone(world).await;
        }
        let all = world.events_after(0).await;
        let cursors: Vec<u64> = all.iter().map(|event| event.cursor).collect();
        assert_eq!(cursors, (1..=cursors.len() as u64).collect::<Vec<_>>(), "from 1, without gaps");
        let middle = cursors[cursors.len() / 2];
        let rest = world.events_after(middle).await;
        let expected = all.iter().filter(|event| event.cursor > middle);
        for (resumed, first) in rest.iter().zip(expected) {
            assert_eq!(resumed, first);
        }
        assert!(rest.len() >= all.len() - cursors.len() / 2 - 1);
        let first = all.first().unwrap();
        assert!(Uuid::try_parse(&first.event_id).is_ok() && first.recorded_unix_ms > 0);
    });
}

#[test]
fn a_live_reader_is_woken() {
    shared(async |world| {
        let head = world.events_after(0).await.last().map_or(0, |event| event.cursor);
        let request = Request::new(pb::WatchEventsRequest { after_cursor: head });
        let mut stream = world.api.watch_events(request).await.unwrap().into_inner();
        let quiet = tokio::time::timeout(Duration::from_millis(100), stream.next());
        let _ = quiet.await;
        let (began, id) = (Instant::now(), tombstone(world).await);
        loop {
            let event = stream.next().await.unwrap().unwrap();
            if hold_invoice(&event).is_some_and(|invoice| invoice.invoice_id == id) {
                break;
            }
        }
        assert!(began.elapsed() < Duration::from_secs(1), "woken, not polled: {:?}", began.elapsed());
    });
}

#[test]
fn readers_are_bounded_and_one_that_goes_makes_room() {
    alone(async || {
        let bench = Bench::new("max_watchers = 2").await;
        let watch = async || {
            let request = Request::new(pb::WatchEventsRequest { after_cursor: 0 });
            bench.api.watch_events(request).await.map(tonic::Response::into_inner)
        };
        let (first, _second) = (watch().await.unwrap(), watch().await.unwrap());
        let refused = watch().await.map(|_| ()).unwrap_err();
        assert!(retry_after(&refused).is_some(), "{refused:?}");
        assert_reason::<()>(Err(refused), ErrorReason::Overloaded);
        drop(first);
        watch().await.map(|_| ()).unwrap();
    });
}

#[test]
fn a_cursor_ahead_of_the_log_is_refused() {
    shared(async |world| {
        let request = Request::new(pb::WatchEventsRequest { after_cursor: u64::MAX });
        let refused = world.api.watch_events(request).await.map(|_| ());
        assert_reason(refused, ErrorReason::InvalidCursor);
    });
}
