//! Who operates this gateway: names and the hashes of their keys, from the configuration.

use ailayer_platform::error::{ErrorReason, Failure};
use ailayer_primitives::Digest;
use subtle::ConstantTimeEq as _;
use thiserror::Error;
use tonic::metadata::MetadataMap;

use crate::access::bearer;
use crate::domain::api_key::hash;

/// No operator's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("send an operator's key: `authorization: Bearer …`")]
pub struct NotAnOperator;

impl From<NotAnOperator> for Failure {
    fn from(error: NotAnOperator) -> Self {
        Self::new(ErrorReason::KeyInvalid, error.to_string())
    }
}

/// The operators.
#[derive(Debug, Clone, Default)]
pub struct Operators(Vec<(String, Digest)>);

impl Operators {
    /// By name and the SHA-256 of the key's text.
    pub fn new(operators: Vec<(String, Digest)>) -> Self {
        Self(operators)
    }

    /// The name of who calls. Every key is compared, each in constant time.
    pub fn caller(&self, headers: &MetadataMap) -> Result<String, NotAnOperator> {
        let presented = hash(bearer(headers).unwrap_or_default());
        let mut found = None;
        for (name, key_hash) in &self.0 {
            if bool::from(presented.as_bytes().ct_eq(key_hash.as_bytes())) {
                found = Some(name);
            }
        }
        found.cloned().ok_or(NotAnOperator)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_operators_key_opens() {
        let operators = Operators::new(vec![("alice".to_owned(), hash("a")), ("bob".to_owned(), hash("b"))]);
        let caller = |value: &str| {
            let mut headers = MetadataMap::new();
            headers.insert("authorization", value.parse().unwrap());
            operators.caller(&headers)
        };
        assert_eq!(caller("Bearer b").as_deref(), Ok("bob"));
        assert_eq!(caller("Bearer c"), Err(NotAnOperator));
        assert_eq!(operators.caller(&MetadataMap::new()), Err(NotAnOperator));
        let none = Operators::default();
        let mut headers = MetadataMap::new();
        headers.insert("authorization", "Bearer a".parse().unwrap());
        assert_eq!(none.caller(&headers), Err(NotAnOperator));
    }
}
