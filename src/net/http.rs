//! The one place that speaks HTTP: REST through ureq, over connections of our own dialler.
//!
//! No credential, password or query is in an error or log line of this crate, nor in any that ureq writes about a
//! request. What cannot be kept from the log: at level trace, `ureq_proto` prints the answers it reads, and the
//! answer to a login or to the making of an agent *is* a token.

pub(crate) mod answer;
pub(crate) mod cookies;
pub(crate) mod exchange;
mod failure;
mod retry;
#[cfg(test)]
mod tests;
mod transport;

use std::borrow::Cow;
use std::fmt;
use std::io::Read as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use ureq::http::{HeaderValue, Uri, header};

use self::answer::{Head, MAX_BODY};
use self::failure::Failure;
pub(crate) use self::failure::{Label, retry_after};
use self::retry::{Policy, Tries};
use self::transport::{DialConnector, INPUT_BUFFER, NoResolver, OUTPUT_BUFFER, with_credential};
use super::dial::Dialer;
use super::url::ApiUrl;
use crate::config::Config;
use crate::deadline;
use crate::error::{Error, Result};

/// Of an answer that is an error only the message is wanted.
const MAX_ERROR_BODY: u64 = 64 * 1024;
/// Node closes idle connections after 5 s by default. A request that must not be sent twice takes only one that
/// has been idle for less, so that the two do not cross.
const MAX_IDLE_ONCE: Duration = Duration::from_secs(4);
/// A GET may take an older one: it is repeated if that turns out dead.
const MAX_IDLE: Duration = Duration::from_secs(60);
const MAX_IDLE_CONNECTIONS: usize = 4;
/// Longer ones would not fit into the buffer of a request's head, nor be taken by most servers.
const MAX_URL: usize = 8 * 1024;
/// A longer time limit means none; adding `Duration::MAX` to a moment would panic.
const MAX_TIMEOUT: Duration = Duration::from_secs(24 * 60 * 60);
/// What a query leaves unencoded: the unreserved characters of RFC 3986.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    Get,
    Post,
    Patch,
    Delete,
}

impl Method {
    fn name(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Post => "POST",
            Method::Patch => "PATCH",
            Method::Delete => "DELETE",
        }
    }
}

/// One request, ready to be sent.
pub(crate) struct Request<'a> {
    pub(crate) method: Method,
    /// Begins with `/`; every segment already percent-encoded.
    pub(crate) path: &'a str,
    /// Not yet encoded.
    pub(crate) query: &'a [(&'a str, Cow<'a, str>)],
    /// Name and value of the header that carries the credential.
    pub(crate) credential: Option<(&'static str, &'a str)>,
    /// JSON.
    pub(crate) body: Option<&'a [u8]>,
}

/// An answer with a status of success.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

/// A connection pool to one API. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Http(Arc<Shared>);

struct Shared {
    agent: ureq::Agent,
    url: ApiUrl,
    request_timeout: Duration,
    policy: Policy,
    closed: AtomicBool,
}

impl Http {
    /// # Errors
    /// `Config`: an unusable URL, TLS choice, root certificate or user agent.
    pub(crate) fn new(config: &Config) -> Result<Self> {
        Http::with_dialer(config, Dialer::new(config)?)
    }

    /// With a dialler that is there already, so that REST and WebSocket share one TLS set-up.
    pub(crate) fn with_dialer(config: &Config, dialer: Dialer) -> Result<Self> {
        let url = config.url()?;
        dialer.check(&url)?;
        let request_timeout = config.request_timeout.min(MAX_TIMEOUT);
        let settings = ureq::Agent::config_builder()
            // Statuses are told apart here, with the server's message.
            .http_status_as_error(false)
            // The API does not redirect, and a credential must not follow one.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            .user_agent(config.checked_user_agent()?)
            .accept("application/json")
            .timeout_connect(Some(config.connect_timeout.min(MAX_TIMEOUT)))
            .timeout_global(Some(request_timeout))
            .max_response_header_size(INPUT_BUFFER)
            .input_buffer_size(INPUT_BUFFER)
            .output_buffer_size(OUTPUT_BUFFER)
            .max_idle_connections(MAX_IDLE_CONNECTIONS)
            .max_idle_connections_per_host(MAX_IDLE_CONNECTIONS)
            .max_idle_age(MAX_IDLE)
            // Lets DELETE carry a body.
            .allow_non_standard_methods(true)
            .build();
        let connector = DialConnector { dialer, url: url.clone() };
        let agent = ureq::Agent::with_parts(settings, connector, NoResolver);
        let policy = Policy { retries: config.retries, max_wait: config.max_retry_wait };
        let closed = AtomicBool::new(false);
        Ok(Http(Arc::new(Shared { agent, url, request_timeout, policy, closed })))
    }

    /// Ends every request in flight, in all clones, and refuses new ones.
    #[cfg(test)]
    pub(crate) fn shutdown(&self) {
        self.0.closed.store(true, Ordering::Release);
        self.0.agent.clone().shutdown();
    }

