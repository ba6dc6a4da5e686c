//! A running sandbox and its settings.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;
use serde_json::value::RawValue;

use crate::app::access::Access;
use crate::app::{App, Options};
use crate::control::fault::{self, Fault};
use crate::realtime::{disconnect, emit, run_control};
use crate::routes::agents::HOSTED;
use crate::routes::claims;
use crate::server::{Config, Server};
use crate::store::claims::ClaimMail;
use crate::suspended::Suspended;

/// A local Crustocean server. Dropping it stops the server.
///
/// The server runs on threads of its own. Call its methods from any thread; none of them needs an async runtime.
pub struct Sandbox {
    pub(crate) server: Server,
    url: String,
}

impl Sandbox {
    /// Starts a server on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// If it cannot listen on a port or start a thread.
    pub fn start() -> io::Result<Sandbox> {
        Sandbox::builder().start()
    }

    /// Returns a builder with all settings.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The base URL, such as `http://127.0.0.1:40123`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The value of `CRUSTOCEAN_CONFIG_URL` for agents that the platform hosts. The server returns the keys `soul_md`,
    /// `config_yaml` and `skills` of the agent's configuration there.
    #[must_use]
    pub fn hosted_config_url(&self) -> String {
        format!("{}{}", self.url, HOSTED)
    }

