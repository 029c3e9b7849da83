//! Calls to a server, as a client in production makes them.

use std::time::{Duration, Instant};

use ailayer_proto::ailayer::serving::v1::EmbedRequest;
use ailayer_proto::ailayer::serving::v1::serving_service_client::ServingServiceClient;
use anyhow::Context as _;
use tonic::Code;
use tonic::transport::Channel;

use crate::corpus::{Corpus, Ring};
use crate::run::Done;

/// Connections to one model, taken in turn by the number of the call.
pub struct Client {
    clients: Vec<ServingServiceClient<Channel>>,
    model: String,
}

/// One answered text.
pub struct Answer {
    /// Its embedding.
    pub values: Vec<f32>,
    /// Its wait in the server's queue.
    pub wait: Duration,
    /// When it was there.
    pub at: Instant,
}

impl Answer {
    /// The answer as one done call that was sent, or due, then.
    pub fn since(&self, sent: Instant) -> Done {
        Done { at: self.at, count: 1, latency: self.at.saturating_duration_since(sent) }
    }
}

impl Client {
    /// A client of a model behind these connections.
    pub fn new(channels: &[Channel], model: &str) -> Self {
        let clients = channels.iter().cloned().map(ServingServiceClient::new);
        Self { clients: clients.collect(), model: model.to_owned() }
    }

    /// Embeds the next text of a ring and compares the answer; any refusal is an error.
    ///
    /// # Errors
    /// For a refusal and for a wrong answer.
    pub async fn embed_next(&self, call: usize, corpus: &Corpus, ring: &Ring) -> anyhow::Result<Answer> {
        let index = ring.next(corpus);
        let answer = self.embed(call, &corpus.text(index)?.text, None).await?;
        let answer = answer.map_err(|code| anyhow::anyhow!("a call was refused: {code:?}"))?;
        corpus.check(index, &answer.values).context("served")?;
        Ok(answer)
    }

    /// Embeds one text; a refusal answers its code.
    ///
    /// # Errors
    /// When there is no connection, or an answer without an embedding.
    pub async fn embed(
        &self,
        call: usize,
        text: &str,
        deadline: Option<Duration>,
    ) -> anyhow::Result<Result<Answer, Code>> {
        let position = call.checked_rem(self.clients.len()).context("no connection")?;
        let mut client = self.clients.get(position).context("no connection")?.clone();
        let mut request = tonic::Request::new(EmbedRequest {
            model_name: self.model.clone(),
            texts: vec![text.to_owned()],
            ..Default::default()
        });
        if let Some(deadline) = deadline {
            request.set_timeout(deadline);
        }
        match client.embed(request).await {
            Ok(response) => {
                let at = Instant::now();
                let response = response.into_inner();
                let wait = Duration::from_micros(response.queue_time_us);
                let values = response.embeddings.into_iter().next().context("no embedding")?.values;
                Ok(Ok(Answer { values, wait, at }))
            }
            Err(status) => Ok(Err(status.code())),
        }
    }
}
