//! The session: links come and go, the session stays.
//!
//! *Whoever waits, reads.* A thread that wants something from the socket takes the reader role if it is free, reads,
//! files what came, and looks whether its own wish came true; if the role is taken it sleeps until it is told. The
//! [keeper](crate::socket::keeper) reads when nobody waits, and dials again when the link is down.
//!
//! There is one lock here (the state's) and one in [`Link`] (the channel's); no thread ever holds both.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;
use tungstenite::Utf8Bytes;

use crate::error::{Error, ErrorKind, Result};
use crate::net::CancelToken;
use crate::socket::backoff::Reconnect;
use crate::socket::connect::{ConnectFailure, Connected, Target, connect};
use crate::socket::event::{AckArgs, RawEvent};
use crate::socket::inbox::{Inbox, Item};
use crate::socket::keeper;
use crate::socket::link::{Link, LinkEnd, SendFailure, reason};
use crate::socket::packet;
use crate::socket::state::{AckSlot, Filed, Filter, Phase, State, Watch, link_lost};

/// What the layer above brings: who we are, and what has to be set right on a new link.
/// Runs on the thread that dials, never under a lock.
pub(crate) trait Host: Send + Sync {
    /// The payload of CONNECT, a JSON object. `refused`: the last one was not taken.
    ///
    /// # Errors
    /// An error about credentials ends the session; any other is tried again later.
    fn credentials(&self, refused: bool) -> Result<String>;

    /// Called on a link that came back, before anybody else may send on it.
    ///
    /// # Errors
    /// An error gives the link up.
    fn restore(&self, line: &Line<'_>) -> Result<()>;
}

/// How large the queue to the consumer may grow.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) events: usize,
    pub(crate) bytes: usize,
}

/// Why a thread waits: it decides who is woken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Waiter {
    Consumer,
    Other,
}

pub(crate) struct Shared {
    state: Mutex<State>,
    consumers: Condvar,
    others: Condvar,
    pub(crate) keeper: Condvar,
    pub(crate) host: Arc<dyn Host>,
    pub(crate) target: Target,
    /// Ends the dial under way, when the session is closed.
    pub(crate) cancel: CancelToken,
    /// The process that the session belongs to.
    pid: u32,
}

/// The session's owner; dropping it closes the connection.
pub(crate) struct Session {
    shared: Arc<Shared>,
    closed: AtomicBool,
    keeper: Mutex<Option<std::thread::JoinHandle<()>>>,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("state", &*self.shared.lock()).finish_non_exhaustive()
    }
}

/// How long the peer may take to complete the closing handshake.
const CLOSE_HANDSHAKE: Duration = Duration::from_secs(1);
/// How long a read may block while a link is being restored.
const RESTORING_SLICE: Duration = Duration::from_millis(10);
/// What dropping the session may take in all.
const DROP_TIMEOUT: Duration = Duration::from_millis(500);

impl Session {
    /// Connects, on this thread. Returns when the server has said yes.
    ///
    /// # Errors
    /// Why it cannot; a refusal is tried once more with renewed credentials.
    pub(crate) fn open(
        target: Target,
        host: Arc<dyn Host>,
        limits: Limits,
        policy: Reconnect,
    ) -> Result<Self> {
        let shared = Arc::new(Shared {
            state: Mutex::new(State::new(Inbox::new(limits.events, limits.bytes), policy)),
            consumers: Condvar::new(),
            others: Condvar::new(),
            keeper: Condvar::new(),
            host,
            target,
            cancel: CancelToken::default(),
            pid: std::process::id(),
        });
        let connected = match shared.dial(false) {
            Err(ConnectFailure::Refused(_)) => shared.dial(true),
            other => other,
        };
        shared.install(connected.map_err(ConnectFailure::into_error)?, |_| Ok(()));
        let keeper = keeper::start(Arc::clone(&shared))?;
        Ok(Session { shared, closed: AtomicBool::new(false), keeper: Mutex::new(Some(keeper)) })
    }

    /// Sends an event. Waits for the link until `until`.
    ///
    /// # Errors
    /// `NotSent` when the link did not come back in time, `MaybeSent` when it broke during the write, `Invalid` when
    /// the payload cannot be sent at all, `Closed`.
    pub(crate) fn emit(&self, name: &str, payload: &impl Serialize, until: Instant) -> Result<()> {
        self.shared.check_process()?;
        let frame = Utf8Bytes::from(packet::encode_event(name, None, payload)?);
        self.shared.send_when_up(&frame, until).map(drop)
    }

