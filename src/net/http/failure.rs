//! Converts failures to [`Error`]s that say what to do.

use std::fmt::Write as _;
use std::io;
use std::time::Duration;

use ureq_proto::http::header::{HeaderName, LOCATION};

use super::exchange::Broken;
use super::request::{Label, Method};
use super::response::{Head, is_web_page};
use crate::error::{Error, ErrorKind};
use crate::error_text;
use crate::net::url;

/// The most characters of the server's error text, or of a body that is not JSON, that an error keeps.
const MAX_MESSAGE: usize = 1000;
const MAX_SNIPPET: usize = 200;
const MAX_REQUEST_ID: usize = 100;

/// A failed attempt.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) error: Error,
    pub(super) why: FailureReason,
}

/// The reason, which decides whether the client retries the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FailureReason {
    /// Not a single byte of the request was sent, and another connection may work.
    NothingSent,
    /// The connection could not be opened, or it broke.
    Broken,
    Status(u16),
    /// A retry would fail in the same way, or the time limit has passed.
    Final,
}

pub(super) fn too_slow(label: &Label, limit: Duration) -> Failure {
    let text = format!("{label}: no complete answer within {limit:?}");
    Failure { error: Error::timeout(text), why: FailureReason::Final }
}

/// The error for a web page: the log-in page of a hotel's network, or the platform's website.
pub(super) fn web_page(label: &Label, status: u16) -> Failure {
    let text = format!(
        "{label}: {status}, but the answer is a web page: check the API URL, and whether this network wants a log-in"
    );
    Failure { error: Error::protocol(text).with_status(status), why: FailureReason::Final }
}

pub(super) fn of_exchange(label: &Label, method: Method, limit: Duration, broken: Broken) -> Failure {
    let (cause, why) = match broken {
        Broken::NothingSent(cause) => (cause, FailureReason::NothingSent),
        Broken::Connection(cause) => (cause, FailureReason::Broken),
        Broken::InvalidResponse(cause) => return not_http(label, cause),
    };
    if cause.kind() == io::ErrorKind::TimedOut {
        let Failure { error, why } = too_slow(label, limit);
        return Failure { error: error.with_source(cause), why };
    }
    let cause = match cause.downcast::<Error>() {
        // The TLS layer has created the error.
        Ok(error) => return of_dial(error),
        Err(cause) => cause,
    };
    let (kind, text) = match why {
        FailureReason::NothingSent => (
            ErrorKind::Connect,
            format!("{label}: the connection was closed before the request was sent: {cause}"),
        ),
        _ => (
            // A request that changes something may have arrived: the caller must not think that the request failed.
            if method == Method::Get { ErrorKind::Connect } else { ErrorKind::MaybeSent },
            format!("{label}: the connection broke before the answer was complete: {cause}"),
        ),
    };
    Failure { error: Error::new(kind, text).with_source(cause), why }
}

/// The error for a response that is not valid HTTP. `cause` gives the details.
pub(super) fn not_http(label: &Label, cause: Error) -> Failure {
    let (kind, text) = (cause.kind(), format!("{label}: {cause}"));
    Failure { error: cause.reworded(kind, text), why: FailureReason::Final }
}

/// The dialer's error is complete: it names the host and the step.
pub(super) fn of_dial(error: Error) -> Failure {
    let why = if error.kind() == ErrorKind::Connect { FailureReason::Broken } else { FailureReason::Final };
    Failure { error, why }
}

/// A status that is not a success. `clean` removes secrets from the server's text.
pub(super) fn of_status(label: &Label, head: &Head, body: &[u8], clean: &dyn Fn(&str) -> String) -> Failure {
    let status = head.status;
    let wait = head.retry_after();
    let error = if (300..400).contains(&status) {
        Error::new(
            ErrorKind::Server,
            format!("{label}: {status}: the server redirects to {}", redirect(head, clean)),
        )
    } else {
        let kind = match status {
            401 => ErrorKind::Unauthorized,
            403 => ErrorKind::Forbidden,
            404 => ErrorKind::NotFound,
            409 => ErrorKind::Conflict,
            429 => ErrorKind::RateLimited,
            _ => ErrorKind::Server,
        };
        let message = server_message(body, clean);
        let mut text = format!("{label}: {status}");
        if let Some(message) = &message {
            text.push_str(": ");
            text.push_str(message);
        }
        if is_web_page(body) && matches!(status, 404 | 405 | 501) {
            text.push_str(" (the answer is a web page: check the API URL)");
        } else if let Some(hint) = hint(status, wait) {
            text.push_str(&format!(" ({hint})"));
        }
        let error = Error::new(kind, text);
        match message {
            Some(message) => error.with_server_message(message),
            None => error,
        }
    };
    let error = error.with_status(status).with_retry_after(wait);
    let error = match request_id(head).filter(|id| clean(id) == *id) {
        Some(id) => error.with_request_id(id),
        None => error,
    };
    Failure { error, why: FailureReason::Status(status) }
}

