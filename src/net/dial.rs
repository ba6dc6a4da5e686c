//! Opens the connection for a URL: DNS lookup, TCP, proxy and TLS, under one deadline. HTTP and WebSocket both use this
//! module.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::cancel::CancelToken;
use super::endpoint::Endpoint;
use super::lookup::Resolver;
use super::proxy::{Proxies, Proxy, ProxyKind};
use super::settings::{ProxyChoice, TlsSettings};
use super::tls::{MaybeTlsStream, TlsConnector};
use super::url::ApiUrl;
use super::wire::Wire;
use crate::error::{Error, ErrorKind, Result};
use crate::sync::lock::{Condvar, Mutex};
use crate::threads;

/// The time limit of each address in the first round, if a name has several addresses. Most servers answer within this
/// time. An address that never answers (such as in a broken IPv6 network) must not use its whole share of the time
/// before the dialer tries the next address.
const FIRST_ROUND: Duration = Duration::from_millis(500);
/// The shortest time for an attempt.
const MIN_SHARE: Duration = Duration::from_millis(50);
/// How often a waiting connect checks whether it is cancelled.
const CANCEL_CHECK: Duration = Duration::from_millis(20);
/// The stack of a thread that makes one connect.
const STACK: usize = 64 << 10;
/// The most addresses that the dialer tries through a proxy, if this machine looks the name up. Each address needs a
/// new connection to the proxy.
const MAX_ADDRESSES_BY_PROXY: usize = 4;

/// Opens connections. Cheap to clone; clones share the TLS set-up.
#[derive(Debug, Clone)]
pub(crate) struct Dialer {
    tls: TlsConnector,
    /// For connections to proxies. A proxy never gets the client's certificate.
    proxy_tls: TlsConnector,
    proxies: Proxies,
    resolver: Resolver,
}

impl Dialer {
    /// # Errors
    /// `Config` for the reasons of [`TlsConnector::new`], or if the proxy is not usable.
    pub(crate) fn new(settings: &TlsSettings, proxy: &ProxyChoice) -> Result<Self> {
        if settings.accept_invalid_certificates {
            crate::logging::warn!(
                "certificates are not checked: anybody on the network path can read and change everything"
            );
        }
        let tls = TlsConnector::new(settings)?;
        let proxy_tls = match settings.client_identity {
            None => tls.clone(),
            Some(_) => TlsConnector::new(&TlsSettings { client_identity: None, ..settings.clone() })?,
        };
        let proxies = Proxies::new(proxy)?;
        Ok(Dialer { tls, proxy_tls, proxies, resolver: Resolver::of_the_system() })
    }

    /// Replaces the system's resolver.
    #[cfg(test)]
    pub(crate) fn with_resolver(
        mut self,
        resolve: impl Fn(&str, u16) -> io::Result<Vec<SocketAddr>> + Send + Sync + 'static,
    ) -> Self {
        self.resolver = Resolver::new(resolve);
        self
    }

    /// # Errors
    /// `Config` if the URL or its proxy is `https` and no TLS library is compiled in, or if the environment names a
    /// proxy that is not usable.
    pub(crate) fn check(&self, url: &ApiUrl) -> Result<()> {
        let proxy = self.proxies.for_target(url)?;
        if url.is_secure() || proxy.is_some_and(|proxy| proxy.kind() == ProxyKind::Https) {
            self.tls.require()?;
        }
        Ok(())
    }

    /// Whether connections to this URL go through a proxy.
    ///
    /// # Errors
    /// `Config` if the environment names a proxy that is not usable.
    pub(crate) fn has_proxy(&self, url: &ApiUrl) -> Result<bool> {
        Ok(self.proxies.for_target(url)?.is_some())
    }

    /// Opens a connection, including TLS. The wire of the connection is in direct mode and still has `deadline`. The
    /// caller sets a new deadline.
    ///
    /// # Errors
    /// `Connect`, `Tls`, `Timeout` or `Config`. The error names the host, the proxy if there is one, and the step
    /// that failed.
    #[cfg(test)]
    pub(crate) fn dial(&self, url: &ApiUrl, deadline: Instant) -> Result<MaybeTlsStream> {
        self.dial_cancellable(url, deadline, &CancelToken::default())
    }

