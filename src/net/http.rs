//! HTTP/1.1: one request at a time per connection, with a connection pool.
//!
//! `ureq-proto` implements HTTP without I/O; `encode` and `decoder` use it. Sockets, time limits, the pool and retries
//! are here, because a request must end within 100 ms of a cancel, work through any proxy, and use an early response
//! after a failed write. The stable API of ureq does not offer this with a custom dialer.
//!
//! No credential, password or query appears in an error or a log line.

#[cfg(feature = "polling")]
pub(crate) mod cookies;
pub(crate) mod decoder;
pub(crate) mod encode;
pub(crate) mod exchange;
mod failure;
mod pool;
mod request;
pub(crate) mod response;
mod retry;
mod retry_after;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ureq_proto::http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, HOST, USER_AGENT};

pub(crate) use self::encode::{Encoded, encode};
use self::failure::Failure;
pub(crate) use self::failure::{one_line, redirect};
use self::pool::{MAX_IDLE, MAX_IDLE_ONCE, Pool};
use self::request::target;
pub(crate) use self::request::{HttpRequest, Label, Method, sent_secrets};
use self::retry::{RetryPolicy, Tries};
use super::cancel::CancelToken;
use super::dial::Dialer;
use super::secrets::Secrets;
use super::settings::HttpSettings;
use super::tls::MaybeTlsStream;
use super::url::ApiUrl;
use crate::deadline;
use crate::error::{Error, ErrorKind, Result};

const MAX_USER_AGENT: usize = 256;

/// A successful response.
#[derive(Debug)]
pub(crate) struct SuccessfulResponse {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

/// A connection pool for one API. Cheap to clone. The token ends the requests of this clone.
#[derive(Clone)]
pub(crate) struct Http(Arc<HttpShared>, CancelToken);

struct HttpShared {
    dialer: Dialer,
    url: ApiUrl,
    user_agent: String,
    connect_timeout: Duration,
    request_timeout: Duration,
    policy: RetryPolicy,
    pool: Pool,
    /// Ends every connection, and the waits between two attempts.
    cancel: CancelToken,
    secrets: Secrets,
    /// The id of the process that the connections belong to.
    pid: u32,
}

impl Http {
    /// Creates an empty pool. A cancel of `stop` also ends all requests of the pool.
    ///
    /// # Errors
    /// `Config` if the URL needs TLS that is not compiled in, or if the user agent cannot be sent.
    pub(crate) fn new(
        url: ApiUrl,
        dialer: Dialer,
        settings: &HttpSettings,
        stop: &CancelToken,
    ) -> Result<Self> {
        dialer.check(&url)?;
        let user_agent = checked_user_agent(&settings.user_agent)?.to_owned();
        let cancel = stop.child();
        let shared = HttpShared {
            dialer,
            url,
            user_agent,
            connect_timeout: settings.connect_timeout,
            request_timeout: settings.request_timeout,
            policy: RetryPolicy { retries: settings.retries, max_wait: settings.max_retry_wait },
            pool: Pool::default(),
            cancel: cancel.clone(),
            secrets: Secrets::default(),
            pid: std::process::id(),
        };
        Ok(Http(Arc::new(shared), cancel))
    }

    /// Ends all running requests of all clones, and refuses new ones.
    pub(crate) fn shutdown(&self) {
        // In a forked child, a cancel would end the parent's connections.
        if self.check_process().is_ok() {
            self.0.cancel.cancel();
            self.0.pool.clear();
        }
    }

    /// The secrets to remove from texts of the server.
    pub(crate) fn secrets(&self) -> &Secrets {
        &self.0.secrets
    }

    /// The limit of a request with all its attempts.
    pub(crate) fn request_timeout(&self) -> Duration {
        self.0.request_timeout
    }

    /// Checks that this process has created the connections. A forked child must not use them, because parent and
    /// child would get each other's responses. Locks that were held at the time of the fork stay locked in the child,
    /// so call this before taking a lock.
    ///
    /// # Errors
    /// `Closed` in a forked child.
    pub(crate) fn check_process(&self) -> Result<()> {
        if std::process::id() == self.0.pid {
            return Ok(());
        }
        let text = "the client belongs to the parent of this process: make another one after the fork";
        Err(Error::new(ErrorKind::Closed, text))
    }