    /// The port of the server.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.server.address.port()
    }

    /// Closes all connections and frees the port. The recorded events and requests stay readable.
    pub fn stop(&self) {
        self.server.stop();
    }

    /// Stops the server and returns its data for the next server, which [`Builder::resume`] starts. This simulates a
    /// server that is killed and restarted. Webhook deliveries that are running get lost.
    ///
    /// ```
    /// use crustocean_sandbox::Sandbox;
    ///
    /// let sandbox = Sandbox::start()?;
    /// let alice = sandbox.add_user("alice")?;
    /// let state = sandbox.suspend();
    /// let sandbox = Sandbox::builder().resume(state).start()?; // same port, same accounts, tokens and sessions
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn suspend(&self) -> Suspended {
        self.stop();
        Suspended::new(self.server.app.shared_data(), self.port(), self.server.reserved.clone())
    }

    /// Blocks until the server ends.
    pub fn wait(&self) {
        self.server.wait();
    }

    /// Closes all Socket.IO connections without a disconnect packet, like a failing network.
    pub fn drop_links(&self) {
        let _runtime = self.server.runtime.enter();
        disconnect::cut_all(&self.server.app);
    }

    /// Freezes the whole server for this time: it accepts, reads and answers nothing, and closes no connection. Returns
    /// when the freeze has begun. After a freeze longer than the heartbeat interval, the server drops clients that
    /// missed heartbeats.
    pub fn freeze(&self, time: Duration) {
        self.server.freeze(time);
    }

    /// Ends a [`freeze`](Sandbox::freeze) early.
    pub fn thaw(&self) {
        self.server.thaw();
    }

    /// Expires all session tokens: REST requests with them get 401, and CONNECT is refused. Connected sockets stay.
    pub fn expire_sessions(&self) {
        self.server.app.data().tokens.expire_sessions();
    }

    /// Expires all personal access tokens: REST requests with them get 401, and CONNECT is refused.
    pub fn expire_personal_access_tokens(&self) {
        self.server.app.data().tokens.expire_personal();
    }

    /// Answers the next `count` REST requests with `status`, and with the header `Retry-After` if `retry_after` is set.
    pub fn fail_next(&self, count: usize, status: u16, retry_after: Option<Duration>) {
        self.server.app.faults().fail_next(count, status, retry_after);
    }

    /// Delays the answers to the next `count` REST requests by `delay`.
    pub fn delay_next(&self, count: usize, delay: Duration) {
        self.server.app.faults().delay_next(count, delay);
    }

    /// Sets whether requests for a room's history get 403: `GET /api/agencies/{id}/messages`, and the same for direct
    /// messages.
    pub fn history_forbidden(&self, agency_id: &str, on: bool) {
        self.server.app.faults().forbid_history(agency_id, on);
    }

    /// Replaces a message in the history by the JSON text that `alter` returns for the message. The sandbox sends this
    /// text unchanged. Use it for JSON that breaks the documentation, such as `null`, a number in place of a text, or
    /// half a surrogate pair.
    ///
    /// # Errors
    /// If there is no such agency or message, or the result of `alter` is not JSON.
    pub fn alter_in_history(
        &self,
        agency_id: &str,
        message_id: &str,
        alter: impl FnOnce(Value) -> String,
    ) -> io::Result<()> {
        let usual = {
            let data = self.server.app.data();
            let mut messages = data
                .agencies
                .find(agency_id)
                .ok()
                .into_iter()
                .flat_map(|agency| agency.messages.iter().rev());
            let message = messages.find(|message| message.id == message_id);
            message.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no such message"))?.json(true)
        };
        self.server.app.faults().alter(message_id, RawValue::from_string(alter(usual))?);
        Ok(())
    }

    /// Stamps messages by several clocks in turn, each wrong by one of these offsets in milliseconds. Sockets get the messages
    /// in the order of arrival. The history has the same order, or the order of the times if `sorted`. An empty list of
    /// offsets ends the fault.
    pub fn skew_clocks(&self, offsets_ms: &[i64], sorted: bool) {
        self.server.app.faults().set_clocks(offsets_ms, sorted);
    }

    /// Makes custom commands answer late: the ack has a placeholder (`[spinner…`) and a `messageId`, and the text follows as
    /// `message-edited` after `delay`. [`Duration::ZERO`] ends the fault.
    pub fn slow_hooks(&self, delay: Duration) {
        self.server.app.faults().set_slow_hooks(delay);
    }

    /// The mails to people who want to claim an agent, oldest first. The sandbox does not send them.
    #[must_use]
    pub fn claims(&self) -> Vec<ClaimMail> {
        self.server.app.data().claims.mails.clone()
    }

    /// Opens the link in a claim mail. Returns the username of the claimed agent.
    ///
    /// # Errors
    /// If the link is `expired` or `invalid`, or the agent is `already_claimed`.
    pub fn confirm_claim(&self, mail: &ClaimMail) -> io::Result<String> {
        claims::complete(&self.server.app, &mail.token)
            .map_err(|reason| io::Error::new(io::ErrorKind::InvalidInput, reason))
    }

    /// Expires the links in all claim mails so far.
    pub fn expire_claims(&self) {
        self.server.app.data().claims.expire();
    }

    /// Sets whether sockets get `metadata` as a JSON string instead of in the sender's form. Histories always have
    /// strings.
    pub fn metadata_as_string(&self, on: bool) {
        self.server.app.set_metadata_as_string(on);
    }

    /// The number of connected sockets.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.server.app.sockets().len()
    }

    /// The names and payloads of the events that clients have sent, oldest first. The sandbox keeps the last 10,000, up to
    /// 16 MiB.
    #[must_use]
    pub fn events(&self) -> Vec<(String, Value)> {
        self.server.app.recorder().events()
    }

    /// The `auth` payloads of all Socket.IO CONNECT packets, including refused ones.
    #[must_use]
    pub fn handshakes(&self) -> Vec<Value> {
        self.server.app.recorder().handshakes()
    }

    /// The REST requests so far, as `"GET /api/agencies"`, including failed and delayed ones.
    #[must_use]
    pub fn requests(&self) -> Vec<String> {
        self.server.app.recorder().requests()
    }

    /// Deletes all recorded events, handshakes and requests.
    pub fn clear_records(&self) {
        self.server.app.recorder().clear();
    }

    /// The payload of the first event with this name that this method has not returned before. Waits for it if necessary.
    #[must_use]
    pub fn wait_for_event(&self, name: &str, timeout: Duration) -> Option<Value> {
        self.server.app.recorder().next(name, timeout)
    }

    /// The payloads of the first `count` recorded events with this name. Waits for them, and returns fewer at the time limit.
    #[must_use]
    pub fn wait_for_events(&self, name: &str, count: usize, timeout: Duration) -> Vec<Value> {
        self.server.app.recorder().wait(name, count, timeout)
    }

    /// Sends an event to every socket that has joined an agency.
    pub fn emit_to_agency(&self, agency_id: &str, event: &str, payload: Value) {
        emit::emit_to_room(&self.server.app, agency_id, event, &payload);
    }

    /// Sends an event to every socket that has joined an agency. Does not change the JSON text. Use it for payloads
    /// that the platform relays but a strict parser refuses, such as half a surrogate pair or hundreds of levels.
    ///
    /// # Errors
    /// If the text is not JSON.
    pub fn emit_raw_to_agency(&self, agency_id: &str, event: &str, json: &str) -> io::Result<()> {
        let payload = RawValue::from_string(json.to_owned())?;
        emit::emit_to_room(&self.server.app, agency_id, event, &payload);
        Ok(())
    }

    /// Interrupts a run as a member of the room: `stop`, or `adjust` with a message. Does nothing if there is no such run.
    pub fn interrupt_run(&self, run_id: &str, action: &str, message: Option<&str>) {
        run_control::interrupt(&self.server.app, run_id, action, message);
    }

    /// Answers a permission request of a run as a member of the room. Only `approve` grants it. Does nothing if there is no
    /// such run.
    pub fn respond_permission(
        &self,
        run_id: &str,
        permission_id: &str,
        decision: &str,
        message: Option<&str>,
    ) {
        run_control::answer(&self.server.app, run_id, permission_id, decision, message);
    }

    /// The list of all faults, one per line.
    pub const FAULTS: &'static str = fault::HELP;

    /// Sets one or several faults, such as `"latency=80ms,drop-links-every=30s"`. `"off"` ends all faults. Does the same as
    /// `--fault` and `POST /_sandbox/fault`. The README lists all faults.
    ///
    /// # Errors
    /// If there is no such fault, or its value is not valid. The error lists the allowed faults and values.
    pub fn fault(&self, faults: &str) -> io::Result<()> {
        let invalid = |error| io::Error::new(io::ErrorKind::InvalidInput, error);
        let _runtime = self.server.runtime.enter();
        for fault in Fault::parse_all(faults).map_err(invalid)? {
            fault.apply(&self.server.app).map_err(invalid)?;
        }
        Ok(())
    }

    /// Records the messages from now on into a file, as a [`Script`](crate::Script). Users' messages become lines to replay,
    /// agents' messages become expectations. The recording ends when the returned value is dropped. The file is always up to
    /// date.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn record(&self, path: impl Into<PathBuf>) -> io::Result<Recording> {
        let path = path.into();
        let number = self
            .server
            .app
            .recordings()
            .begin(path.clone())
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
        Ok(Recording { app: self.server.app.clone(), number })
    }

    /// The last 1,000 run and thinking events of agents that break the documented form or order.
    #[must_use]
    pub fn run_violations(&self) -> Vec<String> {
        self.server.app.data().run_rules.violations()
    }

    /// Sends an event to every socket of a user or an agent.
    pub fn emit_to_user(&self, user_id: &str, event: &str, payload: Value) {
        emit::emit_to_user(&self.server.app, user_id, event, &payload);
    }
}

