use std::convert::Infallible;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::{Known, REFRESH_PERIOD};

/// Counts how often it is read.
#[derive(Default)]
struct Source(AtomicU32);

impl Source {
    async fn read(&self) -> Result<u32, Infallible> {
        Ok(self.0.fetch_add(1, Ordering::SeqCst) + 1)
    }
}

const LONG: Duration = Duration::from_secs(60);

#[tokio::test]
async fn it_is_read_once_while_it_is_believed() {
    let (known, source) = (Known::new(LONG), Source::default());
    for _ in 0..3 {
        assert_eq!(known.get(async || source.read().await).await, Ok(1));
    }
}

#[tokio::test]
async fn it_is_read_again_when_it_is_too_old_or_forgotten() {
    let (known, source) = (Known::new(Duration::ZERO), Source::default());
    assert_eq!(known.get(async || source.read().await).await, Ok(1));
    assert_eq!(known.get(async || source.read().await).await, Ok(2));

    let (known, source) = (Known::new(LONG), Source::default());
    assert_eq!(known.get(async || source.read().await).await, Ok(1));
    known.forget();
    assert_eq!(known.get(async || source.read().await).await, Ok(2));
}

#[tokio::test]
async fn an_error_is_not_remembered() {
    let known = Known::new(LONG);
    assert_eq!(known.get(async || Err::<u32, _>("away")).await, Err("away"));
    assert_eq!(known.get(async || Ok::<_, &str>(7)).await, Ok(7));
}

#[tokio::test]
async fn what_is_used_is_read_ahead_of_need_and_what_is_not_is_left() {
    let (known, source) = (Known::new(2 * REFRESH_PERIOD), Source::default());
    known.refresh(async || source.read().await).await.unwrap();
    assert_eq!(source.0.load(Ordering::SeqCst), 0, "nothing is remembered yet");
    known.get(async || source.read().await).await.unwrap();
    known.refresh(async || source.read().await).await.unwrap();
    assert_eq!(source.0.load(Ordering::SeqCst), 2);
    known.refresh(async || source.read().await).await.unwrap();
    assert_eq!(source.0.load(Ordering::SeqCst), 2, "nobody has used it since");

    let (known, source) = (Known::new(LONG), Source::default());
    known.get(async || source.read().await).await.unwrap();
    known.refresh(async || source.read().await).await.unwrap();
    assert_eq!(source.0.load(Ordering::SeqCst), 1, "it lasts");
}

#[tokio::test]
async fn callers_use_the_old_value_while_it_is_read_again() {
    let known = Known::new(2 * REFRESH_PERIOD);
    known.get(async || Ok::<_, Infallible>(1)).await.unwrap();
    let refreshed = known.refresh(async || {
        assert_eq!(known.get(async || Ok::<_, Infallible>(99)).await, Ok(1));
        Ok::<_, Infallible>(2)
    });
    refreshed.await.unwrap();
    assert_eq!(known.get(async || Ok::<_, Infallible>(99)).await, Ok(2));
}

#[tokio::test]
async fn what_was_read_before_it_was_forgotten_is_not_remembered() {
    let known = Known::new(LONG);
    let read = known.get(async || {
        known.forget();
        Ok::<_, Infallible>(1)
    });
    assert_eq!(read.await, Ok(1));
    assert_eq!(known.get(async || Ok::<_, Infallible>(2)).await, Ok(2));
}

#[tokio::test]
async fn one_caller_reads_for_all() {
    let (known, source) = (Known::new(LONG), Source::default());
    let callers = (0..20).map(|_| {
        known.get(async || {
            tokio::time::sleep(Duration::from_millis(5)).await;
            source.read().await
        })
    });
    let answers = futures::future::join_all(callers).await;
    assert!(answers.iter().all(|answer| *answer == Ok(1)), "{answers:?}");
}
