//! The confirmed send. This module sends a message and finds out whether the message is in the room.

use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;

use crate::agent::event::error_event_text;
use crate::agent::history::{HistoryPosition, fetch};
use crate::agent::inner::AgentInner;
use crate::agent::send::metadata_support::MetadataSupport;
use crate::agent::send::outgoing::{Outgoing, POST_ID};
use crate::agent::send::same_text::{MIN_CUT, is_same_text};
use crate::deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::model::{AgencyId, Message};
use crate::socket::{Filter, Needle, RawEvent, SessionId, SessionSubscription};

/// A message to send and confirm.
pub(super) struct Post<'a> {
    pub(super) agent: &'a AgentInner,
    pub(super) room: &'a AgencyId,
    /// Contains the post id.
    pub(super) message: &'a Outgoing,
    /// The value that identifies this message.
    pub(super) post_id: &'a str,
    /// The position in the room's history after which the message can be.
    pub(super) since: HistoryPosition,
    pub(super) dm: bool,
}

/// A message that may be in the room or may still arrive there. The crate must find out before it sends the message
/// again.
#[derive(Debug, Clone)]
pub(super) struct MaybeSent {
    /// The position in the room's history after which the message can be.
    since: HistoryPosition,
    /// The time from which the message can no longer arrive. Set if the message's connection is gone.
    over_at: Option<Instant>,
    /// The session and the connection that the message was sent over.
    sent_on: (SessionId, u64),
}

/// Why the message was not seen in the room.
pub(super) struct Failed {
    pub(super) error: Error,
    /// Set if the message may be in the room nevertheless.
    pub(super) maybe_sent: Option<MaybeSent>,
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Failed { error, maybe_sent: None }
    }
}

/// How long to wait for the echo after an `error` event. The event does not say which call failed. If another call
/// failed, the echo of this message follows soon.
const ERROR_GRACE: Duration = Duration::from_millis(500);
/// The longest wait before a message is sent again, even if the server has announced longer times.
const MAX_WAIT: Duration = Duration::from_secs(120);

