//! `close` ends the agent's REST calls at any stage.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use crate::common::{Response, ScriptedServer, promptly, scripted, watchdog};
use crustocean::{AgencyId, ErrorKind};

const LIMIT: Duration = Duration::from_secs(180);
const AT_ONCE: Duration = Duration::from_millis(100);

#[test]
fn hanging_calls_end_when_the_agent_is_closed() {
    let _watchdog = watchdog(LIMIT);
    let server = ScriptedServer::start(|conn| {
        conn.handshake();
        conn.until_gone(LIMIT);
    });
    let (arrived, arrivals) = mpsc::channel();
    let (arrived, over) = (Mutex::new(arrived), Arc::new(AtomicBool::new(false)));
    let is_over = Arc::clone(&over);
    server.on("GET", "/api/agencies/ag-1/messages", move |_| {
        let _ = arrived.lock().map(|arrived| arrived.send(()));
        let started = Instant::now();
        while !is_over.load(Ordering::SeqCst) && started.elapsed() < LIMIT {
            std::thread::sleep(Duration::from_millis(20));
        }
        Response::text(200, "[]")
    });
    promptly(AT_ONCE, "a call that hangs", || {
        let agent = scripted(&server);
        let client = agent.client().clone();
        let call = std::thread::spawn(move || {
            let room = AgencyId::from("ag-1");
            let error = client.agencies().messages(&room).send().unwrap_err();
            (error, Instant::now(), client)
        });
        arrivals.recv_timeout(LIMIT).unwrap();
        let closing = Instant::now();
        agent.close().unwrap();
        let (error, ended, client) = call.join().unwrap();
        assert_eq!(error.kind(), ErrorKind::Closed, "{error}");
        assert_eq!(client.account().me().unwrap_err().kind(), ErrorKind::Closed, "nothing new begins");
        ended.saturating_duration_since(closing)
    });
    over.store(true, Ordering::SeqCst);
}
