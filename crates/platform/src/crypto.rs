//! The process-wide choice of TLS cryptography.

/// Installs *ring* as rustls' provider. Called once by `main` and by test set-ups.
///
/// Two providers are in the dependency tree; without a choice, the first TLS builder panics.
/// A second call changes nothing.
pub fn install_provider() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}
