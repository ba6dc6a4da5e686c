//! DNS lookups with a deadline, which the system's resolver does not support.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::cancel::CancelToken;
use super::endpoint::Endpoint;
use crate::error::{Error, ErrorKind, Result};
use crate::sync::lock::{Condvar, Mutex};
use crate::threads;

/// The most addresses of one name that the dialer tries.
const MAX_ADDRESSES: usize = 16;
/// The most lookups at a time. The system's resolver cannot be interrupted: a lookup that hangs keeps its thread.
const MAX_LOOKUPS: usize = 32;
/// Several callers share a running lookup of the same name, unless the lookup is older than this: an old lookup may
/// hang forever.
const STILL_FRESH: Duration = Duration::from_secs(10);
/// How often a waiting caller checks whether it is cancelled.
const CANCEL_CHECK: Duration = Duration::from_millis(20);

type Resolve = dyn Fn(&str, u16) -> io::Result<Vec<SocketAddr>> + Send + Sync;
type LookupResult = std::result::Result<Vec<SocketAddr>, Arc<io::Error>>;

/// Looks names up, each on its own thread. Clones share running lookups.
#[derive(Clone)]
pub(super) struct Resolver {
    resolve: Arc<Resolve>,
    in_flight: Arc<Mutex<Vec<Arc<LookUp>>>>,
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolver").field("in_flight", &self.in_flight.lock().len()).finish()
    }
}

/// A running lookup of one name.
struct LookUp {
    host: String,
    port: u16,
    begun: Instant,
    answer: Mutex<Option<LookupResult>>,
    answered: Condvar,
}

impl Resolver {
    /// The system's resolver.
    pub(super) fn of_the_system() -> Self {
        Self::new(|host, port| {
            let mut found = Vec::new();
            for address in (host, port).to_socket_addrs()? {
                if found.len() < MAX_ADDRESSES {
                    found.push(address);
                }
            }
            Ok(found)
        })
    }

    pub(super) fn new(
        resolve: impl Fn(&str, u16) -> io::Result<Vec<SocketAddr>> + Send + Sync + 'static,
    ) -> Self {
        Resolver { resolve: Arc::new(resolve), in_flight: Arc::default() }
    }

    /// Returns at least one address.
    ///
    /// # Errors
    /// `Timeout` if the deadline passes, `Closed` if the token is cancelled, otherwise `Connect`.
    pub(super) fn resolve(
        &self,
        target: Endpoint<'_>,
        deadline: Instant,
        cancel: &CancelToken,
    ) -> Result<Vec<SocketAddr>> {
        let host = target.host;
        if let Ok(ip) = host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(ip, target.port)]);
        }
        let look_up = self.look_up(target)?;
        let mut answer = look_up.answer.lock();
        let found = loop {
            if cancel.is_cancelled() {
                return Err(Error::closed());
            }
            if let Some(found) = &*answer {
                break found.clone();
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Error::timeout(format!("looking up the name {host} took too long")));
            }
            let slice = left.min(CANCEL_CHECK);
            answer = look_up.answered.wait_timeout(answer, slice);
        };
        let found = found.map_err(|error| {
            let text = format!("the name {host} cannot be looked up: {error}");
            Error::new(ErrorKind::Connect, text).with_source(error)
        })?;
        if found.is_empty() {
            return Err(Error::new(ErrorKind::Connect, format!("the name {host} has no address")));
        }
        Ok(found)
    }

    /// Returns the running lookup of this name, or starts a new lookup.
    fn look_up(&self, target: Endpoint<'_>) -> Result<Arc<LookUp>> {
        let mut in_flight = self.in_flight.lock();
        let same = |other: &&Arc<LookUp>| {
            other.host == target.host && other.port == target.port && other.begun.elapsed() < STILL_FRESH
        };
        if let Some(found) = in_flight.iter().find(same) {
            return Ok(Arc::clone(found));
        }
        if in_flight.len() >= MAX_LOOKUPS {
            return Err(Error::new(
                ErrorKind::Connect,
                format!(
                    "{MAX_LOOKUPS} name look-ups have not finished yet: check this computer's name servers"
                ),
            ));
        }
        let look_up = Arc::new(LookUp {
            host: target.host.to_owned(),
            port: target.port,
            begun: Instant::now(),
            answer: Mutex::default(),
            answered: Condvar::new(),
        });
        let (resolver, its_own) = (self.clone(), Arc::clone(&look_up));
        let work = move || {
            let done = Done { resolver, look_up: its_own };
            let found = (done.resolver.resolve)(&done.look_up.host, done.look_up.port);
            done.look_up.store(found.map_err(Arc::new));
        };
        threads::start("crustocean-dns", work).map_err(|error| {
            Error::new(ErrorKind::Connect, format!("no thread for a name look-up: {error}"))
                .with_source(error)
        })?;
        in_flight.push(Arc::clone(&look_up));
        Ok(look_up)
    }
}

