//! One call of the REST API, from its parts to its decoded response.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::{Zeroize, Zeroizing};

use super::{AgentSession, Client, Credentials};
use crate::error::{Error, ErrorKind, Result};
use crate::error_text;
use crate::model::serde_helpers::ReadError;
use crate::model::{List, answer};
use crate::net::http::{HttpRequest, Label, Method, SuccessfulResponse, one_line, sent_secrets};

/// Characters of a path segment that are not encoded (RFC 3986, unreserved).
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The most characters of the server's error text that an error keeps.
const MAX_MESSAGE: usize = 1000;

/// Builds `/api` and the segments, each percent-encoded.
///
/// # Errors
/// `Invalid` if a segment is empty, or if a segment such as `..` would change the path and so reach another endpoint.
fn path(segments: &[&str]) -> Result<String> {
    let mut path = String::from("/api");
    for segment in segments {
        if matches!(*segment, "" | "." | "..") {
            return Err(Error::invalid(format!("{segment:?} is no id, slug or username")));
        }
        path.push('/');
        path.extend(utf8_percent_encode(segment, SEGMENT));
    }
    Ok(path)
}

impl Client {
    pub(crate) fn get<const N: usize>(&self, segments: [&str; N]) -> Result<Call<'_>> {
        self.call(Method::Get, &segments)
    }

    pub(crate) fn post<const N: usize>(&self, segments: [&str; N]) -> Result<Call<'_>> {
        self.call(Method::Post, &segments)
    }

    pub(crate) fn patch<const N: usize>(&self, segments: [&str; N]) -> Result<Call<'_>> {
        self.call(Method::Patch, &segments)
    }

    pub(crate) fn delete<const N: usize>(&self, segments: [&str; N]) -> Result<Call<'_>> {
        self.call(Method::Delete, &segments)
    }

    /// A GET of a path with a variable number of segments.
    pub(crate) fn get_at(&self, segments: &[&str]) -> Result<Call<'_>> {
        self.call(Method::Get, segments)
    }

    fn call(&self, method: Method, segments: &[&str]) -> Result<Call<'_>> {
        Ok(Call { client: self, method, path: path(segments)?, query: Vec::new(), body: None })
    }

    /// Sends a request with this client's credentials. If an agent's session has expired, sends the request once more
    /// with a new session.
    fn send(&self, request: &HttpRequest<'_>) -> Result<SuccessfulResponse> {
        self.0.http.check_process()?;
        match &self.0.credentials {
            Credentials::Anonymous => self.send_with(request, None).map_err(|error| match error.kind() {
                ErrorKind::Unauthorized => error.reworded(
                    ErrorKind::Unauthorized,
                    "this call needs a token: make the client with Client::new(token)",
                ),
                _ => error,
            }),
            Credentials::User(token) => self.send_with(request, Some(token.expose())),
            Credentials::Hook(key) => {
                let credential = Some(("X-Crustocean-Hook-Key", key.expose()));
                self.0.http.send(HttpRequest { credential, ..*request })
            }
            Credentials::Agent(session) => self.send_as_agent(request, session),
        }
    }

    fn send_as_agent(&self, request: &HttpRequest<'_>, session: &AgentSession) -> Result<SuccessfulResponse> {
        let token = session.token();
        let refused = match self.send_with(request, Some(token.expose())) {
            Err(error) if error.status() == Some(401) => error,
            result => {
                session.accept(&token);
                return result;
            }
        };
        let endpoint = Label::new(request.method, request.path).to_string();
        let new = match session.refuses_all(&endpoint) {
            true => None,
            false => session.renew_for_call(&token)?,
        };
        let Some(token) = new else { return Err(refused_whatever_the_session(refused)) };
        match self.send_with(request, Some(token.expose())) {
            Err(error) if error.status() == Some(401) => {
                session.remember_refusal(&endpoint);
                Err(refused_whatever_the_session(error))
            }
            result => {
                session.accept(&token);
                result
            }
        }
    }

    pub(super) fn send_with(
        &self,
        request: &HttpRequest<'_>,
        token: Option<&str>,
    ) -> Result<SuccessfulResponse> {
        let header = token.map(|token| Zeroizing::new(format!("Bearer {token}")));
        let credential = header.as_ref().map(|header| ("Authorization", header.as_str()));
        self.0.http.send(HttpRequest { credential, ..*request })
    }
}

/// The error text of a response that reports a failure although its HTTP status is a success.
fn failure_in(body: &[u8]) -> Option<String> {
    // A call without a result does not read its response, so a failure must be found in any response.
    let body = String::from_utf8_lossy(body);
    let body = body.trim_start_matches('\u{feff}');
    // Most responses are lists, or have no such field.
    if !body.trim_ascii_start().starts_with('{') || !body.contains("false") || !error_text::is_failure(body) {
        return None;
    }
    Some(error_text::in_json(body).unwrap_or_else(|| "it gave no reason".to_owned()))
}

/// The error for an agent when the server has refused a new session as well.
fn refused_whatever_the_session(error: Error) -> Error {
    let text = format!(
        "{error}; a session that had just been issued was refused, too: this call may not be for agents"
    );
    error.reworded(ErrorKind::Unauthorized, text)
}

