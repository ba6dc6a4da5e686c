//! Stores an agent's memory in a file.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use crate::agent::memory::lock::FileLock;
use crate::agent::memory::store::{StateStore, StoreError};
use crate::deadline;
use crate::error::{Error, Result};
use crate::sync::lock::Mutex;

/// How long to wait until a process that is being replaced releases the file.
const LOCK_TIMEOUT: Duration = Duration::from_secs(1);
const RETRY_INTERVAL: Duration = Duration::from_millis(20);

/// A file that each save replaces as a whole. If the process or the machine stops, the file has either the old or the
/// new text.
#[derive(Debug)]
pub(super) struct FileStore {
    path: PathBuf,
    /// The state of the file when this process last read or wrote it.
    known: Mutex<Option<Stamp>>,
    _lock: FileLock,
}

/// Detects that another process has replaced the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    length: u64,
    modified: Option<SystemTime>,
}

impl FileStore {
    /// # Errors
    /// `Config` if another agent uses the file, or if the folder is not writable.
    pub(super) fn open(path: &Path) -> Result<FileStore> {
        let failed = |error: io::Error| {
            let what = match error.kind() {
                io::ErrorKind::IsADirectory => "it is a directory; name a file".to_owned(),
                io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                    format!("{error}. The file and its folder must be writable")
                }
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
                    format!("{error}. The folder must exist")
                }
                _ => error.to_string(),
            };
            Error::config(format!("cannot store the memory in {}: {what}", path.display())).with_source(error)
        };
        if path.as_os_str().is_empty() {
            return Err(Error::config(
                "cannot store the memory in a file without a name: give a name, such as larry.state",
            ));
        }
        if path.is_dir() {
            return Err(failed(io::ErrorKind::IsADirectory.into()));
        }
        let shown = path;
        let path = &resolved(path).map_err(failed)?;
        let until = deadline::after(LOCK_TIMEOUT);
        let mut lock = FileLock::take(&beside(path, ".lock")).map_err(failed)?;
        while lock.is_none() && Instant::now() < until {
            thread::sleep(RETRY_INTERVAL);
            lock = FileLock::take(&beside(path, ".lock")).map_err(failed)?;
        }
        let Some(lock) = lock else {
            return Err(Error::config(format!(
                "cannot store the memory in {}: another running agent uses this file; each agent needs its own file",
                shown.display()
            )));
        };
        check_writable(&beside(path, ".new")).map_err(failed)?;
        Ok(FileStore { path: path.to_owned(), known: Mutex::new(stamp(path).map_err(failed)?), _lock: lock })
    }

    fn write(&self, temporary: &Path, state: &str) -> io::Result<()> {
        let mut file = File::create(temporary)?;
        file.write_all(state.as_bytes())?;
        file.sync_all()?;
        drop(file);
        fs::rename(temporary, &self.path)?;
        // Syncs the folder, so that the disk has the renamed file. Some systems do not support this.
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        if let Ok(folder) = File::open(folder.unwrap_or(Path::new("."))) {
            let _ = folder.sync_all();
        }
        Ok(())
    }
}

impl StateStore for FileStore {
    fn load(&self) -> Result<Option<String>, StoreError> {
        match fs::read(&self.path) {
            // If the file is not UTF-8, the memory's parser reports the error.
            Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn save(&self, state: &str) -> Result<(), StoreError> {
        let mut known = self.known.lock();
        // If the file was removed, a save overwrites no text of another program.
        let found = stamp(&self.path)?;
        if found.is_some() && found != *known {
            return Err("another program has written to the file: it was not changed".into());
        }
        let temporary = beside(&self.path, ".new");
        self.write(&temporary, state).inspect_err(|_| {
            let _ = fs::remove_file(&temporary);
        })?;
        *known = stamp(&self.path)?;
        Ok(())
    }
}

fn stamp(path: &Path) -> io::Result<Option<Stamp>> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(Some(Stamp { length: metadata.len(), modified: metadata.modified().ok() })),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Follows symbolic links and returns the absolute path of the file, which need not exist. If the crate replaced the
/// link instead, the file would stay as it is, and two links to one file would not share its lock. The path is
/// absolute, because the process may change its folder.
fn resolved(path: &Path) -> io::Result<PathBuf> {
    let mut path = std::path::absolute(path)?;
    for _ in 0..MAX_LINKS {
        let Ok(target) = fs::read_link(&path) else { return Ok(path) };
        // If the target is absolute, `join` replaces the folder.
        path = path.parent().unwrap_or(Path::new("/")).join(target);
    }
    Err(io::Error::other("the symbolic links form a loop"))
}

/// The most symbolic links to follow, as in Linux.
const MAX_LINKS: usize = 40;

/// Checks that the folder is writable, so that the agent fails at its start and not with the first question. A full
/// disk is not an error here, because the agent tries to save again later.
fn check_writable(temporary: &Path) -> io::Result<()> {
    match File::create(temporary) {
        Ok(_) => fs::remove_file(temporary),
        Err(error) if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) => {
            Ok(())
        }
        Err(error) => Err(error),
    }
}

/// A file in the same folder, so that it can be renamed.
fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(ending);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> PathBuf {
        let folder =
            std::env::temp_dir().join(format!("crustocean-file-store-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    #[test]
    fn one_at_a_time_and_the_next_when_it_is_gone() {
        let folder = folder("lock");
        let path = folder.join("larry.state");
        let store = FileStore::open(&path).unwrap();
        assert_eq!(store.load().unwrap(), None);
        store.save("one").unwrap();
        store.save("two").unwrap();
        let error = FileStore::open(&path).unwrap_err().to_string();
        assert!(error.contains("larry.state") && error.contains("another"), "{error}");
        drop(store);
        let store = FileStore::open(&path).unwrap();
        assert_eq!(store.load().unwrap().as_deref(), Some("two"));
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn what_cannot_be_written_leaves_the_old_text() {
        let folder = folder("full");
        let path = folder.join("larry.state");
        let store = FileStore::open(&path).unwrap();
        store.save("one").unwrap();
        // A folder with this name blocks the temporary file.
        fs::create_dir(folder.join("larry.state.new")).unwrap();
        assert!(store.save("two").is_err());
        assert_eq!(store.load().unwrap().as_deref(), Some("one"));
        fs::remove_dir(folder.join("larry.state.new")).unwrap();
        store.save("three").unwrap();
        // This writer ignores the lock.
        fs::write(&path, "somebody else's").unwrap();
        assert!(store.save("four").is_err());
        assert_eq!(store.load().unwrap().as_deref(), Some("somebody else's"));
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_file_that_was_removed_is_written_again() {
        let folder = folder("removed");
        let path = folder.join("larry.state");
        let store = FileStore::open(&path).unwrap();
        store.save("one").unwrap();
        fs::remove_file(&path).unwrap();
        store.save("two").unwrap();
        assert_eq!(store.load().unwrap().as_deref(), Some("two"));
        fs::write(&path, "somebody else's").unwrap();
        assert!(store.save("three").is_err());
        fs::remove_dir_all(folder).unwrap();
    }
}
