//! End-to-end tests of AILayer: see `suite/`. This library is empty; cargo asks for one.
