//! Which node and secret this schema belongs to.

use ailayer_primitives::{Digest, Network};
use ailayer_store::StoreError;
use bitcoin::secp256k1::PublicKey;

use super::{Rows, row};

/// What must never change under a schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The network.
    pub network: Network,
    /// The node's key.
    pub node_id: PublicKey,
    /// The fingerprint of the preimage secret.
    pub secret_fingerprint: Digest,
}

/// Records the identity of a fresh schema, or reads the one it has.
pub async fn get_or_insert(rows: &Rows, identity: &Identity) -> Result<Identity, StoreError> {
    let mut tx = rows.begin().await?;
    sqlx::query(
        "insert into node_identity (network, node_id, secret_fingerprint) values ($1, $2, $3) \
         on conflict do nothing",
    )
    .bind(identity.network.as_str())
    .bind(identity.node_id.serialize().as_slice())
    .bind(identity.secret_fingerprint.as_bytes().as_slice())
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    stored(rows).await?.ok_or_else(|| super::corrupt("node_identity is empty"))
}

/// The recorded identity, if the schema was ever used.
pub async fn stored(rows: &Rows) -> Result<Option<Identity>, StoreError> {
    let found = sqlx::query("select network, node_id, secret_fingerprint from node_identity")
        .fetch_optional(rows.pool())
        .await?;
    let Some(found) = found else { return Ok(None) };
    let network: String = row::get(&found, "network")?;
    Ok(Some(Identity {
        network: network.parse().map_err(super::corrupt)?,
        node_id: row::node_id(&found, "node_id")?,
        secret_fingerprint: Digest::new(row::bytes(&found, "secret_fingerprint")?),
    }))
}
