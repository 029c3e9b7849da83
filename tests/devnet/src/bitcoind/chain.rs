//! Typed calls: blocks, reorganisations, raw transactions.

use std::{fs, os::unix::fs::OpenOptionsExt, path::Path, str::FromStr};

use bitcoin::{Address, Block, BlockHash, Transaction, Txid, consensus::encode};
use serde_json::{Value, json};

use super::{Bitcoind, faucet};
use crate::error::DevnetError;

/// More than there are blocks that a test invalidates on top of one parent.
const DIFFERENT_TIMES: u32 = 20;

/// A block by height and hash, always together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockRef {
    /// Height above the genesis block.
    pub height: u32,
    /// Hash of the header.
    pub hash: BlockHash,
}

/// Credentials and settings. In a file and not on the command line, which every user of the machine can read.
pub(super) fn write_config(folder: &Path, user: &str, password: &str) -> Result<(), DevnetError> {
    let text = format!(
        "regtest=1
server=1
rpcuser={user}
rpcpassword={password}
# Services, tests and ElectrumX ask in parallel; the defaults are 4 and 16.
rpcthreads=16
rpcworkqueue=512
txindex=1
txospenderindex=1
# Talks to nobody but peers that connect to it, or that a test names.
dnsseed=0
fixedseeds=0
listenonion=0
i2pacceptincoming=0
natpmp=0
discover=0
dbcache=32
[regtest]
rpcbind=127.0.0.1
rpcallowip=127.0.0.1
listen=1
connect=0
fallbackfee=0.00001
"
    );
    let path = folder.join("bitcoin.conf");
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    options
        .open(&path)
        .and_then(|mut file| std::io::Write::write_all(&mut file, text.as_bytes()))
        .map_err(DevnetError::io(format!("writing {}", path.display())))
}

impl Bitcoind {
    /// Tip of the best chain.
    ///
    /// # Errors
    /// As [`Bitcoind::call`].
    pub async fn tip(&self) -> Result<BlockRef, DevnetError> {
        self.rpc.tip().await
    }

    /// Mines `count` blocks whose rewards go to the faucet (see [`Bitcoind::fund`]).
    ///
    /// # Errors
    /// As [`Bitcoind::call`].
    pub async fn mine(&self, count: u32) -> Result<Vec<BlockHash>, DevnetError> {
        self.mine_to(count, &faucet::address()).await
    }

    /// Mines `count` blocks whose rewards go to `address`; they can be spent after 100 more.
    ///
    /// # Errors
    /// As [`Bitcoind::call`].
    pub async fn mine_to(&self, count: u32, address: &Address) -> Result<Vec<BlockHash>, DevnetError> {
        match self.generate(count, address).await {
            // After `invalidate_block` a new block can be the very one that was invalidated: same parent, same
            // reward, same second. A second later it is another block.
            Err(DevnetError::Rpc { message, .. }) if message.contains("block not accepted") && count > 0 => {
                let mut hashes = self.generate_at_another_time(address).await?;
                hashes.extend(self.generate(count - 1, address).await?);
                Ok(hashes)
            }
            result => result,
        }
    }

    async fn generate(&self, count: u32, address: &Address) -> Result<Vec<BlockHash>, DevnetError> {
        let hashes = self.call("generatetoaddress", json!([count, address.to_string()])).await?;
        hashes.as_array().into_iter().flatten().map(|hash| parse("generatetoaddress", hash)).collect()
    }

    async fn generate_at_another_time(&self, address: &Address) -> Result<Vec<BlockHash>, DevnetError> {
        let info = self.call("getblockchaininfo", json!([])).await?;
        let tip_time_s = info.get("time").and_then(Value::as_u64).unwrap_or(0);
        let now_s = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let mut time_s = now_s.map_or(0, |now| now.as_secs()).max(tip_time_s);
        let mut generated = Ok(Vec::new());
        for _ in 0..DIFFERENT_TIMES {
            time_s = time_s.saturating_add(1);
            self.call("setmocktime", json!([time_s])).await?;
            generated = self.generate(1, address).await;
            if generated.is_ok() {
                break;
            }
        }
        self.call("setmocktime", json!([0])).await?;
        generated
    }