impl LookUp {
    /// Stores the result. Only the first result counts.
    fn store(&self, answer: LookupResult) {
        self.answer.lock().get_or_insert(answer);
        self.answered.notify_all();
    }
}

/// Removes a lookup that has ended, even by a panic, so that no caller waits for it.
struct Done {
    resolver: Resolver,
    look_up: Arc<LookUp>,
}

impl Drop for Done {
    fn drop(&mut self) {
        self.resolver.in_flight.lock().retain(|other| !Arc::ptr_eq(other, &self.look_up));
        self.look_up.store(Err(Arc::new(io::Error::other("the look-up ended without a result"))));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc::{self, Sender};
    use std::thread;

    use super::*;

    /// A resolver that blocks until the test sends a result or drops the sender. Its calls are counted.
    fn hanging() -> (Resolver, Sender<Vec<SocketAddr>>, Arc<AtomicUsize>) {
        let (sender, receiver) = mpsc::channel();
        let (receiver, calls) = (Mutex::new(receiver), Arc::new(AtomicUsize::new(0)));
        let counted = Arc::clone(&calls);
        let resolver = Resolver::new(move |_, _| {
            counted.fetch_add(1, Ordering::SeqCst);
            receiver.lock().recv().map_err(io::Error::other)
        });
        (resolver, sender, calls)
    }

    const LONG: Duration = Duration::from_secs(60);
    const TARGET: Endpoint<'_> = Endpoint { host: "slow.example", port: 80 };

    fn ask(resolver: &Resolver, limit: Duration, cancel: &CancelToken) -> Result<Vec<SocketAddr>> {
        resolver.resolve(TARGET, Instant::now() + limit, cancel)
    }

    #[test]
    fn b55_a_look_up_that_hangs_ends_at_the_deadline() {
        let (resolver, _sender, calls) = hanging();
        let started = Instant::now();
        for _ in 0..3 {
            let error = ask(&resolver, Duration::from_millis(300), &CancelToken::default()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Timeout);
            assert!(error.to_string().contains("slow.example"), "{error}");
        }
        let took = started.elapsed();
        assert!(took >= Duration::from_millis(900) && took < Duration::from_secs(20), "{took:?}");
        assert_eq!(calls.load(Ordering::SeqCst), 1, "one thread hangs, however often it is asked");
    }

    #[test]
    fn b55_a_look_up_that_hangs_can_be_cancelled() {
        let (resolver, _sender, _) = hanging();
        let cancel = CancelToken::default();
        let started = Instant::now();
        thread::scope(|scope| {
            let waiting = scope.spawn(|| ask(&resolver, LONG, &cancel));
            cancel.cancel();
            assert_eq!(waiting.join().unwrap().unwrap_err().kind(), ErrorKind::Closed);
        });
        assert!(started.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn everybody_gets_the_answer_of_one_look_up() {
        let (resolver, sender, calls) = hanging();
        let addresses: Vec<SocketAddr> = vec!["127.0.0.1:80".parse().unwrap()];
        thread::scope(|scope| {
            let waiting: Vec<_> =
                (0..8).map(|_| scope.spawn(|| ask(&resolver, LONG, &CancelToken::default()))).collect();
            while calls.load(Ordering::SeqCst) == 0 {
                thread::yield_now();
            }
            // One result for each lookup that is possible.
            (0..8).for_each(|_| sender.send(addresses.clone()).unwrap());
            for one in waiting {
                assert_eq!(one.join().unwrap().unwrap(), addresses);
            }
        });
        while !resolver.in_flight.lock().is_empty() {
            thread::yield_now();
        }
    }

    #[test]
    fn the_next_one_is_another_look_up() {
        let calls = AtomicUsize::new(0);
        let resolver = Resolver::new(move |_, _| match calls.fetch_add(1, Ordering::SeqCst) {
            0 => panic!("a resolver that fails badly"),
            1 => Err(io::Error::other("no such name")),
            _ => Ok(Vec::new()),
        });
        for said in ["without a result", "no such name", "has no address"] {
            let error = ask(&resolver, LONG, &CancelToken::default()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Connect);
            assert!(error.to_string().contains(said), "{error}");
            while !resolver.in_flight.lock().is_empty() {
                thread::yield_now();
            }
        }
    }

    #[test]
    fn look_ups_are_counted() {
        let (resolver, _sender, _) = hanging();
        let ask = |port| {
            let target = Endpoint { host: "slow.example", port };
            resolver.resolve(target, Instant::now() + Duration::from_millis(1), &CancelToken::default())
        };
        for port in 1..=MAX_LOOKUPS as u16 {
            assert_eq!(ask(port).unwrap_err().kind(), ErrorKind::Timeout);
        }
        let error = ask(1000).unwrap_err();
        assert!(error.to_string().contains("have not finished yet"), "{error}");
        assert_eq!(resolver.in_flight.lock().len(), MAX_LOOKUPS);
    }
}
