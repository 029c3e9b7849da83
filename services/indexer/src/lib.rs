//! Follows the Bitcoin chain: headers, confirmations with proofs, broadcast, fees.
