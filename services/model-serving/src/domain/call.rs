//! On whose behalf a call runs, and how urgent it is.

use std::sync::Arc;
use std::time::Instant;

/// What the scheduler knows about a caller.
#[derive(Debug, Clone, Default)]
pub struct CallContext {
    /// The account that is served in turn with the others; empty: nobody in particular.
    pub account: Arc<str>,
    /// 1 is the highest level; 0 is the model's default.
    pub priority: u32,
    /// The call is not worth starting after it.
    pub deadline: Option<Instant>,
}