    /// Sends the request and reads the whole response, within the request timeout. Retries the request if a retry is
    /// safe; see [`retry`].
    ///
    /// # Errors
    /// Every status that is not a success is an error with the server's status and text. `Connect`: nothing was
    /// changed, or a GET failed. `MaybeSent`: the connection broke after a part of a request that changes something was
    /// sent. `Timeout`: the time limit passed; a change may have been made.
    pub(crate) fn send(&self, request: HttpRequest<'_>) -> Result<SuccessfulResponse> {
        self.check_process()?;
        let label = Label::new(request.method, request.path);
        let started = Instant::now();
        let mut tries = Tries::new(self.0.policy);
        loop {
            let encoded = self.encode(&request)?;
            if self.is_closed() {
                return Err(Error::closed());
            }
            let left = self.0.request_timeout.saturating_sub(started.elapsed());
            let failure = match self.attempt(&request, encoded, &label, left) {
                Ok(response) => {
                    crate::logging::debug!("{label}: {} after {:?}", response.status, started.elapsed());
                    return Ok(response);
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
                crate::logging::debug!("{error}");
                return Err(error);
            };
            crate::logging::debug!("{}; once more in {pause:?}", failure.error);
            self.1.wait(pause);
        }
    }

    fn attempt(
        &self,
        request: &HttpRequest<'_>,
        encoded: Encoded,
        label: &Label,
        left: Duration,
    ) -> Result<SuccessfulResponse, Failure> {
        let limit = self.0.request_timeout;
        if left.is_zero() {
            return Err(failure::too_slow(label, limit));
        }
        // The connection may go back to the pool. A later cancel of this handle must not end it there.
        let cancel = self.1.child();
        let mut stream = self.connection(request.method, left, &cancel).map_err(failure::of_dial)?;
        let response::HttpResponse { head, body, keep_alive } = exchange::exchange(&mut stream, encoded)
            .map_err(|broken| failure::of_exchange(label, request.method, limit, broken))?;
        if keep_alive && cancel.release() {
            self.0.pool.put(stream);
            self.clear_after_shutdown();
        }
        if !head.is_success() {
            let sent = sent_secrets(request);
            let clean = |text: &str| self.0.secrets.remove_with(text, &sent);
            return Err(failure::of_status(label, &head, &body, &clean));
        }
        if response::is_web_page(&body) {
            return Err(failure::web_page(label, head.status));
        }
        Ok(SuccessfulResponse { status: head.status, body })
    }

    /// Closes connections that came into the pool after a shutdown.
    fn clear_after_shutdown(&self) {
        if self.0.cancel.is_cancelled() {
            self.0.pool.clear();
        }
    }

    /// Returns a pooled connection or a new connection. The remaining time is its deadline, and `cancel` ends it.
    fn connection(&self, method: Method, left: Duration, cancel: &CancelToken) -> Result<MaybeTlsStream> {
        let HttpShared { dialer, url, pool, .. } = &*self.0;
        let mut stream = match pool.take(if method == Method::Get { MAX_IDLE } else { MAX_IDLE_ONCE }) {
            Some(stream) => {
                cancel.register(stream.wire());
                stream
            }
            None => {
                let deadline = deadline::after(left.min(self.0.connect_timeout));
                let stream = dialer.dial_cancellable(url, deadline, cancel)?;
                // The token of all requests also ends the connection while it is idle.
                self.0.cancel.register(stream.wire());
                stream
            }
        };
        stream.wire_mut().set_deadline(Some(deadline::after(left)));
        Ok(stream)
    }

    /// Returns a handle of the same pool, and a token that cancels only the requests of this handle.
    pub(crate) fn cancellable(&self) -> (Http, CancelToken) {
        let cancel = self.0.cancel.child();
        (Http(Arc::clone(&self.0), cancel.clone()), cancel)
    }

    /// Opens a connection and puts it into the pool. `cancel` ends the attempt.
    pub(crate) fn connect_ahead(&self, cancel: &CancelToken) {
        let HttpShared { dialer, url, pool, connect_timeout, .. } = &*self.0;
        let dialling = cancel.child();
        let deadline = deadline::after(*connect_timeout);
        match dialer.dial_cancellable(url, deadline, &dialling) {
            Ok(stream) => {
                self.0.cancel.register(stream.wire());
                if dialling.release() {
                    pool.put_new(stream);
                    self.clear_after_shutdown();
                }
            }
            Err(error) => crate::logging::debug!("no connection ahead of its request: {error}"),
        }
    }

    /// Returns a child of the token of all requests. A shutdown cancels the child.
    pub(crate) fn cancel_token(&self) -> CancelToken {
        self.0.cancel.child()
    }

    fn encode(&self, request: &HttpRequest<'_>) -> Result<Encoded> {
        let mut encoded = ureq_proto::http::Request::builder()
            .method(request.method.name())
            .uri(target(request)?)
            .header(HOST, self.0.url.authority())
            .header(USER_AGENT, &self.0.user_agent)
            .header(ACCEPT, "application/json")
            .header(ACCEPT_ENCODING, "gzip");
        if request.body.is_some() {
            encoded = encoded.header(CONTENT_TYPE, "application/json");
        }
        encode(encoded, request.credential.as_slice(), request.body)
    }

    fn is_closed(&self) -> bool {
        self.1.is_cancelled()
    }
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http").field("url", &self.0.url).finish_non_exhaustive()
    }
}

/// The user agent, if it is valid in a header.
fn checked_user_agent(name: &str) -> Result<&str> {
    let name = name.trim();
    let printable = name.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
    if name.is_empty() || name.len() > MAX_USER_AGENT || !printable {
        return Err(Error::config(format!(
            "the user agent has to be 1 to {MAX_USER_AGENT} printable ASCII characters"
        )));
    }
    Ok(name)
}
