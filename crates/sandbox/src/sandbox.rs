//! The handle on a running sandbox.

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
use crate::realtime::{disconnect, emit, steer};
use crate::routes::agents::HOSTED;
use crate::routes::claims;
use crate::server::{Config, Server};
use crate::store::claims::ClaimMail;
use crate::suspended::Suspended;

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

    /// What `CRUSTOCEAN_CONFIG_URL` is for agents that the platform hosts. What is served there are the keys `soul_md`,
    /// `config_yaml` and `skills` of the agent's configuration.
    #[must_use]
    pub fn hosted_config_url(&self) -> String {
        format!("{}{}", self.url, HOSTED)
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

    /// As [`Sandbox::stop`], and hands out the data so that another server can go on with them: as a server that is killed
    /// and started again. Deliveries that are under way are lost.
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
        Suspended::new(self.server.app.shared_data(), self.port())
    }

    /// Blocks for as long as the server runs.
    pub fn wait(&self) {
        self.server.wait();
    }

    /// Cuts every Socket.IO connection without a goodbye, as a failing network does.
    pub fn drop_links(&self) {
        let _runtime = self.server.runtime.enter();
        disconnect::cut_all(&self.server.app);
    }

    /// The whole server stands still for this long: it accepts, reads and answers nothing, and no connection ends. Returns
    /// when it has begun. A client that lets the heartbeats of a longer freeze go by is dropped afterwards.
    pub fn freeze(&self, time: Duration) {
        self.server.freeze(time);
    }

    /// Ends a [`freeze`](Sandbox::freeze) early.
    pub fn thaw(&self) {
        self.server.thaw();
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

    /// While on, `GET /api/agencies/{id}/messages` of this room, and its twin for direct messages, answer 403.
    pub fn history_forbidden(&self, agency_id: &str, on: bool) {
        self.server.app.faults().forbid_history(agency_id, on);
    }

    /// From now on the history shows JSON that `alter` makes of a message, as it is: something that does not follow the
    /// documentation, such as `null`, a number for a text, or half a surrogate pair.
    ///
    /// # Errors
    /// If there is no such agency or message, or what `alter` returns is no JSON at all.
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

    /// Messages are stamped by several clocks in turn, each so many milliseconds off. They are shown as they come; the
    /// history keeps them in that order, or if it is `sorted`, by their times. No offsets: one clock again.
    pub fn skew_clocks(&self, offsets_ms: &[i64], sorted: bool) {
        self.server.app.faults().set_clocks(offsets_ms, sorted);
    }

    /// Custom commands answer late: the ack holds a placeholder (`[spinner…`) and a `messageId`, and the text follows as
    /// `message-edited` after `delay`. [`Duration::ZERO`] ends it.
    pub fn slow_hooks(&self, delay: Duration) {
        self.server.app.faults().set_slow_hooks(delay);
    }

    /// The mails that were to go to people who want to claim an agent, oldest first.
    #[must_use]
    pub fn claims(&self) -> Vec<ClaimMail> {
        self.server.app.data().claims.mails.clone()
    }

    /// Opens the link in a claim mail, as its reader does, and gives the username of the agent that is claimed by it.
    ///
    /// # Errors
    /// If the link is `expired`, `invalid`, or its agent `already_claimed`.
    pub fn confirm_claim(&self, mail: &ClaimMail) -> io::Result<String> {
        claims::complete(&self.server.app, &mail.token)
            .map_err(|reason| io::Error::new(io::ErrorKind::InvalidInput, reason))
    }

    /// The links in all claim mails so far are too old from now on.
    pub fn expire_claims(&self) {
        self.server.app.data().claims.expire();
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

    /// The events that clients have sent, name and payload, oldest first. The last 10,000 are kept, and at most
    /// 16 MiB of them.
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

    /// The payload of the next event with this name that this has not returned before; waits for it if there is none
    /// yet.
    #[must_use]
    pub fn wait_for_event(&self, name: &str, timeout: Duration) -> Option<Value> {
        self.server.app.recorder().next(name, timeout)
    }

    /// The payloads of the first `count` recorded events with this name; fewer if they do not come in time.
    #[must_use]
    pub fn wait_for_events(&self, name: &str, count: usize, timeout: Duration) -> Vec<Value> {
        self.server.app.recorder().wait(name, count, timeout)
    }

    /// Sends an event to every socket that has joined an agency.
    pub fn emit_to_agency(&self, agency_id: &str, event: &str, payload: Value) {
        emit::emit_to_room(&self.server.app, agency_id, event, &payload);
    }

    /// As [`Sandbox::emit_to_agency`], with JSON text that goes out as it is. For payloads that the platform relays and
    /// a strict parser refuses, such as half a surrogate pair or hundreds of levels.
    ///
    /// # Errors
    /// If the text is no JSON at all.
    pub fn emit_raw_to_agency(&self, agency_id: &str, event: &str, json: &str) -> io::Result<()> {
        let payload = RawValue::from_string(json.to_owned())?;
        emit::emit_to_room(&self.server.app, agency_id, event, &payload);
        Ok(())
    }

    /// Somebody in the room interrupts a run: `stop`, or `adjust` with a message. Nothing happens if there is no such run.
    pub fn interrupt_run(&self, run_id: &str, action: &str, message: Option<&str>) {
        steer::interrupt(&self.server.app, run_id, action, message);
    }

    /// Somebody in the room answers what a run has asked: `approve` is a yes. Nothing happens if there is no such run.
    pub fn respond_permission(
        &self,
        run_id: &str,
        permission_id: &str,
        decision: &str,
        message: Option<&str>,
    ) {
        steer::answer(&self.server.app, run_id, permission_id, decision, message);
    }

    /// The faults that there are, one a line.
    pub const FAULTS: &'static str = fault::HELP;

    /// Makes the sandbox misbehave, as `--fault` and `POST /_sandbox/fault` do: one or several faults such as
    /// `"latency=80ms,drop-links-every=30s"`; `"off"` ends them all. The README lists them.
    ///
    /// # Errors
    /// If there is no such fault or its value is none; the error says what there is.
    pub fn fault(&self, faults: &str) -> io::Result<()> {
        let invalid = |error| io::Error::new(io::ErrorKind::InvalidInput, error);
        let _runtime = self.server.runtime.enter();
        for fault in Fault::parse_all(faults).map_err(invalid)? {
            fault.apply(&self.server.app).map_err(invalid)?;
        }
        Ok(())
    }

    /// Writes what people and agents say from now on into a file, as a [`Script`](crate::Script): people's lines to be
    /// played again, agents' lines as what is expected. Ends when the recording is dropped; the file is up to date at
    /// every moment.
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

    /// What agents have told of their runs, and of thinking, against the documented form or order. The last 1,000.
    #[must_use]
    pub fn run_violations(&self) -> Vec<String> {
        self.server.app.data().run_rules.violations()
    }

    /// Sends an event to every socket of a user or an agent.
    pub fn emit_to_user(&self, user_id: &str, event: &str, payload: Value) {
        emit::emit_to_user(&self.server.app, user_id, event, &payload);
    }
}

/// A script that is being written: see [`Sandbox::record`].
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
    /// Settings by their names, such as `"ping-interval=5s,session-ttl=1h"`: what `--set` takes on the command line. They
    /// are called like the methods here, with hyphens: `ping-interval`, `ping-timeout`, `session-ttl`,
    /// `metadata-as-string`, `webhook-timeout`, `retry-delay`, `claim-ttl`, `rate-limits`, `metrics-secret`,
    /// `truncate-content`, `max-messages`, `max-waiting`.
    ///
    /// # Errors
    /// If there is no such setting, or its value is none.
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

    /// How long a webhook may take to answer. Defaults to 15 s.
    pub fn webhook_timeout(mut self, timeout: Duration) -> Self {
        self.0.options.webhook_timeout = timeout;
        self
    }

    /// The pause before a failed delivery to a webhook subscription is tried again; it doubles with each of the 3 new
    /// attempts. Defaults to 1 s.
    pub fn retry_delay(mut self, delay: Duration) -> Self {
        self.0.options.retry_delay = delay;
        self
    }

    /// How long the link in a claim mail is good. Defaults to an hour.
    pub fn claim_ttl(mut self, ttl: Duration) -> Self {
        self.0.options.claim_ttl = ttl;
        self
    }

    /// Whether register, login, bootstrap and agent registration are limited to 10 requests a minute each, as on the
    /// platform. Off by default.
    pub fn rate_limits(mut self, on: bool) -> Self {
        self.0.options.rate_limits = on;
        self
    }

    /// What `/metrics` asks for, as `?key=` or `X-Metrics-Key`. By default it is open.
    pub fn metrics_secret(mut self, secret: impl Into<String>) -> Self {
        self.0.options.metrics_secret = Some(secret.into());
        self
    }

    /// Messages and edits of clients are cut after so many characters, without a word. By default they are kept whole.
    pub fn truncate_content(mut self, characters: usize) -> Self {
        self.0.options.truncate_content = Some(characters);
        self
    }

    /// How many messages a room keeps; the oldest go. Defaults to 10,000. Besides, no room keeps more than 16 MiB.
    pub fn max_messages(mut self, count: usize) -> Self {
        self.0.options.max_messages = count;
        self
    }

    /// How many bytes may wait for one client that does not read; with more, it is cut. Defaults to 64 MiB.
    pub fn max_waiting(mut self, bytes: usize) -> Self {
        self.0.options.max_waiting = bytes;
        self
    }

    /// The address to listen on. Defaults to 127.0.0.1. With any other one, everybody who reaches it may do everything.
    pub fn host(mut self, address: IpAddr) -> Self {
        self.0.host = address;
        self
    }

    /// A further name by which this server may be called, such as that of its container. Requests for other names are
    /// refused with 403: they come from a web page that has pointed its own name at this machine. `localhost`, IP
    /// addresses and names under `.localhost` and `.test` are allowed anyway.
    pub fn allow_host(mut self, name: impl Into<String>) -> Self {
        self.0.options.access.hosts.push(name.into());
        self
    }

    /// A host outside this machine that webhooks may be on; `*` stands for all. By default only loopback addresses are
    /// called.
    pub fn allow_webhooks_to(mut self, host: impl Into<String>) -> Self {
        self.0.options.access.webhook_hosts.push(host.into());
        self
    }

    /// Begins with a user `demo` and a verified agent `mybot`, whose tokens [`Sandbox::demo`] gives. Off by default.
    pub fn demo(mut self, on: bool) -> Self {
        self.0.demo = on;
        self
    }

    /// A folder that keeps accounts, tokens, rooms, messages and runs: the next sandbox with this folder begins with
    /// them, also when this one was killed. It is made if need be. By default everything is in memory only.
    ///
    /// Two sandboxes cannot share a folder: the second one does not start.
    pub fn data(mut self, folder: impl Into<PathBuf>) -> Self {
        self.0.folder = Some(folder.into());
        self.0.resumed = None;
        self
    }

    /// Goes on with the data of a suspended sandbox, on its port unless [`port`](Builder::port) is called after this. What
    /// clients sent to the old one stays on its own record.
    pub fn resume(mut self, state: Suspended) -> Self {
        self.0.port = state.port();
        self.0.resumed = Some(state);
        self.0.folder = None;
        self
    }

    /// Starts the server; it listens when this returns.
    ///
    /// # Errors
    /// If the port is taken, no thread can be started, or the folder of [`data`](Builder::data) cannot be used: the error
    /// names the file and the line.
    pub fn start(self) -> io::Result<Sandbox> {
        let server = Server::start(self.0)?;
        let mut address = server.address;
        if address.ip().is_unspecified() {
            // Listens everywhere: this is how it is reached from here.
            address.set_ip(match address.ip() {
                IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
                IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
            });
        }
        let url = format!("http://{address}");
        Ok(Sandbox { server, url })
    }
}
