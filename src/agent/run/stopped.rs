//! Whether a run should stop.

use crate::stop::Stop;
use crate::sync::lock::Mutex;
use crate::threads;

/// Stopped when a member of the room asks for a stop, or when the run ends.
#[derive(Debug, Default)]
pub(super) struct RunStop(Mutex<RunStopState>);

#[derive(Debug, Default)]
struct RunStopState {
    /// A member asked for a stop, or the agent has ended.
    asked: bool,
    /// The agent has ended.
    by_agent: bool,
    /// The run has ended.
    over: bool,
    /// Created on the first call of [`Run::stopped`](crate::run::Run::stopped).
    switch: Option<Stop>,
}

impl RunStop {
    pub(super) fn is_asked(&self) -> bool {
        self.0.lock().asked
    }

    /// Whether the end of the agent has stopped the run, and not a member.
    pub(super) fn is_by_agent(&self) -> bool {
        self.0.lock().by_agent
    }

    /// Records that a member asks for a stop. The caller holds locks, so the program's callbacks run on another thread.
    pub(super) fn ask(&self) {
        let switch = {
            let mut state = self.0.lock();
            if std::mem::replace(&mut state.asked, true) { None } else { state.switch.clone() }
        };
        if let Some(switch) = switch {
            stop_elsewhere(switch);
        }
    }

    /// Records that the run has ended. `by_agent`: the agent has ended the run, not the program.
    pub(super) fn end(&self, by_agent: bool) {
        let switch = {
            let mut state = self.0.lock();
            state.over = true;
            state.asked |= by_agent;
            state.by_agent |= by_agent;
            state.switch.clone()
        };
        match switch {
            // This thread closes the agent, and the program's callbacks may block.
            Some(switch) if by_agent => stop_elsewhere(switch),
            Some(switch) => switch.stop(),
            None => {}
        }
    }

    pub(super) fn switch(&self) -> Stop {
        let (switch, stopped) = {
            let mut state = self.0.lock();
            (state.switch.get_or_insert_default().clone(), state.asked || state.over)
        };
        if stopped {
            switch.stop();
        }
        switch
    }
}

fn stop_elsewhere(switch: Stop) {
    if let Err(error) = threads::start("crustocean-stop", move || switch.stop()) {
        crate::logging::warn!("a run cannot be stopped: {error}");
    }
}
