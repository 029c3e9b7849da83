//! `AcceptFundsResidue`.

use ailayer_platform::error::Failure;
use ailayer_proto::ailayer::payment::v1::{AcceptFundsResidueRequest, AcceptFundsResidueResponse};

use crate::app::App;

/// The longest note, bytes.
const MAX_NOTE_BYTES: usize = 512;

pub(super) async fn handle(
    app: &App,
    request: &AcceptFundsResidueRequest,
) -> Result<AcceptFundsResidueResponse, Failure> {
    let note = request.note.trim();
    if note.is_empty() || note.len() > MAX_NOTE_BYTES {
        let what = format!("must say something, in at most {MAX_NOTE_BYTES} bytes");
        return Err(Failure::invalid_field("note", what));
    }
    app.funds.accept(request.residue_msat, note).await?;
    Ok(AcceptFundsResidueResponse {})
}
