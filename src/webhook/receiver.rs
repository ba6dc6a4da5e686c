//! Calls the handlers for webhook requests, independent of the HTTP server.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::deliveries::Begun;
use super::{Deliveries, HookReply, PromptReply, SIGNATURE_HEADER};
use crate::error::{Error, ErrorKind, Result};
use crate::model::{HookCall, PromptRequest, WebhookDelivery};
use crate::stop::Stop;
use crate::token::{AgentToken, WebhookSecret};

const DEFAULT_MAX_BODY: usize = 1 << 20;
const DEFAULT_TIME: Duration = Duration::from_secs(10);
const DEFAULT_CONNECTIONS: usize = 64;

/// Receives the platform's webhook requests: commands, event deliveries, and prompts for agents.
///
/// Handlers are registered by path. [`handle`](Receiver::handle) takes a request from any HTTP server, checks its
/// method, size, signature and age, calls the handler and returns the answer. `Receiver::serve` runs a small server.
/// Cloning is cheap; clones share the record of seen deliveries.
///
/// ```
/// use crustocean::webhook::{HookReply, Receiver};
///
/// let receiver = Receiver::new()
///     .command("/hook", "roll", |call| HookReply::new(format!("{} rolled 4", call.sender.username)));
///
/// let body = br#"{"agencyId":"ag-1","command":"roll","sender":{"username":"bob"}}"#;
/// let answer = receiver.handle("POST", "/hook", [("content-type", "application/json")], body);
/// assert_eq!((answer.status, answer.body.as_str()), (200, r#"{"content":"bob rolled 4"}"#));
/// ```
///
/// With `axum`, one function and a router are enough:
///
/// ```text
/// async fn receive(
///     State(receiver): State<Receiver>,
///     method: Method,
///     uri: Uri,
///     headers: HeaderMap,
///     body: Bytes,
/// ) -> Response {
///     // Handlers may block.
///     let handle = move || receiver.handle(method.as_str(), uri.path(), &headers, &body);
///     let answer = spawn_blocking(handle).await.expect("handlers are called safely");
///     let mut response = Response::builder().status(answer.status);
///     for (name, value) in answer.headers {
///         response = response.header(name, value);
///     }
///     response.body(answer.body.into()).expect("a status and headers of the receiver's")
/// }
///
/// Router::new().fallback(receive).with_state(receiver)
/// ```
///
/// With `tiny_http`, use a loop. `tiny_http` limits neither the size of the headers, nor the number of connections, nor
/// the time, so put a proxy in front of it:
///
/// ```text
/// fn serve(server: &Server, receiver: &Receiver) -> io::Result<()> {
///     for mut request in server.incoming_requests() {
///         let mut body = Vec::new();
///         request.as_reader().take(MAX_BODY + 1).read_to_end(&mut body)?;
///         let headers = request.headers().iter().map(|it| (it.field.as_str().as_str(), it.value.as_str()));
///         let answer = receiver.handle(request.method().as_str(), request.url(), headers, &body);
///         let mut response = Response::from_string(answer.body).with_status_code(answer.status);
///         for (name, value) in answer.headers {
///             response.add_header(Header::from_bytes(name, value).expect("a header of the receiver's"));
///         }
///         request.respond(response)?;
///     }
///     Ok(())
/// }
/// ```
#[derive(Clone)]
pub struct Receiver {
    routes: Vec<Route>,
    deliveries: Arc<Deliveries>,
    pub(super) max_body: usize,
    pub(super) time_limit: Duration,
    pub(super) max_connections: usize,
    pub(super) stop: Option<Stop>,
}

#[derive(Clone)]
struct Route {
    path: String,
    kind: RouteKind,
}

type Handler<T, R> = Arc<dyn Fn(T) -> R + Send + Sync>;

#[derive(Clone)]
enum RouteKind {
    Command { name: Option<String>, handler: Handler<HookCall, HookReply> },
    Deliveries { secret: Option<WebhookSecret>, handler: Handler<WebhookDelivery, Result<(), String>> },
    Prompts { secret: Option<WebhookSecret>, token: AgentToken, handler: Handler<PromptRequest, PromptReply> },
}

/// The answer to a request. Returned by [`Receiver::handle`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The headers, except `Connection` and `Content-Length`.
    pub headers: Vec<(&'static str, String)>,
    /// The body. Send it unchanged, because it may be signed.
    pub body: String,
}

impl Answer {
    pub(super) fn empty(status: u16) -> Self {
        Answer { status, headers: Vec::new(), body: String::new() }
    }