    /// Sends the request and reads the whole answer, within the request timeout. What may safely be repeated is
    /// repeated, see [`retry`].
    ///
    /// # Errors
    /// Every status that is not a success is an error with the server's status and message. `Connect`: nothing was
    /// done, or a GET failed. `MaybeSent`: the connection broke after a request that changes something had begun
    /// to leave. `Timeout`: the same, and the time is up.
    pub(crate) fn send(&self, request: Request<'_>) -> Result<Answer> {
        let label = Label::new(request.method, request.path);
        let uri = self.uri(&request)?;
        check_credential(&request)?;
        let started = Instant::now();
        let mut tries = Tries::new(self.0.policy);
        loop {
            if self.is_closed() {
                return Err(Error::closed());
            }
            let left = self.0.request_timeout.saturating_sub(started.elapsed());
            let failure = match self.attempt(&request, &label, &uri, left) {
                Ok(answer) => {
                    log::debug!("{label}: {} after {:?}", answer.status, started.elapsed());
                    return Ok(answer);
                }
                Err(failure) => failure,
            };
            if self.is_closed() {
                return Err(Error::closed());
            }
            let left = self.0.request_timeout.saturating_sub(started.elapsed());
            let Some(pause) = tries.pause_before_next(request.method, &failure, left) else {
                let error = match tries.count() {
                    1 => failure.error,
                    count => failure.error.tried(count),
                };
                log::debug!("{error}");
                return Err(error);
            };
            log::debug!("{}; once more in {pause:?}", failure.error);
            self.sleep(pause);
        }
    }

    fn attempt(
        &self,
        request: &Request<'_>,
        label: &Label,
        uri: &Uri,
        left: Duration,
    ) -> Result<Answer, Failure> {
        let limit = self.0.request_timeout;
        if left.is_zero() {
            return Err(failure::too_slow(label, limit));
        }
        let failed = |error| failure::of_ureq(label, request.method, limit, error);
        let mut response =
            with_credential(request.credential, || self.run(request, uri, left)).map_err(failed)?;
        let head = head_of(&response);
        let mut body = Vec::new();
        if !head.is_success() {
            if !response.status().is_redirection() {
                // Whatever of it can be had: the status matters more than a broken body.
                let _ = response.body_mut().as_reader().take(MAX_ERROR_BODY).read_to_end(&mut body);
            }
            return Err(failure::of_status(label, &head, &body, secret(request)));
        }
        if head.is_web_page() {
            return Err(failure::web_page(label, head.status));
        }
        // Of what came out of the decompression, so that a small answer cannot unfold without end.
        let mut reader = response.body_mut().as_reader().take(MAX_BODY as u64 + 1);
        reader.read_to_end(&mut body).map_err(|error| failed(error.into()))?;
        if body.len() > MAX_BODY {
            return Err(failure::not_http(label, answer::too_large()));
        }
        Ok(Answer { status: head.status, body })
    }

    fn run(
        &self,
        request: &Request<'_>,
        uri: &Uri,
        left: Duration,
    ) -> Result<ureq::http::Response<ureq::Body>, ureq::Error> {
        let agent = &self.0.agent;
        let max_idle = if request.method == Method::Get { MAX_IDLE } else { MAX_IDLE_ONCE };
        let mut head = ureq::http::Request::builder().method(request.method.name()).uri(uri.clone());
        if request.body.is_some() {
            head = head.header(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        let body = match request.body {
            Some(body) => body,
            // So that it says `Content-Length: 0`.
            None if matches!(request.method, Method::Post | Method::Patch) => &[],
            None => {
                let request = agent.configure_request(head.body(())?);
                return agent.run(request.timeout_global(Some(left)).max_idle_age(max_idle).build());
            }
        };
        let request = agent.configure_request(head.body(body)?);
        agent.run(request.timeout_global(Some(left)).max_idle_age(max_idle).build())
    }

    fn uri(&self, request: &Request<'_>) -> Result<Uri> {
        // The text is not repeated: nobody knows what is in it.
        format!("{}{}", self.0.url, target(request)?)
            .parse()
            .map_err(|_| Error::invalid("the path of a request contains what no URL can hold"))
    }

    fn is_closed(&self) -> bool {
        self.0.closed.load(Ordering::Acquire)
    }

    fn sleep(&self, pause: Duration) {
        let until = deadline::after(pause);
        while !self.is_closed() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            std::thread::sleep(left.min(Duration::from_millis(100)));
        }
    }
}

impl fmt::Debug for Http {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http").field("url", &self.0.url).finish_non_exhaustive()
    }
}

/// Path and query.
fn target(request: &Request<'_>) -> Result<String> {
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
    // The text is not repeated: nobody knows what is in it.
    if plain {
        Ok(target)
    } else {
        Err(Error::invalid("the path of a request contains what no URL can hold"))
    }
}

fn head_of(response: &ureq::http::Response<ureq::Body>) -> Head {
    let headers = response.headers().iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    Head::new(response.status().as_u16(), headers)
}

/// It is written into the head as it is, so it must not be able to add a line of its own.
fn check_credential(request: &Request<'_>) -> Result<()> {
    match request.credential {
        Some((_, value)) if HeaderValue::from_str(value).is_err() => {
            Err(Error::invalid("the credential contains what no HTTP header can hold"))
        }
        _ => Ok(()),
    }
}

/// The credential without its scheme.
fn secret<'a>(request: &Request<'a>) -> Option<&'a str> {
    request.credential.and_then(|(_, value)| value.rsplit(' ').next())
}
