//! The bytes of a request. `ureq-proto` writes the head and decides how the body is delimited.

use ureq_proto::client::{Call, SendRequestResult};
use ureq_proto::http::header::{CONTENT_LENGTH, UPGRADE};
use ureq_proto::http::{Method, request};
use zeroize::Zeroizing;

use super::decoder::Decoder;
use crate::error::{Error, Result};

/// The size of the buffer for the head: more than the longest path with the longest headers.
const MAX_HEAD: usize = 16 << 10;

/// The bytes of a request, and the decoder for its response.
#[derive(Debug)]
pub(crate) struct Encoded {
    pub(crate) bytes: Zeroizing<Vec<u8>>,
    pub(crate) decoder: Decoder,
}

/// Encodes a request. The library never gets the headers in `secret`, because the library logs the bytes that it writes
/// and does not wipe them from memory.
///
/// # Errors
/// `Invalid` if a part of the request cannot be sent.
pub(crate) fn encode(
    request: request::Builder,
    secret: &[(&str, &str)],
    body: Option<&[u8]>,
) -> Result<Encoded> {
    // A value must not be able to add a header line.
    if secret.iter().any(|(_, value)| !value.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic())) {
        return Err(Error::invalid("the credential contains a character that an HTTP header cannot have"));
    }
    let length = body.map_or(0, <[u8]>::len);
    // Methods that may have a body must announce an empty body.
    let may_have_body = matches!(request.method_ref(), Some(&Method::POST | &Method::PATCH));
    let request = match body {
        None if !may_have_body => request,
        _ => request.header(CONTENT_LENGTH, length),
    };
    let upgrades = request.headers_ref().is_some_and(|headers| headers.contains_key(UPGRADE));
    let mut call = Call::new(request.body(()).map_err(cannot_be_sent)?).map_err(cannot_be_sent)?;
    if body.is_some() {
        call.force_send_body();
    }
    let mut call = call.proceed();
    let mut head = vec![0; MAX_HEAD];
    let used = call.write(&mut head).map_err(cannot_be_sent)?;
    let call = match call.proceed().map_err(cannot_be_sent)? {
        Some(SendRequestResult::RecvResponse(call)) => Some(call),
        Some(SendRequestResult::SendBody(mut call)) => {
            call.consume_direct_write(length).map_err(cannot_be_sent)?;
            call.proceed()
        }
        _ => None,
    };
    let Some(call) = call else { return Err(Error::invalid("the head of the request is too long")) };

    // Without the empty line at the end.
    let head = head.get(..used.saturating_sub(2)).unwrap_or_default();
    let secret_length: usize = secret.iter().map(|(name, value)| name.len() + value.len() + 4).sum();
    // Allocate once, because a vector that grows leaves a copy of the credential behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(used + secret_length + length));
    bytes.extend_from_slice(head);
    for part in secret.iter().flat_map(|(name, value)| [name, ": ", value, "\r\n"]) {
        bytes.extend_from_slice(part.as_bytes());
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(body.unwrap_or_default());
    Ok(Encoded { bytes, decoder: Decoder::new(call, upgrades) })
}

fn cannot_be_sent(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::invalid("the request contains something that HTTP does not allow").with_source(error)
}
