//! A server that announces its response again and again with `100 Continue` and `103 Early Hints`, and never sends it.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::common::{TestSandbox, watchdog};
use crustocean::ErrorKind;

const LIMIT: Duration = Duration::from_secs(180);
/// The time limit of the client for a response.
const PATIENCE: Duration = Duration::from_secs(30);
const FLOODS: [&str; 2] =
    ["HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n"];

/// A relay to the sandbox that floods every connection whose first request contains `path`.
struct Flood {
    url: String,
    floods: Arc<AtomicUsize>,
}

impl Flood {
    fn start(sandbox: &TestSandbox, path: &'static str, flood: &'static str) -> Flood {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let floods = Arc::new(AtomicUsize::new(0));
        let (port, counted) = (sandbox.port(), Arc::clone(&floods));
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let counted = Arc::clone(&counted);
                thread::spawn(move || serve(client, port, path, flood, &counted));
            }
        });
        Flood { url, floods }
    }
}

fn serve(mut client: TcpStream, port: u16, path: &str, flood: &str, floods: &AtomicUsize) {
    let mut first = vec![0; 8192];
    let Ok(length @ 1..) = client.read(&mut first) else { return };
    if String::from_utf8_lossy(&first[..length]).lines().next().is_some_and(|line| line.contains(path)) {
        floods.fetch_add(1, Ordering::SeqCst);
        while client.write_all(flood.as_bytes()).is_ok() {}
        return;
    }
    let Ok(mut server) = TcpStream::connect(("127.0.0.1", port)) else { return };
    if server.write_all(&first[..length]).is_err() {
        return;
    }
    let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    thread::spawn(move || {
        let _ = std::io::copy(&mut from, &mut to);
        let _ = to.shutdown(std::net::Shutdown::Both);
    });
    let _ = std::io::copy(&mut server, &mut client);
    let _ = client.shutdown(std::net::Shutdown::Both);
}

#[test]
fn a_rest_call_ends() {
    let _watchdog = watchdog(LIMIT);
    for flood in FLOODS {
        let sandbox = TestSandbox::new();
        let relay = Flood::start(&sandbox, "/api/auth/me", flood);
        let token = sandbox.alice.token.parse::<crustocean::PersonalAccessToken>().unwrap();
        let client =
            crustocean::Client::builder().api_url(&relay.url).request_timeout(PATIENCE).build(token).unwrap();
        let started = Instant::now();
        let error = client.account().me().unwrap_err();
        assert!(started.elapsed() < PATIENCE / 2, "{:?}: {error}", started.elapsed());
        assert_eq!(error.kind(), ErrorKind::Protocol, "{error}");
        assert!(relay.floods.load(Ordering::SeqCst) > 0);
    }
}

/// The first request of the transport, and those of a session.
#[test]
#[cfg(feature = "polling")]
fn a_poll_ends() {
    use crustocean::{Agent, agent::Transport};

    let _watchdog = watchdog(LIMIT);
    for flood in FLOODS {
        let sandbox = TestSandbox::new();
        let relay = Flood::start(&sandbox, "/socket.io/", flood);
        let started = Instant::now();
        let error = Agent::builder()
            .api_url(&relay.url)
            .transport(Transport::Polling)
            .handshake_timeout(PATIENCE)
            .connect(sandbox.agent_token("larry"))
            .unwrap_err();
        assert!(started.elapsed() < PATIENCE / 2, "{:?}: {error}", started.elapsed());
        assert!(relay.floods.load(Ordering::SeqCst) > 0, "{error}");

        let relay = Flood::start(&sandbox, "&sid=", flood);
        let started = Instant::now();
        let error = Agent::builder()
            .api_url(&relay.url)
            .transport(Transport::Polling)
            .handshake_timeout(PATIENCE)
            .connect(sandbox.agent_token("ben"))
            .unwrap_err();
        assert!(started.elapsed() < PATIENCE / 2, "{:?}: {error}", started.elapsed());
        assert!(relay.floods.load(Ordering::SeqCst) > 0, "{error}");
    }
}
