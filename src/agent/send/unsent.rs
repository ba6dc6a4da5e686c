//! The result of a confirmed send: the messages as the room shows them, or the parts that are left to send.

use std::collections::VecDeque;
use std::time::Duration;

use crate::agent::Outgoing;
use crate::agent::inner::AgentInner;
use crate::agent::random::new_post_id;
use crate::agent::send::confirm::{Failed, MaybeSent, Post};
use crate::agent::send::outgoing::POST_ID;
use crate::agent::send::parts;
use crate::error::{Error, Result};
use crate::model::{AgencyId, Message};

/// The posted message as the room shows it: one message, or all parts of a long one.
///
/// ```no_run
/// # fn demo(room: &crustocean::Room) -> crustocean::Result<()> {
/// let posted = room.post("hello")?;
/// room.edit(&posted.first.id, "hello again")?;
/// for part in room.post("a very long text …")? {
///     println!("{}", part.id);
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Posted {
    /// The message. For a long text, the first part, which has the metadata.
    pub first: Message,
    /// The other parts of a long text, in order. Usually empty.
    pub rest: Vec<Message>,
}

impl Posted {
    /// All parts, in order.
    ///
    /// ```no_run
    /// # fn demo(room: &crustocean::Room) -> crustocean::Result<()> {
    /// for message in room.post("a very long text …")?.iter() {
    ///     println!("{}", message.id);
    /// }
    /// # Ok(()) }
    /// ```
    pub fn iter(&self) -> impl Iterator<Item = &Message> {
        std::iter::once(&self.first).chain(&self.rest)
    }
}

impl IntoIterator for Posted {
    type Item = Message;
    type IntoIter = std::iter::Chain<std::iter::Once<Message>, std::vec::IntoIter<Message>>;

    fn into_iter(self) -> Self::IntoIter {
        std::iter::once(self.first).chain(self.rest)
    }
}

/// A posted message of which the room has not shown all parts. Returned by [`Error::unsent`].
/// [`Agent::repost`](crate::Agent::repost) finds out which parts are in the room and posts the rest.
///
/// ```no_run
/// # fn demo(agent: &crustocean::Agent, room: &crustocean::Room) -> crustocean::Result<()> {
/// if let Err(error) = room.post("hello") {
///     match error.unsent() {
///         Some(unsent) => drop(agent.repost(unsent)?),
///         None => return Err(error),
///     }
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct Unsent {
    room: AgencyId,
    posted: Vec<Message>,
    parts: VecDeque<Part>,
}

/// A part that may not be in the room.
#[derive(Debug, Clone)]
struct Part {
    /// Contains the post id.
    message: Outgoing,
    post_id: String,
    /// Set if the part may be in the room nevertheless.
    maybe_sent: Option<MaybeSent>,
}

impl Unsent {
    fn new(room: &AgencyId, messages: Vec<Outgoing>) -> Self {
        let parts = messages.into_iter().map(|message| {
            let post_id = new_post_id();
            Part { message: message.with(POST_ID, post_id.as_str()), post_id, maybe_sent: None }
        });
        Unsent { room: room.clone(), posted: Vec::new(), parts: parts.collect() }
    }

    /// The room that the message was posted to.
    pub fn room(&self) -> &AgencyId {
        &self.room
    }

    /// The parts of a long message that are in the room.
    pub fn posted(&self) -> &[Message] {
        &self.posted
    }

    /// Whether a part that the room has not shown may be in the room, or may still arrive.
    pub fn may_have_been_sent(&self) -> bool {
        self.parts.front().is_some_and(|part| part.maybe_sent.is_some())
    }

    /// Adds the parts that are left to send to the error of the next part.
    fn into_error(self, error: Error) -> Error {
        let posted = self.posted.len();
        let error = match posted {
            0 => error,
            _ => {
                let count = posted + self.parts.len();
                let text = format!(
                    "{posted} of {count} parts of the message are in the room; the next part failed: {error}"
                );
                error.sent_in_part(text)
            }
        };
        error.with_detail(self)
    }
}

impl Error {
    /// The rest of a message that [`post`](crate::Room::post) could not confirm, for
    /// [`Agent::repost`](crate::Agent::repost). `None` for all other errors.
    pub fn unsent(&self) -> Option<&Unsent> {
        self.detail()
    }
}

pub(crate) fn post_to(agent: &AgentInner, room: &AgencyId, message: Outgoing) -> Result<Posted> {
    message.check()?;
    let message = parts::as_text(agent, room, &message)?.into_owned();
    let parts = agent.options.long_messages.apply(&message)?.unwrap_or_else(|| vec![message]);
    post_parts(agent, Unsent::new(room, parts))
}

pub(crate) fn post_parts(agent: &AgentInner, mut unsent: Unsent) -> Result<Posted> {
    let mut pause = Duration::ZERO;
    let _guard = match unsent.parts.len() {
        0 | 1 => None,
        _ => match parts::lock_long_sends(agent, agent.options.send_timeout) {
            Ok(guard) => Some(guard),
            Err(error) => return Err(unsent.into_error(error)),
        },
    };
    while let Some(part) = unsent.parts.front_mut() {
        if !pause.is_zero() {
            agent.session.pause(pause);
        }
        pause = agent.options.long_messages.pause_between();
        match post_part(agent, &unsent.room, part) {
            Ok(message) => {
                unsent.posted.push(message);
                unsent.parts.pop_front();
            }
            Err(Failed { error, maybe_sent }) => {
                part.maybe_sent = maybe_sent;
                return Err(unsent.into_error(error));
            }
        }
    }
    let mut posted = unsent.posted.into_iter();
    let first = posted.next().ok_or_else(|| Error::invalid("the message has no text"))?;
    Ok(Posted { first, rest: posted.collect() })
}

fn post_part(agent: &AgentInner, room: &AgencyId, part: &Part) -> Result<Message, Failed> {
    let Part { message, post_id, .. } = part;
    let (since, dm) = agent.position(room);
    let post = Post { agent, room, message, post_id, since, dm };
    match &part.maybe_sent {
        Some(maybe_sent) => post.resume(maybe_sent),
        None => post.run(),
    }
}
