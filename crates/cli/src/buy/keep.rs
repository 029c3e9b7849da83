//! What a buyer must not lose, written before money moves.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use ailayer_client::gateway::{Answer, Offer, Order};
use ailayer_primitives::JobId;
use serde_json::json;

use crate::exit::{Exit, Failure};

/// Saves job id, token and request id, readable by the owner only: the token opens the answer.
pub fn job(folder: &Path, gateway: &str, order: &Order, offer: &Offer) -> Result<PathBuf, Failure> {
    let job = json!({
        "gateway": gateway,
        "job_id": offer.key.job_id,
        "job_token": hex::encode(offer.key.token.expose()),
        "request_id": order.request_id,
        "quote": offer.quote,
        "bolt11": offer.bolt11,
    });
    text(folder, &format!("{}.job.json", offer.key.job_id), &format!("{job:#}\n"))
}

/// Saves the vectors as `ailayer verify --answer` reads them: a JSON list of lists, digits enough for every bit.
pub fn answer(folder: &Path, job_id: JobId, answer: &Answer) -> Result<PathBuf, Failure> {
    let rows: Vec<&[f32]> = answer.rows.iter().map(AsRef::as_ref).collect();
    text(folder, &format!("{job_id}.answer.json"), &format!("{}\n", json!(rows)))
}

/// Writes a file completely or not at all, and durably.
pub fn text(folder: &Path, name: &str, text: &str) -> Result<PathBuf, Failure> {
    let path = folder.join(name);
    let write = || -> std::io::Result<()> {
        fs::create_dir_all(folder)?;
        let draft = folder.join(format!(".{name}.draft"));
        let mut file =
            fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&draft, &path)?;
        fs::File::open(folder)?.sync_all()
    };
    write().map_err(|error| Failure::new(Exit::Internal, format_args!("{}: {error}", path.display())))?;
    Ok(path)
}