    /// Like [`dial`](Dialer::dial), but another thread can end the dial, within about 20 ms. The connection stays
    /// registered with the token, so that the token can also end the WebSocket handshake.
    ///
    /// # Errors
    /// The kinds of [`dial`](Dialer::dial), and `Closed` if the token was cancelled.
    pub(crate) fn dial_cancellable(
        &self,
        url: &ApiUrl,
        deadline: Instant,
        cancel: &CancelToken,
    ) -> Result<MaybeTlsStream> {
        self.check(url)?;
        let target = Endpoint { host: url.host(), port: url.port() };
        let dial = Dial { dialer: self, deadline, cancel };
        let result = match self.proxies.for_target(url)? {
            None => dial.open(target).map(MaybeTlsStream::Plain),
            Some(proxy) => dial.through(&proxy, target),
        };
        let result = match result {
            Ok(stream) if url.is_secure() => self.tls.connect(url.host(), stream),
            result => result,
        };
        // After a cancel, the error is `Closed`, whatever error a step returned.
        if cancel.is_cancelled() { Err(Error::closed()) } else { result }
    }
}

/// One dial: its time limit, and the token that ends it.
#[derive(Clone, Copy)]
struct Dial<'a> {
    dialer: &'a Dialer,
    deadline: Instant,
    cancel: &'a CancelToken,
}

impl Dial<'_> {
    /// Opens a connection to the target through the proxy.
    fn through(self, proxy: &Proxy, target: Endpoint<'_>) -> Result<MaybeTlsStream> {
        if proxy.kind() != ProxyKind::Socks5 || target.host.parse::<IpAddr>().is_ok() {
            return self.tunnel(proxy, target).map_err(|error| proxy.blame(error));
        }
        let mut last = None;
        for address in self.resolve(target)?.iter().take(MAX_ADDRESSES_BY_PROXY) {
            let host = address.ip().to_string();
            match self.tunnel(proxy, Endpoint { host: &host, port: target.port }) {
                Err(error) if error.kind() == ErrorKind::Connect && !self.cancel.is_cancelled() => {
                    last = Some(error);
                }
                result => return result.map_err(|error| proxy.blame(error)),
            }
        }
        Err(last.map_or_else(Error::closed, |error| proxy.blame(error)))
    }

    fn tunnel(self, proxy: &Proxy, target: Endpoint<'_>) -> Result<MaybeTlsStream> {
        let wire = self.open(proxy.endpoint())?;
        let mut stream = match proxy.kind() {
            ProxyKind::Https => {
                self.dialer.proxy_tls.connect(proxy.endpoint().host, MaybeTlsStream::Plain(wire))?
            }
            ProxyKind::Http | ProxyKind::Socks5 | ProxyKind::Socks5h => MaybeTlsStream::Plain(wire),
        };
        proxy.open_tunnel(&mut stream, target)?;
        crate::logging::debug!("connected to {target} through the proxy {proxy}");
        Ok(stream)
    }

    /// Opens a TCP connection. Its wire has the deadline of the dial.
    fn open(self, target: Endpoint<'_>) -> Result<Wire> {
        let socket = self.connect(target, &self.resolve(target)?)?;
        // Most packets are small. If the system refuses the option, packets are only a little slower.
        if let Err(error) = socket.set_nodelay(true) {
            crate::logging::debug!("TCP_NODELAY cannot be set: {error}");
        }
        let mut wire = Wire::new(socket);
        wire.set_deadline(Some(self.deadline));
        self.cancel.register(&wire);
        if self.cancel.is_cancelled() {
            return Err(Error::closed());
        }
        crate::logging::debug!("connected to {target}");
        Ok(wire)
    }

    fn resolve(self, target: Endpoint<'_>) -> Result<Vec<SocketAddr>> {
        self.dialer.resolver.resolve(target, self.deadline, self.cancel).map(|found| interleave(&found))
    }

    fn connect(self, target: Endpoint<'_>, addresses: &[SocketAddr]) -> Result<TcpStream> {
        let mut last = None;
        let mut candidates = addresses.to_vec();
        // The short round is only for several addresses. Slow addresses share the rest of the time.
        let rounds = if addresses.len() > 1 { &[Some(FIRST_ROUND), None][..] } else { &[None] };
        for round in rounds {
            let mut slow = Vec::new();
            for (index, address) in candidates.iter().enumerate() {
                if self.cancel.is_cancelled() {
                    return Err(Error::closed());
                }
                let left = self.deadline.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    break;
                }
                // The remaining addresses share the remaining time equally.
                let others = u32::try_from(candidates.len() - index).unwrap_or(1).max(1);
                let share =
                    round.unwrap_or((left / others).max(MIN_SHARE)).min(left).max(Duration::from_millis(1));
                match self.connect_one(*address, share) {
                    Ok(socket) => return Ok(socket),
                    Err(error) => {
                        crate::logging::debug!("{address} cannot be reached: {error}");
                        if is_timeout(&error) {
                            slow.push(*address);
                        }
                        last = Some(error);
                    }
                }
            }
            candidates = slow;
        }
        match last {
            _ if self.cancel.is_cancelled() => Err(Error::closed()),
            Some(error) if !is_timeout(&error) => {
                let tried = match addresses.len() {
                    1 => String::new(),
                    count => format!(" ({count} addresses tried)"),
                };
                let text = format!(
                    "cannot connect to {target}: {error}{tried}; check that the server is up and that the address (CRUSTOCEAN_API_URL, a proxy) is correct"
                );
                Err(Error::new(ErrorKind::Connect, text).with_source(error))
            }
            _ => Err(Error::timeout(format!("{target} did not answer in time"))),
        }
    }

    /// A connect cannot be interrupted, so it runs on its own thread. After a cancel the thread continues until its time
    /// limit.
    fn connect_one(self, address: SocketAddr, share: Duration) -> io::Result<TcpStream> {
        let connecting = Arc::new((Mutex::new(None), Condvar::new()));
        let its_own = Arc::clone(&connecting);
        let work = move || {
            let (result, there) = &*its_own;
            let connected = TcpStream::connect_timeout(&address, share);
            *result.lock() = Some(connected);
            there.notify_all();
        };
        if threads::start_with_stack("crustocean-dial", STACK, work).is_err() {
            return TcpStream::connect_timeout(&address, share);
        }
        let (result, there) = &*connecting;
        let mut result = result.lock();
        loop {
            if let Some(result) = result.take() {
                return result;
            }
            if self.cancel.is_cancelled() {
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
            if Arc::strong_count(&connecting) == 1 {
                return Err(io::Error::other("the thread that connects has ended without a result"));
            }
            result = there.wait_timeout(result, CANCEL_CHECK);
        }
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock)
}

