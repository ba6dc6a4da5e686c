//! A session against a server that answers every request.

use std::net::{TcpListener, TcpStream};
use std::thread;

use tungstenite::{Message, WebSocket};

use super::*;
use crate::config::Config;
use crate::net::ApiUrl;
use crate::socket::transport::choice::Transport;

const SOON: Duration = Duration::from_secs(30);

struct Anybody;

impl Host for Anybody {
    fn credentials(&self, _refused: bool) -> Result<String> {
        Ok("{}".to_owned())
    }

    fn restore(&self, _connection: &ConnectionHandle<'_>) -> Result<()> {
        Ok(())
    }
}

/// Accepts a client. Answers every event that asks for an ack with the number of the connection.
fn serve(number: usize, socket: TcpStream) -> tungstenite::Result<()> {
    let mut peer: WebSocket<TcpStream> =
        tungstenite::accept(socket).map_err(|_| tungstenite::Error::ConnectionClosed)?;
    peer.send(Message::text(r#"0{"sid":"engine","pingInterval":25000,"pingTimeout":20000}"#))?;
    peer.read()?;
    peer.send(Message::text(format!(r#"40{{"sid":"socket-{number}"}}"#)))?;
    loop {
        let text = peer.read()?.into_text()?;
        let id: String = text.chars().skip(2).take_while(char::is_ascii_digit).collect();
        if !id.is_empty() {
            peer.send(Message::text(format!("43{id}[{number}]")))?;
        }
    }
}

fn session() -> Session {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for (number, socket) in listener.incoming().flatten().enumerate() {
            thread::spawn(move || serve(number, socket));
        }
    });
    let config = Config {
        api_url: Some(url.clone()),
        proxy: crate::net::settings::ProxyChoice::Direct,
        ..Config::default()
    };
    let target = Target {
        dialer: config.dialer().unwrap(),
        url: ApiUrl::parse(&url).unwrap(),
        user_agent: "test".to_owned(),
        dial_timeout: SOON,
        transport: Transport::WebSocket,
        secrets: Default::default(),
    };
    let limits = Limits { events: 100, bytes: 1 << 20 };
    Session::open("test", target, Arc::new(Anybody), limits, Policy::default(), None, None).unwrap()
}

fn ask(session: &Session) -> Result<usize> {
    let args = session.emit_with_ack("q", &(), Instant::now() + SOON, SOON)?;
    Ok(args.first::<u64>().unwrap() as usize)
}

#[test]
fn t77_a_question_that_finds_its_link_over_is_asked_on_the_next_one() {
    let session = session();
    assert_eq!(ask(&session).unwrap(), 0);
    // The connection is over, but no thread has noticed: the next sender finds out.
    session.core.lock().connection().unwrap().end_unnoticed();
    assert_eq!(ask(&session).unwrap(), 1);
    assert!(session.core.lock().acks.is_empty());
    session.close(SOON).unwrap();
}
