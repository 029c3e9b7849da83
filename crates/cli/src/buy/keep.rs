//! What a buyer must not lose, written before money moves.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use ailayer_client::gateway::{Answer, JobKey, Offer, Order, Output};
use ailayer_primitives::{JobId, JobToken, RequestId};
use ailayer_receipt::GatewayKey;
use ailayer_seal::SecretKey;
use serde_json::json;
use zeroize::Zeroizing;

use crate::exit::{Exit, Failure};

/// The largest file of ours that is read back: a gateway's largest message, and some.
const MAX_FILE_BYTES: u64 = 1 << 27;

/// What `<job>.job.json` says.
pub struct KeptJob {
    /// The seller's gateway.
    pub gateway: String,
    /// The key that signed the quote.
    pub seller: GatewayKey,
    /// Opens the job.
    pub key: JobKey,
    /// The order's idempotency key, which also names the file of the key of a sealed answer.
    pub request_id: RequestId,
    /// The exact text of the signed quote.
    pub quote: String,
    /// The invoice.
    pub bolt11: String,
}

/// Saves what is needed to go on with a job, readable by the owner only: the token opens the answer.
pub fn job(
    folder: &Path,
    gateway: &str,
    seller: &GatewayKey,
    order: &Order,
    offer: &Offer,
) -> Result<PathBuf, Failure> {
    let job = json!({
        "gateway": gateway,
        "seller": seller,
        "job_id": offer.key.job_id,
        "job_token": hex::encode(offer.key.token.expose()),
        "request_id": order.request_id,
        "quote": offer.quote,
        "bolt11": offer.bolt11,
    });
    text(folder, &format!("{}.job.json", offer.key.job_id), &format!("{job:#}\n"))
}

/// Reads what [`job`] saved.
pub fn read_job(path: &Path) -> Result<KeptJob, Failure> {
    let wrong = |what: &dyn std::fmt::Display| {
        Failure::new(Exit::Configuration, format_args!("{}: {what}", path.display()))
    };
    let missing = || wrong(&"there is no such file");
    let bytes = read(path)?.ok_or_else(missing)?;
    let job: serde_json::Value = serde_json::from_slice(&bytes).map_err(|error| wrong(&error))?;
    let field = |name: &str| {
        let text = job.get(name).and_then(serde_json::Value::as_str);
        text.ok_or_else(|| wrong(&format_args!("it does not say {name:?}")))
    };
    let bad = |name: &str| wrong(&format_args!("a bad {name:?}"));
    let token = hex::decode(field("job_token")?).map_err(|_| bad("job_token"))?;
    Ok(KeptJob {
        gateway: field("gateway")?.to_owned(),
        seller: field("seller")?.parse().map_err(|_| bad("seller"))?,
        key: JobKey {
            job_id: field("job_id")?.parse().map_err(|_| bad("job_id"))?,
            token: JobToken::try_from(token.as_slice()).map_err(|_| bad("job_token"))?,
        },
        request_id: field("request_id")?.parse().map_err(|_| bad("request_id"))?,
        quote: field("quote")?.to_owned(),
        bolt11: field("bolt11")?.to_owned(),
    })
}

/// The secret key of a sealed answer: the one that is kept of the request, or a fresh one that is kept from now on.
pub fn seal_key(folder: &Path, request_id: RequestId) -> Result<SecretKey, Failure> {
    if read(&folder.join(seal_key_file(request_id)))?.is_some() {
        return kept_seal_key(folder, request_id);
    }
    let mut bytes = Zeroizing::new([0; 32]);
    getrandom::fill(bytes.as_mut_slice())
        .map_err(|error| Failure::new(Exit::Internal, format_args!("no random bytes: {error}")))?;
    let hex = Zeroizing::new(format!("{}\n", hex::encode(*bytes)));
    text(folder, &seal_key_file(request_id), &hex)?;
    Ok(SecretKey::new(&bytes))
}

/// The secret key that is kept of a request.
pub fn kept_seal_key(folder: &Path, request_id: RequestId) -> Result<SecretKey, Failure> {
    let path = folder.join(seal_key_file(request_id));
    let wrong = |what: &str| Failure::new(Exit::Configuration, format_args!("{}: {what}", path.display()));
    let kept = Zeroizing::new(read(&path)?.ok_or_else(|| wrong("there is no such file"))?);
    let mut bytes = Zeroizing::new([0; 32]);
    hex::decode_to_slice(kept.trim_ascii_end(), bytes.as_mut_slice())
        .map_err(|_| wrong("it is not 64 hexadecimal digits"))?;
    Ok(SecretKey::new(&bytes))
}

fn seal_key_file(request_id: RequestId) -> String {
    format!("{request_id}.seal.key")
}

/// Saves the exact text of a receipt.
pub fn receipt(folder: &Path, job_id: JobId, receipt: &str) -> Result<PathBuf, Failure> {
    text(folder, &receipt_file(job_id), receipt)
}

/// Saves the ciphertext of a sealed answer.
pub fn ciphertext(folder: &Path, job_id: JobId, ciphertext: &[u8]) -> Result<PathBuf, Failure> {
    bytes(folder, &sealed_file(job_id), ciphertext)
}

/// Receipt and ciphertext of a sealed answer, if both are kept.
pub fn delivery(folder: &Path, job_id: JobId) -> Result<Option<(String, Vec<u8>)>, Failure> {
    let receipt = read(&folder.join(receipt_file(job_id)))?;
    let receipt = receipt.and_then(|bytes| String::from_utf8(bytes).ok());
    Ok(receipt.zip(read(&folder.join(sealed_file(job_id)))?))
}

fn receipt_file(job_id: JobId) -> String {
    format!("{job_id}.receipt.json")
}

fn sealed_file(job_id: JobId) -> String {
    format!("{job_id}.sealed")
}

/// Saves the answer as `ailayer verify --answer` reads it: vectors as a JSON list of lists, digits enough for every bit; tensors
/// with their exact bytes ([`crate::tensors`]).
pub fn answer(folder: &Path, job_id: JobId, answer: &Answer) -> Result<PathBuf, Failure> {
    let json = match answer.delivered.output() {
        Output::Rows(_) => json!(answer.delivered.vectors()),
        Output::Tensors(tensors) => crate::tensors::to_json(tensors),
    };
    text(folder, &format!("{job_id}.answer.json"), &format!("{json}\n"))
}

/// Writes a text completely or not at all, and durably.
pub fn text(folder: &Path, name: &str, text: &str) -> Result<PathBuf, Failure> {
    bytes(folder, name, text.as_bytes())
}

fn bytes(folder: &Path, name: &str, content: &[u8]) -> Result<PathBuf, Failure> {
    let path = folder.join(name);
    let write = || -> std::io::Result<()> {
        fs::create_dir_all(folder)?;
        let draft = folder.join(format!(".{name}.draft"));
        let mut file =
            fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&draft, &path)?;
        fs::File::open(folder)?.sync_all()
    };
    write().map_err(|error| Failure::new(Exit::Internal, format_args!("{}: {error}", path.display())))?;
    Ok(path)
}

/// A file's bytes; nothing if there is no such file.
fn read(path: &Path) -> Result<Option<Vec<u8>>, Failure> {
    let failed = |error: std::io::Error| {
        Failure::new(Exit::Configuration, format_args!("{}: {error}", path.display()))
    };
    let file = match fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mut bytes = Vec::new();
    file.take(MAX_FILE_BYTES).read_to_end(&mut bytes).map_err(failed)?;
    Ok(Some(bytes))
}

#[cfg(test)]
mod tests;
