"""Computes the fixed vector of `src/tests.rs` from the description in `src/lib.rs`, without this crate's code.

Needs the package `cryptography`.
"""
import hashlib
import hmac
import uuid

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305


def hkdf(salt, ikm, info):
    prk = hmac.new(salt or bytes(32), ikm, hashlib.sha256).digest()
    return hmac.new(prk, info + b"\x01", hashlib.sha256).digest()


RAW = (serialization.Encoding.Raw, serialization.PublicFormat.Raw)
buyer = X25519PrivateKey.from_private_bytes(bytes([0x11] * 32))
gateway = X25519PrivateKey.from_private_bytes(bytes([0x22] * 32))
preimage = bytes([0x33] * 32)
job = uuid.UUID("6f1b1d0e-6f3c-4f7c-9f5e-0a7f3f0d9c11").bytes
quote_digest = hashlib.sha256(b"the quote").digest()
output_digest = hashlib.sha256(b"the answer").digest()

shared = buyer.exchange(gateway.public_key())
key = hkdf(shared, preimage, b"ailayer sealed result v1" + job)
context = b"ailayer sealed answer v1" + job + (2).to_bytes(4, "big") + quote_digest + output_digest
message_key = hkdf(None, key, context)
ciphertext = ChaCha20Poly1305(message_key).encrypt(bytes(12), b"what was bought", context)

print("buyer key  ", buyer.public_key().public_bytes(*RAW).hex())
print("gateway key", gateway.public_key().public_bytes(*RAW).hex())
print("shared     ", shared.hex())
print("result key ", key.hex())
print("ciphertext ", ciphertext.hex())