    fn json(status: u16, body: String) -> Self {
        Answer { status, headers: vec![("Content-Type", "application/json".to_owned())], body }
    }

    pub(super) fn error(status: u16, reason: &str) -> Self {
        Answer::json(status, HookReply::error(reason).to_json())
    }

    fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

impl Default for Receiver {
    fn default() -> Self {
        Receiver {
            routes: Vec::new(),
            deliveries: Arc::default(),
            max_body: DEFAULT_MAX_BODY,
            time_limit: DEFAULT_TIME,
            max_connections: DEFAULT_CONNECTIONS,
            stop: None,
        }
    }
}

impl Receiver {
    /// Creates a receiver without handlers. The receiver answers every request with 404.
    pub fn new() -> Self {
        Receiver::default()
    }

    /// Registers the handler of one slash command, by its name without `/`. Several commands may share a path, as in
    /// a hook.
    ///
    /// The platform documents no signature for commands: keep the URL secret. The platform waits 15 s for the answer.
    #[must_use]
    pub fn command<R: Into<HookReply>>(
        self,
        path: impl Into<String>,
        name: &str,
        handler: impl Fn(HookCall) -> R + Send + Sync + 'static,
    ) -> Self {
        let name = Some(name.strip_prefix('/').unwrap_or(name).to_lowercase());
        let handler: Handler<_, _> = Arc::new(move |call| handler(call).into());
        self.route(path.into(), RouteKind::Command { name, handler })
    }

    /// Registers the handler for all other slash commands of a path: the commands without their own handler.
    #[must_use]
    pub fn commands<R: Into<HookReply>>(
        self,
        path: impl Into<String>,
        handler: impl Fn(HookCall) -> R + Send + Sync + 'static,
    ) -> Self {
        let handler: Handler<_, _> = Arc::new(move |call| handler(call).into());
        self.route(path.into(), RouteKind::Command { name: None, handler })
    }

    /// Registers the handler for the deliveries of a webhook subscription. The receiver handles each delivery once: it
    /// answers a repeated delivery without calling the handler. It refuses a delivery that is too old or has a wrong
    /// signature. With `None` as the secret, it accepts deliveries from anybody.
    ///
    /// If the handler fails, the answer is 500, and the receiver handles the delivery again when the platform repeats
    /// it. The handler returns nothing or a `Result`; the crate logs an error and does not send it.
    #[must_use]
    pub fn deliveries<R: IntoOutcome>(
        self,
        path: impl Into<String>,
        secret: impl Into<Option<WebhookSecret>>,
        handler: impl Fn(WebhookDelivery) -> R + Send + Sync + 'static,
    ) -> Self {
        let handler: Handler<_, _> = Arc::new(move |delivery| handler(delivery).into_outcome());
        self.route(path.into(), RouteKind::Deliveries { secret: secret.into(), handler })
    }

    /// Registers the handler for the prompts of an agent's response webhook. The receiver signs the answer with the
    /// agent's token. With `None` as the secret (`response_webhook_secret`), it accepts prompts from anybody.
    ///
    /// Prompts have no documented time, so the receiver handles a repeated prompt again.
    #[must_use]
    pub fn prompts<R: Into<PromptReply>>(
        self,
        path: impl Into<String>,
        secret: impl Into<Option<WebhookSecret>>,
        token: AgentToken,
        handler: impl Fn(PromptRequest) -> R + Send + Sync + 'static,
    ) -> Self {
        let handler: Handler<_, _> = Arc::new(move |prompt| handler(prompt).into());
        self.route(path.into(), RouteKind::Prompts { secret: secret.into(), token, handler })
    }

    /// Sets how long the receiver remembers deliveries, and how many. Defaults to [`Deliveries::new`].
    #[must_use]
    pub fn remember(mut self, deliveries: Deliveries) -> Self {
        self.deliveries = Arc::new(deliveries);
        self
    }

    /// The largest body in bytes. Defaults to 1 MiB.
    #[must_use]
    pub fn max_body(mut self, bytes: usize) -> Self {
        self.max_body = bytes;
        self
    }

    /// How long a request to `Receiver::serve` may take to arrive, and its sender may take to read the answer. Defaults
    /// to 10 s.
    #[must_use]
    pub fn time_limit(mut self, time: Duration) -> Self {
        self.time_limit = time;
        self
    }

    /// How many requests `Receiver::serve` handles at once. Defaults to 64.
    #[must_use]
    pub fn max_connections(mut self, count: usize) -> Self {
        self.max_connections = count.max(1);
        self
    }

