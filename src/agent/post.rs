//! The confirmed send: it ends when the message has been seen in the room, or certainly is not there.

use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use crate::agent::backfill;
use crate::agent::event::complaint;
use crate::agent::history::Since;
use crate::agent::outgoing::{Outgoing, POST_MARK};
use crate::deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::json::Read;
use crate::model::{AgencyId, Message, User};
use crate::rest::Client;
use crate::socket::{Filter, Needle, RawEvent, Session};

/// One message on its way.
pub(crate) struct Post<'a> {
    pub(crate) session: &'a Session,
    pub(crate) client: &'a Client,
    pub(crate) me: &'a User,
    pub(crate) room: &'a AgencyId,
    pub(crate) message: Outgoing,
    /// A name of its own for this message.
    pub(crate) mark: String,
    /// From where on it can be in the room's history, and where that is.
    pub(crate) since: Since,
    pub(crate) dm: bool,
    pub(crate) marks: &'a Marks,
    pub(crate) send_timeout: Duration,
    /// How long the room may take to show it.
    pub(crate) echo_timeout: Duration,
}

/// A complaint of the server says nothing about what it is about. An echo that comes after all is not far behind.
const DOUBT: Duration = Duration::from_millis(500);

impl Post<'_> {
    /// # Errors
    /// `NotSent`: certainly not in the room. `Rejected`: the server's words. `Timeout`: the link lives, but nothing was
    /// seen in time. `MaybeSent`: the link broke, and the history that would tell cannot be read.
    #[inline]
    pub(crate) fn run(mut self) -> Result<Message> {
        let payload = self.message.payload(self.room)?;
        let until = deadline::after(self.send_timeout);
        let (up, watching) = loop {
            let up = self.session.line(until)?;
            let watching = up.watch_for(self.needle(), self.echo_filter());
            match up.emit("send-message", &payload) {
                Ok(()) => break (up, watching),
                // The link was over before: the next one may take it.
                Err(error) if error.kind() == ErrorKind::NotSent && Instant::now() < until => {}
                // It may have arrived: the room's history knows.
                Err(error) if error.kind() == ErrorKind::MaybeSent => {
                    drop(watching);
                    return self.settle();
                }
                Err(error) => return Err(error),
            }
        };
        let mut deadline = deadline::after(self.echo_timeout);
        let mut said = None;
        let mut alike: Option<Message> = None;
        loop {
            match watching.next(deadline) {
                Ok(Some(event)) if event.name() == "error" => {
                    if said.is_none() {
                        said = Some(complaint(&event));
                        deadline = deadline.min(deadline::after(DOUBT));
                    }
                }
                Ok(Some(event)) => {
                    let message: Message = read(&event)?;
                    match is_it(&message, self.me.id.as_str(), &self.mark, self.message.text()) {
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
                Err(error) if error.is_closed() => return Err(error),
                Err(_) => {
                    drop(watching);
                    return self.settle();
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
                Error::new(ErrorKind::Rejected, text).with_server_message(said)
            }
            None => Error::timeout(format!(
                "the message was sent, but not seen in the room within {:?}: it may still come",
                self.echo_timeout
            )),
        })
    }

    /// Our own messages name us.
    fn needle(&self) -> Needle {
        Needle { event: "message", text: self.me.id.as_str().into() }
    }

    /// Lets the echo through, and complaints.
    #[inline]
    fn echo_filter(&self) -> Filter {
        let (me, mark, text) = (self.me.id.clone(), self.mark.clone(), self.message.text().to_owned());
        let room = self.room.clone();
        let says_mark = text.contains(POST_MARK);
        Box::new(move |event| match event.name() {
            // Another message of ours is not decoded: it has another mark.
            "message" if !says_mark && event.args().contains(POST_MARK) && !event.args().contains(&mark) => {
                false
            }
            "message" => event.read().is_ok_and(|message: Message| {
                message.agency_id == room && is_it(&message, me.as_str(), &mark, &text).is_some()
            }),
            name => name == "error",
        })
    }

    /// The link broke. Once there is a new one, the room's history tells whether the message is there.
    #[inline]
    fn settle(&mut self) -> Result<Message> {
        let maybe = |why: Error| {
            if why.is_closed() {
                return Error::cut_off_by_close();
            }
            let text = format!(
                "the connection broke, and whether the message arrived cannot be told: {why}; look before you repeat it"
            );
            Error::new(ErrorKind::MaybeSent, text).with_source(why)
        };
        let (me, text) = (self.me.id.as_str(), self.message.text());
        let old = |message: &Message| match &self.since {
            Since::Time(bound) => message.created_at.to_system_time().is_some_and(|time| time < *bound),
            Since::Beginning | Since::Unknown => false,
        };
        let same = |message: &Message| is_it(message, me, &self.mark, text) == Some(Likeness::Same);
        let by_words = !self.marks.are(Marks::CARRIED);
        let found = |message: &Message| match is_it(message, me, &self.mark, text) {
            Some(Likeness::Same) => true,
            Some(Likeness::Alike) => by_words && !old(message),
            None => false,
        };
        let deadline = deadline::after(self.send_timeout);
        let history = loop {
            // The new link first: what the old one still held has been worked off by the server when it answers this one.
            self.session.line(deadline).map_err(maybe)?;
            let fetched = backfill::patiently(self.session, || {
                backfill::walk_back(self.client, self.room, &mut self.dm, |message| {
                    old(message) || same(message)
                })
            });
            match fetched {
                Err(error) if backfill::is_passing(&error) && Instant::now() < deadline => {}
                other => break other.map_err(maybe)?,
            }
        };
        let place = history.iter().rposition(same).or_else(|| history.iter().rposition(found));
        match place.and_then(|place| history.into_iter().nth(place)) {
            Some(message) => Ok(message),
            None => Err(Error::new(
                ErrorKind::NotSent,
                "the connection broke before the message reached the room: it is certainly not there",
            )),
        }
    }
}

/// 128 random bits: another bot's mark, or one of another run, is not met.
#[inline]
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
#[inline]
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
#[inline]
pub(crate) fn same_words(seen: &str, sent: &str, shortest: usize) -> bool {
    if seen == sent || seen.split_whitespace().eq(sent.split_whitespace()) {
        return true;
    }
    let stem = seen.trim_end();
    let stem =
        ["…(truncated)", "...", "…"].iter().find_map(|end| stem.strip_suffix(end)).unwrap_or(stem).trim_end();
    !stem.is_empty() && stem.len() >= shortest && sent.starts_with(stem)
}

fn read<T: Read>(event: &RawEvent) -> Result<T> {
    event.read().map_err(|error| Error::protocol("cannot read the room's message").with_source(error))
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
