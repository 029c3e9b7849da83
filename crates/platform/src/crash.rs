//! Points where a test can make a process die as if by `kill -9`, or stand still.
//!
//! Each stands right behind a durable write of the paid-job lifecycle. In debug builds a process
//! whose environment names the point in `AILAYER_CRASH_POINT` sends itself SIGKILL there: no
//! destructor runs, no buffer is flushed. If the name follows `halt:`, it sends itself SIGSTOP
//! instead, once: whatever else is to die behind this very write dies meanwhile, and SIGCONT lets it
//! go on. Release builds contain no such code path.

/// The environment variable that names the point.
pub const VARIABLE: &str = "AILAYER_CRASH_POINT";
/// Before the name of a point where the process is to stand still.
pub const HALT: &str = "halt:";

/// Dies or halts here if this point was asked for; otherwise costs one comparison.
#[cfg(debug_assertions)]
pub fn point(name: &str) {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicBool, Ordering};

    use rustix::process::{Signal, getpid, kill_process};

    static WANTED: OnceLock<Option<String>> = OnceLock::new();
    static HALTED: AtomicBool = AtomicBool::new(false);
    let Some(wanted) = WANTED.get_or_init(|| std::env::var(VARIABLE).ok()).as_deref() else { return };
    if wanted == name {
        tracing::error!(point = name, "killed by the crash point");
        let _ = kill_process(getpid(), Signal::KILL);
        // SIGKILL cannot be handled; never go on even if it is late.
        loop {
            std::thread::park();
        }
    }
    if wanted.strip_prefix(HALT) == Some(name) && !HALTED.swap(true, Ordering::SeqCst) {
        tracing::error!(point = name, "halted by the crash point");
        let _ = kill_process(getpid(), Signal::STOP);
    }
}

/// Does nothing in release builds.
#[cfg(not(debug_assertions))]
pub fn point(_name: &str) {}
