//! The first header of an empty database, and the check that a filled one is the right one.

use ailayer_store::SingleWriter;

use super::{FollowError, Follower, RoundError};
use crate::config::Checkpoint;
use crate::domain::block::ChainHeader;

impl Follower {
    /// Makes sure that the database holds a chain of the configured network.
    ///
    /// A changed `start_checkpoint` has no effect on a chain that was begun: its base stays.
    pub(super) async fn ensure_base(&self, writer: &SingleWriter) -> Result<(), RoundError> {
        if let Some((stored, base)) = self.store.base().await? {
            if stored != self.network.as_str() {
                return Err(FollowError::ForeignDatabase { stored, configured: self.network }.into());
            }
            tracing::debug!(base_height = base.height, "database holds a chain");
            return Ok(());
        }
        let base = match self.start_checkpoint {
            None => self.genesis(),
            Some(checkpoint) => self.fetch_checkpoint(checkpoint).await?,
        };
        self.store.init_base(writer, self.network, base).await?;
        tracing::info!(height = base.height, block_hash = %base.block_hash, "chain begun");
        Ok(())
    }

    fn genesis(&self) -> ChainHeader {
        let network = bitcoin::Network::from(self.network);
        ChainHeader::base(0, bitcoin::constants::genesis_block(network).header)
    }

    async fn fetch_checkpoint(&self, checkpoint: Checkpoint) -> Result<ChainHeader, RoundError> {
        let expected = checkpoint.block_ref();
        let headers = self.source.headers(expected.height, 1).await?;
        let base = headers.first().map(|header| ChainHeader::base(expected.height, *header));
        base.filter(|base| base.block_ref() == expected).ok_or_else(|| {
            FollowError::WrongCheckpoint { height: expected.height, expected: expected.block_hash }.into()
        })
    }
}
