//! `ailayer-bench null`: a server whose model does nothing, so that the raw arm has the same neighbour as the served one.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::io::Write as _;
use std::task::{Context, Poll};

use ailayer_proto::ailayer::serving::v1::{EmbedRequest, EmbedResponse, Embedding};
use futures::future::BoxFuture;
use tokio::net::TcpListener;
use tonic::body::Body;
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;
use tower::Service;

/// Prints its address as the first line, and serves until it is ended.
pub fn serve(dimensions: usize) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let mut out = std::io::stdout();
        writeln!(out, "{}", listener.local_addr()?)?;
        out.flush()?;
        let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
        let null = Null { dimensions };
        Ok(tonic::transport::Server::builder().add_service(null).serve_with_incoming(incoming).await?)
    })
}

/// Answers every method of the service as `Embed`, with vectors of zeros.
#[derive(Debug, Clone, Copy)]
struct Null {
    dimensions: usize,
}

impl NamedService for Null {
    const NAME: &'static str = "ailayer.serving.v1.ServingService";
}

impl Service<http::Request<Body>> for Null {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let null = *self;
        Box::pin(async move {
            let codec = ProstCodec::<EmbedResponse, EmbedRequest>::default();
            Ok(Grpc::new(codec).unary(null, request).await)
        })
    }
}

impl UnaryService<EmbedRequest> for Null {
    type Response = EmbedResponse;
    type Future = Ready<Result<Response<EmbedResponse>, Status>>;

    fn call(&mut self, request: Request<EmbedRequest>) -> Self::Future {
        let zeros = || Embedding { values: vec![0.0; self.dimensions], ..Default::default() };
        let embeddings = request.get_ref().texts.iter().map(|_| zeros()).collect();
        ready(Ok(Response::new(EmbedResponse { embeddings, ..Default::default() })))
    }
}