/// The request id. The server's operator can find the request by this id.
fn request_id(head: &Head) -> Option<&str> {
    let id = head.get(HeaderName::from_static("x-request-id"))?;
    let harmless =
        !id.is_empty() && id.len() <= MAX_REQUEST_ID && id.bytes().all(|byte| byte.is_ascii_graphic());
    harmless.then_some(id)
}

fn hint(status: u16, wait: Option<Duration>) -> Option<String> {
    let text = match (status, wait) {
        (401, _) => "the token is wrong, expired or revoked: check that it was copied whole",
        (403, _) => {
            "the token is valid, but does not permit this: use the token of an account that may do it"
        }
        (404, _) => "it does not exist, or this token may not see it: check the id or the name",
        (409, _) => {
            "it conflicts with something that exists: use another name or value, or change what exists first"
        }
        (413, _) => "the request is too large: send less",
        (429, Some(wait)) => return Some(format!("too many requests: try again in {} s", wait.as_secs())),
        (429, None) => "too many requests: try again later",
        (502..=504, _) => "the service is not available at the moment: try again later",
        (500..=599, _) => {
            "an error inside the server: try again later, or report it with the request id, if there is one"
        }
        _ => return None,
    };
    Some(text.to_owned())
}

/// The target of a redirect, and advice. The text shows only the host, because the rest of the URL may contain
/// anything. `clean` removes secrets from the host.
pub(crate) fn redirect(head: &Head, clean: &dyn Fn(&str) -> String) -> String {
    let target = match head.get(LOCATION) {
        None => "nowhere".to_owned(),
        Some(target) => match url::host(target) {
            Some(host) => one_line(&clean(host), MAX_SNIPPET),
            None if target.starts_with('/') => "another path of itself".to_owned(),
            None => "somewhere unreadable".to_owned(),
        },
    };
    format!("{target}, which is not followed so that no token ends up elsewhere: check the API URL")
}

/// The error text in a JSON body, else the start of the text.
fn server_message(body: &[u8], clean: &dyn Fn(&str) -> String) -> Option<String> {
    let body = String::from_utf8_lossy(body);
    let text = match error_text::in_json(&body) {
        Some(text) => one_line(&clean(&text), MAX_MESSAGE),
        None => one_line(&clean(&body), MAX_SNIPPET),
    };
    (!text.is_empty()).then_some(text)
}

/// Collapses white space and escapes control characters, so that a server's text cannot control a terminal.
pub(crate) fn one_line(text: &str, limit: usize) -> String {
    let mut line = String::new();
    let mut count = 0;
    for word in text.split_whitespace() {
        if !line.is_empty() {
            line.push(' ');
            count += 1;
        }
        for character in word.chars() {
            if count >= limit {
                line.push('…');
                return line;
            }
            if character.is_control() {
                // Writing to a String cannot fail.
                let _ = write!(line, "\\u{{{:x}}}", u32::from(character));
            } else {
                line.push(character);
            }
            count += 1;
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(body: &[u8]) -> Option<String> {
        server_message(body, &str::to_owned)
    }

    #[test]
    fn the_message_is_one_harmless_line() {
        assert_eq!(said(br#"{"error":"bad\nthing"}"#).as_deref(), Some("bad thing"));
        assert_eq!(said(br#"{"error":{"message":"deep"}}"#).as_deref(), Some("deep"));
        assert_eq!(said(br#"{"message":"m"}"#).as_deref(), Some("m"));
        assert_eq!(said(br#"{"other":1}"#).as_deref(), Some(r#"{"other":1}"#));
        assert_eq!(said(b"\x1b[31mred\xff").as_deref(), Some("\\u{1b}[31mred\u{fffd}"));
        assert_eq!(said(b"  \n "), None);
        let long = said("x".repeat(5000).as_bytes()).unwrap();
        assert_eq!(long.chars().count(), MAX_SNIPPET + 1);
        assert_eq!(
            server_message(b"no sk_abc", &|text| text.replace("sk_abc", "…")).as_deref(),
            Some("no …")
        );
    }
}
