//! The requests of one long-polling session.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use ureq_proto::http::header::{ACCEPT, CONTENT_TYPE, HOST, SET_COOKIE, USER_AGENT};
use ureq_proto::http::{Method, Request};
use zeroize::Zeroizing;

use crate::error::Result;
use crate::net::http::cookies::Jar;
use crate::net::http::response::Head;
use crate::net::http::{Encoded, encode};
use crate::net::{CancelToken, MaybeTlsStream, Secrets};
use crate::socket::transport::target::{Target, header_value};

/// The slash at the end is part of the default path of Socket.IO servers.
const PATH: &str = "/socket.io/?EIO=4&transport=polling";
/// The characters that need encoding. Some servers do not decode other characters.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Creates the requests of one session.
pub(crate) struct PollRequests {
    target: Target,
    /// The query after the path: `&sid=…`, once the server has sent the id.
    session: Zeroizing<String>,
    jar: Mutex<Jar>,
    /// A number that makes every URL unique, so that no cache answers.
    serial: AtomicU64,
    /// Ends all connections.
    pub(crate) cancel_token: CancelToken,
}

impl std::fmt::Debug for PollRequests {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PollRequests").field("url", &self.target.url).finish_non_exhaustive()
    }
}

impl PollRequests {
    pub(crate) fn new(target: &Target) -> Self {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        PollRequests {
            target: target.clone(),
            session: Zeroizing::default(),
            jar: Mutex::default(),
            serial: AtomicU64::new(u64::try_from(now.as_millis()).unwrap_or_default()),
            cancel_token: CancelToken::default(),
        }
    }

    pub(crate) fn set_session(&mut self, sid: &str) {
        self.target.secrets.remember(sid);
        self.session = Zeroizing::new(format!("&sid={}", utf8_percent_encode(sid, RESERVED)));
    }

    pub(crate) fn secrets(&self) -> &Secrets {
        &self.target.secrets
    }

    /// Opens a connection that [`cancel_token`](PollRequests::cancel_token) and `cancel` can end. Its wire has this
    /// `deadline`.
    pub(crate) fn dial(&self, deadline: Instant, cancel: &CancelToken) -> Result<MaybeTlsStream> {
        let Target { dialer, url, .. } = &self.target;
        let stream = dialer.dial_cancellable(url, deadline, cancel)?;
        self.cancel_token.register(stream.wire());
        Ok(stream)
    }

    /// A GET, or a POST if there is a body. No `Accept-Encoding`: the server compresses only on request.
    ///
    /// # Errors
    /// `Invalid` if the server's session id is too long for a request.
    pub(crate) fn request(&self, body: Option<&str>) -> Result<Encoded> {
        let serial = self.serial.fetch_add(1, Ordering::Relaxed);
        let Target { url, user_agent, .. } = &self.target;
        let mut request = Request::builder()
            .method(if body.is_some() { Method::POST } else { Method::GET })
            .uri(format!("{PATH}&t={serial:x}{}", *self.session))
            .header(HOST, url.authority())
            .header(USER_AGENT, header_value(user_agent))
            .header(ACCEPT, "*/*");
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "text/plain;charset=UTF-8");
        }
        let cookies = self.jar().header(PATH, url.is_secure());
        let cookies = cookies.as_ref().map(|cookies| ("Cookie", cookies.as_str()));
        encode(request, cookies.as_slice(), body.map(str::as_bytes))
    }

    /// Stores the cookies of a response.
    pub(crate) fn absorb(&self, head: &Head) {
        let mut jar = self.jar();
        for line in head.all(SET_COOKIE) {
            jar.absorb(line, PATH, self.target.url.is_secure());
        }
    }

    fn jar(&self) -> MutexGuard<'_, Jar> {
        self.jar.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
