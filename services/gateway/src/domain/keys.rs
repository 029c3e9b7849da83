//! The gateway's secrets: one 32-byte master, from which everything else is derived.

use std::net::IpAddr;

use ailayer_primitives::{Digest, JobId, JobToken};
use ailayer_receipt::{GatewayKey, GatewaySigner};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::payer::Payer;

/// The master secret. Wiped when dropped, never printed.
pub type Master = Zeroizing<[u8; 32]>;

/// Names of the derived secrets. Changing one changes the gateway's identity or locks buyers out of their jobs.
const SIGNING: &[u8] = b"ailayer gateway signing key v1";
const TOKENS: &[u8] = b"ailayer gateway job tokens v1";
const PAYERS: &[u8] = b"ailayer gateway payers v1";

/// What the master secret derives.
#[derive(Clone)]
pub struct Keys {
    signer: GatewaySigner,
    tokens: Zeroizing<[u8; 32]>,
    payers: Zeroizing<[u8; 32]>,
}

impl Keys {
    /// Derives them all.
    pub fn derive(master: &Master) -> Self {
        Self {
            signer: GatewaySigner::new(&expand(master, SIGNING)),
            tokens: expand(master, TOKENS),
            payers: expand(master, PAYERS),
        }
    }

    /// Signs quotes, receipts and closing entries.
    pub fn signer(&self) -> &GatewaySigner {
        &self.signer
    }

    /// The public half, as the gateway announces it.
    pub fn public_key(&self) -> GatewayKey {
        self.signer.public_key()
    }

    /// The token that opens a job: HMAC-SHA-256 of the job id, cut to 128 bits.
    ///
    /// Derived, so that a repeated request is answered the same token although only its hash is stored.
    pub fn token(&self, job_id: JobId) -> JobToken {
        JobToken::new(first_half(&prf(&self.tokens, &[job_id.uuid().as_bytes()])))
    }

    /// Who is behind an address: HMAC-SHA-256 of it, cut to 128 bits. Of IPv6 the /64 counts, which is one subscriber's.
    pub fn payer(&self, address: IpAddr) -> Payer {
        let tag = match address.to_canonical() {
            IpAddr::V4(address) => prf(&self.payers, &[&address.octets()]),
            IpAddr::V6(address) => {
                let [network, _] = halves(&address.octets());
                prf(&self.payers, &[&network])
            }
        };
        Payer::new(first_half(&tag))
    }
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Keys({})", self.public_key())
    }
}

/// What is stored of a token.
pub fn token_hash(token: &JobToken) -> Digest {
    Digest::sha256(token.expose())
}

/// Compares a presented token with a stored hash in constant time. Without a stored hash the same work is done and
/// the answer is no.
pub fn token_opens(token: &JobToken, stored: Option<&Digest>) -> bool {
    let presented = token_hash(token);
    let against = stored.copied().unwrap_or(Digest::new([0; 32]));
    bool::from(presented.as_bytes().ct_eq(against.as_bytes())) && stored.is_some()
}

/// HKDF-Expand of RFC 5869 for one block of output; the master is uniform, so nothing is extracted first.
fn expand(master: &Master, info: &[u8]) -> Zeroizing<[u8; 32]> {
    prf(master, &[info, &[1]])
}

/// The first 128 bits.
fn first_half(tag: &[u8; 32]) -> [u8; 16] {
    let mut half = [0; 16];
    half.iter_mut().zip(tag).for_each(|(to, from)| *to = *from);
    half
}

/// Network and interface of an IPv6 address.
fn halves(octets: &[u8; 16]) -> [[u8; 8]; 2] {
    let mut halves = [[0; 8]; 2];
    halves.iter_mut().flatten().zip(octets).for_each(|(to, from)| *to = *from);
    halves
}

/// HMAC-SHA-256.
fn prf(key: &Zeroizing<[u8; 32]>, message: &[&[u8]]) -> Zeroizing<[u8; 32]> {
    // RFC 2104 pads a short key with zeros to the block size; done here so that no length can be wrong at run time.
    let mut block = Zeroizing::new([0; 64]);
    block.iter_mut().zip(key.iter()).for_each(|(to, from)| *to = *from);
    let mut mac = Hmac::<Sha256>::new((&*block).into());
    message.iter().for_each(|part| mac.update(part));
    Zeroizing::new(mac.finalize().into_bytes().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job() -> JobId {
        "6f1b1d0e-6f3c-4f7c-9f5e-0a7f3f0d9c11".parse().unwrap()
    }

    #[test]
    fn derived_secrets_are_stable_and_apart() {
        let keys = Keys::derive(&Master::new([7; 32]));
        let again = Keys::derive(&Master::new([7; 32]));
        let other = Keys::derive(&Master::new([8; 32]));
        assert_eq!(keys.public_key(), again.public_key());
        assert_eq!(keys.token(job()), again.token(job()));
        assert_ne!(keys.public_key(), other.public_key());
        assert_ne!(keys.token(job()), other.token(job()));
        assert_ne!(keys.token(job()).expose(), &[0; 16]);
        // A restore from backup must derive the same: these bytes never change.
        assert_eq!(token_hash(&keys.token(job())).to_string(), GOLDEN_TOKEN_HASH);
    }

    const GOLDEN_TOKEN_HASH: &str = "bec22b073857183a6707511886c18108671097a43ebda4d610277f06e2b221cd";

    #[test]
    fn the_derivation_is_hkdf_expand() {
        // RFC 5869, test case 1: the first 32 bytes of OKM.
        let prk = "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5";
        let mut master = Master::new([0; 32]);
        hex::decode_to_slice(prk, master.as_mut_slice()).unwrap();
        let okm = expand(&master, &hex::decode("f0f1f2f3f4f5f6f7f8f9").unwrap());
        assert_eq!(hex::encode(*okm), "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf");
    }

    #[test]
    fn only_the_right_token_opens() {
        let keys = Keys::derive(&Master::new([7; 32]));
        let stored = token_hash(&keys.token(job()));
        assert!(token_opens(&keys.token(job()), Some(&stored)));
        assert!(!token_opens(&JobToken::new([1; 16]), Some(&stored)));
        assert!(!token_opens(&keys.token(job()), None));
    }

    #[test]
    fn payers_are_told_apart_by_network() {
        let keys = Keys::derive(&Master::new([7; 32]));
        let payer = |address: &str| keys.payer(address.parse().unwrap());
        assert_eq!(payer("192.0.2.1"), payer("::ffff:192.0.2.1"));
        assert_ne!(payer("192.0.2.1"), payer("192.0.2.2"));
        assert_eq!(payer("2001:db8::1"), payer("2001:db8::ffff"));
        assert_ne!(payer("2001:db8::1"), payer("2001:db8:0:1::1"));
        let other = Keys::derive(&Master::new([8; 32]));
        assert_ne!(payer("192.0.2.1"), other.payer("192.0.2.1".parse().unwrap()));
    }

    #[test]
    fn secrets_are_not_printed() {
        let keys = Keys::derive(&Master::new([7; 32]));
        assert_eq!(format!("{keys:?}"), format!("Keys({})", keys.public_key()));
    }
}
