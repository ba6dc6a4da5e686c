//! The reader role: which thread reads, which threads wait, and which threads to wake. The module
//! [session](crate::socket::session) explains the scheme.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use crate::deadline;
use crate::socket::disconnect::{Disconnect, reason};
use crate::socket::session::connection::Connection;
use crate::socket::session::connection::decoder::Inbound;
use crate::socket::session::core::SessionCore;
use crate::socket::session::queue::Item;
use crate::socket::session::session_log::note;
use crate::socket::session::state::{Phase, SessionState, Waiter};
use crate::socket::session::subscriber::EventSearch;
use crate::sync::MutexGuard;

/// The largest batch whose memory the session keeps for the next batch.
const SPARE: usize = 2048;

/// How long a read may block while a connection is being restored, or while a helper works.
const SLICE: Duration = Duration::from_millis(10);
/// In a session that can be stopped: how long a waiting thread reads without data, before it leaves the socket to the
/// background thread. Far less than a stop may take.
const MAX_SILENT_READ: Duration = Duration::from_millis(50);

impl SessionCore {
    /// Waits until `condition` returns a value, at most until `until`. Reads from the socket while no other thread
    /// reads.
    ///
    /// A thread blocked in `read` sees only socket traffic. Any other state change that a condition waits for must
    /// close the connection (this ends the read) or make the server answer
    /// ([`wake_reader`](SessionCore::wake_reader)).
    pub(crate) fn wait<T>(
        &self,
        who: Waiter,
        until: Option<Instant>,
        mut condition: impl FnMut(&mut SessionState) -> Option<T>,
    ) -> Option<T> {
        let mut state = self.lock();
        loop {
            let met = condition(&mut state);
            if met.is_some() || until.is_some_and(|until| until <= deadline::now()) {
                self.hand_over(&mut state);
                return met;
            }
            state = self.read_or_sleep(state, who, until);
        }
    }

