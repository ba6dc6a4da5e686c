//! Counts round trips without a clock: a relay counts how often the bytes of one step cross the network.
//!
//! The relay delivers bytes only when both sides are idle. Then it delivers everything at once, which counts as one crossing.
//! So the count does not depend on the speed of the machine, and simultaneous requests take one round trip, as over a real
//! distance.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// Both sides are idle when nothing was sent while the delivering thread slept this often. The relay counts the turns
/// of a thread, not the time: on a busy machine a thread that is about to send waits for its turn, and so does this
/// thread.
const IDLE: u32 = 250;
/// How long the delivering thread sleeps each time.
const TURN: Duration = Duration::from_millis(2);

/// How often a step may need more round trips than allowed before that is a fault.
const TRIES: usize = 6;

/// Asserts that a step needs at most `limit` round trips, by the fewest of several tries.
///
/// On a busy machine a thread may wait so long for its turn that one round trip is counted as two, but never the other way.
#[track_caller]
pub fn at_most(limit: u64, mut attempt: impl FnMut() -> u64) {
    let mut counts = Vec::new();
    while counts.len() < TRIES {
        let trips = attempt();
        if trips <= limit {
            return;
        }
        counts.push(trips);
    }
    panic!("not once at most {limit} round trips, but {counts:?}");
}

/// A relay between an agent or a client and a server.
#[derive(Debug)]
pub struct Distance {
    address: SocketAddr,
    wire: Arc<Wire>,
}

#[derive(Debug)]
struct Wire {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// The crossings so far. Two are a round trip.
    now: u64,
    under_way: Vec<Crossing>,
    /// How often the delivering thread slept since something was sent.
    turns: u32,
    /// A step is measured. Between steps, bytes are delivered at once.
    measured: bool,
    open: bool,
}

#[derive(Debug)]
struct Crossing {
    arrives: u64,
    to: TcpStream,
    /// Empty: the end of the stream.
    bytes: Vec<u8>,
}

impl Distance {
    /// `target` is the server's address, `http://host:port`.
    pub fn from(target: &str) -> Distance {
        let target = target.trim_start_matches("http://").to_owned();
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let address = listener.local_addr().expect("an address");
        let state = State { now: 0, under_way: Vec::new(), turns: 0, measured: false, open: true };
        let wire = Arc::new(Wire { state: Mutex::new(state) });
        let accepting = Arc::clone(&wire);
        thread::spawn(move || {
            for near in listener.incoming().flatten() {
                if !accepting.state().open {
                    break;
                }
                let far = TcpStream::connect(&target).expect("the server is there");
                let _ = (near.set_nodelay(true), far.set_nodelay(true));
                // The TCP handshake is a round trip before the first byte.
                let opened = accepting.state().now + 2;
                relay(&accepting, &near, &far, opened);
                relay(&accepting, &far, &near, opened);
            }
        });
        let delivering = Arc::clone(&wire);
        thread::spawn(move || while delivering.deliver() {});
        Distance { address, wire }
    }

    /// The value for `api_url`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Runs `step`. Returns its result, and how many round trips it took.
    pub fn round_trips<T>(&self, step: impl FnOnce() -> T) -> (T, u64) {
        let before = self.settle();
        self.wire.state().measured = true;
        let result = step();
        let mut state = self.wire.state();
        state.measured = false;
        let crossings = state.now - before;
        drop(state);
        (result, crossings.div_ceil(2))
    }

    /// Waits until no bytes are on the way.
    fn settle(&self) -> u64 {
        loop {
            let state = self.wire.state();
            if state.under_way.is_empty() && state.turns > 2 * IDLE {
                return state.now;
            }
            drop(state);
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Distance {
    fn drop(&mut self) {
        self.wire.state().open = false;
        // Wakes the accepting thread.
        let _ = TcpStream::connect(self.address);
    }
}

impl Wire {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Delivers the bytes on the way, if both sides are idle. False at the end.
    fn deliver(&self) -> bool {
        thread::sleep(TURN);
        let mut state = self.state();
        state.turns = state.turns.saturating_add(1);
        let idle = !state.measured || state.turns >= IDLE;
        if !idle || state.under_way.is_empty() {
            return state.open;
        }
        let next = state.under_way.iter().map(|crossing| crossing.arrives).min().unwrap_or(state.now);
        state.now = state.now.max(next);
        let now = state.now;
        let (due, later) =
            std::mem::take(&mut state.under_way).into_iter().partition(|crossing| crossing.arrives <= now);
        state.under_way = later;
        state.turns = 0;
        let open = state.open;
        drop(state);
        let due: Vec<Crossing> = due;
        for mut crossing in due {
            let _ = match crossing.bytes.as_slice() {
                [] => crossing.to.shutdown(Shutdown::Write),
                bytes => crossing.to.write_all(bytes),
            };
        }
        open
    }
}

fn relay(wire: &Arc<Wire>, from: &TcpStream, to: &TcpStream, opened: u64) {
    let (wire, mut from, to) = (Arc::clone(wire), from.try_clone().unwrap(), to.try_clone().unwrap());
    thread::spawn(move || {
        let mut part = vec![0; 64 * 1024];
        loop {
            let count = from.read(&mut part).unwrap_or(0);
            let mut state = wire.state();
            let arrives = state.now.max(opened) + 1;
            state.turns = 0;
            let to = to.try_clone().unwrap();
            state.under_way.push(Crossing { arrives, to, bytes: part[..count].to_vec() });
            if count == 0 || !state.open {
                return;
            }
        }
    });
}
