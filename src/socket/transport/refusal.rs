//! Converts unexpected HTTP responses to errors.

use crate::error::{Error, ErrorKind};
use crate::error_text;
use crate::net::Secrets;
use crate::net::http::redirect;
use crate::net::http::response::{Head, is_web_page};

/// The error for an unexpected response. Its text starts with `what`; its kind says whether the credentials are the
/// cause.
pub(crate) fn refused(what: &str, head: &Head, body: &[u8], secrets: &Secrets) -> Error {
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
        let target = redirect(head, &|text| secrets.remove_from(text));
        text.push_str(&format!(", a redirect to {target}"));
    } else if is_web_page(body) && status == 200 {
        text.push_str(" and a web page: a server on the network path answers instead of the API");
    } else {
        let body = String::from_utf8_lossy(body);
        let said = error_text::in_json(&body).unwrap_or_else(|| body.into_owned());
        let said = snippet(&secrets.remove_from(&said));
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

/// Words in the server's text that mean the token, the session or the account.
const OF_CREDENTIALS: [&str; 12] = [
    "token",
    "session",
    "auth",
    "credential",
    "jwt",
    "login",
    "log in",
    "sign in",
    "signature",
    "verif",
    "banned",
    "suspended",
];

/// Whether a refusal is about the token or the session. Otherwise the server has a problem of its own: it is busy,
/// restarting or full.
pub(crate) fn is_about_credentials(said: &str) -> bool {
    let said = said.to_lowercase();
    OF_CREDENTIALS.iter().any(|part| said.contains(part))
}

/// The error for a CONNECT_ERROR, which contains an object with a message, a plain string, or nothing.
pub(crate) fn refused_connect(json: &str, secrets: &Secrets) -> Error {
    let said = error_text::in_json(json);
    let said = snippet(&secrets.remove_from(&said.unwrap_or_default()));
    let error = if is_about_credentials(&said) {
        let text =
            format!("the server refused the connection: {said} (is the token wrong, expired or revoked?)");
        Error::new(ErrorKind::Unauthorized, text)
    } else if said.is_empty() {
        Error::new(ErrorKind::Server, "the server refused the connection without a reason: try again later")
            .with_retryable()
    } else {
        let text = format!("the server refused the connection: {said}: try again later");
        Error::new(ErrorKind::Server, text).with_retryable()
    };
    if said.is_empty() { error } else { error.with_server_message(said) }
}

/// At most 200 characters in one printable line.
pub(crate) fn snippet(text: &str) -> String {
    text.trim().chars().take(200).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_a_problem_of_the_token_from_a_problem_of_the_server() {
        for said in [
            "Invalid session",
            "not authorized",
            "Unauthorized",
            "jwt malformed",
            "Token expired",
            "Authentication error",
            "bad credentials",
            "Please log in",
            "agent not verified",
            "You are banned",
        ] {
            let error = refused_connect(&format!(r#"{{"message":"{said}"}}"#), &Secrets::default());
            assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Unauthorized, false), "{said}");
            assert_eq!(error.server_message(), Some(said));
        }
        for said in [
            "Try later",
            "Server is busy",
            "too many connections",
            "Invalid namespace",
            "maintenance",
            "xhr error",
        ] {
            let error = refused_connect(&format!(r#"{{"message":"{said}"}}"#), &Secrets::default());
            assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Server, true), "{said}");
            assert!(error.to_string().contains(said), "{error}");
        }
    }

    #[test]
    fn reads_refusals_of_every_shape() {
        for (json, said) in [
            (r#"{"message":"not authorized","data":{"x":1}}"#, Some("not authorized")),
            (r#""Invalid namespace""#, Some("Invalid namespace")),
            (r#"{"error":{"message":"no"}}"#, Some("no")),
            ("", None),
            ("[1]", None),
            (r#"{"message":7}"#, None),
            (r#"{"message":"half \ud83d"}"#, Some("half \u{fffd}")),
        ] {
            let error = refused_connect(json, &Secrets::default());
            assert_eq!(error.server_message(), said, "{json}");
        }
    }

    #[test]
    fn a_secret_that_is_quoted_is_taken_out() {
        let secrets = Secrets::default();
        secrets.remember("sk_do_not_print");
        let error = refused_connect(r#"{"message":"bad token sk_do_not_print"}"#, &secrets);
        assert_eq!(error.server_message(), Some("bad token …"));
        assert!(!format!("{error} {error:#?}").contains("do_not_print"));
    }
}
