//! The confirmed send: it ends when the message has been seen in the room, or certainly is not there.

use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;

use crate::agent::backfill;
use crate::agent::event::complaint_of;
use crate::agent::history::Since;
use crate::agent::send::outgoing::{Outgoing, POST_MARK};
use crate::deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::model::{AgencyId, Message, User};
use crate::rest::Client;
use crate::socket::{Filter, Needle, RawEvent, Session, SessionId, SessionSubscription};

/// One message on its way.
pub(crate) struct Post<'a> {
    pub(crate) session: &'a Session,
    pub(crate) client: &'a Client,
    pub(crate) me: &'a User,
    pub(crate) room: &'a AgencyId,
    /// Carries the mark.
    pub(crate) message: &'a Outgoing,
    /// A name of its own for this message.
    pub(crate) mark: &'a str,
    /// From where on it can be in the room's history, and where that is.
    pub(crate) since: Since,
    pub(crate) dm: bool,
    pub(crate) marks: &'a Marks,
    pub(crate) send_timeout: Duration,
    /// How long the room may take to show it.
    pub(crate) echo_timeout: Duration,
}

/// What has to be settled before the message may be sent again: it may be in the room, or arrive there still.
#[derive(Debug, Clone)]
pub(crate) struct Doubt {
    /// From where on it can be in the room's history.
    since: Since,
    /// From when on it cannot arrive any more, if it went over a connection that is over.
    over_at: Option<Instant>,
    /// The connection that it went over, and of which session.
    sent_on: (SessionId, u64),
}

/// Why the message was not seen in the room.
pub(crate) struct Failed {
    pub(crate) error: Error,
    /// If it may be there nevertheless.
    pub(crate) doubt: Option<Doubt>,
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Failed { error, doubt: None }
    }
}

/// A complaint of the server says nothing about what it is about. An echo that comes after all is not far behind.
const DOUBT: Duration = Duration::from_millis(500);
/// No server may keep a message waiting for longer than this before it is sent again.
const LONGEST_WAIT: Duration = Duration::from_secs(120);

