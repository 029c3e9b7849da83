//! The baseline: the engine called straight, on a thread of its own on the server's core.

use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use ailayer_bench::cores::pin;
use ailayer_bench::corpus::{Corpus, Ring};
use ailayer_bench::run::{ArmRun, Done, Window};
use ailayer_bench::usage::{Of, processor_seconds};
use ailayer_model_serving::raw::{RawError, RawModel};
use anyhow::Context as _;
use tokio::sync::{mpsc as asynchronous, oneshot};

type Work = Box<dyn FnOnce(&mut RawModel) + Send>;

/// One thread with one session, first in first out.
pub struct RawArm {
    work: mpsc::Sender<Work>,
    thread: i32,
}

impl RawArm {
    /// Starts the thread, on `core` if there is one; `load` runs on it.
    pub fn start(
        core: Option<usize>,
        load: impl FnOnce() -> Result<RawModel, RawError> + Send + 'static,
    ) -> anyhow::Result<Self> {
        let (work, queue) = mpsc::channel::<Work>();
        let (ready, loaded) = mpsc::channel();
        std::thread::Builder::new().name("raw".to_owned()).spawn(move || {
            let pinned = core.map_or(Ok(()), pin);
            let mut model = match pinned.and_then(|()| Ok(load()?)) {
                Ok(model) => model,
                Err(error) => return drop(ready.send(Err(error))),
            };
            if ready.send(Ok(rustix::thread::gettid().as_raw_nonzero().get())).is_ok() {
                queue.into_iter().for_each(|work| work(&mut model));
            }
        })?;
        let thread = loaded.recv().context("the raw arm's thread ended")??;
        Ok(Self { work, thread })
    }

    /// Runs something on the thread, after what waits already.
    pub async fn with<T: Send + 'static>(
        &self,
        task: impl FnOnce(&mut RawModel) -> T + Send + 'static,
    ) -> anyhow::Result<T> {
        let (answer, answered) = oneshot::channel();
        let work: Work = Box::new(move |model| drop(answer.send(task(model))));
        self.work.send(work).ok().context("the raw arm's thread ended")?;
        answered.await.context("the raw arm's thread ended")
    }

    /// Embeds one text; answers when it was done.
    pub async fn embed(&self, corpus: &Arc<Corpus>, index: usize) -> anyhow::Result<Instant> {
        let texts = Arc::clone(corpus);
        let (values, done) = self
            .with(move |model| {
                let values = texts.text(index).and_then(|text| Ok(model.embed(&[&text.text])?));
                (values, Instant::now())
            })
            .await?;
        let row = values?.into_iter().next().context("no row")?;
        corpus.check(index, &row)?;
        Ok(done)
    }

    /// Runs batches of `rows` texts one after the other. The answers are compared on the caller's core, as the
    /// served ones are.
    pub async fn closed_loop(
        &self,
        corpus: &Arc<Corpus>,
        rows: usize,
        warm_up: Duration,
        length: Duration,
    ) -> anyhow::Result<ArmRun> {
        let (outputs, mut answers) = asynchronous::unbounded_channel();
        let (texts, thread) = (Arc::clone(corpus), self.thread);
        let running = self.with(move |model| {
            batches(model, &texts, rows, Window::after(warm_up, length), thread, &outputs)
        });
        let checking = async {
            while let Some((index, values)) = answers.recv().await {
                let values: Vec<f32> = values;
                corpus.check(index, &values).context("raw arm")?;
            }
            anyhow::Ok(())
        };
        let (run, ()) = futures::try_join!(running, checking)?;
        run
    }
}

fn batches(
    model: &mut RawModel,
    corpus: &Corpus,
    rows: usize,
    window: Window,
    thread: i32,
    outputs: &asynchronous::UnboundedSender<(usize, Vec<f32>)>,
) -> anyhow::Result<ArmRun> {
    let ring = Ring::default();
    let (mut done, mut began_with, mut timed_texts) = (Vec::new(), None, 0_usize);
    loop {
        let sent = Instant::now();
        if sent >= window.begin && began_with.is_none() {
            began_with = Some(processor_seconds(Of::Thread(thread))?);
        }
        if sent >= window.end {
            break;
        }
        let indexes: Vec<usize> = (0..rows).map(|_| ring.next(corpus)).collect();
        let texts = indexes.iter().map(|index| Ok(corpus.text(*index)?.text.as_str()));
        let values = model.embed(&texts.collect::<anyhow::Result<Vec<_>>>()?)?;
        let at = Instant::now();
        done.push(Done { at, count: rows, latency: at - sent });
        timed_texts += if began_with.is_some() { rows } else { 0 };
        indexes.into_iter().zip(values).try_for_each(|answer| outputs.send(answer))?;
    }
    let used = processor_seconds(Of::Thread(thread))? - began_with.unwrap_or(0.0);
    Ok(ArmRun { server_seconds_each: used / timed_texts as f64, ..ArmRun::of_rate(&done, window) })
}
