//! Contract of [`Receiver`]: only genuine, complete and new requests reach a handler, and its server answers every
//! client within its limits.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::common::{SOON, eventually, iso, watchdog};
use crustocean::AgentToken;
use crustocean::webhook::{
    Answer, Deliveries, HookReply, PromptReply, Receiver, SIGNATURE_HEADER, WebhookSecret,
};

fn secret() -> WebhookSecret {
    "only we know".parse().unwrap()
}

fn token() -> AgentToken {
    "sk_agent".parse().unwrap()
}

/// A delivery that is `age` seconds old.
fn delivery(id: &str, age: i64) -> Vec<u8> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64 - age;
    let time = iso(now);
    format!(
        r#"{{"event":"message.created","timestamp":"{time}",
        "agencyId":"ag-1","message":{{"id":"{id}","content":"hi"}}}}"#
    )
    .into_bytes()
}

fn post(receiver: &Receiver, path: &str, body: &[u8], signature: &str) -> Answer {
    receiver.handle("POST", path, [(SIGNATURE_HEADER, signature)], body)
}

/// A receiver of deliveries, and the ids of the messages that it has handled.
fn counting() -> (Receiver, Arc<Mutex<Vec<String>>>) {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let receiver = Receiver::new().deliveries("/events", secret(), {
        let heard = Arc::clone(&heard);
        move |delivery| heard.lock().unwrap().push(delivery.message().unwrap().id.to_string())
    });
    (receiver, heard)
}

