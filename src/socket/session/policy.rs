//! What an agent does when its connection ends against its will.

/// What an agent does when its connection is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Reconnect {
    /// Dials again for as long as it takes, ever more slowly (0.5 to 5 s apart). The default.
    #[default]
    Forever,
    /// Gives up after this many failed tries in a row: the event loop ends with the last error. A connection that
    /// lasted less than 10 s counts as a failed try.
    AtMost(u32),
    /// Does not dial again: the event loop ends with an error.
    Never,
}

impl Reconnect {
    /// Whether try number `attempt` (0 is the first) may be made.
    pub(crate) fn allows(self, attempt: u32) -> bool {
        match self {
            Reconnect::Forever => true,
            Reconnect::AtMost(most) => attempt < most,
            Reconnect::Never => false,
        }
    }
}

/// What an agent does when the server itself sends it away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum DisconnectPolicy {
    /// Comes back after a while, as far as [`Reconnect`] allows. The default: a deploy looks like this, too.
    #[default]
    Reconnect,
    /// Stays away: the event loop ends with the server's words.
    Stop,
}

/// All of it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Policy {
    pub(crate) reconnect: Reconnect,
    /// Refused, although the credentials had just been renewed.
    pub(crate) refused: DisconnectPolicy,
    /// The server has ended a session that was good.
    pub(crate) disconnected: DisconnectPolicy,
}
