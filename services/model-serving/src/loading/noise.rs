//! Made-up elements of tensors, the same for the same seed.

use crate::domain::datatype::Datatype;

/// The bytes of a zero; of a string, those that say its length.
pub(super) fn least_bytes(datatype: Datatype) -> usize {
    datatype.size().unwrap_or(4)
}

/// Raw elements: whole numbers under `most` (which is from 1 to 128), floating-point numbers from 0.5 to 1, strings of a
/// digit.
pub(super) fn noise(datatype: Datatype, count: usize, seed: u32, most: u32) -> Vec<u8> {
    // Any state but 0 will do.
    let mut state = seed.wrapping_mul(0x9e37_79b9) | 1;
    let mut bytes = Vec::new();
    for _ in 0..count {
        // Marsaglia's xorshift: any noise will do.
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        let fraction = f64::from(state) / f64::from(u32::MAX);
        // The low bits of a xorshift are its worst.
        let whole = (state >> 8) % most.clamp(1, 128);
        let part = (state >> 8) % 128;
        match datatype {
            Datatype::Bool => bytes.push(u8::from(part < 64)),
            // The exponent of 0.5, any mantissa.
            Datatype::Fp16 => bytes.extend((0x3800_u16 | (part as u16) << 3).to_le_bytes()),
            Datatype::Bf16 => bytes.extend((0x3f00_u16 | (part as u16)).to_le_bytes()),
            Datatype::Fp32 => bytes.extend((0.5 + f32::from(part as u16) / 256.0).to_le_bytes()),
            Datatype::Fp64 => bytes.extend((0.5 + fraction / 2.0).to_le_bytes()),
            Datatype::Bytes => bytes.extend([1, 0, 0, 0, b'0'.saturating_add((whole % 10) as u8)]),
            integer => bytes.extend(u64::from(whole).to_le_bytes().into_iter().take(least_bytes(integer))),
        }
    }
    bytes
}
