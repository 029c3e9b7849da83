//! One core for what is measured, another for who measures.

use anyhow::Context as _;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Where the two sides run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cores {
    /// The server's, and the raw arm's.
    pub server: usize,
    /// The generator's, and the null server's.
    pub generator: usize,
}

impl Cores {
    /// The last and the first core this process may use; none if it may use only one.
    pub fn choose() -> Option<Self> {
        let allowed = sched_getaffinity(None).ok()?;
        let mut cores = (0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core));
        let generator = cores.next()?;
        Some(Self { server: cores.next_back()?, generator })
    }
}

/// Keeps this thread, and those it will start, on one core.
pub fn pin(core: usize) -> anyhow::Result<()> {
    let mut set = CpuSet::new();
    set.set(core);
    sched_setaffinity(None, &set).with_context(|| format!("cannot pin to core {core}"))
}
