//! Helper programs of a bench: each serves gRPC on a free port and says where as its first line.

use std::io::Write as _;

use tokio::net::TcpListener;
use tonic::service::Routes;
use tonic::transport::server::TcpIncoming;

/// Prints its address as the first line, and serves until the program is ended. `routes` is called inside the runtime.
///
/// # Errors
/// When there is no port, or there are no routes.
pub fn serve(routes: impl FnOnce() -> anyhow::Result<Routes>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let routes = routes()?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let mut out = std::io::stdout();
        writeln!(out, "{}", listener.local_addr()?)?;
        out.flush()?;
        let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
        Ok(tonic::transport::Server::builder().add_routes(routes).serve_with_incoming(incoming).await?)
    })
}
