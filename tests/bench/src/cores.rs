//! One core for what is measured, another for who measures.

use std::fs;

use anyhow::Context as _;
use rustix::thread::{CpuSet, Pid, sched_getaffinity, sched_setaffinity};

use crate::usage::children;

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

/// Keeps this thread, and the threads and processes it will start, on one core.
///
/// # Errors
/// When this process may not use it.
pub fn pin(core: usize) -> anyhow::Result<()> {
    sched_setaffinity(None, &only(core)).with_context(|| format!("cannot pin to core {core}"))
}

/// Starts something with this thread on the server's core, and goes to the generator's afterwards: processes begin where the
/// thread is that starts them, and so do their own.
///
/// # Errors
/// When this process may not use a core.
pub async fn start_as_server<T>(cores: Option<Cores>, start: impl Future<Output = T>) -> anyhow::Result<T> {
    cores.map_or(Ok(()), |cores| pin(cores.server))?;
    let started = start.await;
    cores.map_or(Ok(()), |cores| pin(cores.generator))?;
    Ok(started)
}

/// Moves a process that runs, with all its threads and its children, to one core.
///
/// # Errors
/// When there is no such process.
pub fn move_family(process: u32, core: usize) -> anyhow::Result<()> {
    // Twice: what is started meanwhile may still start on the old core.
    for _ in 0..2 {
        move_threads(process, core)?;
        for child in children(process)? {
            // One that ends meanwhile needs no core.
            drop(move_threads(child, core));
        }
    }
    Ok(())
}

fn move_threads(process: u32, core: usize) -> anyhow::Result<()> {
    let path = format!("/proc/{process}/task");
    for entry in fs::read_dir(&path).with_context(|| path.clone())? {
        let thread = entry?.file_name().to_string_lossy().parse().ok().and_then(Pid::from_raw);
        let thread = thread.with_context(|| format!("{path} is not as proc(5) says"))?;
        match sched_setaffinity(Some(thread), &only(core)) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => {}
            Err(error) => return Err(error).with_context(|| format!("cannot move to core {core}")),
        }
    }
    Ok(())
}

fn only(core: usize) -> CpuSet {
    let mut set = CpuSet::new();
    set.set(core);
    set
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_running_process_is_moved() {
        let Some(cores) = Cores::choose() else { return };
        let mut child = std::process::Command::new("sleep").arg("20").spawn().unwrap();
        move_family(child.id(), cores.server).unwrap();
        let thread = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let allowed = sched_getaffinity(thread).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(allowed.is_set(cores.server) && !allowed.is_set(cores.generator));
        assert!(move_family(u32::MAX, cores.server).is_err());
    }
}
