//! What the server counted at its calls to the engine, read from its metrics page.

use std::net::SocketAddr;

use anyhow::Context as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Totals since the server started, or what came between two such readings.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Counters {
    /// Rows given to the engine.
    pub rows: f64,
    /// Calls to the engine.
    pub executions: f64,
    /// Tokens given to the engine, without padding.
    pub tokens: f64,
    /// Rows times padded length.
    pub padded_tokens: f64,
}

impl Counters {
    /// Reads the admin port's page and adds up one model's versions.
    pub async fn read(admin: SocketAddr, model: &str) -> anyhow::Result<Self> {
        Ok(Self::parse(&page(admin, "/metrics").await?, model))
    }

    fn parse(page: &str, model: &str) -> Self {
        let label = format!("model=\"{model}\"");
        let total = |name: &str| -> f64 {
            let lines = page.lines().filter(|line| {
                let rest = line.strip_prefix(name);
                rest.is_some_and(|rest| rest.starts_with('{') && rest.contains(&label))
            });
            lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum()
        };
        let tokens = total("ailayer_serving_model_tokens_total");
        Self {
            rows: total("ailayer_serving_model_rows_total"),
            executions: total("ailayer_serving_model_executions_total"),
            tokens,
            padded_tokens: tokens + total("ailayer_serving_model_padding_total"),
        }
    }

    /// What came after an earlier reading.
    pub fn since(self, earlier: Self) -> Self {
        Self {
            rows: self.rows - earlier.rows,
            executions: self.executions - earlier.executions,
            tokens: self.tokens - earlier.tokens,
            padded_tokens: self.padded_tokens - earlier.padded_tokens,
        }
    }

    /// The mean rows of a batch; NaN where nothing was counted.
    pub fn mean_rows(self) -> f64 {
        self.rows / self.executions
    }
}

/// The body of a page of the admin port.
async fn page(admin: SocketAddr, path: &str) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect(admin).await.context("admin port")?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    anyhow::ensure!(answer.starts_with("HTTP/1.1 200"), "the admin port answers no {path}");
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_one_model_are_added_up() {
        let page = "# TYPE ailayer_serving_model_rows_total counter\n\
            ailayer_serving_model_rows_total{model=\"m\",version=\"1\"} 12\n\
            ailayer_serving_model_rows_total{model=\"m\",version=\"2\"} 4\n\
            ailayer_serving_model_executions_total{model=\"m\",version=\"1\"} 4\n\
            ailayer_serving_model_rows_total{model=\"other\",version=\"1\"} 100\n\
            ailayer_serving_model_tokens_total{model=\"m\"} 90\n\
            ailayer_serving_model_padding_total{model=\"m\"} 9\n";
        let counted = Counters::parse(page, "m");
        assert_eq!(counted, Counters { rows: 16.0, executions: 4.0, tokens: 90.0, padded_tokens: 99.0 });
        assert_eq!(counted.mean_rows(), 4.0);
        assert_eq!(counted.since(counted).rows, 0.0);
    }
}
