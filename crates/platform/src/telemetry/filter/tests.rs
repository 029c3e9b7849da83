use std::io;
use std::sync::{Arc, Mutex};

use tracing::callsite::{Callsite, Identifier};
use tracing::field::FieldSet;
use tracing::metadata::Kind;
use tracing::subscriber::Interest;
use tracing::{Level, Metadata};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{EnvFilter, Layer};

use super::EachTime;

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What `sqlx` asks after a statement, by way of the `log` crate.
static QUESTION: Metadata<'static> = Metadata::new(
    "statement",
    "sqlx::query",
    Level::DEBUG,
    None,
    None,
    None,
    FieldSet::new(&[], Identifier(&Question)),
    Kind::EVENT,
);

struct Question;

impl Callsite for Question {
    fn set_interest(&self, _: Interest) {}

    fn metadata(&self) -> &Metadata<'_> {
        &QUESTION
    }
}

fn layer<S>(lines: &Lines) -> impl Layer<S> + use<S>
where
    S: tracing::Subscriber + for<'span> LookupSpan<'span>,
{
    let lines = lines.clone();
    let layer = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(move || lines.clone());
    layer.with_filter(EachTime(EnvFilter::new("info,ailayer=debug")))
}

/// Two filtered layers, as the process has them. Without `EachTime` the second event is lost.
#[test]
fn a_question_does_not_swallow_the_next_event() {
    let (lines, others) = (Lines::default(), Lines::default());
    let subscriber = tracing_subscriber::registry().with(layer(&lines)).with(layer(&others));
    tracing::subscriber::with_default(subscriber, || {
        for number in 0..2 {
            tracing::dispatcher::get_default(|dispatch| dispatch.enabled(&QUESTION));
            tracing::info!(number, "committed");
        }
    });
    for lines in [lines, others] {
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text.lines().count(), 2, "{text}");
    }
}
