//! A TCP proxy in bad weather: it cuts, resets, stalls, delays and turns away, at random but the same for the same seed.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use socket2::SockRef;

/// A small generator (xorshift64*): all that is asked of it is to be the same every time.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Dice {
        Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
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

/// See the module. Fine until [`storm`](Weather::storm) is called.
pub struct Weather {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    upstream: SocketAddr,
    started: Instant,
    links: Mutex<Vec<Link>>,
    /// Milliseconds since the start until which nothing moves.
    stalled_until: AtomicU64,
    delay_ms: AtomicU64,
    turning_away: AtomicBool,
    over: AtomicBool,
    cuts: AtomicUsize,
}

/// One connection, both its halves.
struct Link {
    streams: [TcpStream; 2],
    /// It ends with a reset: no goodbye, and what is under way is lost.
    reset: Arc<AtomicBool>,
}

impl Weather {
    pub fn new(upstream: SocketAddr) -> Weather {
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
        Weather { address, shared }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How often all connections were cut.
    pub fn cuts(&self) -> usize {
        self.shared.cuts.load(Ordering::SeqCst)
    }

    /// All connections are reset, as by a router that has forgotten them.
    pub fn reset(&self) {
        self.shared.reset();
    }

    /// As if the server were gone for this long: all connections cut, new ones turned away.
    pub fn outage(&self, length: Duration) {
        self.shared.turning_away.store(true, Ordering::SeqCst);
        self.shared.cut();
        thread::sleep(length);
        self.shared.turning_away.store(false, Ordering::SeqCst);
    }

    /// Nothing moves for this long, though all connections stay open.
    pub fn freeze(&self, length: Duration) {
        let until = self.shared.started.elapsed() + length;
        self.shared.stalled_until.store(until.as_millis() as u64, Ordering::SeqCst);
    }

    /// Bad weather for this long; then it is fine again.
    pub fn storm(&self, dice: &mut Dice, length: Duration) {
        let end = Instant::now() + length;
        while Instant::now() < end {
            thread::sleep(dice.millis(100, 900));
            let shared = &self.shared;
            match dice.below(7) {
                0 | 1 => shared.cut(),
                6 => shared.reset(),
                // As long as a server that is stopped and goes on.
                2 => self.freeze(dice.millis(200, 6000)),
                3 => shared.delay_ms.store(dice.below(40), Ordering::SeqCst),
                4 => shared.delay_ms.store(0, Ordering::SeqCst),
                _ => self.outage(dice.millis(100, 700)),
            }
        }
        self.shared.delay_ms.store(0, Ordering::SeqCst);
        self.shared.stalled_until.store(0, Ordering::SeqCst);
    }
}

impl Drop for Weather {
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
                // The last one to let go of it resets it. This end of reading is seen on this side only.
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
            // Sometimes a piece of what was under way still gets through, and the rest does not.
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
