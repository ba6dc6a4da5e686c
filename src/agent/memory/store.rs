//! The storage of an agent's memory.

use std::sync::Arc;

use crate::sync::lock::Mutex;

/// The error of a [`StateStore`].
pub type StoreError = Box<dyn std::error::Error + Send + Sync>;

/// A program's own storage for an agent's memory, such as a row in a database. Pass it to
/// [`AgentBuilder::remember_in`](crate::agent::AgentBuilder::remember_in).
///
/// The agent calls the store on the threads that take events, or on a separate thread, and never on two threads at
/// once. The methods may block, and may call the agent: the agent saves a change that such a call makes a second later.
/// If [`save`](StateStore::save) cannot write the new text, the store must keep the old text. Two agents must not share
/// a store.
///
/// ```
/// use std::sync::Mutex;
/// use crustocean::agent::{StateStore, StoreError};
///
/// struct Row(Mutex<Option<String>>); // stands for a database
///
/// impl StateStore for Row {
///     fn load(&self) -> Result<Option<String>, StoreError> {
///         Ok(self.0.lock().map_err(|_| "poisoned")?.clone())
///     }
///
///     fn save(&self, state: &str) -> Result<(), StoreError> {
///         *self.0.lock().map_err(|_| "poisoned")? = Some(state.to_owned());
///         Ok(())
///     }
/// }
/// # let _ = crustocean::Agent::builder().remember_in(Row(Mutex::default()));
/// ```
pub trait StateStore: Send + Sync + 'static {
    /// Returns the text that was saved last; `None` if no text was saved.
    ///
    /// # Errors
    /// Any error if the text cannot be read. Connecting the agent then fails with
    /// [`Config`](crate::ErrorKind::Config).
    fn load(&self) -> Result<Option<String>, StoreError>;

    /// Replaces the saved text with `state` (JSON).
    ///
    /// # Errors
    /// Any error if the text cannot be written. The agent reports
    /// [`Event::StateNotSaved`](crate::Event::StateNotSaved), continues, and tries again after a second.
    fn save(&self, state: &str) -> Result<(), StoreError>;
}

/// A [`StateStore`] in memory, for tests. Clones share one text.
///
/// ```
/// use crustocean::{Agent, agent::MemoryStore};
///
/// let store = MemoryStore::default();
/// let builder = Agent::builder().remember_in(store.clone());
/// # let _ = builder;
/// ```
#[derive(Debug, Clone, Default)]
pub struct MemoryStore(Arc<Mutex<Option<String>>>);

impl MemoryStore {
    /// Returns the text that was saved last.
    pub fn saved(&self) -> Option<String> {
        self.0.lock().clone()
    }
}

impl StateStore for MemoryStore {
    fn load(&self) -> Result<Option<String>, StoreError> {
        Ok(self.saved())
    }

    fn save(&self, state: &str) -> Result<(), StoreError> {
        *self.0.lock() = Some(state.to_owned());
        Ok(())
    }
}
