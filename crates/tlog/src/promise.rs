//! The index promise: the log's signed word that an entry has an index for ever.
//!
//! It is given as soon as the entry is durable, before any checkpoint covers it. The signed text is
//!
//! ```text
//! ailayer-tlog/index-promise/v1
//! example.com/log
//! 41
//! 9b2c…64 hexadecimal digits of the leaf hash
//! 1763900000000
//! ```
//!
//! with a newline after each line. Five lines under a first line that is no origin: no checkpoint body, which has
//! three, can be taken for one, although both are signed by the same Ed25519 key.

use crate::hash::NodeHash;
use crate::note::{Signer, Verifier};

/// First line of the signed text.
const DOMAIN: &str = "ailayer-tlog/index-promise/v1";

/// What the log promises about an entry. The origin is the name of the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexPromise {
    /// Index of the entry, from 0.
    pub leaf_index: u64,
    /// Leaf hash of the entry.
    pub leaf_hash: NodeHash,
    /// When the entry was sequenced, Unix milliseconds.
    pub sequenced_unix_ms: u64,
}

impl IndexPromise {
    /// The text that is signed, final newline included.
    #[must_use]
    pub fn text(&self, origin: &str) -> String {
        let Self { leaf_index, leaf_hash, sequenced_unix_ms } = self;
        format!("{DOMAIN}\n{origin}\n{leaf_index}\n{leaf_hash}\n{sequenced_unix_ms}\n")
    }

    /// Signs the promise: 64 bytes of Ed25519, the same for the same promise and key.
    #[must_use]
    pub fn sign(&self, log: &Signer) -> Vec<u8> {
        log.sign(&self.text(log.verifier().name())).signature
    }

    /// Whether the signature is the log's on exactly this promise.
    #[must_use]
    pub fn verifies(&self, log: &Verifier, signature: &[u8]) -> bool {
        log.verifies(&self.text(log.name()), signature)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::leaf_hash;

    #[test]
    fn every_word_of_the_promise_is_signed() {
        let log = Signer::try_new("example.com/log", &[7; 32]).unwrap();
        let other = Signer::try_new("example.com/other", &[7; 32]).unwrap();
        let promise = IndexPromise {
            leaf_index: 41,
            leaf_hash: leaf_hash(b"entry"),
            sequenced_unix_ms: 1_763_900_000_000,
        };
        let signature = promise.sign(&log);
        assert_eq!(signature.len(), 64);
        assert!(promise.verifies(log.verifier(), &signature));
        let altered = [
            IndexPromise { leaf_index: 42, ..promise },
            IndexPromise { leaf_hash: leaf_hash(b"other"), ..promise },
            IndexPromise { sequenced_unix_ms: 1, ..promise },
        ];
        assert!(altered.iter().all(|promise| !promise.verifies(log.verifier(), &signature)));
        assert!(!promise.verifies(other.verifier(), &signature));
        assert!(!promise.verifies(log.verifier(), &signature[1..]));
    }

    #[test]
    fn a_promise_is_no_checkpoint() {
        let promise = IndexPromise { leaf_index: 1, leaf_hash: leaf_hash(b""), sequenced_unix_ms: 2 };
        assert!(crate::Checkpoint::parse(&promise.text("example.com/log")).is_err());
    }
}
