//! The Lightning node: hold invoices, payments, channels and their event log.
