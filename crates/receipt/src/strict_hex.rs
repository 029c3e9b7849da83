//! Hexadecimal with one spelling: lower case only, so that no character of a bundle can change unnoticed.

/// Not lower-case hexadecimal, or not of the length it should have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the lower-case hexadecimal it should be")]
pub(crate) struct HexError;

/// Decodes any even number of lower-case digits.
pub(crate) fn decode(text: &str) -> Result<Vec<u8>, HexError> {
    if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err(HexError);
    }
    hex::decode(text).map_err(|_| HexError)
}

/// Decodes exactly `N` bytes.
pub(crate) fn decode_array<const N: usize>(text: &str) -> Result<[u8; N], HexError> {
    decode(text)?.try_into().map_err(|_| HexError)
}

/// Decodes a Bitcoin hash, whose digits show the bytes in reverse.
pub(crate) fn decode_reversed(text: &str) -> Result<[u8; 32], HexError> {
    let mut bytes = decode_array(text)?;
    bytes.reverse();
    Ok(bytes)
}

/// Writes a Bitcoin hash the way explorers show it.
pub(crate) fn encode_reversed(bytes: &[u8; 32]) -> String {
    let mut bytes = *bytes;
    bytes.reverse();
    hex::encode(bytes)
}
