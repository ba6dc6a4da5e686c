//! HTTP answers that are not what was asked for, as errors.

use crate::error::{Error, ErrorKind};
use crate::net::http::answer::{Head, is_web_page};
use crate::net::http::redirect;

/// `what` begins the sentence. The kind tells whether credentials are the problem.
pub(crate) fn refused(what: &str, head: &Head, body: &[u8]) -> Error {
    let status = head.status;
    let mut text = format!("{what} was answered with {status}");
    let kind = match status {
        401 => ErrorKind::Unauthorized,
        403 => ErrorKind::Forbidden,
        429 => ErrorKind::RateLimited,
        404 => ErrorKind::NotFound,
        _ => ErrorKind::Server,
    };
    let mut server_message = None;
    if (300..400).contains(&status) {
        text.push_str(&format!(", a redirect to {}", redirect(head)));
    } else if is_web_page(body) && status == 200 {
        text.push_str(" and a web page: something between here and the API answers in its place");
    } else {
        let said = snippet(&String::from_utf8_lossy(body));
        if !said.is_empty() {
            text.push_str(&format!(": {said}"));
            server_message = Some(said);
        }
    }
    let error = Error::new(kind, text).with_status(status).with_retry_after(head.retry_after());
    match server_message {
        Some(said) => error.with_server_message(said),
        None => error,
    }
}

/// One printable line of at most 200 characters.
pub(crate) fn snippet(text: &str) -> String {
    text.trim().chars().take(200).map(|c| if c.is_control() { ' ' } else { c }).collect()
}