/// A request that is being built. No `Debug`, because the body may contain a password.
pub(crate) struct Call<'a> {
    client: &'a Client,
    method: Method,
    path: String,
    query: Vec<(&'a str, Cow<'a, str>)>,
    body: Option<Zeroizing<Vec<u8>>>,
}

impl<'a> Call<'a> {
    pub(crate) fn query(mut self, name: &'a str, value: impl Into<Cow<'a, str>>) -> Self {
        self.query.push((name, value.into()));
        self
    }

    pub(crate) fn body(mut self, body: &impl Serialize) -> Result<Self> {
        let json = serde_json::to_vec(body)
            .map_err(|error| Error::invalid("this request does not serialise").with_source(error))?;
        self.body = Some(Zeroizing::new(json));
        Ok(self)
    }

    /// Sends the request and ignores the body of a successful response.
    pub(crate) fn done(self) -> Result<()> {
        self.receive().map(drop)
    }

    /// Adds a query field if there is a value for it.
    pub(crate) fn query_if(self, name: &'a str, value: Option<impl ToString>) -> Self {
        match value {
            Some(value) => self.query(name, value.to_string()),
            None => self,
        }
    }

    /// Sends the request and reads one object, directly or under `key`.
    pub(crate) fn one<T: DeserializeOwned>(self, key: &'static str) -> Result<T> {
        self.read(|json| answer::one(json, key))
    }

    /// Sends the request and reads a list, directly or under `key`.
    pub(crate) fn list<T: DeserializeOwned>(self, key: &'static str) -> Result<List<T>> {
        self.read(|json| answer::list(json, key))
    }

    /// Sends the request and reads a response in another form.
    pub(crate) fn read<T>(self, read: impl FnOnce(&str) -> std::result::Result<T, ReadError>) -> Result<T> {
        let received = self.receive()?;
        // Events are decoded from text, too, so the code that decodes a type is compiled only once.
        let json = received.json()?;
        read(json).map_err(|error| received.misread(json, &error))
    }

    /// Like [`read`](Call::read), for a response with a new credential. An error does not quote the response: the
    /// client does not know the credential, so it cannot remove it from the text.
    pub(crate) fn read_credential<T>(
        self,
        read: impl FnOnce(&str) -> std::result::Result<T, ReadError>,
    ) -> Result<T> {
        let received = self.receive()?;
        read(received.json()?).map_err(|error| received.unreadable(&error.to_string()))
    }

    fn request(&self) -> HttpRequest<'_> {
        HttpRequest {
            method: self.method,
            path: &self.path,
            query: &self.query,
            credential: None,
            body: self.body.as_ref().map(|body| body.as_slice()),
        }
    }

    fn receive(self) -> Result<Received<'a>> {
        let response = self.client.send(&self.request())?;
        let received = Received { call: self, body: Body(response.body) };
        match failure_in(&received.body.0) {
            Some(message) => Err(received.refused(&message)),
            None => Ok(received),
        }
    }
}

/// A response with a successful status, and its call.
struct Received<'a> {
    call: Call<'a>,
    body: Body,
}

impl Received<'_> {
    fn label(&self) -> Label {
        Label::new(self.call.method, &self.call.path)
    }

    fn json(&self) -> Result<&str> {
        std::str::from_utf8(&self.body.0).map_err(|_| self.unreadable("it is not UTF-8"))
    }

    #[cold]
    fn unreadable(&self, why: &str) -> Error {
        Error::protocol(format!("cannot read the answer to {}: {why}", self.label()))
    }

    /// The error for a response that reports a failure.
    fn refused(&self, message: &str) -> Error {
        let sent = sent_secrets(&self.call.request());
        let message = self.call.client.0.http.secrets().remove_with(message, &sent);
        let message = one_line(&message, MAX_MESSAGE);
        let text = format!("{}: the server says that it failed: {message}", self.label());
        Error::new(ErrorKind::Server, text).with_status(200).with_server_message(message)
    }

    /// The error for a response of an unexpected form. It may contain an error text of the server.
    #[cold]
    fn misread(&self, json: &str, error: &ReadError) -> Error {
        // The error contains no value of the response, which may be a credential.
        let error = self.unreadable(&error.to_string());
        match error_text::in_json(json).filter(|_| json.trim_start().starts_with('{')) {
            Some(message) => self.refused(&message).with_source(error),
            None => error,
        }
    }
}

/// The body of a response, which may contain a credential: `Drop` wipes it.
struct Body(Vec<u8>);

impl Drop for Body {
    fn drop(&mut self) {
        // A slice is wiped as a whole, a `Vec` byte by byte.
        self.0.as_mut_slice().zeroize();
        self.0.spare_capacity_mut().zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_cannot_leave_their_place() {
        assert_eq!(path(&["agencies", "lookup", "my-team"]).unwrap(), "/api/agencies/lookup/my-team");
        assert_eq!(path(&["users", "a/b?c#d é%2e"]).unwrap(), "/api/users/a%2Fb%3Fc%23d%20%C3%A9%252e");
        assert_eq!(path(&["users", "..."]).unwrap(), "/api/users/...");
        for bad in ["", ".", ".."] {
            assert_eq!(path(&["agents", bad, "verify"]).unwrap_err().kind(), ErrorKind::Invalid, "{bad:?}");
        }
    }
}
