//! Calls whose session has ended, while the server issues no new one.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use crate::common::{Response, SOON, ScriptedServer, scripted, watchdog};
use crustocean::ErrorKind;
use serde_json::json;

const LIMIT: Duration = Duration::from_secs(180);
const EXCHANGE: &str = "/api/auth/agent";

/// A server with a connected agent, whose calls are all refused from now on.
fn expired() -> (ScriptedServer, crustocean::Agent) {
    let server = ScriptedServer::start(|conn| {
        conn.handshake();
        conn.until_gone(SOON);
    });
    let agent = scripted(&server);
    server.on_all(|_| Response::json(401, json!({"error": "expired"})));
    (server, agent)
}

#[test]
fn a_failed_renewal_is_not_the_answer_to_the_call() {
    let _watchdog = watchdog(LIMIT);
    for (answer, kind, status) in [
        (Response::json(404, json!({"error": "no route"})), ErrorKind::Server, None),
        (Response::json(409, json!({"error": "not now"})), ErrorKind::Server, None),
        (Response::json(422, json!({"error": "what?"})), ErrorKind::Server, None),
        (Response::json(500, json!({"error": "oops"})), ErrorKind::Server, None),
        (Response::json(200, json!({"hello": "world"})), ErrorKind::Server, None),
        (
            Response::json(429, json!({"error": "later"})).header("Retry-After", "3600"),
            ErrorKind::RateLimited,
            Some(429),
        ),
        // These say what to do.
        (Response::json(401, json!({"error": "unknown"})), ErrorKind::Unauthorized, Some(401)),
        (Response::json(403, json!({"error": "not verified"})), ErrorKind::NotVerified, Some(403)),
    ] {
        let (server, agent) = expired();
        server.on("POST", EXCHANGE, move |_| answer.clone());
        let error = agent.client().agencies().lookup("lobby").unwrap_err();
        assert_eq!((error.kind(), error.status()), (kind, status), "{error}");
        assert!(!error.may_have_been_sent(), "the call was refused");
        if !error.is_auth() {
            assert!(error.to_string().contains("session") && error.to_string().contains(EXCHANGE), "{error}");
        }
        let wait = (kind == ErrorKind::RateLimited).then_some(Duration::from_secs(3600));
        assert_eq!((error.retry_after(), error.is_retryable()), (wait, wait.is_some()), "{error}");
    }
}

/// The exchange fails when all calls have been refused.
#[test]
fn calls_share_a_failed_renewal() {
    const CALLS: usize = 4;
    let _watchdog = watchdog(LIMIT);
    let (server, agent) = expired();
    let refused = Arc::new((Mutex::new(0), Condvar::new()));
    let exchanges = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&refused);
    server.on("GET", "/api/agencies", move |_| {
        *counted.0.lock().unwrap() += 1;
        counted.1.notify_all();
        Response::json(401, json!({"error": "expired"}))
    });
    let count = Arc::clone(&exchanges);
    server.on("POST", EXCHANGE, move |_| {
        count.fetch_add(1, Ordering::SeqCst);
        let (all, _) = &*refused;
        drop(refused.1.wait_while(all.lock().unwrap(), |count| *count < CALLS).unwrap());
        // The last refusals are still on their way.
        thread::sleep(Duration::from_millis(300));
        Response::json(500, json!({"error": "oops"}))
    });
    let client = agent.client();
    thread::scope(|scope| {
        for _ in 0..CALLS {
            scope.spawn(|| {
                let error = client.agencies().list().unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Server, "{error}");
            });
        }
    });
    // On a busy machine, a call may wait for the second exchange, but not each call for its own.
    let exchanges = exchanges.load(Ordering::SeqCst);
    assert!(exchanges < CALLS, "{exchanges} exchanges for {CALLS} calls");
}
