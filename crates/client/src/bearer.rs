//! A key in the header of every call. Never printed.

use std::fmt;

use ailayer_platform::config::Secret;
use tonic::Request;

use crate::CallError;

/// `authorization: Bearer <key>`.
#[derive(Clone)]
pub(crate) struct Bearer(Secret<String>);

impl Bearer {
    pub(crate) fn new(key: &str) -> Self {
        Self(Secret::new(format!("Bearer {key}")))
    }

    /// A request that carries the key. A key with characters that no header takes is nobody's.
    pub(crate) fn request<T>(&self, message: T, service: &'static str) -> Result<Request<T>, CallError> {
        let mut request = Request::new(message);
        let value = self.0.expose().parse();
        let mut value: tonic::metadata::MetadataValue<_> =
            value.map_err(|_| CallError::malformed(service, "the key is no header value"))?;
        value.set_sensitive(true);
        request.metadata_mut().insert("authorization", value);
        Ok(request)
    }
}

impl fmt::Debug for Bearer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bearer(secret)")
    }
}
