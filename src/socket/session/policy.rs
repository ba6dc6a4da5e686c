//! The agent's policies after the end of a connection.

/// Whether and how often an agent reconnects after a lost connection.
///
/// ```no_run
/// use crustocean::agent::Reconnect;
/// use crustocean::{Agent, AgentToken};
///
/// # fn main() -> crustocean::Result<()> {
/// // Under systemd: give up after ten attempts, so that the service manager starts the program again.
/// let agent = Agent::builder().reconnect(Reconnect::AtMost(10)).connect(AgentToken::from_env()?)?;
/// for event in agent.events() {
///     println!("{:?}", event?); // the error after the last attempt ends the program
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Reconnect {
    /// Reconnects without a limit, with growing pauses of 0.5 to 5 s. The default.
    #[default]
    Forever,
    /// Gives up after this many failed attempts in a row: the event loop ends with the last error. A connection that
    /// lasted less than 10 s counts as a failed attempt.
    AtMost(u32),
    /// Does not reconnect: the event loop ends with an error.
    Never,
}

impl Reconnect {
    /// Whether attempt number `attempt` (0 is the first) is allowed.
    pub(crate) fn allows(self, attempt: u32) -> bool {
        match self {
            Reconnect::Forever => true,
            Reconnect::AtMost(most) => attempt < most,
            Reconnect::Never => false,
        }
    }
}

/// The behaviour of an agent when the server refuses it or ends its connection.
///
/// ```no_run
/// use crustocean::agent::DisconnectPolicy;
/// use crustocean::{Agent, AgentToken};
///
/// # fn main() -> crustocean::Result<()> {
/// let builder = Agent::builder().when_disconnected(DisconnectPolicy::Stop); // a kick ends the bot
/// let agent = builder.connect(AgentToken::from_env()?)?;
/// for event in agent.events() {
///     println!("{:?}", event?);
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum DisconnectPolicy {
    /// Reconnects after a pause, as far as [`Reconnect`] allows. The default, because a deploy looks the same.
    #[default]
    Reconnect,
    /// Stops: the event loop ends with the server's error.
    Stop,
}

/// All policies.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Policy {
    pub(crate) reconnect: Reconnect,
    /// The policy for a server that refuses freshly renewed credentials.
    pub(crate) refused: DisconnectPolicy,
    /// The policy for a server that ends a connection.
    pub(crate) disconnected: DisconnectPolicy,
}
