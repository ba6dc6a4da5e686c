//! A response: its head, and its decompressed body.

use std::io::Read as _;
use std::time::Duration;

use flate2::bufread::MultiGzDecoder;
use ureq_proto::http::Response;
use ureq_proto::http::header::{self, HeaderMap, HeaderName};

use super::retry_after;
use crate::error::{Error, Result};

/// The largest body, compressed or not.
pub(crate) const MAX_BODY: usize = 16 << 20;
/// The largest body of an error response: only the error text is needed.
pub(super) const MAX_ERROR_BODY: usize = 64 << 10;

/// The head of a response.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) status: u16,
    headers: HeaderMap,
}

impl From<Response<()>> for Head {
    fn from(response: Response<()>) -> Self {
        let (parts, ()) = response.into_parts();
        Head { status: parts.status.as_u16(), headers: parts.headers }
    }
}

impl Head {
    pub(crate) fn is_success(&self) -> bool {
        matches!(self.status, 200..300)
    }

    /// The first value of this header, if it is text.
    pub(crate) fn get(&self, name: HeaderName) -> Option<&str> {
        Some(self.headers.get(name)?.to_str().ok()?.trim())
    }

    /// All values of this header.
    pub(crate) fn all(&self, name: HeaderName) -> impl Iterator<Item = &[u8]> {
        self.headers.get_all(name).into_iter().map(|value| value.as_bytes())
    }

    /// The words of a header, which may have several lines.
    fn words(&self, name: HeaderName) -> Vec<&str> {
        let mut words = Vec::new();
        for line in self.headers.get_all(name) {
            for word in line.to_str().unwrap_or_default().split(',') {
                words.push(word.trim());
            }
        }
        words
    }

    pub(crate) fn has_word(&self, name: HeaderName, word: &str) -> bool {
        self.words(name).iter().any(|part| part.eq_ignore_ascii_case(word))
    }

    /// How long the server asks the client to wait. `None` if the server does not ask.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        retry_after::parse(self.get(header::RETRY_AFTER)?, self.get(header::DATE))
    }

    /// Whether the body has a transfer encoding that the request did not ask for.
    pub(super) fn has_odd_transfer(&self) -> bool {
        let mut codings = self.all(header::TRANSFER_ENCODING);
        let plain = codings.next().is_none_or(|coding| coding.eq_ignore_ascii_case(b"chunked"));
        !plain || codings.next().is_some()
    }

    /// The compression of the body. The first word other than `identity` decides.
    fn packing(&self) -> Packing {
        let mut packing = Packing::None;
        for word in self.words(header::CONTENT_ENCODING) {
            packing = match packing {
                _ if word.is_empty() || word.eq_ignore_ascii_case("identity") => continue,
                Packing::None if ["gzip", "x-gzip"].iter().any(|name| word.eq_ignore_ascii_case(name)) => {
                    Packing::Gzip
                }
                _ => return Packing::Unknown,
            };
        }
        packing
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Packing {
    None,
    Gzip,
    Unknown,
}

/// A response with any status.
#[derive(Debug)]
pub(crate) struct HttpResponse {
    pub(crate) head: Head,
    pub(crate) body: Vec<u8>,
    /// Whether another request may use the connection.
    pub(crate) keep_alive: bool,
}

impl HttpResponse {
    /// # Errors
    /// `Protocol` if a successful response cannot be decompressed.
    pub(super) fn new(head: Head, body: Vec<u8>, keep_alive: bool) -> Result<Self> {
        let body = match head.packing() {
            // An empty body needs no decompression, whatever the head says.
            _ if body.is_empty() => body,
            Packing::None => body,
            Packing::Gzip => unpacked(&body, head.is_success())?,
            // The status of an error is more important than its text.
            Packing::Unknown if !head.is_success() => Vec::new(),
            Packing::Unknown => {
                return Err(Error::protocol(
                    "the server compressed its answer with a method that was not requested",
                ));
            }
        };
        Ok(HttpResponse { head, body, keep_alive })
    }
}

/// Decompresses gzip. For an error response, decompresses as much as possible.
fn unpacked(body: &[u8], wanted: bool) -> Result<Vec<u8>> {
    let limit = if wanted { MAX_BODY } else { MAX_ERROR_BODY };
    let mut whole = Vec::new();
    // Limits the decompressed size, so that a small response cannot use all memory.
    let read = MultiGzDecoder::new(body).take(limit as u64 + 1).read_to_end(&mut whole);
    match read {
        Err(error) if wanted => {
            Err(Error::protocol("the server's answer is not proper gzip").with_source(error))
        }
        Ok(_) if wanted && whole.len() > limit => Err(too_large()),
        _ => Ok(whole),
    }
}

/// Whether the body is a web page, and not a response of the API. The bytes decide, because servers send wrong or no
/// content types. No JSON starts like this.
pub(crate) fn is_web_page(body: &[u8]) -> bool {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body).trim_ascii_start();
    matches!(body, [b'<', b'!' | b'?' | b'a'..=b'z' | b'A'..=b'Z', ..])
}

pub(super) fn too_large() -> Error {
    Error::protocol("the server's answer is larger than 16 MiB")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_known_by_its_bytes() {
        for page in [
            "<!DOCTYPE html>",
            " \r\n<html>",
            "\u{feff}<HTML>",
            "<?xml version=\"1.0\"?><html>",
            "<!-- hi --><html>",
            "<head>",
        ] {
            assert!(is_web_page(page.as_bytes()), "{page}");
        }
        for answer in ["", "OK", "{}", "[]", "\"<html>\"", "< 5", "<3", "  "] {
            assert!(!is_web_page(answer.as_bytes()), "{answer}");
        }
    }
}
