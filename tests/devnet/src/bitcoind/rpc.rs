//! bitcoind's JSON-RPC over HTTP.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::{BlockRef, chain::unexpected};
use crate::error::DevnetError;

const SERVER: &str = "bitcoind";
const TIMEOUT: Duration = Duration::from_secs(60);
/// A block of 4 MB with every transaction decoded.
const MAX_ANSWER_BYTES: u64 = 128 * 1024 * 1024;

#[derive(Debug, Clone)]
pub(crate) struct RpcClient {
    agent: ureq::Agent,
    url: String,
    authorization: String,
}

impl RpcClient {
    pub(crate) fn new(port: u16, user: &str, password: &str) -> Self {
        let config = ureq::Agent::config_builder().timeout_global(Some(TIMEOUT)).proxy(None);
        // An RPC error comes as HTTP 404 or 500 with the reason in its body.
        let config = config.http_status_as_error(false).build();
        let authorization = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
        Self { agent: config.into(), url: format!("http://127.0.0.1:{port}/"), authorization }
    }

    pub(crate) async fn call(&self, method: &str, params: Value) -> Result<Value, DevnetError> {
        let (client, owned_method) = (self.clone(), method.to_owned());
        tokio::task::spawn_blocking(move || client.call_blocking(&owned_method, &params))
            .await
            .map_err(|error| unreachable(error.to_string()))?
    }

    pub(crate) async fn tip(&self) -> Result<BlockRef, DevnetError> {
        let info = self.call("getblockchaininfo", json!([])).await?;
        let height = info.get("blocks").and_then(Value::as_u64).and_then(|height| u32::try_from(height).ok());
        let hash = info.get("bestblockhash").and_then(Value::as_str).and_then(|hash| hash.parse().ok());
        match (height, hash) {
            (Some(height), Some(hash)) => Ok(BlockRef { height, hash }),
            _ => Err(unexpected("getblockchaininfo", "no tip")),
        }
    }

    fn call_blocking(&self, method: &str, params: &Value) -> Result<Value, DevnetError> {
        let request = json!({ "jsonrpc": "2.0", "id": 0, "method": method, "params": params });
        let post = self.agent.post(&self.url).header("Authorization", &self.authorization);
        let mut response = post.send_json(&request).map_err(|error| unreachable(error.to_string()))?;
        let status = response.status();
        let body = response.body_mut().with_config().limit(MAX_ANSWER_BYTES).read_json::<Value>();
        let mut answer = body.map_err(|error| unreachable(format!("HTTP status {status}: {error}")))?;
        match answer.get("error").filter(|error| !error.is_null()) {
            Some(error) => Err(DevnetError::Rpc {
                server: SERVER,
                method: method.to_owned(),
                code: error.get("code").and_then(Value::as_i64).unwrap_or(0),
                message: error.get("message").and_then(Value::as_str).unwrap_or("no message").to_owned(),
            }),
            None => Ok(answer.get_mut("result").map_or(Value::Null, Value::take)),
        }
    }
}

fn unreachable(message: impl Into<String>) -> DevnetError {
    DevnetError::Unreachable { server: SERVER, message: message.into() }
}