    /// Sends an event and waits for its ack.
    ///
    /// # Errors
    /// As [`emit`](Session::emit); `Timeout` when the ack does not come, `Connect` when the link breaks first.
    pub(crate) fn emit_with_ack(
        &self,
        name: &str,
        payload: &impl Serialize,
        until: Instant,
        timeout: Duration,
    ) -> Result<AckArgs> {
        self.shared.check_process()?;
        let id = {
            let mut state = self.shared.lock();
            let id = state.fresh_id();
            state.acks.insert(id, AckSlot::Waiting);
            id
        };
        let outcome = packet::encode_event(name, Some(id), payload).and_then(|frame| {
            self.shared.send_when_up(&Utf8Bytes::from(frame), until)?;
            let deadline = Instant::now() + timeout;
            self.shared
                .wait(Waiter::Other, Some(deadline), |state| match state.acks.get_mut(&id) {
                    Some(AckSlot::Waiting) if matches!(state.phase, Phase::Closed) => {
                        Some(Err(Error::closed()))
                    }
                    Some(AckSlot::Waiting) => None,
                    Some(AckSlot::Done(args)) => Some(Ok(args.clone())),
                    Some(AckSlot::Lost) | None => Some(Err(link_lost())),
                })
                .unwrap_or_else(|| Err(Error::timeout(format!("no answer to {name} within {timeout:?}"))))
        });
        self.shared.lock().acks.remove(&id);
        outcome
    }

    /// Answers an event that asked for it, over the link that it came by.
    ///
    /// # Errors
    /// `Invalid` when no answer is wanted (any more), `NotSent` when that link is gone, `MaybeSent`.
    pub(crate) fn answer(&self, event: &RawEvent, payload: &impl Serialize) -> Result<()> {
        self.shared.check_process()?;
        let (id, generation) = event.take_ack()?;
        let frame = Utf8Bytes::from(packet::encode_ack(id, payload)?);
        let link = {
            let state = self.shared.lock();
            if state.is_closed() {
                return Err(Error::closed());
            }
            state.link().filter(|_| state.generation == generation).cloned()
        };
        let link = link.ok_or_else(|| {
            Error::new(
                ErrorKind::NotSent,
                "the connection that the question came over is gone: nobody waits for the answer",
            )
        })?;
        self.shared.send_on(&link, generation, &frame).map_err(Unsent::into_error)
    }

