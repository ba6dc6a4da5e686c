//! HTTP long-polling: the sending half. One POST at a time, on the sender's thread.

use std::io::ErrorKind as IoKind;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::deadline;
use crate::error::Error;
use crate::net::http::exchange::{Broken, exchange};
use crate::net::http::response::HttpResponse;
use crate::net::{CancelToken, MaybeTlsStream, Secrets};
use crate::socket::disconnect::{Disconnect, SendFailure, reason};
use crate::socket::transport::polling::request::PollRequests;
use crate::socket::transport::refusal::refused;

/// The longest idle time of a connection that a send may use again. Node's servers close idle connections after five
/// seconds, and a send at that moment could lose its message.
const MAX_IDLE: Duration = Duration::from_secs(4);

/// The sending half.
#[derive(Debug)]
pub(crate) struct PollSender {
    requests: Arc<PollRequests>,
    state: Mutex<SenderState>,
}

/// The connection for the next POST. The lock of this state is the exclusive right to send.
#[derive(Debug)]
pub(crate) struct SenderState {
    idle: Option<(MaybeTlsStream, Instant)>,
}

impl PollSender {
    pub(crate) fn new(requests: Arc<PollRequests>, stream: MaybeTlsStream) -> Self {
        PollSender { requests, state: Mutex::new(SenderState { idle: Some((stream, Instant::now())) }) }
    }

    /// Waits for the right to send: one thread at a time sends a POST.
    pub(crate) fn lock(&self) -> MutexGuard<'_, SenderState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Like [`lock`](PollSender::lock), with a time limit.
    pub(crate) fn lock_until(&self, deadline: Instant) -> Option<MutexGuard<'_, SenderState>> {
        deadline::lock(&self.state, deadline)
    }

    /// Ends all connections of the session.
    pub(crate) fn cancel_token(&self) -> &CancelToken {
        &self.requests.cancel_token
    }

    /// Opens a connection.
    pub(crate) fn dial(&self, deadline: Instant) -> crate::Result<MaybeTlsStream> {
        self.requests.dial(deadline, self.cancel_token())
    }

    /// Sends a body.
    ///
    /// # Errors
    /// `NotSent` only if no byte was sent, or if the server says that it does not know the session.
    pub(crate) fn post(
        &self,
        state: &mut SenderState,
        body: &str,
        deadline: Instant,
    ) -> Result<(), SendFailure> {
        let mut reused = state.idle.take();
        let response = loop {
            let not_sent =
                |error: Error| SendFailure::NotSent(Disconnect::new(reason::TRANSPORT_ERROR, error));
            let request = self.requests.request(Some(body)).map_err(not_sent)?;
            let (mut stream, again) = self.connection(reused.take(), deadline).map_err(not_sent)?;
            stream.wire_mut().set_deadline(Some(deadline));
            let response = match exchange(&mut stream, request) {
                Ok(response) => response,
                Err(Broken::NothingSent(_)) if again => continue,
                Err(Broken::NothingSent(error)) => return Err(SendFailure::NotSent(broken(&error))),
                Err(Broken::Connection(error)) => return Err(SendFailure::MaybeSent(broken(&error))),
                Err(Broken::InvalidResponse(error)) => {
                    let end = Disconnect::new(reason::TRANSPORT_ERROR, format!("sending failed: {error}"));
                    return Err(SendFailure::MaybeSent(end));
                }
            };
            self.requests.absorb(&response.head);
            if response.keep_alive {
                state.idle = Some((stream, Instant::now()));
            }
            break response;
        };
        judge(&response, self.requests.secrets())
    }

    /// Returns the connection, and whether an earlier send has used it.
    fn connection(
        &self,
        idle: Option<(MaybeTlsStream, Instant)>,
        deadline: Instant,
    ) -> crate::Result<(MaybeTlsStream, bool)> {
        if let Some((mut stream, since)) = idle
            && since.elapsed() < MAX_IDLE
            && stream.is_idle()
        {
            return Ok((stream, true));
        }
        Ok((self.dial(deadline)?, false))
    }
}

/// Only the HTTP status counts.
fn judge(response: &HttpResponse, secrets: &Secrets) -> Result<(), SendFailure> {
    match response.head.status {
        200..300 => Ok(()),
        413 => Err(SendFailure::Refused(
            Error::invalid("the server says that the message is too large: split it").with_status(413),
        )),
        status => {
            let text = refused("sending", &response.head, &response.body, secrets).to_string();
            let end = Disconnect::new(reason::TRANSPORT_ERROR, text);
            // Engine.IO refuses before it reads the body.
            if status == 400 && response.body.starts_with(b"{\"code\":") {
                Err(SendFailure::NotSent(end))
            } else {
                Err(SendFailure::MaybeSent(end))
            }
        }
    }
}

fn broken(error: &std::io::Error) -> Disconnect {
    let detail = match error.kind() {
        IoKind::TimedOut => "the server did not answer a request in time".to_owned(),
        IoKind::UnexpectedEof => "the server closed the connection instead of answering".to_owned(),
        _ => format!("sending failed: {error}"),
    };
    Disconnect::new(reason::TRANSPORT_ERROR, detail)
}
