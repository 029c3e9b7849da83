//! Preimages: derived, never stored, never shown.

use ailayer_primitives::{Digest, Preimage};
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::{Zeroize as _, ZeroizeOnDrop};

use super::invoice_id::InvoiceId;

/// HKDF (RFC 5869) salt: what the derived bytes are for. Changing it loses every open hold.
const SALT: &[u8] = b"ailayer/payment/v1";
/// HKDF info prefix of preimages.
const PREIMAGE_INFO: &[u8] = b"hold-invoice-preimage";
/// HKDF info of the fingerprint.
const FINGERPRINT_INFO: &[u8] = b"secret-fingerprint";

/// The payment service's own secret. With it and an invoice id alone, a claim can be made after a restore
/// from backup; whoever has it can take every held payment this node was ever sent.
#[derive(ZeroizeOnDrop)]
pub struct PreimageSecret([u8; 32]);

impl PreimageSecret {
    /// Takes over 32 secret random bytes and wipes the original.
    pub fn new(mut bytes: [u8; 32]) -> Self {
        let secret = Self(bytes);
        bytes.zeroize();
        secret
    }

    /// `HKDF-SHA256(secret, "ailayer/payment/v1", "hold-invoice-preimage" || id)`.
    pub fn preimage(&self, invoice_id: InvoiceId) -> Preimage {
        Preimage::new(self.expand(&[PREIMAGE_INFO, invoice_id.uuid().as_bytes()]))
    }

    /// Tells whether two secrets are the same without telling the secret: kept in the database, so that a
    /// service started with another secret, or another data folder, refuses to start.
    pub fn fingerprint(&self) -> Digest {
        Digest::sha256(&self.expand(&[FINGERPRINT_INFO]))
    }

    #[expect(clippy::expect_used, reason = "32 bytes are always a valid HKDF-SHA256 length: RFC 5869, 2.3")]
    fn expand(&self, info: &[&[u8]]) -> [u8; 32] {
        let mut derived = [0u8; 32];
        Hkdf::<Sha256>::new(Some(SALT), &self.0)
            .expand_multi_info(info, &mut derived)
            .expect("32 <= 255 * 32");
        derived
    }
}

impl std::fmt::Debug for PreimageSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PreimageSecret(secret)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> InvoiceId {
        text.parse().unwrap()
    }

    /// Computed with Python: `hmac`/`hashlib` after RFC 5869, without this code.
    #[test]
    fn matches_an_independent_computation() {
        let secret = PreimageSecret::new([7; 32]);
        let preimage = secret.preimage(id("6f1b1d0e-6f3c-4f7c-9f5e-0a7f3f0d9c11"));
        assert_eq!(hex::encode(preimage.expose()), PYTHON_PREIMAGE);
        assert_eq!(secret.fingerprint().to_string(), PYTHON_FINGERPRINT);
    }

    const PYTHON_PREIMAGE: &str = "547225e7f78a1911da94c5384a0e30db924e9bc3a0847e77b61790c7c9fc9922";
    const PYTHON_FINGERPRINT: &str = "aa9387a810dc3d4f32361484837e9ee78376a7d0e6c4f80e2c663bd98b06bc00";

    #[test]
    fn every_id_and_every_secret_has_its_own() {
        let secret = PreimageSecret::new([7; 32]);
        let one = secret.preimage(id("6f1b1d0e-6f3c-4f7c-9f5e-0a7f3f0d9c11"));
        let other = secret.preimage(id("6f1b1d0e-6f3c-4f7c-9f5e-0a7f3f0d9c12"));
        let foreign = PreimageSecret::new([8; 32]).preimage(id("6f1b1d0e-6f3c-4f7c-9f5e-0a7f3f0d9c11"));
        assert_ne!(one.payment_hash(), other.payment_hash());
        assert_ne!(one.payment_hash(), foreign.payment_hash());
    }

    #[test]
    fn the_secret_is_not_printed() {
        assert_eq!(format!("{:?}", PreimageSecret::new([7; 32])), "PreimageSecret(secret)");
    }
}
