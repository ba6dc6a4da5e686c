//! A long-polling server that the test controls.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use serde_json::json;

use super::{Request, Response, SOON, ScriptedServer};

/// A server that accepts CONNECT. The test decides everything else. It closes every connection after its response.
pub struct PollServer {
    pub server: ScriptedServer,
    state: Arc<(Mutex<State>, Condvar)>,
}

#[derive(Default)]
struct State {
    sessions: usize,
    answers: HashMap<String, VecDeque<Response>>,
    /// The bodies of POSTs, except CONNECT.
    posts: Vec<String>,
    post_answers: VecDeque<Response>,
    polls: Vec<Request>,
    in_flight: usize,
    most_in_flight: usize,
}

impl PollServer {
    pub fn start() -> PollServer {
        let server = ScriptedServer::start_before_upgrade(|conn| {
            conn.send_raw_bytes(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
        });
        let state = Arc::<(Mutex<State>, Condvar)>::default();
        let shared = Arc::clone(&state);
        server.on("GET", "/socket.io/", move |request| poll(&shared, request));
        let shared = Arc::clone(&state);
        server.on("POST", "/socket.io/", move |request| post(&shared, request));
        PollServer { server, state }
    }

    /// Sets the response to a poll of the newest session.
    pub fn answer(&self, answer: Response) {
        let (state, changed) = &*self.state;
        let mut state = state.lock().unwrap();
        let sid = format!("engine-{}", state.sessions);
        state.answers.entry(sid).or_default().push_back(answer);
        changed.notify_all();
    }

    /// The same, with these packets.
    pub fn say(&self, payload: &str) {
        self.answer(Response::text(200, payload));
    }

    /// Sets the response to the next POST after CONNECT.
    pub fn answer_post(&self, answer: Response) {
        self.state.0.lock().unwrap().post_answers.push_back(answer);
    }

    /// Waits for `count` POSTs, except CONNECT, and returns their bodies.
    pub fn posts(&self, count: usize) -> Vec<String> {
        let deadline = Instant::now() + SOON;
        let mut state = self.state.0.lock().unwrap();
        while state.posts.len() < count {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "{} of {count} posts: {:?}", state.posts.len(), state.posts);
            state = self.state.1.wait_timeout(state, left).unwrap().0;
        }
        state.posts.clone()
    }

    /// The polls with a session so far.
    pub fn polls(&self) -> Vec<Request> {
        self.state.0.lock().unwrap().polls.clone()
    }

    pub fn sessions(&self) -> usize {
        self.state.0.lock().unwrap().sessions
    }

    pub fn most_in_flight(&self) -> usize {
        self.state.0.lock().unwrap().most_in_flight
    }
}

fn sid(request: &Request) -> Option<String> {
    request.query.split('&').find_map(|pair| pair.strip_prefix("sid=")).map(str::to_owned)
}

fn poll(shared: &(Mutex<State>, Condvar), request: &Request) -> Response {
    let (state, changed) = shared;
    let mut state = state.lock().unwrap();
    let Some(sid) = sid(request) else {
        state.sessions += 1;
        let sid = format!("engine-{}", state.sessions);
        let open = json!({
            "sid": sid, "upgrades": [], "pingInterval": 25000, "pingTimeout": 20000, "maxPayload": 100_000,
        });
        let cookie = format!("AWSALB=machine-{}; Path=/", state.sessions);
        return Response::text(200, format!("0{open}")).header("Set-Cookie", &cookie);
    };
    state.polls.push(request.clone());
    state.in_flight += 1;
    state.most_in_flight = state.most_in_flight.max(state.in_flight);
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(answer) = state.answers.get_mut(&sid).and_then(VecDeque::pop_front) {
            state.in_flight -= 1;
            return answer;
        }
        let left = deadline.saturating_duration_since(Instant::now());
        // No client polls a session that the server has replaced.
        if left.is_zero() || sid != format!("engine-{}", state.sessions) {
            state.in_flight -= 1;
            return Response::text(200, "6");
        }
        state = changed.wait_timeout(state, left.min(Duration::from_millis(50))).unwrap().0;
    }
}

fn post(shared: &(Mutex<State>, Condvar), request: &Request) -> Response {
    let (state, changed) = shared;
    let mut state = state.lock().unwrap();
    assert_eq!(request.header("content-type"), Some("text/plain;charset=UTF-8"));
    let body = String::from_utf8(request.body.clone()).unwrap();
    if body.starts_with("40") {
        let sid = sid(request).unwrap();
        let answer = Response::text(200, format!(r#"40{{"sid":"public-{}"}}"#, state.sessions));
        state.answers.entry(sid).or_default().push_back(answer);
        changed.notify_all();
        return Response::text(200, "ok");
    }
    state.posts.push(body);
    changed.notify_all();
    state.post_answers.pop_front().unwrap_or_else(|| Response::text(200, "ok"))
}