impl Post<'_> {
    /// Sends it and waits until it is seen in the room.
    ///
    /// # Errors
    /// `NotSent`: certainly not in the room. `Rejected`: the server's words. `Timeout`: the connection lives, but nothing was
    /// seen in time. `MaybeSent`: the connection broke, and it is not known whether the message has arrived or will.
    pub(crate) fn run(mut self) -> Result<Message, Failed> {
        let payload = self.message.payload(self.room)?;
        let until = deadline::after(self.send_timeout);
        let (up, watching) = loop {
            let up = self.session.connection(until)?;
            let watching = up.subscribe_to(self.needle(), self.echo_filter());
            match up.emit("send-message", &payload) {
                Ok(()) => break (up, watching),
                // The connection was over before: the next one may take it.
                Err(error) if error.kind() == ErrorKind::NotSent && Instant::now() < until => {}
                Err(error) if error.kind() == ErrorKind::MaybeSent => {
                    drop(watching);
                    return self.settle(up.generation);
                }
                Err(error) if error.may_have_been_sent() => return Err(self.in_doubt(up.generation, error)),
                Err(error) => return Err(error.into()),
            }
        };
        let generation = up.generation;
        let mut deadline = deadline::after(self.echo_timeout);
        let mut said = None;
        let mut alike: Option<Message> = None;
        loop {
            match watching.next(deadline) {
                Ok(Some(event)) if event.name() == "error" => {
                    if said.is_none() {
                        said = Some(complaint_of(&event));
                        deadline = deadline.min(deadline::after(DOUBT));
                    }
                }
                Ok(Some(event)) => {
                    let message: Message = read(&event)?;
                    match self.is_it(&message) {
                        Some(Likeness::Same) => {
                            up.confirm();
                            self.marks.learn(Marks::CARRIED);
                            return Ok(message);
                        }
                        // The same words, said by another thread of this agent? If so, ours is about to come.
                        Some(Likeness::Alike) if !self.marks.are(Marks::CARRIED) => {
                            if self.marks.are(Marks::LOST) {
                                return Ok(message);
                            }
                            deadline = deadline.min(deadline::after(DOUBT));
                            alike.get_or_insert(message);
                        }
                        Some(Likeness::Alike) | None => {}
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    drop(watching);
                    return if error.is_closed() {
                        Err(self.in_doubt(generation, Error::cut_off_by_close()))
                    } else {
                        self.settle(generation)
                    };
                }
            }
        }
        if let Some(message) = alike {
            self.marks.learn(Marks::LOST);
            return Ok(message);
        }
        Err(match said {
            Some(said) => {
                let text = format!("the server does not take the message: {said}");
                Error::new(ErrorKind::Rejected, text).with_server_message(said).into()
            }
            None => {
                let limit = self.echo_timeout;
                let text = format!(
                    "the message was sent, but not seen in the room within {limit:?}: it may still come"
                );
                self.in_doubt(generation, Error::timeout(text))
            }
        })
    }

    /// Our own messages name us.
    fn needle(&self) -> Needle {
        Needle { event: "message", text: self.me.id.as_str().into() }
    }

    /// Takes up a post that ended in doubt: looks whether the message is there, waits until it cannot arrive any more,
    /// looks again, and sends it again if it is not there.
    ///
    /// # Errors
    /// As [`run`](Post::run).
    pub(crate) fn resume(mut self, doubt: &Doubt) -> Result<Message, Failed> {
        self.since = doubt.since.clone();
        let (session, generation) = doubt.sent_on;
        // If the connection was there, it may have broken since.
        let since_then = || self.session.over_at(generation).filter(|_| session == self.session.id());
        let over_at = doubt.over_at.or_else(since_then).unwrap_or_else(Instant::now);
        let patience = over_at.min(deadline::after(LONGEST_WAIT));
        match self.look_until_over(over_at, patience) {
            Ok(Some(message)) => Ok(message),
            Ok(None) => self.run(),
            Err(error) => Err(Failed { error, doubt: Some(doubt.clone()) }),
        }
    }

    /// The connection broke after the message may have left. Once there is a new one, the room shows whether it is there.
    fn settle(&mut self, generation: u64) -> Result<Message, Failed> {
        // A connection that is being closed is still there.
        let over_at = self.session.over_at(generation).unwrap_or_else(|| deadline::after(LONGEST_WAIT));
        let patience = over_at.min(deadline::after(self.echo_timeout));
        match self.look_until_over(over_at, patience) {
            Ok(Some(message)) => Ok(message),
            Ok(None) => Err(Failed::from(Error::new(
                ErrorKind::NotSent,
                "the connection broke before the message reached the room: it is certainly not there",
            ))),
            Err(error) => {
                let sent_on = (self.session.id(), generation);
                let doubt = Doubt { since: self.since.clone(), over_at: Some(over_at), sent_on };
                Err(Failed { error, doubt: Some(doubt) })
            }
        }
    }

    /// Looks for the message in the room until `over_at`, when it cannot arrive any more. `None` if it is not there
    /// then.
    ///
    /// # Errors
    /// `MaybeSent` if that cannot be told, or not before `patience` ends; `Closed`.
    fn look_until_over(&mut self, over_at: Instant, patience: Instant) -> Result<Option<Message>> {
        // From before the first look on: what comes late is shown like anything else.
        let watching = self.session.subscribe(self.echo_filter());
        let back_by = deadline::after(self.send_timeout);
        loop {
            let is_over = Instant::now() >= over_at;
            if let Some(message) = self.look(back_by)? {
                return Ok(Some(message));
            }
            if is_over {
                return Ok(None);
            }
            if let Some(message) = self.listen(&watching, patience)? {
                return Ok(Some(message));
            }
            if Instant::now() >= patience && patience < over_at {
                return Err(Error::new(
                    ErrorKind::MaybeSent,
                    "the connection broke, and the message is not in the room, but may still arrive: \
                     agent.repost(..) waits until it cannot and looks again",
                ));
            }
        }
    }

    /// Waits for the room to show the message, over whatever connection.
    ///
    /// # Errors
    /// `Closed`.
    fn listen(&self, watching: &SessionSubscription, until: Instant) -> Result<Option<Message>> {
        loop {
            match watching.next(until) {
                Ok(Some(event)) if event.name() == "error" => {}
                Ok(Some(event)) => {
                    let Ok(message) = read::<Message>(&event) else { continue };
                    match self.is_it(&message) {
                        Some(Likeness::Same) => return Ok(Some(message)),
                        // The history tells better whether that is ours.
                        Some(Likeness::Alike) if !self.marks.are(Marks::CARRIED) => return Ok(None),
                        Some(Likeness::Alike) | None => {}
                    }
                }
                Ok(None) => return Ok(None),
                Err(error) if error.is_closed() => return Err(Error::cut_off_by_close()),
                Err(error) => return Err(cannot_be_told(error)),
            }
        }
    }

    /// Looks for the message in the room's history, over a connection that is there by `back_by`.
    ///
    /// # Errors
    /// `MaybeSent` if the history cannot be read; `Closed`.
    fn look(&mut self, back_by: Instant) -> Result<Option<Message>> {
        let (me, mark, text) = (self.me.id.as_str(), self.mark, self.message.text());
        let old = |message: &Message| match &self.since {
            Since::Time(bound) => message.created_at.to_system_time().is_some_and(|time| time < *bound),
            Since::Beginning | Since::Unknown => false,
        };
        let same = |message: &Message| is_it(message, me, mark, text) == Some(Likeness::Same);
        let by_words = !self.marks.are(Marks::CARRIED);
        let found = |message: &Message| match is_it(message, me, mark, text) {
            Some(Likeness::Same) => true,
            Some(Likeness::Alike) => by_words && !old(message),
            None => false,
        };
        let history = loop {
            // Without a connection there is most likely no history to be had either.
            self.session.connection(back_by).map_err(cannot_be_told)?;
            let fetched = backfill::patiently(self.session, || {
                backfill::walk_back(self.client, self.room, &mut self.dm, |message| {
                    old(message) || same(message)
                })
            });
            match fetched {
                Err(error) if backfill::is_passing(&error) && Instant::now() < back_by => {}
                other => break other.map_err(cannot_be_told)?,
            }
        };
        let place = history.iter().rposition(same).or_else(|| history.iter().rposition(found));
        Ok(place.and_then(|place| history.into_iter().nth(place)))
    }

    fn in_doubt(&self, generation: u64, error: Error) -> Failed {
        let over_at = self.session.over_at(generation);
        let doubt = Doubt { since: self.since.clone(), over_at, sent_on: (self.session.id(), generation) };
        Failed { error, doubt: Some(doubt) }
    }

    fn is_it(&self, message: &Message) -> Option<Likeness> {
        is_it(message, self.me.id.as_str(), self.mark, self.message.text())
    }

    /// Lets the echo through, and complaints.
    fn echo_filter(&self) -> Filter {
        let (me, mark, text) = (self.me.id.clone(), self.mark.to_owned(), self.message.text().to_owned());
        let room = self.room.clone();
        let says_mark = text.contains(POST_MARK);
        Box::new(move |event| match event.name() {
            // Another message of ours is not decoded: it has another mark.
            "message" if !says_mark && event.args().contains(POST_MARK) && !event.args().contains(&mark) => {
                false
            }
            "message" => event.first().is_ok_and(|message: Message| {
                message.agency_id == room && is_it(&message, me.as_str(), &mark, &text).is_some()
            }),
            name => name == "error",
        })
    }
}

