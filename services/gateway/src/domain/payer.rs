//! Who asks for quotes without an account, told apart by network address.

/// A keyed digest of an address: the same for the same payer, and nothing about the address to whoever reads the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Payer([u8; 16]);

impl Payer {
    /// Wraps a digest.
    pub const fn new(digest: [u8; 16]) -> Self {
        Self(digest)
    }

    /// The digest.
    pub const fn bytes(&self) -> &[u8; 16] {
        &self.0
    }
}
