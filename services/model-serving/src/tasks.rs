//! Background work.

pub mod reconcile_repository;
pub mod retire_models;
