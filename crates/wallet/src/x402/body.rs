//! Bodies that can be sent twice: without and with the payment.

use std::io::Read;

use ureq::http::request::Parts;
use ureq::http::{HeaderValue, Method, Request, header};
use ureq::{Body, SendBody};

use crate::error::{Error, ErrorKind, Result};

/// The largest request body that the client keeps for the second request.
const MAX_SENT: u64 = 10 * 1024 * 1024;
/// The largest body of a 402 response that the client reads.
const MAX_DEMAND: u64 = 256 * 1024;

pub(crate) fn read_sent(body: SendBody<'_>) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = body.into_reader().take(MAX_SENT + 1).read_to_end(&mut bytes);
    read.map_err(|cause| {
        Error::new(ErrorKind::Invalid, format!("the request's body: {cause}")).with_source(cause)
    })?;
    if bytes.len() as u64 > MAX_SENT {
        return Err(Error::invalid("the body of a request that may have to be paid for has at most 10 MiB"));
    }
    Ok(bytes)
}

/// Reads the body of a 402 response. Empty if the body is missing, broken or too large.
pub(crate) fn read_demand(body: &mut Body) -> Vec<u8> {
    let mut bytes = Vec::new();
    match body.as_reader().take(MAX_DEMAND + 1).read_to_end(&mut bytes) {
        Ok(length) if length as u64 <= MAX_DEMAND => bytes,
        _ => Vec::new(),
    }
}

/// Sends the request with this body and its length.
pub(crate) fn send<T>(mut parts: Parts, mut body: &[u8], send: impl FnOnce(Request<SendBody<'_>>) -> T) -> T {
    if body.is_empty() && !matches!(parts.method, Method::POST | Method::PUT | Method::PATCH) {
        return send(Request::from_parts(parts, SendBody::none()));
    }
    parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    parts.headers.remove(header::TRANSFER_ENCODING);
    send(Request::from_parts(parts, SendBody::from_reader(&mut body)))
}