    /// Stops the server of `Receiver::serve` when this [`Stop`](crate::Stop) is stopped. The server then accepts no
    /// more requests, and `Server::wait` returns. Dropping the server waits up to 15 s for running handlers. Defaults
    /// to none.
    ///
    /// ```no_run
    /// use crustocean::{Stop, webhook::Receiver};
    ///
    /// # #[cfg(feature = "receiver")]
    /// # fn demo() -> crustocean::Result<()> {
    /// let stop = Stop::new();
    /// let server = Receiver::new().command("/hook", "ping", |_| "pong").stop(&stop).serve("127.0.0.1:8080")?;
    /// // … stop.stop() on a thread that waits for a signal …
    /// server.wait();
    /// server.stop()?; // waits for running handlers
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn stop(mut self, stop: &Stop) -> Self {
        self.stop = Some(stop.clone());
        self
    }

    fn route(mut self, path: String, kind: RouteKind) -> Self {
        self.routes.push(Route { path, kind });
        self
    }

    /// Answers one request. Pass the exact bytes of the body; `path` may have a query. Blocks until the handler
    /// returns. If the handler panics, the answer is 500.
    ///
    /// ```
    /// use crustocean::webhook::{Receiver, SIGNATURE_HEADER, WebhookSecret};
    ///
    /// # fn main() -> crustocean::Result<()> {
    /// let secret: WebhookSecret = "only we know".parse()?;
    /// let receiver = Receiver::new().deliveries("/events", secret.clone(), |delivery| println!("{}", delivery.event));
    /// let body = br#"{"event":"member.left","agencyId":"ag-1"}"#;
    /// let headers = [(SIGNATURE_HEADER, secret.sign(body))];
    /// assert_eq!(receiver.handle("POST", "/events", headers.clone(), body).status, 204);
    /// assert_eq!(receiver.handle("POST", "/events", headers, b"{}").status, 401);
    /// # Ok(()) }
    /// ```
    pub fn handle<N: AsRef<str>, V: AsRef<[u8]>>(
        &self,
        method: &str,
        path: &str,
        headers: impl IntoIterator<Item = (N, V)>,
        body: &[u8],
    ) -> Answer {
        let path = path.split(['?', '#']).next().unwrap_or_default();
        let at_path: Vec<&Route> =
            self.routes.iter().filter(|route| is_same_path(&route.path, path)).collect();
        if at_path.is_empty() {
            return Answer::error(404, "there is no webhook at this path");
        }
        if !method.eq_ignore_ascii_case("POST") {
            return Answer::error(405, "webhooks are called by POST").with("Allow", "POST");
        }
        if body.len() > self.max_body {
            return Answer::error(413, "the body is too large");
        }
        let signature = headers.into_iter().find_map(|(name, value)| {
            let is_it = name.as_ref().trim().eq_ignore_ascii_case(SIGNATURE_HEADER);
            is_it.then(|| String::from_utf8_lossy(value.as_ref()).into_owned())
        });
        let signature = signature.unwrap_or_default();
        let answer = crate::user_code::caught(|| self.answer(path, &at_path, &signature, body));
        answer.unwrap_or_else(|_| {
            crate::logging::error!("the handler of the webhook {path} panicked");
            Answer::error(500, "internal error")
        })
    }

    fn answer(&self, path: &str, at_path: &[&Route], signature: &str, body: &[u8]) -> Answer {
        // A path for deliveries or prompts has only one handler: the first handler that was registered.
        for route in at_path {
            match &route.kind {
                RouteKind::Deliveries { secret, handler } => {
                    // Pass the route's own path, because a repeated request may spell the path with more slashes.
                    return self.deliver(&route.path, secret.as_ref(), signature, body, handler);
                }
                RouteKind::Prompts { secret, token, handler } => {
                    if let Err(error) = verify(secret.as_ref(), body, signature) {
                        return refused(path, &error);
                    }
                    return match PromptRequest::from_json(body) {
                        Ok(prompt) => {
                            let reply = handler(prompt).sign(token);
                            Answer::json(200, reply.body).with(SIGNATURE_HEADER, reply.signature)
                        }
                        Err(error) => refused(path, &error),
                    };
                }
                RouteKind::Command { .. } => {}
            }
        }
        let call = match HookCall::from_json(body) {
            Ok(call) => call,
            Err(error) => return refused(path, &error),
        };
        let find = |wanted: Option<&str>| {
            at_path.iter().find_map(|route| match &route.kind {
                RouteKind::Command { name, handler } if name.as_deref() == wanted => Some(handler),
                _ => None,
            })
        };
        let reply = match find(Some(&call.command.to_lowercase())).or_else(|| find(None)) {
            Some(handler) => handler(call),
            None => HookReply::error(format!("there is no command /{} here", call.command)),
        };
        Answer::json(reply.status(), reply.to_json())
    }