    /// A way to send and watch, on the link that is up now or comes up until `until`.
    ///
    /// # Errors
    /// `NotSent` when there is none in time, `Closed`.
    pub(crate) fn line(&self, until: Instant) -> Result<Line<'_>> {
        self.shared.check_process()?;
        let (link, generation) = self.shared.link_when_up(until)?;
        Ok(Line { shared: &self.shared, link, generation })
    }

    /// The next thing for the consumer. `Ok(None)` means closed; a passed `until` is a time-out.
    pub(crate) fn next(&self, until: Option<Instant>) -> Next {
        if let Err(error) = self.shared.check_process() {
            return Next::Failed(error);
        }
        let wish = |state: &mut State| match state.inbox.pop() {
            Some(item) => Some(Next::Item(item)),
            None if matches!(state.phase, Phase::Closed) => {
                Some(state.failure.take().map_or(Next::Closed, Next::Failed))
            }
            None => None,
        };
        self.shared.wait(Waiter::Consumer, until, wish).unwrap_or(Next::Nothing)
    }

    /// The consumer found that an event is not even JSON: the server is broken, and the link with it.
    pub(crate) fn report_broken_event(&self) {
        let mut state = self.shared.lock();
        let generation = state.generation;
        if state.lose(generation, LinkEnd::new(reason::PARSE_ERROR, "an event is not valid JSON")) {
            self.shared.tell(&mut state, Filed { link_over: true, ..Filed::default() });
        }
    }

    /// Dials again now, if the link is down.
    pub(crate) fn reconnect_now(&self) {
        let mut state = self.shared.lock();
        if matches!(state.phase, Phase::Down) {
            state.retry_at = Instant::now();
            self.shared.tell_all(&mut state);
        }
    }

    /// Whether the link is down but will be dialled again.
    pub(crate) fn will_return(&self) -> bool {
        matches!(self.shared.lock().phase, Phase::Down | Phase::Restoring(_))
    }

    /// Waits, unless the link is lost first.
    pub(crate) fn pause(&self, time: Duration) {
        let lost = |state: &mut State| (!matches!(state.phase, Phase::Up(_))).then_some(());
        self.shared.wait(Waiter::Other, Some(Instant::now() + time), lost);
    }

    /// Whether somebody may send right now.
    pub(crate) fn is_up(&self) -> bool {
        matches!(self.shared.lock().phase, Phase::Up(_))
    }

    /// Says goodbye and ends the session, in `timeout` at most.
    ///
    /// # Errors
    /// What had ended the session before, if nobody was told yet.
    pub(crate) fn close(&self, timeout: Duration) -> Result<()> {
        self.shared.check_process()?;
        let deadline = Instant::now() + timeout;
        let already = self.closed.swap(true, Ordering::AcqRel);
        let link = {
            let mut state = self.shared.lock();
            let link = match &state.phase {
                Phase::Up(link) | Phase::Restoring(link) => Some(Arc::clone(link)),
                Phase::Closing(_) | Phase::Down | Phase::Closed => None,
            };
            match &link {
                Some(link) => state.phase = Phase::Closing(Arc::clone(link)),
                None if matches!(state.phase, Phase::Down) => state.phase = Phase::Closed,
                None => {}
            }
            self.shared.tell_all(&mut state);
            link
        };
        if let Some(link) = &link {
            let patience = deadline.min(Instant::now() + CLOSE_HANDSHAKE);
            link.say_goodbye(patience);
            let gone = |state: &mut State| matches!(state.phase, Phase::Closed).then_some(());
            self.shared.wait(Waiter::Other, Some(patience), gone);
            link.cut();
        }
        if !already || link.is_some() {
            let mut state = self.shared.lock();
            state.phase = Phase::Closed;
            self.shared.tell_all(&mut state);
        }
        self.shared.cancel.cancel();
        self.join_keeper(deadline);
        self.shared.lock().failure.take().map_or(Ok(()), Err)
    }

    /// Waits for the keeper as long as allowed. One that hangs in a dial ends by itself at the dial's deadline.
    fn join_keeper(&self, deadline: Instant) {
        let gone = |state: &mut State| state.keeper_gone.then_some(());
        if self.shared.wait(Waiter::Other, Some(deadline), gone).is_some() {
            let keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(keeper) = keeper {
                let _ = keeper.join();
            }
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if self.shared.check_process().is_err() {
            // The connection is the parent's: closing it here would end it there. The locks are not touched, because
            // a thread that does not exist on this side may hold them.
            return;
        }
        if std::thread::panicking() {
            // No waiting while unwinding: just let go.
            let mut state = self.shared.lock();
            if let Some(link) = state.link() {
                link.cut();
            }
            state.phase = Phase::Closed;
            self.shared.tell_all(&mut state);
            drop(state);
            self.shared.cancel.cancel();
        } else if let Err(error) = self.close(DROP_TIMEOUT) {
            log::info!("the agent had ended: {error}");
        }
    }
}

/// What [`Session::next`] found.
#[derive(Debug)]
pub(crate) enum Next {
    Item(Item),
    /// Ended by the crate, for this reason. Comes once.
    Failed(Error),
    Closed,
    /// Not in time.
    Nothing,
}

/// One link, to send and watch on. What is done on it never continues on another.
#[derive(Debug)]
pub(crate) struct Line<'a> {
    shared: &'a Shared,
    link: Arc<Link>,
    generation: u64,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

impl Line<'_> {
    /// # Errors
    /// `MaybeSent` or `NotSent` when the link is over, `Invalid` when the payload cannot be sent.
    pub(crate) fn emit(&self, name: &str, payload: &impl Serialize) -> Result<()> {
        let frame = Utf8Bytes::from(packet::encode_event(name, None, payload)?);
        self.shared.send_on(&self.link, self.generation, &frame).map_err(Unsent::into_error)
    }

    /// Collects events from now on, until the returned guard is dropped.
    pub(crate) fn watch(&self, filter: Filter) -> Watching<'_> {
        let mut state = self.shared.lock();
        let id = state.fresh_id();
        state.watches.push(Watch { id, filter, caught: Vec::new() });
        Watching { line: self, id }
    }

    /// Tells the consumer something.
    pub(crate) fn push(&self, item: Item) {
        let mut state = self.shared.lock();
        state.inbox.push(item);
        self.shared.tell(&mut state, Filed { events: 1, ..Filed::default() });
    }
}

/// Events are being collected for us.
#[derive(Debug)]
pub(crate) struct Watching<'a> {
    line: &'a Line<'a>,
    id: u64,
}