impl Post<'_> {
    /// Sends the message and waits until the room shows it.
    ///
    /// # Errors
    /// - `NotSent`: the message is not in the room.
    /// - `Rejected`: the server sent an `error` event, and the room did not show the message.
    /// - `Timeout`: the connection is good, but the room did not show the message in time.
    /// - `MaybeSent`: the connection broke, and the message may have arrived or may still arrive.
    pub(super) fn run(mut self) -> Result<Message, Failed> {
        let payload = self.message.payload(self.room)?;
        let until = deadline::after(self.agent.options.send_timeout);
        let (connection, subscription) = loop {
            let connection = self.agent.session.connection(until)?;
            let subscription = connection.subscribe_to(self.needle(), self.echo_filter());
            match connection.emit("send-message", &payload) {
                Ok(()) => break (connection, subscription),
                // The connection was lost before the send. The next connection may carry the message.
                Err(error) if error.kind() == ErrorKind::NotSent && Instant::now() < until => {}
                Err(error) if error.kind() == ErrorKind::MaybeSent => {
                    drop(subscription);
                    return self.recover(connection.generation);
                }
                Err(error) if error.may_have_been_sent() => {
                    return Err(self.may_have_been_sent(connection.generation, error));
                }
                Err(error) => return Err(error.into()),
            }
        };
        let generation = connection.generation;
        let mut deadline = deadline::after(self.agent.options.post_timeout);
        let mut server_error = None;
        let mut same_text: Option<Message> = None;
        loop {
            match subscription.next(deadline) {
                Ok(Some(event)) if event.name() == "error" => {
                    if server_error.is_none() {
                        server_error = Some(error_event_text(&event));
                        deadline = deadline.min(deadline::after(ERROR_GRACE));
                    }
                }
                Ok(Some(event)) => {
                    let message: Message = read(&event)?;
                    match self.compare(&message) {
                        Some(Match::Id) => {
                            connection.confirm();
                            self.agent.metadata_support.learn(MetadataSupport::KEPT);
                            return Ok(message);
                        }
                        // Another thread of this agent may have sent the same text. Then the echo of this message
                        // follows.
                        Some(Match::Text) if !self.agent.metadata_support.is(MetadataSupport::KEPT) => {
                            if self.agent.metadata_support.is(MetadataSupport::DROPPED) {
                                return Ok(message);
                            }
                            deadline = deadline.min(deadline::after(ERROR_GRACE));
                            same_text.get_or_insert(message);
                        }
                        Some(Match::Text) | None => {}
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    drop(subscription);
                    return if error.is_closed() {
                        Err(self.may_have_been_sent(generation, Error::cut_off_by_close()))
                    } else {
                        self.recover(generation)
                    };
                }
            }
        }
        if let Some(message) = same_text {
            self.agent.metadata_support.learn(MetadataSupport::DROPPED);
            return Ok(message);
        }
        Err(match server_error {
            Some(said) => {
                let text = format!("the server refused the message: {said}");
                Error::new(ErrorKind::Rejected, text).with_server_message(said).into()
            }
            None => {
                let limit = self.agent.options.post_timeout;
                let text = format!(
                    "the message was sent, but the room did not show it within {limit:?}: it may still appear; \
                     agent.repost(..) with the error's `unsent()` finds out and sends only what is missing"
                );
                self.may_have_been_sent(generation, Error::timeout(text))
            }
        })
    }

    /// The text that each message of this agent contains: the agent's user id.
    fn needle(&self) -> Needle {
        Needle { event: "message", text: self.agent.me.id.as_str().into() }
    }

    /// Continues a post that may have been sent: looks for the message, waits until the message cannot arrive any more,
    /// looks again, and sends a missing message again.
    ///
    /// # Errors
    /// The errors of [`run`](Post::run).
    pub(super) fn resume(mut self, maybe_sent: &MaybeSent) -> Result<Message, Failed> {
        self.since = maybe_sent.since.clone();
        let (session, generation) = maybe_sent.sent_on;
        // The connection may have broken since the post ended.
        let since_then =
            || self.agent.session.over_at(generation).filter(|_| session == self.agent.session.id());
        let over_at = maybe_sent.over_at.or_else(since_then).unwrap_or_else(Instant::now);
        let wait_until = over_at.min(deadline::after(MAX_WAIT));
        match self.find_until_over(over_at, wait_until) {
            Ok(Some(message)) => Ok(message),
            Ok(None) => self.run(),
            Err(error) => Err(Failed { error, maybe_sent: Some(maybe_sent.clone()) }),
        }
    }

    /// The connection broke after the send. Looks for the message in the room over the next connection.
    fn recover(&mut self, generation: u64) -> Result<Message, Failed> {
        // The session has no end time yet while the connection is still being closed.
        let over_at = self.agent.session.over_at(generation).unwrap_or_else(|| deadline::after(MAX_WAIT));
        let wait_until = over_at.min(deadline::after(self.agent.options.post_timeout));
        match self.find_until_over(over_at, wait_until) {
            Ok(Some(message)) => Ok(message),
            Ok(None) => Err(Failed::from(Error::new(
                ErrorKind::NotSent,
                "the connection broke before the message reached the room: the message is not in the room",
            ))),
            Err(error) => Err(self.maybe_sent(generation, Some(over_at), error)),
        }
    }

    /// Looks for the message in the room until `over_at`, the time from which the message cannot arrive any more.
    /// Returns `None` if the message is not in the room then.
    ///
    /// # Errors
    /// `MaybeSent` if the history cannot be read, or if `wait_until` ends before `over_at`; `Closed`.
    fn find_until_over(&mut self, over_at: Instant, wait_until: Instant) -> Result<Option<Message>> {
        // Subscribe before the first look, so that a late echo is not missed.
        let subscription = self.agent.session.subscribe(self.echo_filter());
        let back_by = deadline::after(self.agent.options.send_timeout);
        loop {
            let is_over = Instant::now() >= over_at;
            if let Some(message) = self.find_in_history(back_by)? {
                return Ok(Some(message));
            }
            if is_over {
                return Ok(None);
            }
            if let Some(message) = self.wait_for_echo(&subscription, wait_until)? {
                return Ok(Some(message));
            }
            if Instant::now() >= wait_until && wait_until < over_at {
                return Err(Error::new(
                    ErrorKind::MaybeSent,
                    "the connection broke, and the message is not in the room, but may still arrive: \
                     agent.repost(..) waits until it cannot arrive any more and then looks in the room",
                ));
            }
        }
    }

    /// Waits for the room to show the message, over any connection.
    ///
    /// # Errors
    /// `Closed`.
    fn wait_for_echo(&self, subscription: &SessionSubscription, until: Instant) -> Result<Option<Message>> {
        loop {
            match subscription.next(until) {
                Ok(Some(event)) if event.name() == "error" => {}
                Ok(Some(event)) => {
                    let Ok(message) = read::<Message>(&event) else { continue };
                    match self.compare(&message) {
                        Some(Match::Id) => return Ok(Some(message)),
                        // The history shows more reliably whether this is the same message.
                        Some(Match::Text) if !self.agent.metadata_support.is(MetadataSupport::KEPT) => {
                            return Ok(None);
                        }
                        Some(Match::Text) | None => {}
                    }
                }
                Ok(None) => return Ok(None),
                Err(error) if error.is_closed() => return Err(Error::cut_off_by_close()),
                Err(error) => return Err(unknown_outcome(error)),
            }
        }
    }

    /// Looks for the message in the room's history. Waits until `back_by` for a connection.
    ///
    /// # Errors
    /// `MaybeSent` if the history cannot be read; `Closed`.
    fn find_in_history(&mut self, back_by: Instant) -> Result<Option<Message>> {
        let AgentInner { session, client, me, .. } = self.agent;
        let (me, post_id, text) = (me.id.as_str(), self.post_id, self.message.text());
        let old = |message: &Message| match &self.since {
            HistoryPosition::Time(bound) => {
                message.created_at.to_system_time().is_some_and(|time| time < *bound)
            }
            HistoryPosition::Beginning | HistoryPosition::Unknown => false,
        };
        let same = |message: &Message| compare(message, me, post_id, text) == Some(Match::Id);
        let by_text = !self.agent.metadata_support.is(MetadataSupport::KEPT);
        let found = |message: &Message| match compare(message, me, post_id, text) {
            Some(Match::Id) => true,
            Some(Match::Text) => by_text && !old(message),
            None => false,
        };
        let history = loop {
            // Without a connection the history most likely cannot be read either.
            session.connection(back_by).map_err(unknown_outcome)?;
            let enough = |message: &Message| old(message) || same(message);
            let fetched = fetch::with_retries(
                || fetch::walk_back(client, self.room, &mut self.dm, enough),
                |pause, error| {
                    if !session.is_up() {
                        // After the next reconnect, the loop reads the history again.
                        return Err(error);
                    }
                    session.pause(pause);
                    Ok(())
                },
            );
            match fetched {
                Err(error) if fetch::is_temporary(&error) && Instant::now() < back_by => {}
                other => break other.map_err(unknown_outcome)?,
            }
        };
        let place = history.iter().rposition(same).or_else(|| history.iter().rposition(found));
        Ok(place.and_then(|place| history.into_iter().nth(place)))
    }

    fn may_have_been_sent(&self, generation: u64, error: Error) -> Failed {
        self.maybe_sent(generation, self.agent.session.over_at(generation), error)
    }

    fn maybe_sent(&self, generation: u64, over_at: Option<Instant>, error: Error) -> Failed {
        let sent_on = (self.agent.session.id(), generation);
        Failed { error, maybe_sent: Some(MaybeSent { since: self.since.clone(), over_at, sent_on }) }
    }

    fn compare(&self, message: &Message) -> Option<Match> {
        compare(message, self.agent.me.id.as_str(), self.post_id, self.message.text())
    }

    /// Returns a filter that passes the echo and `error` events.
    fn echo_filter(&self) -> Filter {
        let (me, post_id, text) =
            (self.agent.me.id.clone(), self.post_id.to_owned(), self.message.text().to_owned());
        let room = self.room.clone();
        let text_has_key = text.contains(POST_ID);
        Box::new(move |event| match event.name() {
            // Other messages of this agent have another post id. The filter does not decode them.
            "message"
                if !text_has_key && event.args().contains(POST_ID) && !event.args().contains(&post_id) =>
            {
                false
            }
            "message" => event.first().is_ok_and(|message: Message| {
                message.agency_id == room && compare(&message, me.as_str(), &post_id, &text).is_some()
            }),
            name => name == "error",
        })
    }
}

/// The error for a history that cannot be read.
fn unknown_outcome(why: Error) -> Error {
    if why.is_closed() {
        return Error::cut_off_by_close();
    }
    let text = format!(
        "the connection broke, and the message may or may not have arrived: {why}; agent.repost(..) looks before it \
         sends it again"
    );
    Error::new(ErrorKind::MaybeSent, text).with_source(why)
}

/// How a message matches the sent message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Match {
    /// The message has the same post id.
    Id,
    /// The message has no post id and has the same text.
    Text,
}

/// Compares a message with the sent message: by post id, or by text if the server drops unknown metadata.
fn compare(message: &Message, me: &str, post_id: &str, text: &str) -> Option<Match> {
    if message.sender_id != me {
        return None;
    }
    match message.metadata.get(POST_ID) {
        Some(found) => (found == post_id).then_some(Match::Id),
        None => is_same_text(&message.content, text, MIN_CUT).then_some(Match::Text),
    }
}

fn read<T: DeserializeOwned>(event: &RawEvent) -> Result<T> {
    event.first().map_err(|error| Error::protocol("cannot read the room's message").with_source(error))
}
