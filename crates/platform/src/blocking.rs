//! Work that takes a core for milliseconds, and must not hold up the other tasks of its thread.

use tokio::runtime::{Handle, RuntimeFlavor};

/// From how many bytes on work is worth a thread of its own: digests and ciphers take 1 to 4 ms a MiB.
const LARGE_BYTES: u64 = 256 * 1024;

/// Runs work on so many bytes here and now. If they are many, the runtime gives this thread's other tasks to another thread first; a
/// runtime of one thread has none to give them to.
pub fn on_bytes<T>(bytes: u64, work: impl FnOnce() -> T) -> T {
    let has_threads =
        Handle::try_current().is_ok_and(|runtime| runtime.runtime_flavor() == RuntimeFlavor::MultiThread);
    if bytes >= LARGE_BYTES && has_threads { tokio::task::block_in_place(work) } else { work() }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    /// The only thread of the runtime is busy until a task has run that waits behind it.
    fn runs_beside_its_work(bytes: u64) -> bool {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        let work = async move {
            let (ran, has_run) = mpsc::channel();
            let other = tokio::spawn(async move { ran.send(()) });
            let outcome = on_bytes(bytes, || has_run.recv_timeout(Duration::from_millis(500)).is_ok());
            drop(other);
            outcome
        };
        runtime.block_on(async move { tokio::spawn(work).await.unwrap() })
    }

    #[test]
    fn other_tasks_go_on_beside_large_work_only() {
        assert!(runs_beside_its_work(LARGE_BYTES));
        assert!(!runs_beside_its_work(LARGE_BYTES - 1));
    }

    #[test]
    fn it_works_without_threads_and_without_a_runtime() {
        assert_eq!(on_bytes(u64::MAX, || 7), 7);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        assert_eq!(runtime.block_on(async { on_bytes(u64::MAX, || 7) }), 7);
    }
}
