//! Calls to a server, as a client in production makes them.

use std::time::{Duration, Instant};

use ailayer_proto::ailayer::serving::v1::EmbedRequest;
use ailayer_proto::ailayer::serving::v1::serving_service_client::ServingServiceClient;
use anyhow::Context as _;
use tonic::Code;
use tonic::transport::Channel;

use crate::server::Server;

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

impl Client {
    /// A client of a server's model.
    pub fn new(server: &Server, model: &str) -> Self {
        let clients = server.channels.iter().cloned().map(ServingServiceClient::new);
        Self { clients: clients.collect(), model: model.to_owned() }
    }

    /// Embeds one text; a refusal answers its code.
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
