//! State files that are incomplete, locked, of another agent or on a full disk, and stores of the program.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::{LIMIT, Larry};
use crate::common::{SOON, TestSandbox, wait_for, watchdog};
use crustocean::agent::{MemoryStore, StateStore, StoreError};
use crustocean::{ErrorKind, Event};

/// A folder that is deleted when this is dropped.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Folder {
        let folder = std::env::temp_dir().join(format!("crustocean-remember-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        Folder(folder)
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.0.join("larry.state")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn one_file_serves_one_agent_at_a_time() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let folder = Folder::new("shared");
    let larry = sandbox.agent_token("larry");
    let agent = sandbox.builder().remember(folder.file()).connect(larry.clone()).unwrap();
    agent.join("lobby").unwrap();
    let error = sandbox.builder().remember(folder.file()).connect(larry.clone()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("larry.state"), "{error}");
    drop(agent);
    let error = sandbox.builder().remember(folder.file()).connect(sandbox.agent_token("ben")).unwrap_err();
    assert!(error.to_string().contains("another agent"), "{error}");
    // Simulates a write that was interrupted.
    let text = std::fs::read(folder.file()).unwrap();
    std::fs::write(folder.file(), &text[..text.len() / 2]).unwrap();
    let error = sandbox.builder().remember(folder.file()).connect(larry).unwrap_err();
    assert!(error.to_string().contains("larry.state") && error.to_string().contains("incomplete"), "{error}");
    assert_eq!(std::fs::read(folder.file()).unwrap(), &text[..text.len() / 2], "nothing is lost");
}

#[test]
fn a_full_disk_is_reported_and_the_agent_goes_on() {
    struct Full(AtomicBool, MemoryStore);
    impl StateStore for &'static Full {
        fn load(&self) -> Result<Option<String>, StoreError> {
            self.1.load()
        }
        fn save(&self, state: &str) -> Result<(), StoreError> {
            if self.0.load(Ordering::Relaxed) {
                Err("no space left on device".into())
            } else {
                self.1.save(state)
            }
        }
    }
    let _watchdog = watchdog(LIMIT);
    let larry = Larry::new();
    let sandbox = &larry.sandbox;
    let full: &'static Full = Box::leak(Box::new(Full(AtomicBool::new(true), MemoryStore::default())));
    let agent = larry.start_with(sandbox.builder().remember_in(full));
    let events = agent.events();
    let error = wait_for(&events, "the bad news", |event| match event {
        Event::StateNotSaved { error, .. } => Some(error),
        _ => None,
    });
    assert!(error.to_string().contains("no space left"), "{error}");
    // The agent works on, and saves as soon as that is possible.
    sandbox.alice_says("@larry one");
    wait_for(&events, "the question", |event| matches!(event, Event::Message(_)).then_some(()));
    sandbox.alice_says("@larry two");
    wait_for(&events, "the next question", |event| matches!(event, Event::Message(_)).then_some(()));
    full.0.store(false, Ordering::Relaxed);
    let until = Instant::now() + SOON;
    while full.1.saved().is_none() {
        let _ = events.recv_timeout(Duration::from_millis(100));
        assert!(Instant::now() < until, "it is tried again");
    }
}
