//! A lock on a file, held by the system for as long as the process lives: after a kill it is free.
//!
//! `std` has file locks from Rust 1.89 on. Until then each system has its own way that needs no unsafe code: an abstract
//! socket, which one process can bind at a time, or opening the lock file exclusively. On Linux it holds among processes of
//! one network namespace; [`FileStore`](super::file::FileStore) finds out about a writer in another container by itself.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

/// The file is free again when this is dropped.
#[derive(Debug)]
pub(super) struct FileLock {
    _file: File,
    #[cfg(any(target_os = "linux", target_os = "android"))]
    _socket: Option<std::os::unix::net::UnixListener>,
}

impl FileLock {
    /// `None` if another process, or another agent of this one, has it.
    ///
    /// # Errors
    /// If the lock file cannot be made.
    pub(super) fn take(path: &Path) -> io::Result<Option<FileLock>> {
        let mut options = OpenOptions::new();
        // Nothing is ever written into it, and it stays: to remove it would let two processes lock two files of one name.
        options.read(true).write(true).create(true).truncate(false);
        exclusive(&mut options);
        let file = match options.open(path) {
            Ok(file) => file,
            Err(error) if is_taken(&error) => return Ok(None),
            Err(error) => return Err(error),
        };
        #[cfg(any(target_os = "linux", target_os = "android"))]
        {
            match bind(&file) {
                Ok(socket) => Ok(Some(FileLock { _file: file, _socket: Some(socket) })),
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => Ok(None),
                Err(error) => {
                    crate::logging::warn!("no lock on {}: {error}", path.display());
                    Ok(Some(FileLock { _file: file, _socket: None }))
                }
            }
        }
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        Ok(Some(FileLock { _file: file }))
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn bind(file: &File) -> io::Result<std::os::unix::net::UnixListener> {
    #[cfg(target_os = "android")]
    use std::os::android::net::SocketAddrExt;
    #[cfg(target_os = "linux")]
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::fs::MetadataExt;
    use std::os::unix::net::{SocketAddr, UnixListener};

    // By what the file is and not by its path, which differs with links and mounts.
    let metadata = file.metadata()?;
    let name = format!("crustocean-state-{:x}-{:x}", metadata.dev(), metadata.ino());
    UnixListener::bind_addr(&SocketAddr::from_abstract_name(name)?)
}

#[cfg(any(
    target_os = "macos",
    target_os = "ios",
    target_os = "freebsd",
    target_os = "openbsd",
    target_os = "netbsd"
))]
fn exclusive(options: &mut OpenOptions) {
    use std::os::unix::fs::OpenOptionsExt;
    // O_EXLOCK and O_NONBLOCK, the same on all of these.
    options.custom_flags(0x20 | 0x4);
}

#[cfg(windows)]
fn exclusive(options: &mut OpenOptions) {
    use std::os::windows::fs::OpenOptionsExt;
    options.share_mode(0);
}

#[cfg(not(any(
    windows,
    target_os = "macos",
    target_os = "ios",
    target_os = "freebsd",
    target_os = "openbsd",
    target_os = "netbsd"
)))]
fn exclusive(_options: &mut OpenOptions) {}

fn is_taken(error: &io::Error) -> bool {
    // ERROR_SHARING_VIOLATION
    error.kind() == io::ErrorKind::WouldBlock || cfg!(windows) && error.raw_os_error() == Some(32)
}
