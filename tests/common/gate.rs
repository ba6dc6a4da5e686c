//! Something between agent and server that does not like WebSockets.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// What becomes of a request for an upgrade.
#[derive(Debug, Clone, Copy)]
pub enum Upgrades {
    /// It passes like anything else.
    Pass,
    /// Answered with these bytes, then closed.
    Answer(&'static str),
    /// Never answered.
    Swallow,
    /// Closed without an answer.
    Close,
}

/// A relay to a server. Other requests pass.
#[derive(Debug)]
pub struct Gate {
    address: std::net::SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Gate {
    /// `target` is the server's `host:port`.
    pub fn start(target: &str, upgrades: Upgrades) -> Gate {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let address = listener.local_addr().expect("an address");
        let heads = Arc::new(Mutex::new(Vec::new()));
        let (target, seen) = (target.to_owned(), Arc::clone(&heads));
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (target, seen) = (target.clone(), Arc::clone(&seen));
                thread::spawn(move || serve(client, &target, upgrades, &seen));
            }
        });
        Gate { address, heads }
    }

    /// What goes into `api_url`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How many upgrades were asked for.
    pub fn upgrades(&self) -> usize {
        self.heads.lock().unwrap().iter().filter(|head| head.contains("upgrade: websocket")).count()
    }
}

fn serve(mut client: TcpStream, target: &str, upgrades: Upgrades, seen: &Mutex<Vec<String>>) {
    let mut first = Vec::new();
    let mut part = [0; 4096];
    while !first.windows(4).any(|four| four == b"\r\n\r\n") {
        match client.read(&mut part) {
            Ok(read @ 1..) => first.extend_from_slice(&part[..read]),
            _ => return,
        }
    }
    let head = String::from_utf8_lossy(&first).to_ascii_lowercase();
    let upgrade = head.contains("upgrade: websocket");
    seen.lock().unwrap().push(head);
    match upgrades {
        Upgrades::Answer(answer) if upgrade => {
            let _ = client.write_all(answer.as_bytes());
        }
        Upgrades::Swallow if upgrade => thread::sleep(Duration::from_secs(30)),
        Upgrades::Close if upgrade => {}
        _ => {
            let Ok(mut server) = TcpStream::connect(target) else { return };
            let _ = server.set_nodelay(true);
            let _ = client.set_nodelay(true);
            if server.write_all(&first).is_err() {
                return;
            }
            let (Ok(mut from), Ok(mut to)) = (client.try_clone(), server.try_clone()) else { return };
            thread::spawn(move || {
                let _ = std::io::copy(&mut from, &mut to);
                let _ = to.shutdown(Shutdown::Both);
            });
            let _ = std::io::copy(&mut server, &mut client);
            let _ = client.shutdown(Shutdown::Both);
        }
    }
}
