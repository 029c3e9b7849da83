//! The ailayer binary: services, supervisor, paying client, verifier.