/// A running recording. Returned by [`Sandbox::record`].
#[must_use = "the recording ends when this is dropped"]
pub struct Recording {
    app: App,
    number: u64,
}

impl Drop for Recording {
    fn drop(&mut self) {
        self.app.recordings().end(self.number);
    }
}

impl fmt::Debug for Recording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recording").finish_non_exhaustive()
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
            host: Ipv4Addr::LOCALHOST.into(),
            port: 0,
            ping_interval: Duration::from_secs(25),
            ping_timeout: Duration::from_secs(20),
            options: Options {
                session_ttl: Duration::from_secs(7 * 24 * 60 * 60),
                log: false,
                metadata_as_string: false,
                webhook_timeout: Duration::from_secs(15),
                retry_delay: Duration::from_secs(1),
                claim_ttl: Duration::from_secs(60 * 60),
                rate_limits: false,
                metrics_secret: None,
                truncate_content: None,
                max_messages: 10_000,
                max_waiting: 64 * 1024 * 1024,
                access: Access::default(),
            },
            folder: None,
            demo: false,
            resumed: None,
        })
    }
}

impl Builder {
    /// Changes settings by name, such as `"ping-interval=5s,session-ttl=1h"`, like `--set` on the command line. The names are
    /// those of the methods here, with hyphens: `ping-interval`, `ping-timeout`, `session-ttl`,
    /// `metadata-as-string`, `webhook-timeout`, `retry-delay`, `claim-ttl`, `rate-limits`, `metrics-secret`,
    /// `truncate-content`, `max-messages`, `max-waiting`.
    ///
    /// # Errors
    /// If there is no such setting, or its value is not valid.
    pub fn set(mut self, settings: &str) -> io::Result<Self> {
        let invalid = |error: String| io::Error::new(io::ErrorKind::InvalidInput, error);
        for setting in settings.split(',').map(str::trim).filter(|setting| !setting.is_empty()) {
            let (name, value) = setting.split_once('=').unwrap_or((setting, "true"));
            let time = || fault::time(value).map_err(|error| invalid(format!("{name}: {error}")));
            let number = || value.parse().map_err(|_| invalid(format!("{name}: {value:?} is no number")));
            let on = || value.parse().map_err(|_| invalid(format!("{name} is true or false, not {value:?}")));
            self = match name {
                "ping-interval" => self.ping_interval(time()?),
                "ping-timeout" => self.ping_timeout(time()?),
                "session-ttl" => self.session_ttl(time()?),
                "metadata-as-string" => self.metadata_as_string(on()?),
                "webhook-timeout" => self.webhook_timeout(time()?),
                "retry-delay" => self.retry_delay(time()?),
                "claim-ttl" => self.claim_ttl(time()?),
                "rate-limits" => self.rate_limits(on()?),
                "metrics-secret" => self.metrics_secret(value),
                "truncate-content" => self.truncate_content(number()?),
                "max-waiting" => self.max_waiting(number()?),
                "max-messages" => self.max_messages(number()?),
                other => return Err(invalid(format!("there is no setting {other:?}"))),
            };
        }
        Ok(self)
    }