    /// This function is separate from [`wait`](SessionCore::wait), because the compiler compiles `wait` once for each
    /// condition.
    fn read_or_sleep<'a>(
        &'a self,
        state: MutexGuard<'a, SessionState>,
        who: Waiter,
        until: Option<Instant>,
    ) -> MutexGuard<'a, SessionState> {
        let may_read = !state.reading && !self.background_reads(&state);
        let Some(connection) = state.connection().filter(|_| may_read).cloned() else {
            return self.sleep(state, who, until);
        };
        // The socket announces neither the end of restoring nor the result of a helper, so the read returns at short
        // intervals.
        let restoring = matches!(state.phase, Phase::Restoring(_));
        let helped = who == Waiter::Consumer && state.helpers > 0;
        let slice = match restoring || helped {
            true => Some(SLICE),
            false => self.stoppable.then_some(MAX_SILENT_READ),
        };
        let slice = slice.map(deadline::after);
        let until = deadline::earliest([until, slice]);
        let received = state.received;
        let mut state = self.read(state, &connection, until);
        let timed_out = state.received == received && slice.is_some_and(|slice| slice <= deadline::now());
        state.quiet |= self.stoppable && timed_out && !restoring;
        if !state.reading && self.background_reads(&state) {
            // From now on this thread sleeps, and the background thread must read.
            self.wake_background(&mut state);
        }
        state
    }

    /// Whether the background thread reads for the threads that wait, which then sleep. A stop cannot wake a thread
    /// that is blocked in `read`, so a thread that can be stopped reads only while data comes. With long-polling,
    /// nothing can end such a read.
    pub(crate) fn background_reads(&self, state: &SessionState) -> bool {
        match &state.phase {
            Phase::Up(connection) | Phase::Closing(connection) => {
                connection.is_polling() || (self.stoppable && state.quiet && !state.background_sends)
            }
            // The background thread connects.
            Phase::Restoring(_) | Phase::Down | Phase::Closed => false,
        }
    }

    /// A thread that stops waiting calls this. If the role is free, wakes one waiting thread, which then reads. If no
    /// thread waits, or if the background thread reads for the waiting threads, wakes the background thread.
    pub(crate) fn hand_over(&self, state: &mut SessionState) {
        if state.reading || state.connection().is_none() {
            return;
        }
        let wakes_waiting = !self.background_reads(state);
        if wakes_waiting && state.others > 0 {
            self.others.notify_one();
        } else if wakes_waiting && state.consumers > 0 {
            self.consumers.notify_one();
        } else if !state.background_awake {
            self.wake_background(state);
        }
    }

    /// Takes the reader role for one turn.
    pub(crate) fn read<'a>(
        &'a self,
        state: MutexGuard<'a, SessionState>,
        connection: &Connection,
        until: Option<Instant>,
    ) -> MutexGuard<'a, SessionState> {
        self.read_by(state, &mut |batch| connection.turn(until, batch))
    }

    /// Like [`read`](SessionCore::read), but `turn` does the reading.
    pub(crate) fn read_by<'a>(
        &'a self,
        mut state: MutexGuard<'a, SessionState>,
        turn: &mut dyn FnMut(&mut Vec<Inbound>) -> Result<(), Disconnect>,
    ) -> MutexGuard<'a, SessionState> {
        state.reading = true;
        let generation = state.generation;
        let mut batch = std::mem::take(&mut state.spare);
        drop(state);
        // A panic would be a bug in this crate, in a library, or in a logger that a library calls. A panic ends this
        // connection.
        let turn = catch_unwind(AssertUnwindSafe(|| turn(&mut batch)));
        let end = turn.unwrap_or_else(|_| Err(panicked())).err();
        let end = end.map(|end| end.without(&self.target.secrets));
        self.mask_errors(&mut batch);
        let mut state = self.lock();
        state.reading = false;
        state.turns = state.turns.wrapping_add(1);
        if generation == state.generation {
            self.store(&mut state, &mut batch);
            if let Some(end) = end {
                self.lose(&mut state, generation, end);
            }
            if state.is_closed() {
                // The thread that closes the session checks which events are confirmed.
                self.others.notify_all();
            }
        }
        batch.clear();
        if batch.capacity() <= SPARE {
            state.spare = batch;
        }
        state
    }

    /// Stores what a connection has received, and wakes the threads that it concerns.
    pub(crate) fn store(&self, state: &mut SessionState, batch: &mut Vec<Inbound>) {
        if batch.is_empty() {
            return;
        }
        state.received = state.received.wrapping_add(batch.len() as u64);
        state.received_at = Some(Instant::now());
        state.quiet = false;
        if state.pid.is_some() {
            // Only the last offset counts.
            let mut offsets = batch.iter().rev().filter_map(|inbound| match inbound {
                Inbound::Event(event) => event.offset(),
                _ => None,
            });
            if let Some(offset) = offsets.next() {
                state.offset = Some(offset.into());
            }
        }
        let (mut events, mut answers) = (0, false);
        for inbound in batch.drain(..) {
            match inbound {
                Inbound::Event(mut event) => {
                    event.generation = state.generation;
                    let mut search = EventSearch::default();
                    for subscriber in &mut state.subscribers {
                        answers |= subscriber.offer(&event, &mut search);
                    }
                    state.queue.push(Item::Event(event));
                    events += 1;
                }
                Inbound::Ack(id, args) => match state.acks.get_mut(&id) {
                    Some(slot @ None) => {
                        *slot = Some(args);
                        answers = true;
                    }
                    _ => note!(self.log, Debug, "ignored an ack that nobody waits for"),
                },
                // After the first reply to CONNECT, another reply changes nothing.
                Inbound::Connected(_) | Inbound::Refused(_) => {
                    note!(self.log, Debug, "ignored a second answer to CONNECT");
                }
            }
        }
        self.notify(state, events, answers);
    }

    /// Removes secrets from the server's error texts, because a server may quote what the client sent.
    pub(crate) fn mask_errors(&self, batch: &mut [Inbound]) {
        let masked = |text: &str| self.target.secrets.remove_from_data(text);
        for inbound in batch {
            match inbound {
                Inbound::Event(event) if event.name() == "error" => {
                    if let Some(clean) = event.reworded(masked) {
                        *event = clean;
                    }
                }
                Inbound::Ack(_, args) if args.mentions_error() => args.reword(masked),
                _ => {}
            }
        }
    }

    fn sleep<'a>(
        &'a self,
        mut state: MutexGuard<'a, SessionState>,
        who: Waiter,
        until: Option<Instant>,
    ) -> MutexGuard<'a, SessionState> {
        let (condvar, count): (_, fn(&mut SessionState) -> &mut usize) = match who {
            Waiter::Consumer => (&self.consumers, |state| &mut state.consumers),
            Waiter::Other => (&self.others, |state| &mut state.others),
        };
        *count(&mut state) += 1;
        let left = until.map(|until| until.saturating_duration_since(deadline::now()));
        let mut state = condvar.wait_for(state, left);
        *count(&mut state) -= 1;
        state
    }
}

/// The result of [`SessionCore::wait_for_items`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Waited {
    /// There is an item to take.
    Items,
    /// No item came in time, or another source has something: see [`SessionCore::wake`].
    Nothing,
    /// The session is over, and all items are taken.
    Ended,
}

impl SessionCore {
    /// Waits for an item to [take](crate::socket::session::queue::ReadyItems::take), at most until `until`. If
    /// `has_some` returns true, another source has something for the consumer, and the result is [`Waited::Nothing`].
    pub(crate) fn wait_for_items(&self, until: Option<Instant>, has_some: &dyn Fn() -> bool) -> Waited {
        if !self.ready.is_empty() {
            return Waited::Items;
        }
        if self.check_process().is_err() {
            return Waited::Ended;
        }
        let condition = |state: &mut SessionState| {
            if self.ready.refill(&mut state.queue) {
                return Some(Waited::Items);
            }
            // The items of other sources come before the end of the session.
            if has_some() || std::mem::take(&mut state.woken) {
                return Some(Waited::Nothing);
            }
            state.has_ended().then_some(Waited::Ended)
        };
        self.wait(Waiter::Consumer, until, condition).unwrap_or(Waited::Nothing)
    }

    /// Whether something is there to take at once.
    pub(crate) fn has_items(&self) -> bool {
        self.check_process().is_ok() && self.ready.refill(&mut self.lock().queue)
    }
}

fn panicked() -> Disconnect {
    Disconnect::new(reason::TRANSPORT_ERROR, "internal error: reading panicked; please report this")
}