/// The history that would tell cannot be read.
fn cannot_be_told(why: Error) -> Error {
    if why.is_closed() {
        return Error::cut_off_by_close();
    }
    let text = format!(
        "the connection broke, and whether the message arrived cannot be told: {why}; agent.repost(..) looks before it \
         sends it again"
    );
    Error::new(ErrorKind::MaybeSent, text).with_source(why)
}

/// 128 random bits: another bot's mark, or one of another run, is not met.
pub(crate) fn new_mark() -> String {
    let random = || {
        getrandom::u64().unwrap_or_else(|_| {
            // Without randomness from the system the time has to do; the text is compared as well.
            std::time::SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_nanos() as u64)
        })
    };
    format!("{:016x}{:016x}", random(), random())
}

/// Whether this server carries metadata that it does not know, as far as it has shown.
#[derive(Debug, Default)]
pub(crate) struct Marks(AtomicU8);

impl Marks {
    const CARRIED: u8 = 1;
    const LOST: u8 = 2;

    fn are(&self, what: u8) -> bool {
        self.0.load(Ordering::Relaxed) == what
    }

    fn learn(&self, what: u8) {
        self.0.store(what, Ordering::Relaxed);
    }
}

/// How much a message is like ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Likeness {
    /// It has our mark.
    Same,
    /// It has no mark, and our words.
    Alike,
}

/// Is that our message? By its mark; and where a server does not carry unknown metadata, by its text.
fn is_it(message: &Message, me: &str, mark: &str, text: &str) -> Option<Likeness> {
    if message.sender_id != me {
        return None;
    }
    match message.metadata.get(POST_MARK) {
        Some(found) => (found == mark).then_some(Likeness::Same),
        None => same_words(&message.content, text, SHORTEST_CUT).then_some(Likeness::Alike),
    }
}

/// Nobody cuts a text off before so many bytes.
const SHORTEST_CUT: usize = 100;

/// Whether that is our text as a server may show it: with other white space, or cut off after `shortest` bytes or
/// more.
pub(crate) fn same_words(seen: &str, sent: &str, shortest: usize) -> bool {
    if seen == sent || seen.split_whitespace().eq(sent.split_whitespace()) {
        return true;
    }
    let stem = seen.trim_end();
    let stem =
        ["…(truncated)", "...", "…"].iter().find_map(|end| stem.strip_suffix(end)).unwrap_or(stem).trim_end();
    !stem.is_empty() && stem.len() >= shortest && sent.starts_with(stem)
}

fn read<T: DeserializeOwned>(event: &RawEvent) -> Result<T> {
    event.first().map_err(|error| Error::protocol("cannot read the room's message").with_source(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_words_again() {
        let long = "word ".repeat(100);
        let cut = |end: &str| format!("{}{end}", long.split_at(203).0);
        assert!(same_words("a b", "a b", 100) && same_words("a\nb", "a  b", 100));
        for end in ["", "…", "...", " …(truncated)"] {
            assert!(same_words(&cut(end), &long, 100), "{end}");
        }
        assert!(!same_words("word", &long, 100) && same_words("word…", &long, 1));
        assert!(!same_words("", "a", 1) && !same_words("…", "a", 0) && !same_words("b", "a", 0));
        assert!(!same_words("word word", "word", 0), "longer is another");
    }
}
