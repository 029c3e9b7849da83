//! End-to-end tests: a paid inference on real processes.
