//! The log's Ed25519 key: signs checkpoints and index promises.

use std::path::Path;

use ailayer_tlog::note::Signer;
use zeroize::Zeroizing;

use crate::secrets::{self, SecretError};

/// Name of the key file in the data folder; its text is a signer key (`PRIVATE+KEY+origin+id+base64`).
pub const FILE_NAME: &str = "log.key";

/// Reads the key, or makes it at the first start.
///
/// # Errors
/// [`SecretError`] when the file is missing although `may_create` is false, exposed, or a key of another origin.
pub fn load(data_dir: &Path, origin: &str, may_create: bool) -> Result<Signer, SecretError> {
    let path = data_dir.join(FILE_NAME);
    let text = secrets::read_or_create(&path, may_create, || make(origin, &path))?;
    parse(&text, origin).map_err(|reason| SecretError::Unusable { path, reason })
}

/// Reads a signer key and compares its name with the origin.
///
/// # Errors
/// What is wrong, without the secret.
pub fn parse(text: &str, origin: &str) -> Result<Signer, String> {
    let signer = Signer::parse(text).map_err(|error| error.to_string())?;
    let name = signer.verifier().name();
    if name == origin { Ok(signer) } else { Err(format!("it is the key of {name:?}, not of {origin:?}")) }
}

fn make(origin: &str, path: &Path) -> Result<Zeroizing<String>, SecretError> {
    let unusable = |reason: String| SecretError::Unusable { path: path.to_owned(), reason };
    let mut seed = Zeroizing::new([0u8; 32]);
    getrandom::fill(seed.as_mut()).map_err(|error| unusable(format!("no randomness: {error}")))?;
    let signer = Signer::try_new(origin, &seed).map_err(|error| unusable(error.to_string()))?;
    Ok(Zeroizing::new(signer.to_secret_text()))
}
