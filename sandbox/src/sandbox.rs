//! The handle on a running sandbox.

use std::fmt;
use std::io;
use std::time::Duration;

use serde_json::Value;
use serde_json::value::RawValue;

use crate::links;
use crate::realtime;
use crate::server::{Config, Server};
use crate::state::Options;

/// A Crustocean on this machine. Stops when dropped.
///
/// The server runs on a thread of its own; every method may be called from any thread and none of them needs an
/// async runtime.
pub struct Sandbox {
    pub(crate) server: Server,
    url: String,
}

impl Sandbox {
    /// Starts on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// If no port can be had or no thread be started.
    pub fn start() -> io::Result<Sandbox> {
        Sandbox::builder().start()
    }

    /// For a sandbox with other settings than the defaults.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The base URL, such as `http://127.0.0.1:40123`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The port it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.server.address.port()
    }

    /// Ends every connection and frees the port. What was recorded stays readable.
    pub fn stop(&self) {
        self.server.stop();
    }

    /// Blocks for as long as the server runs.
    pub fn wait(&self) {
        self.server.wait();
    }

    /// Cuts every Socket.IO connection without a goodbye, as a failing network does.
    pub fn drop_links(&self) {
        let _runtime = self.server.runtime.enter();
        links::cut_all(&self.server.app);
    }

    /// All session tokens are refused from now on, with 401 and on CONNECT. Live sockets stay.
    pub fn expire_sessions(&self) {
        self.server.app.data().tokens.expire_sessions();
    }

    /// All personal access tokens are refused from now on, with 401 and on CONNECT.
    pub fn expire_personal_access_tokens(&self) {
        self.server.app.data().tokens.expire_personal();
    }

    /// The next `count` REST requests are answered with `status`, and with `Retry-After` if that is given.
    pub fn fail_next(&self, count: usize, status: u16, retry_after: Option<Duration>) {
        self.server.app.faults().fail_next(count, status, retry_after);
    }

    /// The next `count` REST requests are answered later, by `delay`.
    pub fn delay_next(&self, count: usize, delay: Duration) {
        self.server.app.faults().delay_next(count, delay);
    }

    /// Whether `metadata` goes over the socket as a JSON string instead of as it was sent. Histories always have strings.
    pub fn metadata_as_string(&self, on: bool) {
        self.server.app.set_metadata_as_string(on);
    }

    /// The number of live sockets.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.server.app.sockets().len()
    }

    /// The events that clients have sent, name and payload, oldest first. The last 10,000 are kept.
    #[must_use]
    pub fn events(&self) -> Vec<(String, Value)> {
        self.server.app.recorder().events()
    }

    /// The `auth` payloads of all Socket.IO CONNECTs, refused ones, too.
    #[must_use]
    pub fn handshakes(&self) -> Vec<Value> {
        self.server.app.recorder().handshakes()
    }

    /// The REST requests so far, as `"GET /api/agencies"`; failed and delayed ones, too.
    #[must_use]
    pub fn requests(&self) -> Vec<String> {
        self.server.app.recorder().requests()
    }

    /// Forgets all recorded events, handshakes and requests.
    pub fn clear_records(&self) {
        self.server.app.recorder().clear();
    }

    /// The payload of the first recorded event with this name; waits for it if there is none yet.
    #[must_use]
    pub fn wait_for_event(&self, name: &str, timeout: Duration) -> Option<Value> {
        self.wait_for_events(name, 1, timeout).into_iter().next()
    }

    /// The payloads of the first `count` recorded events with this name; fewer if they do not come in time.
    #[must_use]
    pub fn wait_for_events(&self, name: &str, count: usize, timeout: Duration) -> Vec<Value> {
        self.server.app.recorder().wait(name, count, timeout)
    }

    /// Sends an event to every socket that has joined an agency.
    pub fn emit_to_agency(&self, agency_id: &str, event: &str, payload: Value) {
        realtime::emit_to_room(&self.server.app, agency_id, event, &payload);
    }

    /// As [`Sandbox::emit_to_agency`], with JSON text that goes out as it is. For payloads that the platform relays and
    /// a strict parser refuses, such as half a surrogate pair or hundreds of levels.
    ///
    /// # Errors
    /// If the text is no JSON at all.
    pub fn emit_raw_to_agency(&self, agency_id: &str, event: &str, json: &str) -> io::Result<()> {
        let payload = RawValue::from_string(json.to_owned())?;
        realtime::emit_to_room(&self.server.app, agency_id, event, &payload);
        Ok(())
    }

    /// Sends an event to every socket of a user or an agent.
    pub fn emit_to_user(&self, user_id: &str, event: &str, payload: Value) {
        realtime::emit_to_user(&self.server.app, user_id, event, &payload);
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.stop();
    }
}

impl fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sandbox").field("url", &self.url).finish_non_exhaustive()
    }
}

/// Settings of a [`Sandbox`].
#[derive(Debug, Clone)]
#[must_use = "nothing listens before start()"]
pub struct Builder(Config);

impl Default for Builder {
    fn default() -> Self {
        Builder(Config {
            port: 0,
            ping_interval: Duration::from_secs(25),
            ping_timeout: Duration::from_secs(20),
            options: Options {
                session_ttl: Duration::from_secs(7 * 24 * 60 * 60),
                log: false,
                metadata_as_string: false,
            },
        })
    }
}

impl Builder {
    /// The port on 127.0.0.1. Defaults to 0: any free one.
    pub fn port(mut self, port: u16) -> Self {
        self.0.port = port;
        self
    }

    /// The time between two heartbeats. Defaults to 25 s.
    pub fn ping_interval(mut self, interval: Duration) -> Self {
        self.0.ping_interval = interval;
        self
    }

    /// How long a client may take to answer a heartbeat. Defaults to 20 s.
    pub fn ping_timeout(mut self, timeout: Duration) -> Self {
        self.0.ping_timeout = timeout;
        self
    }

    /// The lifetime of session tokens. Defaults to 7 days.
    pub fn session_ttl(mut self, ttl: Duration) -> Self {
        self.0.options.session_ttl = ttl;
        self
    }

    /// One line on stderr for each request and event, never with a token or a password. Off by default.
    pub fn log(mut self, on: bool) -> Self {
        self.0.options.log = on;
        self
    }

    /// Whether `metadata` goes over the socket as a JSON string. Off by default: it goes as it was sent.
    pub fn metadata_as_string(mut self, on: bool) -> Self {
        self.0.options.metadata_as_string = on;
        self
    }

    /// Starts the server; it listens when this returns.
    ///
    /// # Errors
    /// If the port is taken or no thread can be started.
    pub fn start(self) -> io::Result<Sandbox> {
        let server = Server::start(self.0)?;
        let url = format!("http://{}", server.address);
        Ok(Sandbox { server, url })
    }
}
