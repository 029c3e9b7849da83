//! Typed clients of the AILayer services.
