//! The argument of a handler.

use crustocean::agent::Room;
use crustocean::{Message, Outgoing};

use crate::answer::IN_REPLY_TO;
use crate::lease::Term;

/// A question for a handler of [`Workers::run`](crate::Workers::run).
///
/// ```no_run
/// # use crustocean_workers::{Answer, Stop, Store, Workers};
/// # fn main() -> crustocean_workers::Result<()> {
/// # let stop = Stop::new();
/// # let workers = Workers::new(&Store::from_env()?, "larry")?;
/// workers.run(&stop, |task| {
///     let room = task.room().ok_or("this worker has no connection of its own")?;
///     let run = room.start_run(task.message())?;
///     let mut stream = run.stream()?;
///     stream.push("Forty-two.")?;
///     let text = stream.text().to_owned();
///     stream.finish_with(task.in_reply(text))?; // posts the answer
///     run.complete("done")?;
///     Ok(Answer::nothing())
/// })?;
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Task<'t> {
    message: &'t Message,
    room: Option<Room>,
    delivery: u64,
    term: &'t Term,
}

impl<'t> Task<'t> {
    pub(super) fn new(message: &'t Message, room: Option<Room>, delivery: u64, term: &'t Term) -> Self {
        Task { message, room, delivery, term }
    }

    /// The question.
    pub fn message(&self) -> &Message {
        self.message
    }

    /// The question's room, on this worker's own connection: for runs, permissions, commands and the history. `None` if
    /// answers go [through the holder](crate::Output::ThroughHolder).
    pub fn room(&self) -> Option<&Room> {
        self.room.as_ref()
    }

    /// The number of this delivery of the question, from 1 on. From 2 on, an earlier delivery may already have done what the
    /// handler does in other systems.
    pub fn delivery(&self) -> u64 {
        self.delivery
    }

    /// Whether this process still owns the question. If not, the handler's answer is not posted.
    pub fn is_held(&self) -> bool {
        self.term.is_held()
    }

    /// The [fencing number](Term::fence), to send along with what the handler writes to other systems.
    pub fn fence(&self) -> u64 {
        self.term.fence()
    }

    /// Marks a message as the answer, for handlers that post it themselves. If the question is delivered again, the crate
    /// finds this answer and does not call the handler.
    pub fn in_reply(&self, message: impl Into<Outgoing>) -> Outgoing {
        message.into().in_reply_to(self.message).with(IN_REPLY_TO, self.message.id.as_str())
    }
}
