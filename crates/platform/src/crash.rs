//! Points where a test can make a process die as if by `kill -9`.
//!
//! Each stands right behind a durable write of the paid-job lifecycle. In debug builds a process
//! whose environment names the point in `AILAYER_CRASH_POINT` sends itself SIGKILL there: no
//! destructor runs, no buffer is flushed. Release builds contain no such code path.

/// The environment variable that names the point.
pub const VARIABLE: &str = "AILAYER_CRASH_POINT";

/// Dies here if this point was asked for; otherwise costs one comparison.
#[cfg(debug_assertions)]
pub fn point(name: &str) {
    static WANTED: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
    let wanted = WANTED.get_or_init(|| std::env::var(VARIABLE).ok());
    if wanted.as_deref() == Some(name) {
        tracing::error!(point = name, "killed by the crash point");
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        // SIGKILL cannot be handled; never go on even if it is late.
        loop {
            std::thread::park();
        }
    }
}

/// Does nothing in release builds.
#[cfg(not(debug_assertions))]
pub fn point(_name: &str) {}
