//! A room that shows an answer late.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crustocean_workers::Output;

use crate::rig::{LONG, Rig, TTL, echo};
use crate::support::eventually;

/// A proxy that delays what clients send on WebSockets by so many milliseconds. REST requests are not delayed.
fn slow_sockets(server: u16, delay: Arc<AtomicU64>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let Ok(server) = TcpStream::connect(("127.0.0.1", server)) else { continue };
            let (requests, answers) = ((client.try_clone(), server.try_clone()), (server, client));
            let delay = Arc::clone(&delay);
            std::thread::spawn(move || pump(requests.0.unwrap(), requests.1.unwrap(), &delay));
            std::thread::spawn(move || pump(answers.0, answers.1, &AtomicU64::new(0)));
        }
    });
    port
}

fn pump(mut from: TcpStream, mut to: TcpStream, delay: &AtomicU64) {
    let (mut buffer, mut is_socket) = ([0; 65_536], false);
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if is_socket {
            std::thread::sleep(Duration::from_millis(delay.load(Ordering::SeqCst)));
        }
        let text = String::from_utf8_lossy(&buffer[..count]).to_lowercase();
        is_socket |= text.contains("sec-websocket-key");
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}

#[test]
fn an_answer_that_the_room_shows_late_is_not_posted_again() {
    let rig = Rig::start(1);
    let delay = Arc::new(AtomicU64::new(0));
    let port = slow_sockets(rig.platform.sandbox.port(), Arc::clone(&delay));
    let token = rig.platform.larry.token.clone();
    let output = Output::direct(move |builder: crustocean::agent::AgentBuilder| {
        let builder = builder.post_timeout(Duration::from_millis(500));
        builder.api_url(format!("http://127.0.0.1:{port}")).connect(token.parse()?)
    });
    let workers = rig.workers("one").ttl(TTL * 5).output(output);
    rig.run(
        &[workers],
        |task| Ok(echo(task)?.into()),
        || {
            rig.platform.ask(0, "q1");
            rig.expect_in_order(0, 1);
            delay.store(900, Ordering::SeqCst);
            rig.platform.ask(0, "q2");
            eventually("the second answer", LONG, || rig.platform.answers(0).len() >= 2);
            delay.store(0, Ordering::SeqCst);
            // Comes over the same connection: a second answer to the second question would be before it.
            rig.platform.ask(0, "q3");
            rig.expect_in_order(0, 3);
        },
    );
}
