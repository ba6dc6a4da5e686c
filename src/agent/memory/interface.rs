//! What an agent needs of its memory.

use std::fmt;
use std::time::{Duration, Instant, SystemTime};

use crate::error::{Error, Result};
use crate::model::{AgencyId, Message, MessageId, User};

/// The metadata key of an answer. The value is the id of the question.
pub(crate) const IN_REPLY_TO: &str = "in_reply_to";

/// The memory of one agent. This is a trait, so that a program whose agents remember nothing does not contain the code
/// of the memory: only [`Remember`](super::Remember) names the type that implements the trait.
pub(crate) trait Memory: fmt::Debug + Send + Sync {
    /// Reads the stored memory. Called once, before all other methods.
    ///
    /// # Errors
    /// `Config` if the text belongs to another agent, or is not a valid memory.
    fn belong_to(&self, me: &User, max_age: Duration) -> Result<()>;

    /// Returns the position in the room, if the store has this room.
    fn resume(&self, room: &AgencyId) -> Option<Resume>;

    /// Starts the memory of a new room. `page` is the last page of the room's history, newest first. `whole`: the
    /// page is the whole history.
    fn begin(&self, room: &AgencyId, page: &[Message], whole: bool, dm: bool);

    /// Forgets a room that the agent has left.
    fn forget(&self, room: &AgencyId);

    /// Sets whether the room's watermark must not move, because messages are missing. The next start of the program then
    /// looks for these messages again.
    fn hold_watermark(&self, room: &AgencyId, held: bool);

    /// Notes the question that this message answers. Called before the agent hands the message out.
    fn note_answer(&self, message: &Message);

    /// Whether the room had an answer to this message before the agent handed the message out.
    fn is_answered(&self, id: &MessageId) -> bool;

    /// Notes a message that the agent is about to hand out. A question stays open until it is done.
    fn hear(&self, message: &Message, is_question: bool);

    /// Notes that this thread has the question. `held`: the caller will call [`drop_held`](Memory::drop_held) when
    /// the question is dropped.
    fn hand_out(&self, id: &MessageId, held: bool);

    /// Notes that this thread asks for its next question. The thread's earlier questions are done if their values
    /// were dropped. Returns `true` if a question is now done.
    fn acknowledge_earlier(&self) -> bool;

    /// Notes that the question was dropped. Returns `true` if the question is now done.
    fn drop_held(&self, id: &MessageId) -> bool;

    /// Marks the question as done.
    fn done(&self, id: &MessageId);

    /// The time at which a waiting thread must save.
    fn due(&self) -> Option<Instant>;

    /// Saves the changes if the save is due. Returns the first error of a series of failures.
    fn save_if_due(&self) -> Option<Error> {
        if self.due().is_some_and(|due| due <= Instant::now()) { self.save() } else { None }
    }

    /// Saves the changes. Returns the first error of a series of failures.
    fn save(&self) -> Option<Error>;

    /// Whether this thread is in the store's `save`, which has called the agent.
    fn is_saving_here(&self) -> bool;

    /// Saves a last time, and drops the store.
    fn end(&self);
}

/// The position at which the agent continues in a room.
pub(crate) struct Resume {
    pub(crate) dm: bool,
    /// The room's watermark: the agent ignores messages up to this time.
    pub(crate) since: Option<SystemTime>,
    pub(crate) acknowledged: Vec<MessageId>,
}
