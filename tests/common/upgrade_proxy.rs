//! A proxy that blocks WebSocket upgrades.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// What the proxy does with an upgrade request.
#[derive(Debug, Clone, Copy)]
pub enum Upgrades {
    /// Forwards it.
    Pass,
    /// Answers with these bytes, then closes.
    Answer(&'static str),
    /// Never answers.
    Swallow,
    /// Closes without an answer.
    Close,
}

/// A proxy in front of a server. It forwards all other requests.
#[derive(Debug)]
pub struct UpgradeProxy {
    address: std::net::SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
}

impl UpgradeProxy {
    /// `target` is the server's `host:port`.
    pub fn start(target: &str, upgrades: Upgrades) -> UpgradeProxy {
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
        UpgradeProxy { address, heads }
    }

    /// The value for `api_url`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The number of upgrade requests.
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
