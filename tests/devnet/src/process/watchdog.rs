//! One small shell process that ends our children and removes our folders when we are gone, even by SIGKILL.
//!
//! It holds the reading end of a pipe. Only this process holds the writing end, so the kernel tells it about
//! our death. `PR_SET_PDEATHSIG` would need `pre_exec`, which is unsafe code, and does not reach grandchildren.

use std::{
    io::{self, Write},
    os::unix::process::CommandExt,
    path::Path,
    process::{ChildStdin, Command, Stdio},
    sync::{Mutex, PoisonError},
};

use rustix::process::{Pid, Signal};

use crate::error::DevnetError;

const SCRIPT: &str = include_str!("watchdog.sh");

static WATCHDOG: Mutex<Option<ChildStdin>> = Mutex::new(None);

/// What becomes of a folder when this process is gone.
#[derive(Debug, Clone, Copy)]
pub(crate) enum AtDeath {
    RemoveAllButLogs,
    RemoveAll,
}

/// From now on the process group `group` does not outlive us.
pub(super) fn end_group(group: Pid, signal: Signal) -> io::Result<()> {
    tell(&format!("run {} {}\n", group.as_raw_nonzero(), signal_name(signal)))
}

/// The process group is gone, and its number may belong to somebody else soon.
pub(super) fn group_ended(group: Pid) {
    if let Err(error) = tell(&format!("end {}\n", group.as_raw_nonzero())) {
        tracing::warn!(%error, "watchdog is gone");
    }
}

/// From now on the folder does not outlive us.
pub(crate) fn remove_folder(path: &Path, at_death: AtDeath) -> Result<(), DevnetError> {
    let keep = match at_death {
        AtDeath::RemoveAllButLogs => "logs",
        AtDeath::RemoveAll => "none",
    };
    tell(&format!("dir {keep} {}\n", path.display()))
        .map_err(DevnetError::io("telling the watchdog about a folder"))
}

fn tell(message: &str) -> io::Result<()> {
    let mut watchdog = WATCHDOG.lock().unwrap_or_else(PoisonError::into_inner);
    let mut pipe = match watchdog.take() {
        Some(pipe) => pipe,
        None => start()?,
    };
    pipe.write_all(message.as_bytes())?;
    *watchdog = Some(pipe);
    Ok(())
}

fn start() -> io::Result<ChildStdin> {
    let mut child = Command::new("/bin/sh")
        .args(["-c", SCRIPT, "devnet-watchdog"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .current_dir("/")
        // Ctrl-C at the terminal goes to our group; the watchdog has work to do just then.
        .process_group(0)
        .spawn()?;
    child.stdin.take().ok_or_else(|| io::Error::other("the watchdog has no standard input"))
}

fn signal_name(signal: Signal) -> &'static str {
    match signal {
        Signal::INT => "INT",
        Signal::QUIT => "QUIT",
        Signal::TERM => "TERM",
        _ => "KILL",
    }
}