/// Alternates the address families, starting with the resolver's first, so that a family that does not work cannot use
/// up the time of the other family.
fn interleave(found: &[SocketAddr]) -> Vec<SocketAddr> {
    let first_is_v6 = found.first().is_some_and(SocketAddr::is_ipv6);
    let mut first = found.iter().filter(|address| address.is_ipv6() == first_is_v6);
    let mut second = found.iter().filter(|address| address.is_ipv6() != first_is_v6);
    let mut result = Vec::with_capacity(found.len());
    while result.len() < found.len() {
        result.extend(first.next());
        result.extend(second.next());
    }
    result
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::TcpListener;
    use std::sync::mpsc;
    use std::thread;

    use super::*;
    use crate::net::testing::{ClosedPort, TIME_LIMIT, config};

    fn dialer() -> Dialer {
        config("http://127.0.0.1:1").dialer().unwrap()
    }

    fn url(text: impl AsRef<str>) -> ApiUrl {
        ApiUrl::parse(text.as_ref()).unwrap()
    }

    fn soon(millis: u64) -> Instant {
        Instant::now() + Duration::from_millis(millis)
    }

    fn connect(
        target: Endpoint<'_>,
        addresses: &[SocketAddr],
        deadline: Instant,
        cancel: &CancelToken,
    ) -> Result<TcpStream> {
        Dial { dialer: &dialer(), deadline, cancel }.connect(target, addresses)
    }

    #[test]
    fn families_take_turns() {
        let all: Vec<SocketAddr> = ["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1", "2.2.2.2:1"]
            .iter()
            .map(|text| text.parse().unwrap())
            .collect();
        let order: Vec<_> = interleave(&all).iter().map(ToString::to_string).collect();
        assert_eq!(order, ["[::1]:1", "1.1.1.1:1", "[::2]:1", "2.2.2.2:1", "[::3]:1"]);
        assert!(interleave(&[]).is_empty());
    }

    #[test]
    fn reaches_a_server_by_address_and_by_name() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        for host in ["127.0.0.1", "localhost"] {
            let mut stream = dialer().dial(&url(format!("http://{host}:{port}")), soon(5000)).unwrap();
            assert!(!stream.is_tls());
            drop(listener.accept().unwrap());
            assert_eq!(stream.read(&mut [0]).unwrap(), 0);
        }
    }

    #[test]
    fn says_which_step_failed() {
        let closed = ClosedPort::new();
        let port = closed.port;
        let error = dialer().dial(&url(format!("http://127.0.0.1:{port}")), soon(5000)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Connect);
        assert!(error.to_string().contains(&format!("cannot connect to 127.0.0.1:{port}: ")), "{error}");

        let started = Instant::now();
        // The part before the dot is too long for a name, so the system asks no name server.
        let name = "x".repeat(64) + ".test";
        let error = dialer().dial(&url(format!("http://{name}")), soon(2000)).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Connect | ErrorKind::Timeout), "{error}");
        assert!(error.to_string().contains(&name), "{error}");
        assert!(started.elapsed() < Duration::from_secs(20));

        let error = dialer().dial(&url("http://localhost:1"), Instant::now()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    }

    #[test]
    fn an_address_that_fails_leads_to_the_next() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let closed = ClosedPort::new();
        let addresses = [closed.port, listener.local_addr().unwrap().port()]
            .map(|port| SocketAddr::new(IpAddr::from([127, 0, 0, 1]), port));
        let cancel = CancelToken::default();
        let target = Endpoint { host: "two.example", port: 80 };
        connect(target, &addresses, soon(5000), &cancel).unwrap();
        let error = connect(target, &[addresses[0]; 2], soon(5000), &cancel).unwrap_err();
        assert!(error.to_string().contains("(2 addresses tried)"), "{error}");
    }

    /// A listener whose queue is full: a client gets no answer at all.
    #[cfg(target_os = "linux")]
    fn black_hole() -> (TcpListener, Vec<TcpStream>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let mut waiting = Vec::new();
        while let Ok(socket) = TcpStream::connect_timeout(&address, Duration::from_millis(200)) {
            waiting.push(socket);
            assert!(waiting.len() < 10_000, "this system's queues have no end");
        }
        (listener, waiting)
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn b55_an_address_that_swallows_everything_costs_half_a_second() {
        let (hole, _waiting) = black_hole();
        let good = TcpListener::bind("127.0.0.1:0").unwrap();
        let addresses = [hole.local_addr().unwrap(), good.local_addr().unwrap()];
        let target = Endpoint { host: "two.example", port: 80 };
        let started = Instant::now();
        connect(target, &addresses, soon(20_000), &CancelToken::default()).unwrap();
        assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
        // A slow address still gets its share.
        let started = Instant::now();
        let error = connect(target, &[addresses[0]; 2], soon(2_000), &CancelToken::default()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
        let took = started.elapsed();
        assert!(took > Duration::from_millis(1_900) && took < Duration::from_secs(10), "{took:?}");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_hanging_connect_can_be_cancelled() {
        let (hole, _waiting) = black_hole();
        let target = Endpoint { host: "hole.example", port: 80 };
        let (addresses, cancel) = ([hole.local_addr().unwrap()], CancelToken::default());
        thread::scope(|scope| {
            let waiting = scope.spawn(|| connect(target, &addresses, soon(20_000), &cancel).unwrap_err());
            thread::sleep(Duration::from_millis(100));
            let cancelled = Instant::now();
            cancel.cancel();
            assert_eq!(waiting.join().unwrap().kind(), ErrorKind::Closed);
            assert!(cancelled.elapsed() < Duration::from_secs(10), "{:?}", cancelled.elapsed());
        });
    }

    #[test]
    fn a_hanging_handshake_can_be_cancelled() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let target = url(format!("http://{}", listener.local_addr().unwrap()));
        let cancel = CancelToken::default();
        let other = cancel.clone();
        let (sender, dialed) = mpsc::channel();
        let waiting = thread::spawn(move || {
            let mut stream = dialer().dial_cancellable(&target, soon(10_000), &other).unwrap();
            sender.send(()).unwrap();
            stream.read(&mut [0])
        });
        let (_peer, _) = listener.accept().unwrap();
        dialed.recv_timeout(TIME_LIMIT).unwrap();
        let started = Instant::now();
        cancel.cancel();
        assert!(matches!(waiting.join().unwrap(), Ok(0) | Err(_)));
        assert!(started.elapsed() < TIME_LIMIT / 2);

        let target = url(format!("http://{}", listener.local_addr().unwrap()));
        let error = dialer().dial_cancellable(&target, soon(5000), &cancel).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Closed);
    }
}
