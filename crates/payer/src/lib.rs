//! A buyer's own Lightning node, for the CLI and the end-to-end tests.