    /// Sets the port. Defaults to 0, which means a free port, where possible from 20,000 to 26,999.
    pub fn port(mut self, port: u16) -> Self {
        self.0.port = port;
        self
    }

    /// Sets the time between two heartbeats. Defaults to 25 s.
    pub fn ping_interval(mut self, interval: Duration) -> Self {
        self.0.ping_interval = interval;
        self
    }

    /// Sets how long a client may take to answer a heartbeat. Defaults to 20 s.
    pub fn ping_timeout(mut self, timeout: Duration) -> Self {
        self.0.ping_timeout = timeout;
        self
    }

    /// Sets the lifetime of session tokens. Defaults to 7 days.
    pub fn session_ttl(mut self, ttl: Duration) -> Self {
        self.0.options.session_ttl = ttl;
        self
    }

    /// Sets whether the sandbox logs each request and event as a line on stderr, without tokens and passwords. Defaults
    /// to `false`.
    pub fn log(mut self, on: bool) -> Self {
        self.0.options.log = on;
        self
    }

    /// Sets whether sockets get `metadata` as a JSON string instead of in the sender's form. Defaults to `false`.
    pub fn metadata_as_string(mut self, on: bool) -> Self {
        self.0.options.metadata_as_string = on;
        self
    }

    /// Sets how long a webhook may take to answer. Defaults to 15 s.
    pub fn webhook_timeout(mut self, timeout: Duration) -> Self {
        self.0.options.webhook_timeout = timeout;
        self
    }

    /// Sets the pause before the first retry of a failed delivery to a webhook subscription. It doubles with each of the 3
    /// retries. Defaults to 1 s.
    pub fn retry_delay(mut self, delay: Duration) -> Self {
        self.0.options.retry_delay = delay;
        self
    }