impl Watching<'_> {
    /// The next event that the filter let through; `None` when `until` passes first.
    ///
    /// # Errors
    /// `Connect` when the link broke, `Closed`.
    pub(crate) fn next(&self, until: Instant) -> Result<Option<RawEvent>> {
        let generation = self.line.generation;
        self.line
            .shared
            .wait(Waiter::Other, Some(until), |state| {
                let watch = state.watches.iter_mut().find(|watch| watch.id == self.id)?;
                if !watch.caught.is_empty() {
                    return Some(Ok(watch.caught.remove(0)));
                }
                if state.is_closed() {
                    return Some(Err(Error::closed()));
                }
                let over = state.generation != generation || state.link().is_none();
                over.then(|| Err(link_lost()))
            })
            .transpose()
    }
}

impl Drop for Watching<'_> {
    fn drop(&mut self) {
        self.line.shared.lock().watches.retain(|watch| watch.id != self.id);
    }
}

/// Why a frame did not go out.
enum Unsent {
    /// The link was over before: another link may be tried.
    NotSent,
    Error(Error),
}

impl Unsent {
    fn into_error(self) -> Error {
        match self {
            Unsent::NotSent => {
                Error::new(ErrorKind::NotSent, "the connection is down: the message was not sent")
            }
            Unsent::Error(error) => error,
        }
    }
}

impl Shared {
    /// Threads do not survive a fork, and a connection cannot be shared: only the process that made it may use it.
    fn check_process(&self) -> Result<()> {
        if std::process::id() == self.pid {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Closed,
            "the agent belongs to the parent of this process: connect another one after the fork",
        ))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        // A panic in another thread must not spread: the state is consistent between any two statements of ours.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One try to connect with the host's credentials.
    pub(crate) fn dial(&self, refused: bool) -> Result<Connected, ConnectFailure> {
        let auth = self.host.credentials(refused).map_err(ConnectFailure::Failed)?;
        connect(&self.target, &auth, None, &self.cancel)
    }

