//! A lock on a file. The operating system releases the lock when the process ends, also after a kill.
//!
//! `std` has file locks since Rust 1.89, which is newer than this crate's minimum. So this module uses other methods
//! without unsafe code. Linux and Android bind an abstract socket, which only one process can bind. Other systems open
//! the lock file exclusively. On Linux the lock works between processes of one network namespace;
//! [`FileStore`](super::file::FileStore) itself detects a writer in another container.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

/// The held lock. Dropping the lock releases the file.
#[derive(Debug)]
pub(super) struct FileLock {
    _file: File,
    #[cfg(any(target_os = "linux", target_os = "android"))]
    _socket: Option<std::os::unix::net::UnixListener>,
}

impl FileLock {
    /// Takes the lock. Returns `None` if another process, or another agent of this process, has the lock.
    ///
    /// # Errors
    /// The `io::Error` if the lock file cannot be created or opened.
    pub(super) fn take(path: &Path) -> io::Result<Option<FileLock>> {
        let mut options = OpenOptions::new();
        // The lock file stays empty, and no process removes it. If a process removed the file, two processes could lock
        // two different files with the same name.
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

    // The socket's name contains the device and inode of the file. A path would differ with links and mounts.
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
    // O_EXLOCK and O_NONBLOCK. The values are the same on all of these systems.
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
    // Windows error 32 is ERROR_SHARING_VIOLATION.
    error.kind() == io::ErrorKind::WouldBlock || cfg!(windows) && error.raw_os_error() == Some(32)
}
