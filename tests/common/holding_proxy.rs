//! A proxy that holds back the client's data, even after the client has closed the connection.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

/// Forwards everything until [`hold`](HoldingProxy::hold), which holds back the client's data.
pub struct HoldingProxy {
    address: SocketAddr,
    paths: Arc<Mutex<Vec<Arc<Path>>>>,
}

struct Path {
    client: TcpStream,
    server: TcpStream,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    held: bool,
    bytes: Vec<u8>,
}

impl HoldingProxy {
    /// `target` is the server's `host:port`.
    pub fn start(target: &str) -> HoldingProxy {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let address = listener.local_addr().expect("an address");
        let paths: Arc<Mutex<Vec<Arc<Path>>>> = Arc::default();
        let (target, open) = (target.to_owned(), Arc::clone(&paths));
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(&target) else { continue };
                let _ = (client.set_nodelay(true), server.set_nodelay(true));
                let path = Path { client, server, state: Mutex::default(), changed: Condvar::new() };
                let path = Arc::new(path);
                open.lock().unwrap().push(Arc::clone(&path));
                let other = Arc::clone(&path);
                thread::spawn(move || path.to_server());
                thread::spawn(move || other.to_client());
            }
        });
        HoldingProxy { address, paths }
    }

    /// The value for `api_url`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Holds back everything that the client sends over the current connections.
    pub fn hold(&self) {
        for path in self.paths.lock().unwrap().iter() {
            path.state.lock().unwrap().held = true;
        }
    }

    /// Waits until a message of the client is held, which is longer than a heartbeat.
    pub fn wait_held(&self, limit: Duration) {
        let deadline = std::time::Instant::now() + limit;
        let paths = self.paths.lock().unwrap().clone();
        while paths.iter().all(|path| path.state.lock().unwrap().bytes.len() < 64) {
            assert!(std::time::Instant::now() < deadline, "nothing was sent within {limit:?}");
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Closes the client's side of the held connections. The server's side stays open.
    pub fn cut(&self) {
        for path in self.paths.lock().unwrap().iter() {
            if path.state.lock().unwrap().held {
                let _ = path.client.shutdown(Shutdown::Both);
            }
        }
    }

    /// Forwards the held data.
    pub fn release(&self) {
        for path in self.paths.lock().unwrap().iter() {
            path.state.lock().unwrap().held = false;
            path.changed.notify_all();
        }
    }
}

impl Drop for HoldingProxy {
    fn drop(&mut self) {
        for path in self.paths.lock().unwrap().iter() {
            let _ = path.client.shutdown(Shutdown::Both);
            let _ = path.server.shutdown(Shutdown::Both);
        }
        self.release();
    }
}

impl Path {
    fn to_server(&self) {
        let mut buffer = [0; 8192];
        while let Ok(count @ 1..) = (&self.client).read(&mut buffer) {
            let mut state = self.state.lock().unwrap();
            state.bytes.extend_from_slice(&buffer[..count]);
            if !state.held && (&self.server).write_all(&std::mem::take(&mut state.bytes)).is_err() {
                break;
            }
        }
        let state = self.state.lock().unwrap();
        let mut state = self.changed.wait_while(state, |state| state.held).unwrap();
        let _ = (&self.server).write_all(&std::mem::take(&mut state.bytes));
        let _ = self.server.shutdown(Shutdown::Write);
    }

    fn to_client(&self) {
        let _ = std::io::copy(&mut &self.server, &mut &self.client);
        let _ = self.client.shutdown(Shutdown::Write);
    }
}
