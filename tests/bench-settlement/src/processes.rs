//! What each process used for each of its operations.

use std::cell::RefCell;

use ailayer_bench::figure::Figure;
use ailayer_bench::generator::at_edges;
use ailayer_bench::run::{Done, Window, count};
use ailayer_bench::statistics::median;
use ailayer_bench::usage::{Of, processor_seconds};

/// Processes that are metered while a load runs, by name.
pub struct Processes {
    of: Vec<(&'static str, Of)>,
    /// One row a run: seconds of each process for one operation.
    runs: RefCell<Vec<Vec<f64>>>,
}

impl Processes {
    /// Has not metered yet.
    pub const fn new(of: Vec<(&'static str, Of)>) -> Self {
        Self { of, runs: RefCell::new(Vec::new()) }
    }

    /// Runs a load and notes what the processes used in its window. Answers the load's, and the first process's seconds for each.
    pub async fn metered(
        &self,
        window: Window,
        load: impl Future<Output = anyhow::Result<Vec<Done>>>,
    ) -> anyhow::Result<(Vec<Done>, f64)> {
        let reading = async || {
            self.of.iter().map(|(_, of)| processor_seconds(*of)).collect::<anyhow::Result<Vec<f64>>>()
        };
        let (done, (before, after)) = futures::try_join!(load, at_edges(window, reading))?;
        let operations = count(&done, window) as f64;
        let each: Vec<f64> =
            after.iter().zip(before).map(|(after, before)| (after - before) / operations).collect();
        let first = each.first().copied().unwrap_or(f64::NAN);
        self.runs.borrow_mut().push(each);
        Ok((done, first))
    }

    /// The figure with a note for each process: the median over the runs.
    pub fn note(&self, figure: Figure, what: &str) -> Figure {
        let runs = self.runs.borrow();
        self.of.iter().enumerate().fold(figure, |figure, (at, (name, _))| {
            let values: Vec<f64> = runs.iter().filter_map(|run| run.get(at)).copied().collect();
            figure.note(&format!("{name} core us a {what}"), median(&values) * 1e6)
        })
    }
}
