//! A receiver behind tiny_http, with the code of the documentation. The last test shows why the receiver has a server
//! of its own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failure here is a failed test")]

mod documented;

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};

use crustocean::webhook::Receiver;
use tiny_http::{Header, Response, Server};

const MAX_BODY: u64 = 1 << 20;

// shown
fn serve(server: &Server, receiver: &Receiver) -> io::Result<()> {
    for mut request in server.incoming_requests() {
        let mut body = Vec::new();
        request.as_reader().take(MAX_BODY + 1).read_to_end(&mut body)?;
        let headers = request.headers().iter().map(|it| (it.field.as_str().as_str(), it.value.as_str()));
        let answer = receiver.handle(request.method().as_str(), request.url(), headers, &body);
        let mut response = Response::from_string(answer.body).with_status_code(answer.status);
        for (name, value) in answer.headers {
            response.add_header(Header::from_bytes(name, value).expect("a header of the receiver's"));
        }
        request.respond(response)?;
    }
    Ok(())
}
// end

fn receiver() -> Receiver {
    Receiver::new().command("/hook", "ping", |call| format!("pong {}", call.raw_args))
}

#[test]
fn a_command_is_answered() {
    documented::is_shown(include_str!("tiny_http.rs"), "With `tiny_http`");
    let server = Server::http("127.0.0.1:0").unwrap();
    let address = server.server_addr().to_ip().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| serve(&server, &receiver()).unwrap());
        let body = r#"{"agencyId":"a","command":"ping","rawArgs":"x","sender":{"username":"bob"}}"#;
        let answer = ureq::post(format!("http://{address}/hook")).send(body).unwrap();
        assert_eq!(answer.into_body().read_to_string().unwrap(), r#"{"content":"pong x"}"#);
        let large = vec![b'x'; (MAX_BODY + 10) as usize];
        let refused = ureq::post(format!("http://{address}/hook")).send(&large).unwrap_err();
        assert!(matches!(refused, ureq::Error::StatusCode(413)), "{refused}");
        server.unblock();
    });
}

/// The status of a request with a header of 8 MiB.
fn endless_header(address: SocketAddr) -> io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(b"GET /hook HTTP/1.1\r\nHost: x\r\nX-Long: ")?;
    let piece = [b'x'; 1 << 16];
    let sent = (0..128).try_for_each(|_| stream.write_all(&piece));
    let sent = sent.and_then(|()| stream.write_all(b"\r\nConnection: close\r\n\r\n"));
    let mut status = [0; 12];
    match stream.read_exact(&mut status) {
        Ok(()) => Ok(String::from_utf8_lossy(&status).into_owned()),
        Err(error) => sent.and(Err(error)),
    }
}

/// If this test fails, tiny_http limits the size of request heads now. Then the receiver may not need its own server
/// any more.
#[test]
fn tiny_http_reads_a_head_without_end_and_the_receiver_does_not() {
    let server = Server::http("127.0.0.1:0").unwrap();
    let address = server.server_addr().to_ip().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| serve(&server, &receiver()).unwrap());
        assert_eq!(endless_header(address).unwrap(), "HTTP/1.1 405");
        server.unblock();
    });
    let server = receiver().serve("127.0.0.1:0").unwrap();
    // Refused, or the connection is closed before the refusal arrives.
    assert!(endless_header(server.address()).map_or(true, |status| status == "HTTP/1.1 431"));
}
