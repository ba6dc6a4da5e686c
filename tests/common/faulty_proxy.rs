//! A TCP proxy that closes, resets, freezes, delays and refuses connections at random. The same seed gives the same failures.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use socket2::SockRef;

/// A small random generator (xorshift64*) with reproducible results.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) % limit
    }

    pub fn millis(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(from + self.below(to - from))
    }
}

/// Forwards everything until [`disturb`](FaultyProxy::disturb) is called.
pub struct FaultyProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    upstream: SocketAddr,
    started: Instant,
    links: Mutex<Vec<Link>>,
    /// The proxy forwards nothing until this time, in ms since the start.
    stalled_until: AtomicU64,
    delay_ms: AtomicU64,
    turning_away: AtomicBool,
    over: AtomicBool,
    cuts: AtomicUsize,
}

/// One connection, with both its halves.
struct Link {
    streams: [TcpStream; 2],
    /// Whether the connection ends with a reset, which loses the data on the way.
    reset: Arc<AtomicBool>,
}

impl FaultyProxy {
    pub fn new(upstream: SocketAddr) -> FaultyProxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            upstream,
            started: Instant::now(),
            links: Mutex::default(),
            stalled_until: AtomicU64::new(0),
            delay_ms: AtomicU64::new(0),
            turning_away: AtomicBool::new(false),
            over: AtomicBool::new(false),
            cuts: AtomicUsize::new(0),
        });
        let accepting = Arc::clone(&shared);
        thread::spawn(move || {
            while let Ok((client, _)) = listener.accept() {
                if accepting.over.load(Ordering::SeqCst) {
                    return;
                }
                if !accepting.turning_away.load(Ordering::SeqCst) {
                    accepting.carry(client);
                }
            }
        });
        FaultyProxy { address, shared }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How often all connections were closed.
    pub fn cuts(&self) -> usize {
        self.shared.cuts.load(Ordering::SeqCst)
    }

    /// Resets all connections, like a router that has lost its state.
    pub fn reset(&self) {
        self.shared.reset();
    }

    /// Simulates an outage of this length: closes all connections, and refuses new ones.
    pub fn outage(&self, length: Duration) {
        self.shared.turning_away.store(true, Ordering::SeqCst);
        self.shared.cut();
        thread::sleep(length);
        self.shared.turning_away.store(false, Ordering::SeqCst);
    }

    /// Forwards nothing for this time, while all connections stay open.
    pub fn freeze(&self, length: Duration) {
        let until = self.shared.started.elapsed() + length;
        self.shared.stalled_until.store(until.as_millis() as u64, Ordering::SeqCst);
    }

    /// Causes random failures for this time, then works again.
    pub fn disturb(&self, random: &mut Random, length: Duration) {
        let end = Instant::now() + length;
        while Instant::now() < end {
            thread::sleep(random.millis(100, 900));
            let shared = &self.shared;
            match random.below(7) {
                0 | 1 => shared.cut(),
                6 => shared.reset(),
                // Like a server that is suspended and resumed.
                2 => self.freeze(random.millis(200, 6000)),
                3 => shared.delay_ms.store(random.below(40), Ordering::SeqCst),
                4 => shared.delay_ms.store(0, Ordering::SeqCst),
                _ => self.outage(random.millis(100, 700)),
            }
        }
        self.shared.delay_ms.store(0, Ordering::SeqCst);
        self.shared.stalled_until.store(0, Ordering::SeqCst);
    }
}

impl Drop for FaultyProxy {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::SeqCst);
        self.shared.cut();
        let _ = TcpStream::connect_timeout(&self.address, Duration::from_secs(1));
    }
}

impl Shared {
    fn cut(&self) {
        self.cuts.fetch_add(1, Ordering::SeqCst);
        for stream in self.links.lock().unwrap().drain(..).flat_map(|link| link.streams) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    fn reset(&self) {
        self.cuts.fetch_add(1, Ordering::SeqCst);
        for link in self.links.lock().unwrap().drain(..) {
            link.reset.store(true, Ordering::SeqCst);
            for stream in link.streams {
                // The last handle to be dropped resets the connection. Shutting down the reading is only visible on this side.
                let _ = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
                let _ = stream.shutdown(Shutdown::Read);
            }
        }
    }

    fn carry(self: &Arc<Self>, client: TcpStream) {
        let Ok(server) = TcpStream::connect(self.upstream) else { return };
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        let reset = Arc::new(AtomicBool::new(false));
        let streams = [&client, &server].map(|stream| stream.try_clone().unwrap());
        self.links.lock().unwrap().push(Link { streams, reset: Arc::clone(&reset) });
        let pairs = [(client.try_clone().unwrap(), server.try_clone().unwrap()), (server, client)];
        for (from, to) in pairs {
            let (shared, reset) = (Arc::clone(self), Arc::clone(&reset));
            let carry = move || shared.pump(from, to, &reset);
            thread::Builder::new().stack_size(128 << 10).spawn(carry).unwrap();
        }
    }

    fn pump(&self, mut from: TcpStream, mut to: TcpStream, reset: &AtomicBool) {
        let mut buffer = [0; 8192];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            let stalled = Duration::from_millis(self.stalled_until.load(Ordering::SeqCst));
            thread::sleep(stalled.saturating_sub(self.started.elapsed()));
            thread::sleep(Duration::from_millis(self.delay_ms.load(Ordering::SeqCst)));
            // Sometimes a part of the data on the way still gets through, and the rest does not.
            if to.write_all(&buffer[..count]).is_err() {
                break;
            }
        }
        if !reset.load(Ordering::SeqCst) {
            let _ = from.shutdown(Shutdown::Both);
            let _ = to.shutdown(Shutdown::Both);
        }
    }
}