    /// Sets how long the link in a claim mail is valid. Defaults to 1 hour.
    pub fn claim_ttl(mut self, ttl: Duration) -> Self {
        self.0.options.claim_ttl = ttl;
        self
    }

    /// Sets whether the sandbox limits register, login, bootstrap and agent registration to 10 requests per minute
    /// each, as the platform does. Defaults to `false`.
    pub fn rate_limits(mut self, on: bool) -> Self {
        self.0.options.rate_limits = on;
        self
    }

    /// Sets the secret for `/metrics`, which clients send as `?key=` or `X-Metrics-Key`. By default `/metrics` needs no
    /// secret.
    pub fn metrics_secret(mut self, secret: impl Into<String>) -> Self {
        self.0.options.metrics_secret = Some(secret.into());
        self
    }

    /// Cuts messages and edits of clients to this many characters, without an error. Defaults to no cut.
    pub fn truncate_content(mut self, characters: usize) -> Self {
        self.0.options.truncate_content = Some(characters);
        self
    }

    /// Sets how many messages a room keeps; it deletes the oldest ones. Defaults to 10,000. A room never keeps more
    /// than 16 MiB.
    pub fn max_messages(mut self, count: usize) -> Self {
        self.0.options.max_messages = count;
        self
    }

    /// Sets how many bytes may wait for a client that does not read. Above this number the sandbox closes the client's
    /// connection. Defaults to 64 MiB.
    pub fn max_waiting(mut self, bytes: usize) -> Self {
        self.0.options.max_waiting = bytes;
        self
    }

    /// Sets the address to listen on. Defaults to 127.0.0.1. With another address, everyone who can reach it has full control.
    pub fn host(mut self, address: IpAddr) -> Self {
        self.0.host = address;
        self
    }

    /// Allows another host name for this server, such as that of its container. The sandbox always allows `localhost`,
    /// IP addresses and names under `.localhost` and `.test`. Requests with other names get 403, because they may come
    /// from a web page whose own name points to this machine.
    pub fn allow_host(mut self, name: impl Into<String>) -> Self {
        self.0.options.access.hosts.push(name.into());
        self
    }

    /// Allows webhooks on a host outside this machine; `*` allows all hosts. Defaults to loopback addresses only.
    pub fn allow_webhooks_to(mut self, host: impl Into<String>) -> Self {
        self.0.options.access.webhook_hosts.push(host.into());
        self
    }

    /// Sets whether the sandbox starts with a user `demo` and a verified agent `mybot`. [`Sandbox::demo`] returns their
    /// tokens. Defaults to `false`.
    pub fn demo(mut self, on: bool) -> Self {
        self.0.demo = on;
        self
    }

    /// Sets a folder for accounts, tokens, rooms, messages and runs. The next sandbox with this folder starts with this
    /// data, even if this one was killed. The sandbox creates the folder if necessary. By default the data is only in
    /// memory.
    ///
    /// Two sandboxes cannot use the same folder at the same time: the second one does not start.
    pub fn data(mut self, folder: impl Into<PathBuf>) -> Self {
        self.0.folder = Some(folder.into());
        self.0.resumed = None;
        self
    }

    /// Uses the data of a suspended sandbox, and its port unless [`port`](Builder::port) is called afterwards. The recorded
    /// events and requests stay with the old sandbox.
    pub fn resume(mut self, state: Suspended) -> Self {
        self.0.port = state.port();
        self.0.resumed = Some(state);
        self.0.folder = None;
        self
    }

    /// Starts the server. When this method returns, the server is listening.
    ///
    /// # Errors
    /// If the port is taken, the system starts no thread, or the folder of [`data`](Builder::data) is not usable. In
    /// the last case the error names the file and the line.
    pub fn start(self) -> io::Result<Sandbox> {
        let server = Server::start(self.0)?;
        let mut address = server.address;
        if address.ip().is_unspecified() {
            // The server listens on all addresses; use the loopback address to reach it.
            address.set_ip(match address.ip() {
                IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
                IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
            });
        }
        let url = format!("http://{address}");
        Ok(Sandbox { server, url })
    }
}
