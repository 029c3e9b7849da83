//! Processor time and memory of a process or a thread, as the kernel counts them.

use std::fs;

use anyhow::Context as _;

/// `USER_HZ`: 100 on every Linux port that this runs on.
const TICKS_A_SECOND: f64 = 100.0;

/// Whose time is read.
#[derive(Debug, Clone, Copy)]
pub enum Of {
    /// A process with all its threads.
    Process(u32),
    /// A thread of this process.
    Thread(i32),
}

/// Seconds on a core so far, user and system together.
pub fn processor_seconds(of: Of) -> anyhow::Result<f64> {
    let path = match of {
        Of::Process(id) => format!("/proc/{id}/stat"),
        Of::Thread(id) => format!("/proc/self/task/{id}/stat"),
    };
    let stat = fs::read_to_string(&path).with_context(|| path.clone())?;
    // The name, in brackets, may hold spaces; what follows it starts with field 3. Fields 14 and 15 are the times.
    let fields =
        stat.rsplit_once(')').map(|(_, rest)| rest.split_whitespace()).with_context(|| path.clone())?;
    let ticks: Vec<f64> = fields.skip(11).take(2).filter_map(|field| field.parse().ok()).collect();
    anyhow::ensure!(ticks.len() == 2, "{path} is not as proc(5) says");
    Ok(ticks.iter().sum::<f64>() / TICKS_A_SECOND)
}

/// The resident memory of a process in MiB.
pub fn resident_mib(process: u32) -> anyhow::Result<f64> {
    let path = format!("/proc/{process}/status");
    let status = fs::read_to_string(&path).with_context(|| path.clone())?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).with_context(|| path.clone())?;
    let kib: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kib / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_says_what_this_process_used() {
        assert!(processor_seconds(Of::Process(std::process::id())).unwrap() >= 0.0);
        let thread = rustix::thread::gettid().as_raw_nonzero().get();
        assert!(processor_seconds(Of::Thread(thread)).unwrap() >= 0.0);
        assert!(resident_mib(std::process::id()).unwrap() > 1.0);
    }
}
