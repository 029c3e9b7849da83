//! `ListChannels`.

use ailayer_platform::error::Failure;
use ailayer_proto::ailayer::payment::v1::ListChannelsResponse;

use super::convert;
use crate::app::App;

pub(super) async fn handle(app: &App) -> Result<ListChannelsResponse, Failure> {
    let channels = app.channels.list().await?;
    Ok(ListChannelsResponse { channels: channels.iter().map(convert::channel).collect() })
}
