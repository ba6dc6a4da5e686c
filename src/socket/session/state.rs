//! The state that all threads of a session share, under one lock.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::socket::connection::arrivals::last_events;
use crate::socket::disconnect::{Disconnect, reason};
use crate::socket::protocol::event::AckArgs;
use crate::socket::protocol::socket_io::Recovery;
use crate::socket::session::backoff::{self, Cause};
use crate::socket::session::connection::Connection;
use crate::socket::session::connection::decoder::Inbound;
use crate::socket::session::driver::Driver;
use crate::socket::session::ended::EndedConnections;
use crate::socket::session::policy::{DisconnectPolicy, Policy};
use crate::socket::session::queue::{EventQueue, Item};
use crate::socket::session::schedule::Scheduled;
use crate::socket::session::session_log::{SessionLog, note};
use crate::socket::session::subscriber::Subscriber;

/// The phase of the session.
#[derive(Debug, Clone)]
pub(crate) enum Phase {
    /// Connected: any thread may send.
    Up(Arc<Connection>),
    /// Connected, but the host is restoring its state: only the thread that has connected sends.
    Restoring(Arc<Connection>),
    /// Not connected: waiting for the next attempt, or connecting.
    Down,
    /// The session has sent the close and waits for the server's answer.
    Closing(Arc<Connection>),
    Closed,
}

/// The kind of a waiting thread, which decides which threads a change wakes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Waiter {
    Consumer,
    Other,
}

pub(crate) struct SessionState {
    pub(crate) phase: Phase,
    /// The agent is stopping: no thread waits any more. The session still sends data that it can send at once.
    pub(crate) stopped: bool,
    /// Counts connections. The session ignores results of older connections.
    pub(crate) generation: u64,
    /// A thread has the reader role.
    pub(crate) reading: bool,
    /// Nothing came for a moment. In a session that can be stopped, the background thread now reads for the threads
    /// that wait.
    pub(crate) quiet: bool,
    /// Counts how often a thread has given the role up.
    pub(crate) turns: u64,
    /// The background thread is awake and needs no notification.
    pub(crate) background_awake: bool,
    /// The session's own background thread runs.
    #[cfg(any(feature = "agents", crustocean_model))]
    pub(crate) own_thread: bool,
    /// Does the work of the background thread, for many sessions.
    pub(crate) driver: Option<Arc<dyn Driver>>,
    /// The driver reads slowly, because the queue is half full.
    #[cfg(any(feature = "agents", crustocean_model))]
    pub(crate) read_slowly: bool,
    /// A worker of the driver connects or sends for this session.
    pub(crate) has_worker: bool,
    pub(crate) background_gone: bool,
    /// The background thread sends, and cannot read meanwhile.
    pub(crate) background_sends: bool,
    /// The background thread is reading, and its read has no short time limit. Only an answer of the server wakes it
    /// soon.
    pub(crate) background_blocked: bool,
    /// The events that the session sends automatically.
    pub(crate) scheduled: Scheduled,
    /// The number of threads that wait for an event, and of threads that wait for something else.
    pub(crate) consumers: usize,
    pub(crate) others: usize,
    /// Counts data from connections.
    pub(crate) received: u64,
    /// When the last data came.
    pub(crate) received_at: Option<Instant>,
    /// A consumer must check other queues.
    pub(crate) woken: bool,
    /// The number of running helpers that will wake the consumers.
    pub(crate) helpers: usize,
    pub(crate) queue: EventQueue,
    /// The acks that threads wait for, and those of them that have arrived.
    pub(crate) acks: HashMap<u64, Option<AckArgs>>,
    pub(crate) subscribers: Vec<Subscriber>,
    pub(crate) next_id: u64,
    /// A batch for decoding, kept between reads.
    pub(crate) spare: Vec<Inbound>,
    /// The error that ended the session, for one consumer.
    pub(crate) failure: Option<Error>,
    pub(crate) retry_at: Instant,
    /// The attempts since the last stable connection, for the backoff.
    pub(crate) attempt: u32,
    /// The attempts since the connection was lost, for events.
    pub(crate) tries: u32,
    /// When the connection was lost.
    pub(crate) down_since: Option<Instant>,
    /// The reason why the session has ended, if not by `close`.
    ended_by: Option<String>,
    /// How many events the server may not have received over the connections that were lost since a connection was last
    /// up.
    pub(crate) lost_events: u64,
    /// `close` has begun, so it reports all events that are lost from now on.
    pub(crate) is_ending: bool,
    pub(crate) log: SessionLog,
    pub(crate) up_since: Instant,
    /// The refusals and the server errors since the last stable connection.
    refusals: u32,
    server_problems: u32,
    /// The last CONNECT was refused: connect with renewed credentials.
    pub(crate) refused: bool,
    policy: Policy,
    /// The private id of the server's session, if it can be recovered, and the offset of its last event.
    pub(crate) pid: Option<Box<str>>,
    pub(crate) offset: Option<Box<str>>,
    /// When the sessions of earlier connections end.
    pub(crate) ended: EndedConnections,
}

