//! A proxy in front of a node, which injects the faults that a test chooses.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::thread;

use serde_json::{Value, json};

/// What the proxy does with a call.
#[derive(Debug, Clone)]
pub enum Fault {
    /// Forwards the call.
    Pass,
    /// Closes the connection before the node gets the call.
    CutBefore,
    /// Forwards the call, and closes the connection before the response.
    CutAfter,
    /// Returns this result without forwarding the call.
    Result(Value),
    /// Returns this HTTP status and body without forwarding the call.
    Answer(u16, String),
}

pub(crate) type Judge = dyn Fn(&str, &Value) -> Fault + Send + Sync;

/// Starts a proxy in front of a node and returns its URL. `judge` gets the method and the parameters of every call.
pub fn proxy(node: &str, judge: impl Fn(&str, &Value) -> Fault + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (node, judge) = (node.to_owned(), Arc::<Judge>::from(Box::new(judge) as Box<Judge>));
    thread::spawn(move || {
        for connection in listener.incoming().map_while(Result::ok) {
            let (node, judge) = (node.clone(), Arc::clone(&judge));
            thread::spawn(move || serve(connection, &node, &*judge));
        }
    });
    url
}

pub(crate) fn serve(connection: impl Read + Write, node: &str, judge: &Judge) -> Option<()> {
    let mut input = BufReader::new(connection);
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if input.read_line(&mut line).ok()? == 0 {
                return None;
            }
            let line = line.trim().to_lowercase();
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().ok()?;
            }
            if line.is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        input.read_exact(&mut body).ok()?;
        let call: Value = serde_json::from_slice(&body).ok()?;
        let forward = || {
            let request = ureq::post(node).header("content-type", "application/json");
            request.send(&body[..]).ok()?.body_mut().read_to_string().ok()
        };
        let (status, answer) = match judge(call["method"].as_str()?, &call["params"]) {
            Fault::Pass => (200, forward()?),
            Fault::CutBefore => return None,
            Fault::CutAfter => {
                forward();
                return None;
            }
            Fault::Result(result) => {
                (200, json!({ "jsonrpc": "2.0", "id": call["id"], "result": result }).to_string())
            }
            Fault::Answer(status, answer) => (status, answer),
        };
        let length = answer.len();
        let head = format!(
            "HTTP/1.1 {status} x\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
        );
        input.get_mut().write_all((head + &answer).as_bytes()).ok()?;
    }
}
