//! The state of a delivery, protected by a lock. The [helpers](super::fill) that fill gaps call the methods here.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::agent::history::cursor::{Lookback, Progress};
use crate::agent::history::state::{BUDGET, DeliveryState, FillJob, GapClosed};
use crate::agent::history::unreadable::{Reported, Unreadable};
use crate::agent::memory::Memory;
use crate::deadline;
use crate::error::{Error, Result};
use crate::model::{List, Message, MessageId};
use crate::socket::SessionLog;

/// If more bytes are ready, helpers wait for the consumers.
const MAX_READY_BYTES: usize = 4 << 20;

/// The state that consumers and helpers share.
#[derive(Debug)]
pub(super) struct DeliveryShared {
    state: Mutex<DeliveryState>,
    pub(super) log: SessionLog,
    /// The memory across restarts, if the agent remembers.
    pub(super) memory: Option<Arc<dyn Memory>>,
    /// Notified when consumers have taken events, and when the helpers must stop.
    progress: Condvar,
}

impl DeliveryShared {
    pub(super) fn new(log: SessionLog, memory: Option<Arc<dyn Memory>>) -> Self {
        let state = Mutex::new(DeliveryState::new(log.clone(), memory.clone()));
        DeliveryShared { state, log, memory, progress: Condvar::new() }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, DeliveryState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the next gap to fill. `None` ends the helper.
    pub(super) fn next_job(&self) -> Option<FillJob> {
        let mut state = self.lock();
        let job = state.next_job();
        if job.is_none() {
            state.helpers -= 1;
        }
        job
    }

    /// Returns the missed and edited messages of a page of the room's history, newest first.
    pub(super) fn classify_page(
        &self,
        job: &FillJob,
        page: Vec<Message>,
        lookback: &Lookback,
    ) -> Result<(Vec<Message>, Progress), GapClosed> {
        let mut state = self.lock();
        if let Some(memory) = &state.memory {
            // Note all answers of the page before the delivery hands out any question of the page.
            page.iter().for_each(|message| memory.note_answer(message));
        }
        let room = state.room_with_gap(&job.room, job.gap)?;
        if let Some(gap) = &mut room.gap {
            gap.held.note_page(&page);
        }
        Ok(room.cursor.classify_page(page, lookback))
    }

    /// Returns the unreadable elements of a page of the room's history that nobody has reported before.
    pub(super) fn unreadable(
        &self,
        job: &FillJob,
        page: &List<Message>,
        above: Option<&MessageId>,
        lookback: &Lookback,
    ) -> Result<Vec<Unreadable>, GapClosed> {
        if page.skipped() == 0 {
            return Ok(Vec::new());
        }
        Ok(self.lock().room_with_gap(&job.room, job.gap)?.cursor.unreadable(page, above, lookback))
    }

    /// Notes that the helper is about to report the elements.
    pub(super) fn note_reported(&self, job: &FillJob, elements: Reported) -> Result<(), GapClosed> {
        self.lock().room_with_gap(&job.room, job.gap)?.cursor.note_reported(elements);
        Ok(())
    }

    /// Queues missed messages, oldest first, before other events. Waits until consumers have taken earlier ones.
    pub(super) fn merge(&self, job: &FillJob, messages: Vec<Message>) -> Result<(), GapClosed> {
        let mut state = self.lock();
        while state.ready_bytes > MAX_READY_BYTES {
            state.room_with_gap(&job.room, job.gap)?;
            state.extend(&job.room);
            state = self.wait(state, BUDGET / 4);
        }
        state.merge(&job.room, job.gap, messages)?;
        state.extend(&job.room);
        Ok(())
    }

    /// Reports a missing part to the consumers before the remaining messages.
    pub(super) fn report(&self, job: &FillJob, error: Error) -> Result<(), GapClosed> {
        let mut state = self.lock();
        state.room_with_gap(&job.room, job.gap)?;
        state.report(&job.room, error);
        Ok(())
    }

    /// Waits until the consumers have taken all live events that came so far, at most for `BUDGET`. After that, a
    /// history with a missing part can be merged, because the earlier live events were handed out or are held.
    pub(super) fn wait_for_consumers(&self, job: &FillJob) -> Result<(), GapClosed> {
        let end = deadline::after(BUDGET);
        let mut state = self.lock();
        let emptied = state.emptied;
        loop {
            if let Some(gap) = &mut state.room_with_gap(&job.room, job.gap)?.gap {
                gap.held.note_partial_history();
            }
            let left = end.saturating_duration_since(Instant::now());
            if state.emptied != emptied || left.is_zero() {
                return Ok(());
            }
            state = self.wait(state, left);
        }
    }

    pub(super) fn set_dm(&self, job: &FillJob, dm: bool) {
        if let Some(room) = self.lock().rooms.get_mut(&job.room) {
            room.cursor.dm = dm;
        }
    }

    /// Notes that the helper has finished this gap.
    pub(super) fn finish(&self, job: &FillJob, error: Option<Error>) {
        let mut state = self.lock();
        match state.room_with_gap(&job.room, job.gap) {
            Ok(_) => state.finish(&job.room, job.gap, error),
            Err(GapClosed) => state.abandoned = state.abandoned.saturating_sub(1),
        }
    }

    /// Notes that a helper has ended without asking for its next job.
    pub(super) fn helper_is_gone(&self) {
        self.lock().helpers -= 1;
    }

    /// Pauses. Returns `false` if the helper must not continue: the gap was closed, or its deadline is before the end
    /// of the pause.
    pub(super) fn pause(&self, job: &FillJob, time: Duration) -> bool {
        let end = deadline::after(time);
        let mut state = self.lock();
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let Ok(room) = state.room_with_gap(&job.room, job.gap) else { return false };
            let deadline = room.gap.as_ref().and_then(|gap| gap.deadline);
            if left.is_zero() {
                return true;
            }
            if deadline.is_some_and(|deadline| deadline <= end) {
                return false;
            }
            state = self.wait(state, left);
        }
    }

    /// Tells waiting helpers that consumers have taken events, or that the helpers must stop.
    pub(super) fn notify_helpers(&self) {
        self.progress.notify_all();
    }

    /// Tells the helpers to stop. Each helper stops when its current request ends.
    pub(super) fn stop(&self) {
        self.lock().stopped = true;
        self.progress.notify_all();
    }

    fn wait<'a>(
        &self,
        mut state: MutexGuard<'a, DeliveryState>,
        time: Duration,
    ) -> MutexGuard<'a, DeliveryState> {
        state.waiting += 1;
        let (mut state, _) = self.progress.wait_timeout(state, time).unwrap_or_else(PoisonError::into_inner);
        state.waiting -= 1;
        state
    }
}
