//! The questions of [`Mention::ask`](crate::Mention::ask) that wait for an answer.
//!
//! The thread that takes a message from the delivery decides whether the message answers a question, before a loop gets
//! the message. So no loop yields the answer, whichever thread runs the loop.

use crate::agent::memory::IN_REPLY_TO;
use crate::agent::send::same_text::{MIN_CUT, is_same_text};
use crate::model::{AgencyId, Message, MessageId, Timestamp, User, UserId};
use crate::sync::lock::Mutex;

/// All questions of an agent that wait for an answer, in the order in which they were asked.
#[derive(Debug, Default)]
pub(crate) struct Asks {
    state: Mutex<AsksState>,
}

#[derive(Debug, Default)]
struct AsksState {
    waiting: Vec<Ask>,
    next: u64,
}

#[derive(Debug)]
struct Ask {
    number: u64,
    room: AgencyId,
    /// The person who must answer.
    sender: (UserId, String),
    /// The message that the question replies to.
    reply_to: MessageId,
    text: String,
    /// The question in the room. `None` until the post has returned.
    posted: Option<(MessageId, Timestamp)>,
    /// The question has come from the room, so the following messages are later.
    is_shown: bool,
    answer: Option<Message>,
}

impl Asks {
    /// Notes a question to the sender of this message, before the agent posts the question. After a drop of the
    /// returned value, [`take`](Self::take) gives the question no message.
    pub(super) fn begin(&self, to: &Message, text: &str) -> WaitingAsk<'_> {
        let mut state = self.state.lock();
        state.next += 1;
        let number = state.next;
        state.waiting.push(Ask {
            number,
            room: to.agency_id.clone(),
            sender: (to.sender_id.clone(), to.sender_username.clone()),
            reply_to: to.id.clone(),
            text: text.to_owned(),
            posted: None,
            is_shown: false,
            answer: None,
        });
        WaitingAsk { asks: self, number }
    }

    /// Gives the message to the first question that it answers. Returns `false` if it answers none.
    pub(crate) fn take(&self, message: &Message, me: &User) -> bool {
        let mut state = self.state.lock();
        let of_room = |ask: &&mut Ask| ask.room == message.agency_id && ask.answer.is_none();
        for ask in state.waiting.iter_mut().filter(of_room) {
            if ask.is_shown_by(message, me) {
                ask.is_shown = true;
            } else if ask.is_answered_by(message) {
                ask.answer = Some(message.clone());
                return true;
            }
        }
        false
    }
}

impl Ask {
    /// Whether the message is the question itself. The answer may come before the post has returned the question's id.
    fn is_shown_by(&self, message: &Message, me: &User) -> bool {
        if let Some((id, _)) = &self.posted {
            return message.id == *id;
        }
        let reply_to = message.metadata.get(IN_REPLY_TO);
        message.is_by(&me.id, &me.username)
            && reply_to.is_none_or(|id| id == self.reply_to.as_str())
            && is_same_text(&message.content, &self.text, MIN_CUT)
    }

    fn is_answered_by(&self, message: &Message) -> bool {
        let (id, username) = &self.sender;
        let is_later =
            self.is_shown || self.posted.as_ref().is_some_and(|(_, time)| message.created_at > *time);
        is_later && message.is_by(id, username)
    }
}

/// A question that waits for its answer until this value is dropped.
pub(super) struct WaitingAsk<'a> {
    asks: &'a Asks,
    number: u64,
}

impl WaitingAsk<'_> {
    fn with<T>(&self, use_it: impl FnOnce(&mut Ask) -> Option<T>) -> Option<T> {
        let mut state = self.asks.state.lock();
        state.waiting.iter_mut().find(|ask| ask.number == self.number).and_then(use_it)
    }

    /// Notes the question as the room shows it.
    pub(super) fn note_posted(&self, question: &Message) {
        self.with(|ask| ask.posted.replace((question.id.clone(), question.created_at.clone())));
    }

    pub(super) fn take_answer(&self) -> Option<Message> {
        self.with(|ask| ask.answer.take())
    }

    /// Ends the wait. Returns the answer if it has come meanwhile.
    pub(super) fn end(&self) -> Option<Message> {
        let mut state = self.asks.state.lock();
        let at = state.waiting.iter().position(|ask| ask.number == self.number)?;
        state.waiting.remove(at).answer
    }

    /// Whether the message answers the question. The caller checks the messages that other threads distributed before
    /// the agent knew that the question is in the room.
    pub(super) fn is_answered_by(&self, message: &Message) -> bool {
        let answered = self.with(|ask| {
            let is_question = ask.posted.as_ref().is_some_and(|(id, _)| *id == message.id);
            ask.is_shown |= is_question;
            (!is_question && ask.room == message.agency_id && ask.is_answered_by(message)).then_some(())
        });
        answered.is_some()
    }
}

impl Drop for WaitingAsk<'_> {
    fn drop(&mut self) {
        let _ = self.end();
    }
}
