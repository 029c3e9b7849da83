use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::*;

#[test]
fn timeouts_are_read_as_the_protocol_writes_them() {
    let read = |text: &str| {
        let mut headers = HeaderMap::new();
        headers.insert("grpc-timeout", text.parse().unwrap());
        requested_timeout(&headers)
    };
    assert_eq!(read("100m"), Some(Duration::from_millis(100)));
    assert_eq!(read("99999999H"), Some(Duration::from_secs(99_999_999 * 3600)));
    for malformed in ["", "m", "1", "123456789S", "-1S", "1x", "1.5S"] {
        assert_eq!(read(malformed), None, "{malformed}");
    }
}

/// Counts what gets through to it, and answers what is left of the deadline in a header, milliseconds.
#[derive(Clone, Default)]
struct Work(Arc<AtomicU32>);

impl Service<Request<Body>> for Work {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Body>) -> Self::Future {
        self.0.fetch_add(1, Ordering::SeqCst);
        async move {
            let left = remaining().map_or(0, |left| left.as_millis());
            Ok(Response::builder().header("left", left.to_string()).body(Body::empty()).unwrap())
        }
        .boxed()
    }
}

async fn called(work: &Work, timeout: Option<&str>) -> Response<Body> {
    let mut request = Request::new(Body::empty());
    if let Some(timeout) = timeout {
        request.headers_mut().insert("grpc-timeout", timeout.parse().unwrap());
    }
    DeadlineLayer::new(Duration::from_secs(30)).layer(work.clone()).call(request).await.unwrap()
}

fn left(answer: &Response<Body>) -> u64 {
    answer.headers()["left"].to_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_deadline_that_is_over_or_as_good_as_over_causes_no_work() {
    let work = Work::default();
    // Clients send what is left, so that a deadline that has passed comes as 0.
    for timeout in ["0n", "0m", "0H", "1n", "999u", "1m"] {
        let refused = called(&work, Some(timeout)).await;
        assert_eq!(refused.headers()["grpc-status"], "4", "{timeout}: DEADLINE_EXCEEDED");
    }
    assert_eq!(work.0.load(Ordering::SeqCst), 0, "nobody waits for what would be done");
}

#[tokio::test]
async fn without_a_deadline_or_with_a_longer_one_the_servers_cap_counts() {
    let work = Work::default();
    for timeout in [None, Some("1H"), Some("nonsense"), Some("99999999H")] {
        assert!((29_000..=30_000).contains(&left(&called(&work, timeout).await)), "{timeout:?}");
    }
    assert!((900..=1_000).contains(&left(&called(&work, Some("1S")).await)), "the caller's own is handed on");
}