impl SessionState {
    pub(crate) fn new(queue: EventQueue, policy: Policy, log: SessionLog) -> Self {
        let now = deadline::now();
        SessionState {
            phase: Phase::Down,
            stopped: false,
            generation: 0,
            reading: false,
            quiet: false,
            turns: 0,
            background_awake: true,
            #[cfg(any(feature = "agents", crustocean_model))]
            own_thread: false,
            driver: None,
            #[cfg(any(feature = "agents", crustocean_model))]
            read_slowly: false,
            has_worker: false,
            background_gone: false,
            background_sends: false,
            background_blocked: false,
            scheduled: Scheduled::default(),
            consumers: 0,
            others: 0,
            received: 0,
            woken: false,
            helpers: 0,
            queue,
            acks: HashMap::new(),
            subscribers: Vec::new(),
            next_id: 0,
            spare: Vec::new(),
            failure: None,
            retry_at: now,
            attempt: 0,
            tries: 0,
            received_at: None,
            down_since: None,
            ended_by: None,
            lost_events: 0,
            is_ending: false,
            log,
            up_since: now,
            refusals: 0,
            server_problems: 0,
            refused: false,
            policy,
            pid: None,
            offset: None,
            ended: EndedConnections::default(),
        }
    }

    /// The data with which the server can replay missed events, if it supports this.
    pub(crate) fn recovery(&self) -> Option<Recovery> {
        Some(Recovery { pid: self.pid.clone()?, offset: self.offset.clone()? })
    }

    /// The connection to read from.
    pub(crate) fn connection(&self) -> Option<&Arc<Connection>> {
        match &self.phase {
            Phase::Up(connection) | Phase::Restoring(connection) | Phase::Closing(connection) => {
                Some(connection)
            }
            Phase::Down | Phase::Closed => None,
        }
    }

    /// Whether the session's own background thread must end, because a driver does its work. Long-polling always
    /// needs its own thread.
    pub(crate) fn is_driven(&self) -> bool {
        self.driver.is_some()
            && !matches!(self.phase, Phase::Closed)
            && !self.connection().is_some_and(|connection| connection.is_polling())
    }

    /// Notes whether the session's own background thread runs.
    pub(crate) fn set_own_thread(&mut self, runs: bool) {
        #[cfg(any(feature = "agents", crustocean_model))]
        {
            self.own_thread = runs;
        }
        let _ = runs;
    }

    /// Tells the driver that there may be items to take, or that the session is over.
    pub(crate) fn notify_driver_of_items(&self) {
        if let Some(driver) = &self.driver {
            driver.notify_consumers();
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        matches!(self.phase, Phase::Closing(_) | Phase::Closed)
    }

    /// Whether nothing more comes: the session is over or stopped.
    pub(crate) fn has_ended(&self) -> bool {
        matches!(self.phase, Phase::Closed) || self.stopped
    }

    /// The connection over which any thread may send, and its generation. `None` if the caller must wait for a
    /// connection.
    ///
    /// # Errors
    /// `Closed`.
    pub(crate) fn connection_if_up(&self) -> Result<Option<(Arc<Connection>, u64)>> {
        match &self.phase {
            Phase::Up(connection) => Ok(Some((Arc::clone(connection), self.generation))),
            Phase::Restoring(_) | Phase::Down => Ok(None),
            Phase::Closing(_) | Phase::Closed => Err(self.closed_error()),
        }
    }

    /// When a scheduled event must be sent, if one can be sent.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.scheduled.next_due().filter(|_| matches!(self.phase, Phase::Up(_)))
    }

    /// The error for an operation that starts after the end of the session.
    pub(crate) fn closed_error(&self) -> Error {
        match &self.ended_by {
            None => Error::closed(),
            Some(why) => {
                Error::new(ErrorKind::Closed, format!("the agent has ended ({why}): connect a new one"))
            }
        }
    }

