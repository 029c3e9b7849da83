//! A failure as a complete HTTP response, for layers below the generated code.

use http::Response;
use tonic::Status;
use tonic::body::Body;

use crate::error::Failure;

/// The trailers-only response that carries the failure.
pub fn respond(failure: Failure) -> Response<Body> {
    Status::from(failure).into_http()
}
