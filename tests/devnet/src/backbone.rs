//! Everything the services stand on, started together.

use std::{
    fmt,
    time::{Duration, Instant},
};

use crate::{
    bitcoind::Bitcoind, data_dir::DataDir, electrumx::ElectrumX, error::DevnetError, postgres::Postgres,
    toolbox::Toolbox,
};

/// PostgreSQL, bitcoind and ElectrumX in one folder. Dropping it ends them in the right order.
#[derive(Debug)]
pub struct Backbone {
    /// Serves the indexer.
    pub electrumx: ElectrumX,
    /// Serves the Lightning node and ElectrumX.
    pub bitcoind: Bitcoind,
    /// Serves all services but model-serving.
    pub postgres: Postgres,
    /// Where all of them write.
    pub data_dir: DataDir,
}

/// News of a start, for people: `Display` is a line like `bitcoind ready in 0.8 s`.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Progress {
    /// A program is being started.
    Starting {
        /// Its name.
        name: &'static str,
    },
    /// It answers.
    Ready {
        /// Its name.
        name: &'static str,
        /// Time from start to answer.
        took: Duration,
    },
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Starting { name } => write!(f, "starting {name} …"),
            Self::Ready { name, took } => write!(f, "{name} ready in {:.1} s", took.as_secs_f64()),
        }
    }
}

impl Backbone {
    /// Starts all three in `data_dir`, continuing with its data if there are any, and reports as it goes.
    ///
    /// # Errors
    /// The first program that is missing or does not start; those started before have ended by then.
    pub async fn start(
        data_dir: DataDir,
        toolbox: &Toolbox,
        progress: impl Fn(Progress) + Sync,
    ) -> Result<Self, DevnetError> {
        let (postgres, bitcoind) = tokio::try_join!(
            reported("postgres", &progress, Postgres::start_in(&data_dir, toolbox)),
            reported("bitcoind", &progress, Bitcoind::start_in(&data_dir, toolbox)),
        )?;
        let electrumx = ElectrumX::start_in(&data_dir, toolbox, &bitcoind);
        let electrumx = reported("electrumx", &progress, electrumx).await?;
        Ok(Self { electrumx, bitcoind, postgres, data_dir })
    }

    /// Ends all three in good order, so that their data can be continued with.
    ///
    /// # Errors
    /// `Io` when an end cannot be observed; the others have been ended nevertheless.
    pub async fn stop(self) -> Result<(), DevnetError> {
        let ends = [self.electrumx.stop().await, self.bitcoind.stop().await, self.postgres.stop().await];
        ends.into_iter().collect()
    }
}

async fn reported<T>(
    name: &'static str,
    progress: &(impl Fn(Progress) + Sync),
    start: impl Future<Output = Result<T, DevnetError>>,
) -> Result<T, DevnetError> {
    progress(Progress::Starting { name });
    let began = Instant::now();
    let started = start.await?;
    progress(Progress::Ready { name, took: began.elapsed() });
    Ok(started)
}