    /// Mines one block with exactly these transactions, in this order, without looking at the mempool.
    ///
    /// # Errors
    /// As [`Bitcoind::call`].
    pub async fn mine_block_with(&self, transactions: &[Transaction]) -> Result<BlockHash, DevnetError> {
        let raw: Vec<_> = transactions.iter().map(encode::serialize_hex).collect();
        let made = self.call("generateblock", json!([faucet::address().to_string(), raw])).await?;
        parse("generateblock", made.get("hash").unwrap_or(&Value::Null))
    }

    /// Treats the block and all above it as invalid: the first half of a reorganisation.
    ///
    /// # Errors
    /// As [`Bitcoind::call`].
    pub async fn invalidate_block(&self, hash: BlockHash) -> Result<(), DevnetError> {
        self.call("invalidateblock", json!([hash.to_string()])).await.map(drop)
    }

    /// Takes an invalidation back.
    ///
    /// # Errors
    /// As [`Bitcoind::call`].
    pub async fn reconsider_block(&self, hash: BlockHash) -> Result<(), DevnetError> {
        self.call("reconsiderblock", json!([hash.to_string()])).await.map(drop)
    }

    /// Hash of the block at `height` on the best chain.
    ///
    /// # Errors
    /// As [`Bitcoind::call`].
    pub async fn block_hash(&self, height: u32) -> Result<BlockHash, DevnetError> {
        parse("getblockhash", &self.call("getblockhash", json!([height])).await?)
    }

    /// A whole block.
    ///
    /// # Errors
    /// As [`Bitcoind::call`].
    pub async fn block(&self, hash: BlockHash) -> Result<Block, DevnetError> {
        decode("getblock", &self.call("getblock", json!([hash.to_string(), 0])).await?)
    }

    /// Puts a transaction into the mempool. Sending it again is fine.
    ///
    /// # Errors
    /// As [`Bitcoind::call`].
    pub async fn broadcast(&self, transaction: &Transaction) -> Result<Txid, DevnetError> {
        let raw = encode::serialize_hex(transaction);
        parse("sendrawtransaction", &self.call("sendrawtransaction", json!([raw])).await?)
    }

    /// A transaction of the mempool or the best chain.
    ///
    /// # Errors
    /// As [`Bitcoind::call`].
    pub async fn transaction(&self, txid: Txid) -> Result<Transaction, DevnetError> {
        decode("getrawtransaction", &self.call("getrawtransaction", json!([txid.to_string()])).await?)
    }

    /// Confirmations of a transaction; 0 while it is in the mempool.
    ///
    /// # Errors
    /// As [`Bitcoind::call`]; code -5 when the node knows no such transaction.
    pub async fn confirmations(&self, txid: Txid) -> Result<u32, DevnetError> {
        let info = self.call("getrawtransaction", json!([txid.to_string(), 1])).await?;
        let confirmations = info.get("confirmations").and_then(Value::as_u64).unwrap_or(0);
        u32::try_from(confirmations).map_err(|_| unexpected("getrawtransaction", "too many confirmations"))
    }

    /// Ids of the transactions in the mempool.
    ///
    /// # Errors
    /// As [`Bitcoind::call`].
    pub async fn mempool(&self) -> Result<Vec<Txid>, DevnetError> {
        let txids = self.call("getrawmempool", json!([])).await?;
        txids.as_array().into_iter().flatten().map(|txid| parse("getrawmempool", txid)).collect()
    }
}

pub(super) fn parse<T: FromStr>(method: &str, value: &Value) -> Result<T, DevnetError> {
    let parsed = value.as_str().and_then(|text| text.parse().ok());
    parsed.ok_or_else(|| unexpected(method, &format!("unexpected value {value}")))
}

fn decode<T: bitcoin::consensus::Decodable>(method: &str, value: &Value) -> Result<T, DevnetError> {
    let text = value.as_str().ok_or_else(|| unexpected(method, "no text"))?;
    encode::deserialize_hex(text).map_err(|error| unexpected(method, &error.to_string()))
}

pub(super) fn unexpected(method: &str, message: &str) -> DevnetError {
    DevnetError::unexpected("bitcoind", method, message)
}
