//! Keeps the node's end away from async code.

use std::ops::Deref;
use std::sync::Arc;

use ldk_node::Node;

/// A shared node that may be dropped anywhere.
///
/// `ldk-node` stops and drops a runtime of its own when it is dropped, which panics inside another runtime;
/// so the last of these hands the node to a thread.
pub struct OffRuntime(Option<Arc<Node>>);

impl OffRuntime {
    pub const fn new(node: Arc<Node>) -> Self {
        Self(Some(node))
    }
}

impl Deref for OffRuntime {
    type Target = Node;

    #[expect(clippy::expect_used, reason = "taken in drop only")]
    fn deref(&self) -> &Node {
        self.0.as_ref().expect("a node that was not dropped")
    }
}

impl Drop for OffRuntime {
    fn drop(&mut self) {
        let node = self.0.take();
        std::thread::spawn(move || drop(node));
    }
}
