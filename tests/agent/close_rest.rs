//! Closing an agent ends its REST calls, at any stage.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::common::{Response, ScriptedServer, scripted, watchdog};
use crustocean::{AgencyId, ErrorKind};

const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn hanging_calls_end_when_the_agent_is_closed() {
    let _watchdog = watchdog(LIMIT);
    let server = ScriptedServer::start(|conn| {
        conn.handshake();
        conn.until_gone(LIMIT);
    });
    let (arrived, arrivals) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let (arrived, released) = (std::sync::Mutex::new(arrived), std::sync::Mutex::new(released));
    server.on("GET", "/api/agencies/ag-1/messages", move |_| {
        let _ = arrived.lock().map(|arrived| arrived.send(()));
        let _ = released.lock().map(|released| released.recv_timeout(LIMIT));
        Response::text(200, "[]")
    });
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
    let took = ended.saturating_duration_since(closing);
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert_eq!(client.account().me().unwrap_err().kind(), ErrorKind::Closed, "nothing new begins");
    drop(release);
}
