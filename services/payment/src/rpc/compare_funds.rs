//! `CompareFunds`.

use ailayer_platform::error::Failure;
use ailayer_proto::ailayer::payment::v1::CompareFundsResponse;

use crate::app::App;

pub(super) async fn handle(app: &App) -> Result<CompareFundsResponse, Failure> {
    let compared = app.funds.compare().await?;
    let journal = compared.journal;
    Ok(CompareFundsResponse {
        cursor: journal.cursor,
        expected_min_msat: saturated(compared.expected.min),
        expected_max_msat: saturated(compared.expected.max),
        node_min_msat: saturated(compared.node.min),
        node_max_msat: saturated(compared.node.max),
        residue_msat: saturated(compared.residue_msat),
        unknown_channels: compared.unknown_channels,
        opened_msat: journal.opened_msat,
        forwarding_earned_msat: journal.forwarding_earned_msat,
        closed_min_msat: saturated(journal.closed_msat.min),
        closed_max_msat: saturated(journal.closed_msat.max),
        settling_sat: compared.settling.sat(),
        sweeping_sat: compared.sweeping.sat(),
        unexpected_sent_msat: journal.unexpected_sent_msat,
    })
}

/// All bitcoin fit; what does not is far from 0 in any case.
fn saturated(msat: i128) -> i64 {
    i64::try_from(msat).unwrap_or(if msat < 0 { i64::MIN } else { i64::MAX })
}
