//! A reader that a [`Stop`] ends.

use std::fmt;
use std::io::{self, Read};
use std::sync::Arc;

use crate::stop::{OnStop, Stop};
use crate::sync::lock::{Condvar, Mutex, MutexGuard};
use crate::threads;
use crate::user_code::caught;

/// The size of the buffer for one read of the inner reader.
const CHUNK: usize = 16 << 10;

/// A reader that ends when a [`Stop`] is stopped. Returned by [`Stop::reader`].
pub struct StopReader {
    shared: Arc<StopReaderShared>,
    /// The current chunk. The bytes from `taken` on are not returned yet.
    chunk: Vec<u8>,
    taken: usize,
    _on_stop: OnStop,
}

/// The state that `StopReader` and its reading thread share.
struct StopReaderShared {
    state: Mutex<StopReaderState>,
    changed: Condvar,
}

#[derive(Default)]
struct StopReaderState {
    /// The next chunk. At most one chunk waits, so the thread does not read far ahead.
    chunk: Option<io::Result<Vec<u8>>>,
    /// The inner reader has ended. No more chunks come.
    ended: bool,
    /// The inner reader has panicked. `read` returns this error once, after the last chunk.
    panicked: bool,
    /// The `Stop` was stopped, or the `StopReader` was dropped. The thread must end.
    stopped: bool,
}

impl StopReaderShared {
    fn wait<'a>(&'a self, state: MutexGuard<'a, StopReaderState>) -> MutexGuard<'a, StopReaderState> {
        self.changed.wait(state)
    }

    fn change(&self, change: impl FnOnce(&mut StopReaderState)) {
        change(&mut self.state.lock());
        self.changed.notify_all();
    }

    /// Reads until the inner reader ends, or until `stopped` is set.
    fn read_all(&self, inner: &mut impl Read) {
        loop {
            let mut chunk = vec![0; CHUNK];
            let read = match inner.read(&mut chunk) {
                Ok(0) => return,
                Ok(count) => {
                    chunk.truncate(count);
                    Ok(chunk)
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => Err(error),
            };
            let mut state = self.state.lock();
            while state.chunk.is_some() && !state.stopped {
                state = self.wait(state);
            }
            if state.stopped {
                return;
            }
            state.chunk = Some(read);
            self.changed.notify_all();
        }
    }
}

impl StopReader {
    pub(super) fn new(stop: &Stop, inner: impl Read + Send + 'static) -> io::Result<Self> {
        let shared = Arc::new(StopReaderShared { state: Mutex::default(), changed: Condvar::new() });
        let on_stop = stop.on_stop({
            let shared = Arc::clone(&shared);
            move || shared.change(|state| state.stopped = true)
        });
        let reading = Arc::clone(&shared);
        threads::start("crustocean-reader", move || {
            let mut inner = inner;
            let panicked = caught(|| reading.read_all(&mut inner)).is_err();
            let _ = caught(|| drop(inner));
            reading.change(|state| (state.ended, state.panicked) = (true, panicked));
        })?;
        Ok(StopReader { shared, chunk: Vec::new(), taken: 0, _on_stop: on_stop })
    }
}

impl Read for StopReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let mut state = self.shared.state.lock();
        loop {
            if state.stopped {
                return Ok(0);
            }
            if self.taken < self.chunk.len() {
                drop(state);
                let mut rest = self.chunk.get(self.taken..).unwrap_or_default();
                let count = rest.read(buffer)?;
                self.taken += count;
                return Ok(count);
            }
            if let Some(chunk) = state.chunk.take() {
                self.shared.changed.notify_all();
                self.chunk = chunk?;
                self.taken = 0;
            } else if std::mem::take(&mut state.panicked) {
                return Err(io::Error::other("the reader panicked"));
            } else if state.ended {
                return Ok(0);
            } else {
                state = self.shared.wait(state);
            }
        }
    }
}

impl Drop for StopReader {
    fn drop(&mut self) {
        self.shared.change(|state| state.stopped = true);
    }
}

impl fmt::Debug for StopReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StopReader").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;
    use std::time::{Duration, Instant};

    use super::*;

    /// A reader of the bytes that are sent into the channel.
    struct Channel(mpsc::Receiver<io::Result<Vec<u8>>>);

    impl Read for Channel {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            match self.0.recv() {
                Ok(bytes) => bytes?.as_slice().read(buffer),
                Err(_) => Ok(0),
            }
        }
    }

    fn channel(stop: &Stop) -> (mpsc::Sender<io::Result<Vec<u8>>>, StopReader) {
        let (send, receive) = mpsc::channel();
        (send, stop.reader(Channel(receive)).unwrap())
    }

    #[test]
    fn everything_comes_through_with_errors_and_the_end() {
        let stop = Stop::new();
        let long: Vec<u8> = (0..200_000u32).map(|n| n as u8).collect();
        let mut all = Vec::new();
        stop.reader(io::Cursor::new(long.clone())).unwrap().read_to_end(&mut all).unwrap();
        assert!(all == long);

        let (send, mut reader) = channel(&stop);
        send.send(Ok(b"ab".to_vec())).unwrap();
        send.send(Err(io::Error::other("broken"))).unwrap();
        send.send(Ok(b"c".to_vec())).unwrap();
        drop(send);
        let mut two = [0; 2];
        reader.read_exact(&mut two).unwrap();
        assert_eq!(reader.read(&mut two).unwrap_err().to_string(), "broken");
        assert_eq!(&two, b"ab");
        assert_eq!(reader.read(&mut two).unwrap(), 1);
        assert_eq!(reader.read(&mut two).unwrap(), 0);
    }

    #[test]
    fn a_stop_ends_a_read_that_waits() {
        let stop = Stop::new();
        let (send, mut reader) = channel(&stop);
        let reading = thread::spawn(move || reader.read(&mut [0; 8]).unwrap());
        let stopped = Instant::now();
        stop.stop();
        assert_eq!(reading.join().unwrap(), 0);
        assert!(stopped.elapsed() < Duration::from_secs(20));
        // The reading thread ends with the next chunk.
        while send.send(Ok(vec![1])).is_ok() {
            thread::yield_now();
        }
        assert_eq!(stop.reader(io::repeat(1)).unwrap().read(&mut [0; 8]).unwrap(), 0, "it is too late");
    }

    #[test]
    fn a_panic_is_an_error() {
        struct Panics;
        impl Read for Panics {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                panic!("of the user's")
            }
        }
        let error = Stop::new().reader(Panics).unwrap().read(&mut [0; 8]).unwrap_err();
        assert!(error.to_string().contains("panicked"), "{error}");
    }
}
