//! The signed transactions of anchors.

use std::collections::HashMap;

use super::*;

/// Writes one, before it is broadcast.
pub(super) async fn insert_in_tx(
    tx: &mut Tx,
    anchor_id: i64,
    number: usize,
    attempt: &Attempt,
) -> Result<(), StoreError> {
    sqlx::query(
        "insert into anchor_transaction (anchor_id, attempt, txid, raw, vout, fee_sat)
         values ($1, $2, $3, $4, $5, $6)",
    )
    .bind(anchor_id)
    .bind(i32::try_from(number).map_err(damage)?)
    .bind(attempt.txid.to_byte_array().to_vec())
    .bind(encode::serialize(&attempt.transaction))
    .bind(to_i32(attempt.vout)?)
    .bind(to_i64(attempt.fee_sat)?)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Those of the named anchors, oldest first.
pub(super) async fn of(pool: &PgPool, anchor_ids: &[i64]) -> Result<HashMap<i64, Vec<Attempt>>, StoreError> {
    let mut found: HashMap<i64, Vec<Attempt>> = HashMap::new();
    if anchor_ids.is_empty() {
        return Ok(found);
    }
    let rows =
        sqlx::query("select * from anchor_transaction where anchor_id = any($1) order by anchor_id, attempt")
            .bind(anchor_ids.to_vec())
            .fetch_all(pool)
            .await?;
    for row in &rows {
        found.entry(row.try_get("anchor_id")?).or_default().push(attempt(row)?);
    }
    Ok(found)
}

fn attempt(row: &PgRow) -> Result<Attempt, StoreError> {
    let txid = Txid::from_slice(row.try_get("txid")?).map_err(damage)?;
    let transaction: Transaction = encode::deserialize(row.try_get("raw")?).map_err(damage)?;
    if transaction.compute_txid() != txid {
        return Err(damage(format_args!("transaction {txid} is not what its id says")));
    }
    Ok(Attempt {
        txid,
        transaction,
        vout: to_u32(row.try_get::<i32, _>("vout")?)?,
        fee_sat: to_u64(row.try_get("fee_sat")?)?,
    })
}
