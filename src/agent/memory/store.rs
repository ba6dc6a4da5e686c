//! Where an agent keeps what it remembers.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// Why a [`StateStore`] could not do its work.
pub type StoreError = Box<dyn std::error::Error + Send + Sync>;

/// A place of your own for what an agent remembers: a row of a database, say. For
/// [`AgentBuilder::remember_in`](crate::agent::AgentBuilder::remember_in).
///
/// It is called on the threads that take events, never by two at once, and may block. A store must keep the old text when
/// it cannot write the new one, and must not be shared by two agents.
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
    /// What was saved last; `None` if nothing ever was.
    ///
    /// # Errors
    /// If it cannot be read: the agent does not connect then.
    fn load(&self) -> Result<Option<String>, StoreError>;

    /// Keeps this text (JSON) instead of the last one.
    ///
    /// # Errors
    /// If it cannot be written: the agent says so in [`Event::StateNotSaved`](crate::Event::StateNotSaved), goes on, and tries
    /// again.
    fn save(&self, state: &str) -> Result<(), StoreError>;
}

/// A [`StateStore`] that lives as long as the program: for tests. Clones share one text.
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
    /// What was saved last.
    pub fn saved(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl StateStore for MemoryStore {
    fn load(&self) -> Result<Option<String>, StoreError> {
        Ok(self.saved())
    }

    fn save(&self, state: &str) -> Result<(), StoreError> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(state.to_owned());
        Ok(())
    }
}

/// Where the builder was told to remember.
#[derive(Clone)]
pub(crate) enum Remember {
    File(PathBuf),
    Store(Arc<dyn StateStore>),
}

impl fmt::Debug for Remember {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Remember::File(path) => f.debug_tuple("File").field(path).finish(),
            Remember::Store(_) => f.write_str("Store"),
        }
    }
}