    /// The error for an operation whose connection ended. The text starts with `what`, unless `close` ended the
    /// connection.
    pub(crate) fn interrupted(&self, what: &str) -> Error {
        if (self.is_closed() || self.stopped) && self.ended_by.is_none() {
            return Error::cut_off_by_close();
        }
        Error::new(ErrorKind::MaybeSent, format!("{what}: it may or may not have arrived"))
    }

    pub(crate) fn fresh_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    /// Ends the connection of this generation and schedules a reconnect. Returns `false` if it is not the current
    /// connection.
    pub(crate) fn lose(&mut self, generation: u64, end: Disconnect) -> bool {
        let Some(connection) = self.connection().filter(|_| generation == self.generation).cloned() else {
            return false;
        };
        connection.cut();
        // In the phase `Closing`, `close` counts these events.
        if !matches!(self.phase, Phase::Closing(_)) {
            self.lost_events = self.lost_events.saturating_add(connection.unconfirmed());
        }
        self.ended.note(generation, end.by_server, connection.silence());
        if self.is_closed() {
            self.phase = Phase::Closed;
            return true;
        }
        self.phase = Phase::Down;
        self.refused = false;
        self.tries = 0;
        self.down_since.get_or_insert_with(deadline::now);
        let unconfirmed = connection.unconfirmed();
        let not_arrived = if unconfirmed == 0 {
            String::new()
        } else {
            format!("; {} may not have arrived", last_events(unconfirmed))
        };
        if deadline::since(self.up_since) >= backoff::STABLE {
            self.attempt = 0;
            self.refusals = 0;
            self.server_problems = 0;
        }
        let by_server = end.reason == reason::SERVER_DISCONNECT;
        let cause = if by_server { Cause::ServerDisconnect } else { Cause::Lost };
        let stays_away = by_server && self.policy.disconnected == DisconnectPolicy::Stop;
        if stays_away || !self.policy.reconnect.allows(self.attempt) {
            let text = format!(
                "the connection was lost ({}: {}) and the crate does not reconnect",
                end.reason, end.detail
            );
            self.fail(Error::new(ErrorKind::Connect, text));
            return true;
        }
        let retry_in = self.schedule(cause, None);
        let Disconnect { reason, detail, .. } = &end;
        note!(
            self.log,
            Warn,
            "lost the connection ({reason}: {detail}), connecting again in {retry_in:.1?}{not_arrived}"
        );
        self.queue.push(Item::Disconnected { reason: end.reason, detail: end.detail, retry_in });
        true
    }

    /// An attempt to connect failed. Schedules the next one.
    pub(crate) fn connect_failed(&mut self, error: Error, cause: Cause) {
        let attempt = self.tries;
        let stays_away = cause == Cause::Refused && self.policy.refused == DisconnectPolicy::Stop;
        if stays_away || !self.policy.reconnect.allows(self.attempt) {
            self.fail(error);
            return;
        }
        let retry_in = self.schedule(cause, error.retry_after());
        note!(self.log, Warn, "cannot connect ({error}), trying again in {retry_in:.1?}");
        self.queue.push(Item::ConnectFailed { error, attempt, retry_in });
    }

    fn schedule(&mut self, cause: Cause, retry_after: Option<Duration>) -> Duration {
        // Refusals and problems of the server have their own counters. The other causes use the number of all attempts.
        let attempt = match cause {
            Cause::Refused => self.refusals,
            Cause::ServerProblem => self.server_problems,
            Cause::Lost | Cause::ServerDisconnect => self.attempt,
        };
        let retry_in = backoff::delay(attempt, cause, retry_after);
        self.refusals = self.refusals.saturating_add(u32::from(cause == Cause::Refused));
        self.server_problems = self.server_problems.saturating_add(u32::from(cause == Cause::ServerProblem));
        self.attempt = self.attempt.saturating_add(1);
        self.tries = self.tries.saturating_add(1);
        self.retry_at = deadline::after(retry_in);
        retry_in
    }

    /// Ends the session with an error for the consumer.
    pub(crate) fn fail(&mut self, error: Error) {
        if self.is_closed() {
            return;
        }
        if let Some(connection) = self.connection() {
            connection.cut();
        }
        note!(self.log, Warn, "the session has ended: {error}");
        self.ended_by = Some(error.to_string());
        self.failure = Some(error);
        self.phase = Phase::Closed;
    }
}
