//! An HTTP request.

use std::borrow::Cow;
use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde_json::Value;
use zeroize::Zeroizing;

use crate::error::{Error, Result};
use crate::token::CLAIM_PREFIX;

/// The longest path with its query. Most servers refuse longer URLs.
pub(super) const MAX_URL: usize = 8 * 1024;
/// A path segment longer than a UUID may be a secret. No error or log shows such a segment.
const MAX_SEGMENT: usize = 36;
/// Characters that are not encoded in a query: the unreserved characters of RFC 3986.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    Get,
    Post,
    Patch,
    Delete,
}

impl Method {
    pub(super) fn name(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Post => "POST",
            Method::Patch => "PATCH",
            Method::Delete => "DELETE",
        }
    }
}

/// One request, ready to be sent.
pub(crate) struct HttpRequest<'a> {
    pub(crate) method: Method,
    /// Starts with `/`. All segments are percent-encoded.
    pub(crate) path: &'a str,
    /// Names and values without percent-encoding.
    pub(crate) query: &'a [(&'a str, Cow<'a, str>)],
    /// Name and value of the header with the credential.
    pub(crate) credential: Option<(&'static str, &'a str)>,
    /// JSON.
    pub(crate) body: Option<&'a [u8]>,
}

/// The request's name in errors and logs: method and path, never the query.
pub(crate) struct Label(String);

impl Label {
    pub(crate) fn new(method: Method, path: &str) -> Self {
        let path = path.split(['?', '#']).next().unwrap_or_default();
        let mut text = format!("{} ", method.name());
        for (index, segment) in path.split('/').enumerate() {
            if index > 0 {
                text.push('/');
            }
            text.push_str(if is_secret(segment) { "…" } else { segment });
        }
        Label(text)
    }
}

/// Whether a segment of a path may be a secret. A claim code of any length is a secret.
fn is_secret(segment: &str) -> bool {
    segment.len() > MAX_SEGMENT || segment.starts_with(CLAIM_PREFIX)
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The path and the query.
pub(super) fn target(request: &HttpRequest<'_>) -> Result<String> {
    let mut target = request.path.to_owned();
    for (index, (name, value)) in request.query.iter().enumerate() {
        let sign = if index == 0 { '?' } else { '&' };
        target.push(sign);
        target.extend(utf8_percent_encode(name, QUERY));
        target.push('=');
        target.extend(utf8_percent_encode(value, QUERY));
    }
    if target.len() > MAX_URL {
        return Err(Error::invalid(format!(
            "the path and query of a request are longer than {MAX_URL} bytes"
        )));
    }
    let plain = request.path.starts_with('/')
        && request.path.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#'));
    // The error does not contain the text, which may be anything.
    if plain {
        Ok(target)
    } else {
        Err(Error::invalid("the path of the request contains something that a URL cannot have"))
    }
}

/// All secrets in a request: the credential, passwords and keys in the body, codes in the path.
pub(crate) fn sent_secrets(request: &HttpRequest<'_>) -> Vec<Zeroizing<String>> {
    let mut secrets = Vec::new();
    if let Some((_, value)) = request.credential {
        // The value without its scheme (`Bearer`).
        secrets.push(Zeroizing::new(value.rsplit(' ').next().unwrap_or(value).to_owned()));
    }
    let body = request.body.and_then(|body| std::str::from_utf8(body).ok());
    if let Some(Ok(mut body)) = body.map(serde_json::from_str) {
        take_secrets(&mut body, &mut secrets);
    }
    for segment in request.path.split('/').filter(|segment| is_secret(segment)) {
        secrets.push(Zeroizing::new(percent_decode_str(segment).decode_utf8_lossy().into_owned()));
    }
    secrets
}

/// Moves the texts whose field names contain a word such as `password` from the value to `secrets`.
fn take_secrets(value: &mut Value, secrets: &mut Vec<Zeroizing<String>>) {
    const PARTS: [&str; 5] = ["password", "token", "secret", "key", "claimcode"];
    match value {
        Value::Object(fields) => {
            for (name, value) in fields.iter_mut() {
                let name = name.to_ascii_lowercase();
                match value {
                    Value::String(text) if PARTS.iter().any(|part| name.contains(part)) => {
                        secrets.push(Zeroizing::new(std::mem::take(text)));
                    }
                    value => take_secrets(value, secrets),
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(|value| take_secrets(value, secrets)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_hides_secrets_in_the_path() {
        for code in ["cru_claim_00112233445566778899aabbccddeeff0011223344556677", "cru_claim_0011"] {
            let label = Label::new(Method::Get, &format!("/api/agents/claim/{code}?x=1")).to_string();
            assert_eq!(label, "GET /api/agents/claim/…");
        }
        let id = "123e4567-e89b-12d3-a456-426614174000";
        assert_eq!(Label::new(Method::Get, &format!("/api/a/{id}")).to_string(), format!("GET /api/a/{id}"));
    }
}
