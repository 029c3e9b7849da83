//! Telling a running computation that nobody waits for it any more.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

type Hook = Box<dyn Fn() + Send>;

/// Cancelled once, for ever. Clones are the same token.
#[derive(Clone, Default)]
pub struct CancelToken(Arc<Shared>);

#[derive(Default)]
struct Shared {
    cancelled: AtomicBool,
    hook: Mutex<Option<Hook>>,
}

impl CancelToken {
    /// Cancels, and runs the hook if there is one.
    pub fn cancel(&self) {
        self.0.cancelled.store(true, Ordering::SeqCst);
        if let Some(hook) = self.0.hook.lock().as_ref() {
            hook();
        }
    }

    /// True once cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.0.cancelled.load(Ordering::SeqCst)
    }

    /// Has `hook` run when the token is cancelled, at once if it already is, until the guard is dropped.
    ///
    /// The hook may run twice. A token has one hook at a time.
    #[must_use]
    pub fn on_cancel(&self, hook: impl Fn() + Send + 'static) -> HookGuard {
        *self.0.hook.lock() = Some(Box::new(hook));
        // The flag is set before the hook is looked for, so one of the two sides sees the other.
        if self.is_cancelled() {
            self.cancel();
        }
        HookGuard(self.clone())
    }
}

impl fmt::Debug for CancelToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CancelToken(cancelled: {})", self.is_cancelled())
    }
}

/// Removes the hook when dropped.
#[derive(Debug)]
pub struct HookGuard(CancelToken);

impl Drop for HookGuard {
    fn drop(&mut self) {
        *self.0.0.hook.lock() = None;
    }
}

/// Cancels when dropped: held by the future that waits for the answer.
#[derive(Debug)]
pub struct CancelOnDrop(pub CancelToken);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[test]
    fn the_hook_runs_whichever_side_is_first() {
        let calls = Arc::new(AtomicUsize::new(0));
        let count = || {
            let calls = Arc::clone(&calls);
            move || {
                calls.fetch_add(1, Ordering::SeqCst);
            }
        };
        let token = CancelToken::default();
        drop(token.on_cancel(count()));
        let guard = token.on_cancel(count());
        token.cancel();
        assert_eq!(calls.load(Ordering::SeqCst), 1);
        drop(guard);
        let _late = token.on_cancel(count());
        assert_eq!(calls.load(Ordering::SeqCst), 2);
    }
}
