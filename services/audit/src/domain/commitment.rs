//! How a Bitcoin transaction commits to a checkpoint: one `OP_RETURN` output that carries exactly 32 bytes, the SHA-256
//! of the checkpoint's body (the note's text up to and including its last newline, without the empty line and the
//! signatures).

use ailayer_primitives::Digest;
use bitcoin::script::PushBytesBuf;
use bitcoin::{ScriptBuf, Transaction};

/// What is anchored for a checkpoint with this body.
pub fn digest(checkpoint_body: &str) -> Digest {
    Digest::sha256(checkpoint_body.as_bytes())
}

/// The script of the committing output: `OP_RETURN` and one push of 32 bytes.
pub fn script_pubkey(digest: Digest) -> ScriptBuf {
    ScriptBuf::new_op_return(PushBytesBuf::from(*digest.as_bytes()))
}

/// The index of the first output that commits to the digest.
pub fn find(transaction: &Transaction, digest: Digest) -> Option<u32> {
    let script_pubkey = script_pubkey(digest);
    let position = transaction.output.iter().position(|output| output.script_pubkey == script_pubkey)?;
    u32::try_from(position).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_is_op_return_and_a_push_of_32_bytes() {
        let digest = digest("example.com/log\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n");
        let script = script_pubkey(digest);
        assert_eq!(script.as_bytes()[..2], [0x6a, 0x20]);
        assert_eq!(script.as_bytes()[2..], digest.as_bytes()[..]);
    }
}
