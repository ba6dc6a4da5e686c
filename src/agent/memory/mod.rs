//! The memory of an agent across restarts: which messages the agent has heard, and which questions are done.
//!
//! [`interface`] is what the agent needs of its memory. [`stored`] is the memory that a store keeps, and
//! [`room_memory`] its part for one room. [`store`] is the interface to storage. [`file`] stores the memory in a file,
//! which a [`lock`] protects.
//!
//! The guarantee is delivery at least once. A finished question is in the store before the same thread gets its next
//! question. Other messages are in the store at most a second later. After the next start, the agent yields again
//! each message that is not in the store.

mod file;
mod interface;
mod lock;
mod room_memory;
mod store;
mod stored;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

pub(crate) use interface::{IN_REPLY_TO, Memory};
pub use store::{MemoryStore, StateStore, StoreError};

use crate::error::Result;
use file::FileStore;
use stored::StoredMemory;

/// Opens the memory that the program has set with `AgentBuilder::remember` or `AgentBuilder::remember_in`.
#[derive(Clone)]
pub(crate) struct Remember(Arc<dyn Fn() -> Result<Arc<dyn Memory>> + Send + Sync>);

impl fmt::Debug for Remember {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remember").finish_non_exhaustive()
    }
}

impl Remember {
    pub(crate) fn in_file(path: PathBuf) -> Self {
        Remember(Arc::new(move || {
            let store = Arc::new(FileStore::open(&path)?);
            Ok(Arc::new(StoredMemory::open(store, path.display().to_string())?))
        }))
    }

    pub(crate) fn in_store(store: impl StateStore) -> Self {
        let store: Arc<dyn StateStore> = Arc::new(store);
        Remember(Arc::new(move || {
            let name = "the state store".to_owned();
            Ok(Arc::new(StoredMemory::open(Arc::clone(&store), name)?))
        }))
    }

    /// Opens the store. Called before any network access, because a retry cannot fix an error of the store.
    ///
    /// # Errors
    /// `Config` if the store cannot be opened or read. The error names the file.
    pub(crate) fn open(&self) -> Result<Arc<dyn Memory>> {
        (self.0)()
    }
}
