//! Whether a run is to stop.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::agent::run::Run;
use crate::stop::Stop;

/// Stopped when somebody in the room asks for it, or when the run is over.
#[derive(Debug, Default)]
pub(super) struct RunStop(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Somebody has asked for a stop, or the agent has ended.
    asked: bool,
    /// The run is over, however.
    over: bool,
    /// Only if the program wants one.
    switch: Option<Stop>,
}

impl RunStop {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_asked(&self) -> bool {
        self.lock().asked
    }

    /// Somebody asks for a stop. Called under locks: what the program wants to be called has a thread of its own.
    pub(super) fn ask(&self) {
        let switch = {
            let mut state = self.lock();
            if std::mem::replace(&mut state.asked, true) { None } else { state.switch.clone() }
        };
        if let Some(switch) = switch {
            let stopping = move || switch.stop();
            if let Err(error) = std::thread::Builder::new().name("crustocean-stop".to_owned()).spawn(stopping)
            {
                crate::logging::warn!("a run cannot be stopped: {error}");
            }
        }
    }

    /// The run is over. `by_agent`: it was not the program that ended it.
    pub(super) fn end(&self, by_agent: bool) {
        let switch = {
            let mut state = self.lock();
            state.over = true;
            state.asked |= by_agent;
            state.switch.clone()
        };
        if let Some(switch) = switch {
            switch.stop();
        }
    }

    fn switch(&self) -> Stop {
        let (switch, stopped) = {
            let mut state = self.lock();
            (state.switch.get_or_insert_default().clone(), state.asked || state.over)
        };
        if stopped {
            switch.stop();
        }
        switch
    }
}

impl Run {
    /// Whether the work is to stop: somebody in the room has asked for it, or the agent was closed or stopped. That stays
    /// so, also when the interrupt has been taken.
    pub fn is_stopped(&self) -> bool {
        self.core.stopped.is_asked()
    }

    /// A switch that is stopped when somebody in the room asks for a stop, when the agent is closed or stopped, and when the
    /// run ends. It wakes what waits: a [`reader`](Stop::reader) for the answer of a language model, a
    /// [`wait`](Stop::wait), whatever [`on_stop`](Stop::on_stop) ends. Each call returns the same switch.
    ///
    /// ```no_run
    /// use std::io::{BufRead, BufReader, Read};
    ///
    /// fn answer(run: &crustocean::run::Run, body: impl Read + Send + 'static) -> std::io::Result<()> {
    ///     // Ends at once when somebody says stop, not with the next line.
    ///     for line in BufReader::new(run.stopped().reader(body)?).lines() {
    ///         println!("{}", line?);
    ///     }
    ///     Ok(())
    /// }
    /// ```
    pub fn stopped(&self) -> Stop {
        self.core.stopped.switch()
    }
}
