//! Complete nodes of the tree: inner ones from their table, leaves from the entries.

use std::collections::HashMap;

use ailayer_store::{StoreError, Tx};
use ailayer_tlog::{CompleteNode, NodeHash, NodeId};
use sqlx::{PgPool, Row};

use super::{damage, to_hash, to_i64, to_u64};

/// Hashes of complete nodes, read at once for one proof.
#[derive(Debug, Default)]
pub struct Nodes(HashMap<NodeId, NodeHash>);

impl ailayer_tlog::proof::NodeReader for Nodes {
    fn node(&self, level: u8, index: u64) -> Option<NodeHash> {
        self.0.get(&NodeId { level, index }).copied()
    }
}

/// Writes the inner nodes of one batch in one statement.
pub async fn insert_in_tx(tx: &mut Tx, nodes: &[CompleteNode]) -> Result<(), StoreError> {
    if nodes.is_empty() {
        return Ok(());
    }
    let levels: Vec<i16> = nodes.iter().map(|node| i16::from(node.id.level)).collect();
    let indices = nodes.iter().map(|node| to_i64(node.id.index)).collect::<Result<Vec<_>, _>>()?;
    let hashes: Vec<Vec<u8>> = nodes.iter().map(|node| node.hash.as_bytes().to_vec()).collect();
    sqlx::query(
        "insert into node (level, node_index, hash)
         select level, node_index, hash
         from unnest($1::smallint[], $2::bigint[], $3::bytea[]) as new (level, node_index, hash)",
    )
    .bind(levels)
    .bind(indices)
    .bind(hashes)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Reads the named nodes; those that are not there are missing from the answer.
pub async fn read(pool: &PgPool, ids: &[NodeId]) -> Result<Nodes, StoreError> {
    let levels: Vec<i16> = ids.iter().map(|id| i16::from(id.level)).collect();
    let indices = ids.iter().map(|id| to_i64(id.index)).collect::<Result<Vec<_>, _>>()?;
    let rows = sqlx::query(
        "with wanted as (select * from unnest($1::smallint[], $2::bigint[]) as wanted (level, node_index))
         select node.level, node.node_index, node.hash from node join wanted using (level, node_index)
         union all
         select wanted.level, entry.leaf_index, entry.leaf_hash
         from entry join wanted on wanted.level = 0 and wanted.node_index = entry.leaf_index",
    )
    .bind(levels)
    .bind(indices)
    .fetch_all(pool)
    .await?;
    let mut nodes = HashMap::with_capacity(rows.len());
    for row in rows {
        let level = u8::try_from(row.try_get::<i16, _>(0)?).map_err(damage)?;
        let index = to_u64(row.try_get(1)?)?;
        nodes.insert(NodeId { level, index }, to_hash(row.try_get(2)?)?);
    }
    Ok(Nodes(nodes))
}

/// How many inner nodes are stored.
pub async fn count(pool: &PgPool) -> Result<u64, StoreError> {
    let row = sqlx::query("select count(*) from node").fetch_one(pool).await?;
    to_u64(row.try_get(0)?)
}
