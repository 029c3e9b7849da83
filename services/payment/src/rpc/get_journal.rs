//! `GetJournal`.

use ailayer_platform::error::Failure;
use ailayer_proto::ailayer::payment::v1::GetJournalResponse;

use crate::app::App;
use crate::store::journal;

pub(super) async fn handle(app: &App) -> Result<GetJournalResponse, Failure> {
    let sums = journal::read(&app.rows).await?;
    Ok(GetJournalResponse {
        cursor: sums.cursor,
        claimed_msat: sums.claimed_msat,
        unexpected_received_msat: sums.unexpected_received_msat,
        sent_msat: sums.sent_msat,
        fees_msat: sums.fees_msat,
        unexpected_payments: sums.unexpected_payments,
    })
}
