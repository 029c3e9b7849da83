//! The append-only transparency log and its anchors in Bitcoin.