    /// Puts a fresh link in place, has it restored, and lets everybody send.
    pub(crate) fn install(&self, connected: Connected, restore: impl FnOnce(&Line<'_>) -> Result<()>) {
        let Connected { link, mut early, .. } = connected;
        let link = Arc::new(link);
        let generation = {
            let mut state = self.lock();
            if state.is_closed() {
                link.cut();
                return;
            }
            state.generation += 1;
            state.phase = Phase::Restoring(Arc::clone(&link));
            state.up_since = Instant::now();
            let attempt = state.attempt;
            let again = state.generation > 1;
            state.inbox.push(Item::Connected { attempt, recovered: false, again });
            let mut filed = state.file(&mut early);
            filed.events += 1;
            self.tell(&mut state, filed);
            state.generation
        };
        let line = Line { shared: self, link: Arc::clone(&link), generation };
        let restored = restore(&line);
        let mut state = self.lock();
        if state.generation != generation || !matches!(state.phase, Phase::Restoring(_)) {
            return;
        }
        match restored {
            Ok(()) => {
                state.phase = Phase::Up(link);
                state.refused = false;
                if generation > 1 {
                    state.inbox.push(Item::Restored);
                    self.tell(&mut state, Filed { events: 1, ..Filed::default() });
                }
                self.others.notify_all();
                self.hand_over(&mut state);
            }
            Err(error) => {
                let end =
                    LinkEnd::new(reason::TRANSPORT_ERROR, format!("cannot restore the session: {error}"));
                state.lose(generation, end);
                self.tell(&mut state, Filed { link_over: true, ..Filed::default() });
            }
        }
    }

    /// Waits until `wish` comes true, reading from the socket whenever nobody else does.
    ///
    /// Once a link is up, only what comes from it may make a wish come true: a thread that is blocked in a read
    /// looks at nothing else. Whatever else changes then has to end the link (which ends the read) or be told before.
    pub(crate) fn wait<T>(
        &self,
        who: Waiter,
        until: Option<Instant>,
        mut wish: impl FnMut(&mut State) -> Option<T>,
    ) -> Option<T> {
        let mut state = self.lock();
        loop {
            let granted = wish(&mut state);
            if granted.is_some() || until.is_some_and(|until| until <= Instant::now()) {
                self.hand_over(&mut state);
                return granted;
            }
            state = match state.link().filter(|_| !state.reading).cloned() {
                Some(link) => {
                    // The end of restoring is not announced by the socket: look up now and then.
                    let restoring = matches!(state.phase, Phase::Restoring(_));
                    let slice = restoring.then(|| Instant::now() + RESTORING_SLICE);
                    let until = [until, slice].into_iter().flatten().min();
                    self.read(state, &link, until)
                }
                None => self.sleep(state, who, until),
            };
        }
    }

    /// Takes the reader role for one turn.
    pub(crate) fn read<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        link: &Link,
        until: Option<Instant>,
    ) -> MutexGuard<'a, State> {
        state.reading = true;
        let generation = state.generation;
        let mut batch = std::mem::take(&mut state.spare);
        drop(state);
        let role = Role(self);
        let end = link.turn(until, &mut batch).err();
        std::mem::forget(role);
        let mut state = self.lock();
        state.reading = false;
        state.turns = state.turns.wrapping_add(1);
        if generation == state.generation {
            let mut filed = state.file(&mut batch);
            if let Some(end) = end {
                filed.link_over = state.lose(generation, end);
            }
            self.tell(&mut state, filed);
        }
        batch.clear();
        state.spare = batch;
        state
    }

    fn sleep<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        who: Waiter,
        until: Option<Instant>,
    ) -> MutexGuard<'a, State> {
        let (bell, count): (_, fn(&mut State) -> &mut usize) = match who {
            Waiter::Consumer => (&self.consumers, |state| &mut state.consumers),
            Waiter::Other => (&self.others, |state| &mut state.others),
        };
        *count(&mut state) += 1;
        let mut state = match until {
            None => bell.wait(state).unwrap_or_else(PoisonError::into_inner),
            Some(until) => {
                let left = until.saturating_duration_since(Instant::now());
                bell.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
            }
        };
        *count(&mut state) -= 1;
        state
    }

    /// Wakes those whom the filed things concern.
    pub(crate) fn tell(&self, state: &mut State, filed: Filed) {
        if filed.link_over {
            self.tell_all(state);
            return;
        }
        match filed.events.min(state.consumers) {
            0 => {}
            1 => self.consumers.notify_one(),
            _ => self.consumers.notify_all(),
        }
        if filed.answers && state.others > 0 {
            self.others.notify_all();
        }
    }

    pub(crate) fn tell_all(&self, state: &mut State) {
        state.keeper_awake = true;
        self.consumers.notify_all();
        self.others.notify_all();
        self.keeper.notify_all();
    }

    /// Called by whoever leaves: if the role is free and somebody waits, that one reads on; else the keeper is told
    /// that it may soon have to.
    pub(crate) fn hand_over(&self, state: &mut State) {
        if state.reading || state.link().is_none() {
            return;
        }
        if state.others > 0 {
            self.others.notify_one();
        } else if state.consumers > 0 {
            self.consumers.notify_one();
        } else if !state.keeper_awake {
            state.keeper_awake = true;
            self.keeper.notify_one();
        }
    }

    fn link_when_up(&self, until: Instant) -> Result<(Arc<Link>, u64)> {
        self.wait(Waiter::Other, Some(until), |state| match &state.phase {
            Phase::Up(link) => Some(Ok((Arc::clone(link), state.generation))),
            Phase::Closing(_) | Phase::Closed => Some(Err(Error::closed())),
            Phase::Restoring(_) | Phase::Down => None,
        })
        .unwrap_or_else(|| {
            Err(Error::new(
                ErrorKind::NotSent,
                "the connection is down and did not come back in time: the message was not sent",
            ))
        })
    }

    /// Returns the generation of the link it went out on.
    fn send_when_up(&self, frame: &Utf8Bytes, until: Instant) -> Result<u64> {
        loop {
            let (link, generation) = self.link_when_up(until)?;
            match self.send_on(&link, generation, frame) {
                Ok(()) => return Ok(generation),
                // Certainly not sent: the next link may take it.
                Err(Unsent::NotSent) => {}
                Err(Unsent::Error(error)) => return Err(error),
            }
        }
    }

    fn send_on(&self, link: &Link, generation: u64, frame: &Utf8Bytes) -> Result<(), Unsent> {
        let (end, outcome) = match link.send(frame.clone()) {
            Ok(()) => return Ok(()),
            Err(SendFailure::Refused(error)) => return Err(Unsent::Error(error)),
            Err(SendFailure::NotSent(end)) => (end, Unsent::NotSent),
            Err(SendFailure::MaybeSent(end)) => {
                let text = format!(
                    "the connection broke while the message was being sent ({}): it may or may not have arrived",
                    end.detail
                );
                (end, Unsent::Error(Error::new(ErrorKind::MaybeSent, text)))
            }
        };
        let mut state = self.lock();
        if state.lose(generation, end) {
            self.tell_all(&mut state);
        }
        Err(outcome)
    }
}

/// Held while reading. Dropped only by a panic, which would be a bug of ours: then the session ends instead of
/// leaving everybody waiting for a reader that is gone.
struct Role<'a>(&'a Shared);

impl Drop for Role<'_> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.reading = false;
        state.fail(Error::new(ErrorKind::Closed, "internal error: the reader panicked; please report this"));
        self.0.tell_all(&mut state);
    }
}