#[test]
fn commands_go_to_their_handlers() {
    let receiver = Receiver::new()
        .command("/hook", "roll", |call| HookReply::new(format!("rolled {}", call.raw_args)))
        .command("/hook", "/Flip", |_| "heads")
        .commands("/other", |call| HookReply::error(format!("no {}", call.command)));
    let call = |path: &str, command: &str| {
        let body = format!(
            r#"{{"agencyId":"a","command":"{command}","rawArgs":"2d6","sender":{{"username":"bob"}}}}"#
        );
        let answer = receiver.handle("POST", path, [("a", "b")], body.as_bytes());
        assert_eq!(answer.headers, [("Content-Type", "application/json".to_owned())]);
        (answer.status, answer.body)
    };
    assert_eq!(call("/hook", "roll"), (200, r#"{"content":"rolled 2d6"}"#.to_owned()));
    assert_eq!(call("/hook/?x=1", "FLIP"), (200, r#"{"content":"heads"}"#.to_owned()));
    assert_eq!(call("/hook", "what"), (500, r#"{"error":"there is no command /what here"}"#.to_owned()));
    assert_eq!(call("/other", "roll"), (500, r#"{"error":"no roll"}"#.to_owned()));
    let status =
        |method: &str, path: &str, body: &[u8]| receiver.handle(method, path, [("a", "b")], body).status;
    assert_eq!(
        (status("GET", "/hook", b""), status("POST", "/", b""), status("POST", "/hook", b"?")),
        (405, 404, 400)
    );
    assert_eq!(receiver.clone().max_body(3).handle("POST", "/hook", [("a", "b")], b"four").status, 413);
}

#[test]
fn a_forged_request_never_reaches_a_handler() {
    let (receiver, heard) = counting();
    let body = delivery("m1", 0);
    let good = secret().sign(&body);
    let other = "only they know".parse::<WebhookSecret>().unwrap().sign(&body);
    for bad in ["", "sha256=", &other, &good[..63], &format!("{good}0"), "é"] {
        assert_eq!(post(&receiver, "/events", &body, bad).status, 401, "{bad}");
    }
    let mut longer = body.clone();
    longer.push(b'\n');
    assert_eq!(post(&receiver, "/events", &longer, &good).status, 401);
    assert_eq!(receiver.handle("POST", "/events", [("X-Other", good.as_str())], &body).status, 401);
    assert!(heard.lock().unwrap().is_empty());
    // Tests every allowed form of the header.
    for (n, (name, form)) in [
        ("x-crustocean-signature", "{}"),
        ("X-CRUSTOCEAN-SIGNATURE", "sha256={}"),
        ("X-Crustocean-Signature", " SHA256={} "),
    ]
    .into_iter()
    .enumerate()
    {
        let body = delivery(&format!("m{n}"), 0);
        let signature = form.replace("{}", &secret().sign(&body).to_uppercase());
        assert_eq!(receiver.handle("post", "/events", [(name, signature)], &body).status, 204, "{name}");
    }
    assert_eq!(heard.lock().unwrap().len(), 3);
    // An empty secret verifies nothing.
    for empty in ["\"\"", "\" \\n\""] {
        let empty: WebhookSecret = serde_json::from_str(empty).unwrap();
        let receiver = Receiver::new().deliveries("/events", empty.clone(), |_| -> () { panic!("never") });
        assert_eq!(post(&receiver, "/events", &body, &empty.sign(&body)).status, 500);
    }
}

#[test]
fn a_repeated_delivery_is_handled_once() {
    let (receiver, heard) = counting();
    let body = delivery("m1", 20);
    let signature = secret().sign(&body);
    for _ in 0..3 {
        assert_eq!(post(&receiver, "/events", &body, &signature).status, 204);
    }
    assert_eq!(*heard.lock().unwrap(), ["m1"]);
    for age in [400, -400] {
        let old = delivery("m2", age);
        assert_eq!(post(&receiver, "/events", &old, &secret().sign(&old)).status, 400, "{age}");
    }
    let wide = receiver.remember(Deliveries::new().window(Duration::from_secs(600)));
    let old = delivery("m2", 400);
    assert_eq!(post(&wide, "/events", &old, &secret().sign(&old)).status, 204);
    assert_eq!(*heard.lock().unwrap(), ["m1", "m2"]);
}

#[test]
fn a_repeat_is_found_however_its_path_is_written() {
    let (receiver, heard) = counting();
    let body = delivery("m1", 0);
    for path in ["/events", "/events/", "/events//", "/events///?x"] {
        assert_eq!(post(&receiver, path, &body, &secret().sign(&body)).status, 204, "{path}");
    }
    assert_eq!(*heard.lock().unwrap(), ["m1"]);
}

#[test]
fn a_delivery_whose_handler_failed_is_handled_again() {
    let tries = AtomicUsize::new(0);
    let receiver = Receiver::new().deliveries("/events", secret(), move |_| {
        match tries.fetch_add(1, Ordering::SeqCst) {
            0 => Err("the database is down"),
            1 => panic!("a bug"),
            _ => Ok(()),
        }
    });
    let body = delivery("m1", 0);
    let signature = secret().sign(&body);
    let statuses = [(); 4].map(|()| post(&receiver, "/events", &body, &signature).status);
    assert_eq!(statuses, [500, 500, 204, 204]);
    let answer = post(&receiver, "/events", b"{}", &secret().sign(b"{}"));
    assert_eq!((answer.status, answer.body.contains("missing field `event`")), (400, true));
}

#[test]
fn a_delivery_that_is_being_handled_is_not_acknowledged() {
    let (go, wait) = mpsc::channel::<()>();
    let (started, has_started) = mpsc::channel();
    let (wait, started) = (Mutex::new(wait), Mutex::new(started));
    let receiver = Receiver::new().deliveries("/events", secret(), move |_| {
        started.lock().unwrap().send(()).unwrap();
        wait.lock().unwrap().recv().unwrap();
    });
    let body = delivery("m1", 0);
    let signature = secret().sign(&body);
    std::thread::scope(|scope| {
        let first = scope.spawn(|| post(&receiver, "/events", &body, &signature).status);
        has_started.recv_timeout(SOON).unwrap();
        // The handler may still fail, so the platform has to repeat the delivery.
        assert_eq!(post(&receiver, "/events", &body, &signature).status, 503);
        go.send(()).unwrap();
        assert_eq!(first.join().unwrap(), 204);
    });
    assert_eq!(post(&receiver, "/events", &body, &signature).status, 204);
}

#[test]
fn a_failed_delivery_is_handled_again_after_newer_ones_were_stored() {
    let _watchdog = watchdog(SOON * 3);
    let (go, wait) = mpsc::channel::<()>();
    let (started, has_started) = mpsc::channel();
    let (wait, started) = (Mutex::new(wait), Mutex::new(started));
    let tries = AtomicUsize::new(0);
    let receiver = Receiver::new().remember(Deliveries::new().capacity(1));
    let receiver = receiver.deliveries("/events", secret(), move |delivery| {
        if delivery.message().unwrap().id != "m1" || tries.fetch_add(1, Ordering::SeqCst) > 0 {
            return Ok(());
        }
        started.lock().unwrap().send(()).unwrap();
        wait.lock().unwrap().recv().unwrap();
        Err("the database is down")
    });
    let status = |body: &[u8]| post(&receiver, "/events", body, &secret().sign(body)).status;
    let first = delivery("m1", 9);
    let newer = [("m2", 8), ("m3", 7), ("m4", 6)].map(|(id, age)| delivery(id, age));
    std::thread::scope(|scope| {
        let go = go;
        let failing = scope.spawn(|| status(&first));
        has_started.recv_timeout(SOON).unwrap();
        assert!(newer.iter().all(|body| status(body) == 204));
        assert_eq!(status(&first), 503, "it is still being handled");
        go.send(()).unwrap();
        assert_eq!(failing.join().unwrap(), 500);
    });
    assert_eq!(status(&first), 204);
}

#[test]
fn prompts_are_answered_with_a_signature() {
    let receiver = Receiver::new().prompts("/oracle", secret(), token(), |prompt| {
        PromptReply::new(format!("I am {}", prompt.agent.username))
    });
    let body = br#"{"agent":{"id":"u","username":"oracle"}}"#;
    let answer = post(&receiver, "/oracle", body, &secret().sign(body));
    assert_eq!((answer.status, answer.body.as_str()), (200, r#"{"content":"I am oracle"}"#));
    let signature = answer.headers.iter().find(|(name, _)| *name == SIGNATURE_HEADER).unwrap();
    assert_eq!(signature.1, token().sign(answer.body.as_bytes()));
    assert_eq!(post(&receiver, "/oracle", body, "").status, 401);
    let shown = format!("{receiver:?}");
    assert!(
        shown.contains("/oracle") && !shown.contains("sk_agent") && !shown.contains("only we"),
        "{shown}"
    );
}

/// Sends these bytes and returns the server's response.
fn exchange(address: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    // The server may stop reading early.
    let _ = stream.write_all(request);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8(answer).unwrap()
}

fn request(head: &str, body: &str) -> Vec<u8> {
    format!("POST /hook HTTP/1.1\r\nHost: x\r\n{head}\r\n{body}").into_bytes()
}

#[test]
fn the_server_answers_within_its_limits() {
    let _watchdog = watchdog(SOON * 3);
    let receiver = Receiver::new().commands("/hook", |call| call.command).max_body(1000);
    let server = receiver.time_limit(Duration::from_millis(500)).serve("127.0.0.1:0").unwrap();
    let status =
        |request: &[u8]| exchange(server.address(), request).get(9..12).unwrap_or_default().to_owned();
    let body = r#"{"agencyId":"a","command":"roll","sender":{"username":"bob"}}"#;
    let length = format!("Content-Length: {}\r\n", body.len());
    assert!(exchange(server.address(), &request(&length, body)).ends_with(r#"{"content":"roll"}"#));
    let (first, second) = body.split_at(10);
    let chunks = format!("{:x}\r\n{first}\r\n{:x};x=y\r\n{second}\r\n0\r\n\r\n", first.len(), second.len());
    assert_eq!(status(&request("Transfer-Encoding: chunked\r\n", &chunks)), "200");
    let bytes: String = body.chars().map(|byte| format!("1\r\n{byte}\r\n")).collect();
    assert_eq!(status(&request("Transfer-Encoding: chunked\r\n", &(bytes + "0\r\n\r\n"))), "200");
    let expect = exchange(server.address(), &request(&format!("Expect: 100-continue\r\n{length}"), body));
    assert!(expect.starts_with("HTTP/1.1 100") && expect.contains("HTTP/1.1 200"), "{expect}");
    for (head, body, expected) in [
        ("Content-Length: 1001\r\n", "", "413"),
        ("Content-Length: 1000000000000\r\n", "", "413"),
        ("Content-Length: 99999999999999999999999\r\n", "", "400"),
        ("Content-Length: -1\r\n", "", "400"),
        ("Content-Length: 1\r\nContent-Length: 2\r\n", "xx", "400"),
        ("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n", "400"),
        ("Transfer-Encoding: gzip\r\n", "", "400"),
        ("Transfer-Encoding: chunked\r\n", "3e9\r\n", "413"),
        ("Transfer-Encoding: chunked\r\n", "ffffffffffffffff\r\n", "413"),
        ("Transfer-Encoding: chunked\r\n", "x\r\n", "400"),
        ("Transfer-Encoding: chunked\r\n", "1\r\nxyz", "400"),
        ("Transfer-Encoding: chunked\r\n", "0\r\nno trailer\r\n\r\n", "400"),
        ("Transfer-Encoding: chunked\r\n", "0\r\nX: y\r\n", "408"),
        ("Content-Length: 9\r\n", "less", "408"),
        ("", "", "400"),
        ("no header\r\n", "", "400"),
    ] {
        assert_eq!(status(&request(head, body)), expected, "{head} {body}");
    }
    assert_eq!(status(&request(&format!("X: {}\r\n", "x".repeat(20_000)), "")), "431");
    assert_eq!(status(&request(&"X: y\r\n".repeat(100), "")), "431");
    let trailers = format!("0\r\n{}\r\n", format!("X: {}\r\n", "x".repeat(1000)).repeat(30));
    assert_eq!(status(&request("Transfer-Encoding: chunked\r\n", &trailers)), "431");
    assert_eq!(status(&[b'x'; 100_000]), "431", "a line without an end");
    assert_eq!(status(b"\x16\x03\x01"), "400", "TLS");
    assert_eq!(status(b"POST /ho"), "408");
    // A large body is refused before it is read, and the sender gets the reason.
    let large = request("Content-Length: 50000\r\n", &"x".repeat(50_000));
    assert_eq!(status(&large), "413");
    server.stop().unwrap();
    assert!(TcpStream::connect(server.address()).is_err());
    server.wait();
}

#[test]
fn a_stop_ends_the_server_after_the_running_handlers() {
    let _watchdog = watchdog(SOON * 3);
    let (go, gate) = mpsc::channel::<()>();
    let (began, begun) = mpsc::channel::<()>();
    let (gate, began) = (Mutex::new(gate), Mutex::new(began));
    let stop = crustocean::Stop::new();
    let receiver = Receiver::new().commands("/hook", move |_| {
        began.lock().unwrap().send(()).unwrap();
        gate.lock().unwrap().recv().unwrap();
        "done"
    });
    let server = receiver.stop(&stop).serve("127.0.0.1:0").unwrap();
    let address = server.address();
    let body = r#"{"agencyId":"a","command":"roll","sender":{"username":"bob"}}"#;
    let call = request(&format!("Content-Length: {}\r\n", body.len()), body);
    let at_work = std::thread::spawn(move || exchange(address, &call));
    begun.recv_timeout(SOON).unwrap();
    stop.stop();
    server.wait();
    go.send(()).unwrap();
    server.stop().unwrap();
    assert!(at_work.join().unwrap().ends_with(r#"{"content":"done"}"#));
}

#[test]
fn slow_bytes_do_not_keep_a_connection_open() {
    let _watchdog = watchdog(SOON * 3);
    let receiver = Receiver::new().commands("/hook", |call| call.command);
    let server = receiver.time_limit(Duration::from_millis(300)).serve("127.0.0.1:0").unwrap();
    let began = Instant::now();
    let mut stream = TcpStream::connect(server.address()).unwrap();
    // Single bytes do not prolong the time limit.
    while stream.write_all(b"x").is_ok() && began.elapsed() < SOON {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(began.elapsed() < SOON);
}

/// Bytes that are left unread when the server closes the connection would make the system discard the answer.
#[test]
fn the_answer_to_chunks_whose_end_comes_late_arrives_whole() {
    let _watchdog = watchdog(SOON * 3);
    const LARGE: usize = 8 << 20;
    let (called, is_called) = mpsc::channel();
    let called = Mutex::new(called);
    let receiver = Receiver::new().commands("/hook", move |_| {
        called.lock().unwrap().send(()).unwrap();
        "x".repeat(LARGE)
    });
    let server = receiver.time_limit(SOON * 2).serve("127.0.0.1:0").unwrap();
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    stream.set_nodelay(true).unwrap();
    let body = r#"{"agencyId":"a","command":"roll","sender":{"username":"bob"}}"#;
    let chunks = format!("{:x}\r\n{body}\r\n0\r\n", body.len());
    stream.write_all(&request("Transfer-Encoding: chunked\r\n", &chunks)).unwrap();
    for part in ["X-Sum: 1", "\r\n", "\r\n"] {
        assert!(is_called.recv_timeout(Duration::from_millis(50)).is_err(), "the request is not complete");
        stream.write_all(part.as_bytes()).unwrap();
    }
    is_called.recv_timeout(SOON).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    assert!(answer.len() > LARGE, "{}", answer.len());
}

#[test]
fn a_slow_reader_does_not_keep_its_place() {
    let _watchdog = watchdog(SOON * 3);
    let receiver = Receiver::new()
        .command("/hook", "large", |_| "x".repeat(24 << 20))
        .command("/hook", "small", |_| "x")
        .max_connections(1)
        .time_limit(Duration::from_secs(1));
    let server = receiver.serve("127.0.0.1:0").unwrap();
    let call = |command: &str| {
        let body = format!(r#"{{"agencyId":"a","command":"{command}","sender":{{"username":"bob"}}}}"#);
        request(&format!("Content-Length: {}\r\n", body.len()), &body)
    };
    let mut slow = TcpStream::connect(server.address()).unwrap();
    slow.write_all(&call("large")).unwrap();
    slow.read_exact(&mut [0]).unwrap();
    let (done, is_done) = mpsc::channel::<()>();
    let reading = std::thread::spawn(move || {
        // Reads too slowly to get the whole answer within this test, and never pauses for as long as the time limit.
        let mut part = vec![0; 64 << 10];
        while is_done.recv_timeout(Duration::from_millis(150)) == Err(mpsc::RecvTimeoutError::Timeout) {
            let _ = slow.read(&mut part);
        }
    });
    eventually("another request is answered", || {
        exchange(server.address(), &call("small")).starts_with("HTTP/1.1 200")
    });
    drop(done);
    reading.join().unwrap();
}

#[test]
fn too_many_connections_are_refused_and_a_stop_waits_for_running_handlers() {
    let _watchdog = watchdog(SOON * 3);
    let (go, wait) = mpsc::channel::<()>();
    let (started, has_started) = mpsc::channel();
    let (wait, started) = (Mutex::new(wait), Mutex::new(started));
    let receiver = Receiver::new().commands("/hook", move |_| {
        started.lock().unwrap().send(()).unwrap();
        wait.lock().unwrap().recv().unwrap();
        "done"
    });
    let server = Arc::new(receiver.max_connections(2).serve("127.0.0.1:0").unwrap());
    let address = server.address();
    let body = r#"{"agencyId":"a","command":"roll","sender":{"username":"bob"}}"#;
    let call = request(&format!("Content-Length: {}\r\n", body.len()), body);
    let at_work = std::thread::spawn({
        let call = call.clone();
        move || exchange(address, &call)
    });
    has_started.recv_timeout(SOON).unwrap();
    // The second connection sends nothing.
    let mut silent = TcpStream::connect(address).unwrap();
    eventually("a third one is sent away", || exchange(address, &call).starts_with("HTTP/1.1 503"));
    // The answer arrives whole although the server does not use the request. At most 16 are refused at once in this way.
    let large = request("Content-Length: 60000\r\n", &"x".repeat(60_000));
    for _ in 0..8 {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        stream.write_all(&large).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    }
    let stopping = std::thread::spawn({
        let server = Arc::clone(&server);
        move || server.stop()
    });
    // An idle connection is closed at once, a running handler is not interrupted.
    silent.set_read_timeout(Some(SOON)).unwrap();
    assert!(!matches!(silent.read(&mut [0; 8]), Ok(1..)));
    let _ = silent.shutdown(Shutdown::Both);
    assert!(!stopping.is_finished());
    go.send(()).unwrap();
    assert!(at_work.join().unwrap().ends_with(r#"{"content":"done"}"#));
    stopping.join().unwrap().unwrap();
}

#[test]
fn an_unusable_address_is_an_error() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let in_use = Receiver::new().serve(taken.local_addr().unwrap()).unwrap_err();
    assert_eq!(in_use.kind(), crustocean::ErrorKind::Config);
    assert!(in_use.to_string().ends_with("another program listens there: choose another port"), "{in_use}");
    for incomplete in ["localhost", "", "127.0.0.1:http"] {
        let error = Receiver::new().serve(incomplete).unwrap_err();
        assert_eq!(error.kind(), crustocean::ErrorKind::Config);
        let said = error.to_string();
        assert!(said.ends_with("give a host and a port, such as \"127.0.0.1:8080\""), "{said}");
    }
}

#[test]
fn a_handler_may_stop_the_server() {
    let _watchdog = watchdog(SOON * 3);
    let slot: Arc<Mutex<Option<Arc<crustocean::webhook::Server>>>> = Arc::default();
    let receiver = Receiver::new().commands("/hook", {
        let slot = Arc::clone(&slot);
        move |_| {
            let server = slot.lock().unwrap().clone().unwrap();
            format!("stopped: {:?}", server.stop())
        }
    });
    let server = Arc::new(receiver.serve("127.0.0.1:0").unwrap());
    *slot.lock().unwrap() = Some(Arc::clone(&server));
    let body = r#"{"agencyId":"a","command":"stop","sender":{"username":"bob"}}"#;
    let call = request(&format!("Content-Length: {}\r\n", body.len()), body);
    let answer = exchange(server.address(), &call);
    assert!(answer.ends_with(r#"{"content":"stopped: Ok(())"}"#), "{answer}");
    server.wait();
}
