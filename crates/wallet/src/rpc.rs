//! JSON-RPC requests to a node.

use std::io::Read as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use ureq::http::Uri;

use crate::error::{Error, ErrorKind, Result};
use crate::http::{self, Arrival, short};
use crate::tls::Roots;

const REQUEST: Duration = Duration::from_secs(15);
const MAX_ANSWER: u64 = 4 * 1024 * 1024;
/// The pauses between retries of read requests: public nodes limit the rate.
const PAUSES: [Duration; 3] = [Duration::from_millis(250), Duration::from_secs(1), Duration::from_secs(3)];

/// Why a call failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The call did not reach the node, or the node was too busy.
    NotDelivered(Error),
    /// A gateway in front of the node refuses the call, because of a wrong URL or an invalid key.
    NotAllowed(Error),
    /// The node may or may not have executed the call.
    Unclear(Error),
    /// The node answered with an error.
    Refused { code: i64, message: String },
}

impl Failure {
    pub(crate) fn into_error(self) -> Error {
        match self {
            Failure::NotDelivered(error) | Failure::NotAllowed(error) | Failure::Unclear(error) => error,
            Failure::Refused { code, message } => {
                Error::new(ErrorKind::Node, format!("the node refused: {message} (code {code})"))
            }
        }
    }
}

/// A node. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Rpc {
    agent: ureq::Agent,
    pauses: &'static [Duration],
    url: Uri,
    host: String,
    last_id: Arc<AtomicU64>,
}

impl Rpc {
    pub(crate) fn new(url: &str, roots: Option<Roots>) -> Result<Self> {
        // The error does not contain the URL, because a node's URL often contains a key.
        let unusable =
            || Error::config("the node's URL is unusable: it begins with \"https://\" and names a host");
        let url: Uri = url.trim().parse().map_err(|_| unusable())?;
        let host = url.host().filter(|host| !host.is_empty()).ok_or_else(unusable)?.to_owned();
        if !matches!(url.scheme_str(), Some("http" | "https")) {
            return Err(unusable());
        }
        let agent = http::settings(REQUEST, roots).accept("application/json").build().new_agent();
        Ok(Rpc { agent, pauses: &PAUSES, url, host, last_id: Arc::default() })
    }

    /// The same node without retries, for callers that repeat requests themselves.
    pub(crate) fn without_retries(&self) -> Self {
        Rpc { pauses: &[], ..self.clone() }
    }

    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// Makes a call that changes nothing, and retries it if it fails.
    pub(crate) fn read(&self, method: &str, params: &Value) -> Result<Value> {
        let mut pauses = self.pauses.iter();
        loop {
            let failure = match self.call(method, params) {
                Ok(value) => return Ok(value),
                Err(failure) => failure,
            };
            match (failure, pauses.next()) {
                // Do not retry a call that has used its whole time limit.
                (Failure::NotDelivered(error) | Failure::Unclear(error), Some(pause))
                    if error.kind() != ErrorKind::Timeout =>
                {
                    crate::logging::record!(Debug, "{method}: {error}; once more in {pause:?}");
                    thread::sleep(*pause);
                }
                (failure, _) => return Err(failure.into_error()),
            }
        }
    }

    /// Makes a call once.
    pub(crate) fn call(&self, method: &str, params: &Value) -> Result<Value, Failure> {
        let id = self.last_id.fetch_add(1, Ordering::Relaxed) + 1;
        let body = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }).to_string();
        let request = self.agent.post(&self.url).header("content-type", "application/json");
        let mut response = request.send(body.as_bytes()).map_err(|error| self.failed(error))?;
        let status = response.status().as_u16();
        let mut answer = Vec::new();
        let read = response.body_mut().as_reader().take(MAX_ANSWER + 1).read_to_end(&mut answer);
        if status == 429 {
            return Err(Failure::NotDelivered(
                self.says(ErrorKind::Node, "too many requests: use a node of your own"),
            ));
        }
        if let Err(error) = read {
            return Err(Failure::Unclear(self.failed(error.into()).into_error()));
        }
        let answer =
            serde_json::from_slice::<Value>(&answer).ok().filter(|_| answer.len() as u64 <= MAX_ANSWER);
        self.judge(id, status, answer)
    }

    fn judge(&self, id: u64, status: u16, answer: Option<Value>) -> Result<Value, Failure> {
        let unclear = |text: &str| Err(Failure::Unclear(self.says(ErrorKind::Protocol, text)));
        let Some(mut answer) = answer else {
            return match status {
                // The status is from a gateway in front of the node, so the node may have got the call.
                408 | 499.. => unclear(&format!("HTTP status {status}")),
                200..=299 => unclear("the answer is not JSON"),
                _ => Err(Failure::NotAllowed(
                    self.says(ErrorKind::Node, &format!("HTTP status {status}: is its URL right?")),
                )),
            };
        };
        if let Some(error) = answer.get("error").filter(|error| !error.is_null()) {
            let code = error.get("code").and_then(Value::as_i64).unwrap_or_default();
            let message = error.get("message").and_then(Value::as_str).unwrap_or("no message");
            let message = short(message);
            // From EIP-1474, and the texts of public nodes.
            if code == -32005 || message.to_lowercase().contains("rate limit") {
                let text = format!("too many requests ({message}): use a node of your own");
                return Err(Failure::NotDelivered(self.says(ErrorKind::Node, &text)));
            }
            return Err(Failure::Refused { code, message });
        }
        if answer.get("id").and_then(Value::as_u64) != Some(id) {
            return unclear("the answer is to another call");
        }
        match answer.get_mut("result") {
            Some(result) => Ok(result.take()),
            None => unclear("the answer has no result"),
        }
    }

    fn failed(&self, error: ureq::Error) -> Failure {
        match http::failure(&self.host, error) {
            (Arrival::Never, error) => Failure::NotDelivered(error),
            (Arrival::Unknown, error) => Failure::Unclear(error),
        }
    }

    fn says(&self, kind: ErrorKind, text: &str) -> Error {
        Error::new(kind, format!("{}: {text}", self.host))
    }
}