    fn deliver(
        &self,
        path: &str,
        secret: Option<&WebhookSecret>,
        signature: &str,
        body: &[u8],
        handler: &Handler<WebhookDelivery, Result<(), String>>,
    ) -> Answer {
        let delivery = verify(secret, body, signature).and_then(|()| WebhookDelivery::from_json(body));
        let delivery = match delivery {
            Ok(delivery) => delivery,
            Err(error) => return refused(path, &error),
        };
        let parts = [path.as_bytes(), body];
        match self.deliveries.begin(&parts, delivery.timestamp.as_ref(), SystemTime::now()) {
            Begun::New => {}
            Begun::Again => return Answer::empty(204),
            // The first request may still fail. Then the platform must send the delivery again.
            Begun::Pending => {
                return Answer::error(503, "the receiver is still handling this delivery")
                    .with("Retry-After", "5");
            }
            Begun::Stale => {
                crate::logging::warn!(
                    "a delivery to {path} is too old, or its time is in the future: check this machine's clock"
                );
                return Answer::error(400, "the delivery is too old, or its time is in the future");
            }
        }
        // The drop of `unhandled` also runs if the handler panics.
        let mut unhandled = Unhandled { deliveries: &self.deliveries, parts, done: false };
        match handler(delivery) {
            Ok(()) => {
                unhandled.done = true;
                self.deliveries.finish(&parts);
                Answer::empty(204)
            }
            Err(why) => {
                crate::logging::warn!("a delivery to {path} was not handled: {why}");
                Answer::error(500, "the delivery could not be handled")
            }
        }
    }
}

/// Forgets a delivery that was not handled.
struct Unhandled<'a> {
    deliveries: &'a Deliveries,
    parts: [&'a [u8]; 2],
    done: bool,
}

impl Drop for Unhandled<'_> {
    fn drop(&mut self) {
        if !self.done {
            self.deliveries.forget_parts(&self.parts);
        }
    }
}

/// The return type of a delivery handler: nothing, or a `Result`.
///
/// ```
/// use crustocean::webhook::{Receiver, WebhookDelivery, WebhookSecret};
///
/// fn store(delivery: WebhookDelivery) -> Result<(), std::io::Error> {
///     println!("{}", delivery.event);
///     Ok(()) // after an `Err`, the answer is 500, and the platform sends the delivery again
/// }
///
/// # fn main() -> crustocean::Result<()> {
/// let secret: WebhookSecret = "only we know".parse()?;
/// let receiver = Receiver::new().deliveries("/events", secret, store);
/// # drop(receiver);
/// # Ok(()) }
/// ```
pub trait IntoOutcome {
    #[doc(hidden)]
    fn into_outcome(self) -> Result<(), String>;
}

impl IntoOutcome for () {
    fn into_outcome(self) -> Result<(), String> {
        Ok(())
    }
}

impl<T, E: fmt::Display> IntoOutcome for std::result::Result<T, E> {
    fn into_outcome(self) -> Result<(), String> {
        self.map(drop).map_err(|error| error.to_string())
    }
}

fn is_same_path(one: &str, other: &str) -> bool {
    one.trim_end_matches('/') == other.trim_end_matches('/')
}

fn verify(secret: Option<&WebhookSecret>, body: &[u8], signature: &str) -> Result<()> {
    secret.map_or(Ok(()), |secret| secret.verify(body, signature))
}

fn refused(path: &str, error: &Error) -> Answer {
    crate::logging::debug!("a request to the webhook {path} is refused: {error}");
    match error.kind() {
        ErrorKind::Unauthorized => Answer::error(401, "the signature is missing or wrong"),
        ErrorKind::Config => {
            crate::logging::error!("cannot check the signature for the webhook {path}: {error}");
            Answer::error(500, "internal error")
        }
        // The error contains no part of the body.
        _ => Answer::error(400, &error.to_string()),
    }
}

/// Shows only the paths, no secrets and no handlers.
impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let paths: Vec<&str> = self.routes.iter().map(|route| route.path.as_str()).collect();
        f.debug_struct("Receiver").field("paths", &paths).finish_non_exhaustive()
    }
}
