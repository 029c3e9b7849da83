//! Quotes, jobs and settlement: sells model answers for bitcoin.

pub mod domain;
