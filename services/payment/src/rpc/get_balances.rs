//! `GetBalances`.

use ailayer_platform::error::Failure;
use ailayer_primitives::{AmountError, AmountMsat};
use ailayer_proto::ailayer::payment::v1::GetBalancesResponse;

use crate::app::App;
use crate::domain::channel::Channel;
use crate::error::ServiceError;

pub(super) async fn handle(app: &App) -> Result<GetBalancesResponse, Failure> {
    let balances = app.node.balances().await.map_err(ServiceError::from)?;
    let channels = app.channels.list().await?;
    let usable: Vec<&Channel> = channels.iter().filter(|channel| channel.usable).collect();
    let sum = |amount: fn(&Channel) -> AmountMsat| total(usable.iter().map(|channel| amount(channel)));
    Ok(GetBalancesResponse {
        onchain_total_sat: balances.onchain_total.sat(),
        onchain_spendable_sat: balances.onchain_spendable.sat(),
        anchor_reserve_sat: balances.anchor_reserve.sat(),
        lightning_sat: balances.lightning.sat(),
        outbound_capacity_msat: sum(|channel| channel.outbound_capacity).map_err(Failure::internal)?.msat(),
        inbound_capacity_msat: sum(|channel| channel.inbound_capacity).map_err(Failure::internal)?.msat(),
        held_msat: app.holds.counts().await?.held.msat(),
    })
}

fn total(mut amounts: impl Iterator<Item = AmountMsat>) -> Result<AmountMsat, AmountError> {
    amounts.try_fold(AmountMsat::ZERO, AmountMsat::checked_add)
}
