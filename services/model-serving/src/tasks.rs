//! Background work.

pub mod load_models;
