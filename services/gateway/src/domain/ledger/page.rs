//! Page tokens: where a list goes on. Opaque to callers, and good only for the list they came from.

use std::fmt;
use std::str::FromStr;

use ailayer_primitives::Digest;
use thiserror::Error;

/// Bytes of the list's digest in a token.
const LIST_BYTES: usize = 8;
/// The longest token that is looked at.
const MAX_TOKEN_CHARS: usize = 1024;

/// A token that is not of this list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the page token is not one of this list")]
pub struct InvalidPageToken;

/// Where a list goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageToken(Vec<u8>);

impl PageToken {
    /// Behind `position`, in `list`: a text that differs for every list and filter.
    pub fn new(list: &str, position: &str) -> Self {
        let mut bytes = list_bytes(list).to_vec();
        bytes.extend_from_slice(position.as_bytes());
        Self(bytes)
    }

    /// The position, if the token is of this list.
    pub fn open(&self, list: &str) -> Result<String, InvalidPageToken> {
        let position = self.0.strip_prefix(&list_bytes(list)).ok_or(InvalidPageToken)?;
        String::from_utf8(position.to_vec()).map_err(|_| InvalidPageToken)
    }

    /// The position as a number.
    pub fn open_number(&self, list: &str) -> Result<u64, InvalidPageToken> {
        self.open(list)?.parse().map_err(|_| InvalidPageToken)
    }
}

fn list_bytes(list: &str) -> [u8; LIST_BYTES] {
    let mut bytes = [0; LIST_BYTES];
    bytes.iter_mut().zip(Digest::sha256(list.as_bytes()).as_bytes()).for_each(|(to, from)| *to = *from);
    bytes
}

impl fmt::Display for PageToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.0))
    }
}

impl FromStr for PageToken {
    type Err = InvalidPageToken;
    fn from_str(text: &str) -> Result<Self, InvalidPageToken> {
        if text.len() > MAX_TOKEN_CHARS {
            return Err(InvalidPageToken);
        }
        hex::decode(text).map(Self).map_err(|_| InvalidPageToken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_opens_its_own_list_only() {
        let token: PageToken = PageToken::new("accounts", "7").to_string().parse().unwrap();
        assert_eq!(token.open_number("accounts"), Ok(7));
        assert_eq!(token.open("transactions"), Err(InvalidPageToken));
        for text in ["", "zz", "00", &"0".repeat(MAX_TOKEN_CHARS + 2)] {
            let opened = text.parse::<PageToken>().and_then(|token| token.open("accounts"));
            assert_eq!(opened, Err(InvalidPageToken), "{text}");
        }
    }
}
