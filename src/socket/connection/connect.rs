//! Connects: opens a connection, sends CONNECT with the credentials, and waits for the reply.

use std::time::{Duration, Instant};

use crate::deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::net::{CancelToken, Secrets};
use crate::socket::connection::decoder::Inbound;
use crate::socket::connection::{Connection, open};
use crate::socket::disconnect::{Disconnect, SendFailure};
use crate::socket::protocol::socket_io::{self, ConnectReply, Recovery};
use crate::socket::transport::choice::TransportMemory;
use crate::socket::transport::refusal::{is_about_credentials, refused_connect};
use crate::socket::transport::target::Target;

/// How long an open connection may wait for its CONNECT.
const FRESH: Duration = Duration::from_secs(5);
/// The limit for data before the reply to CONNECT.
const EARLY: Early = Early { items: 256, bytes: 4 << 20 };
/// The limit if the client asks for a replay of missed events: the server sends these events before the reply.
const EARLY_REPLAY: Early = Early { items: 4096, bytes: 32 << 20 };
#[derive(Clone, Copy)]
struct Early {
    items: usize,
    bytes: usize,
}

/// A connection that is ready to use.
#[derive(Debug)]
pub(crate) struct Connected {
    pub(crate) connection: Connection,
    /// The events that came before or together with the CONNECT reply.
    pub(crate) early: Vec<Inbound>,
    /// The ids of the session. With a `pid` the session can be recovered after a loss.
    pub(crate) reply: ConnectReply,
    /// The server has recovered the lost session: `early` starts with the missed events.
    pub(crate) recovered: bool,
}

/// Why there is no connection.
#[derive(Debug)]
pub(crate) enum ConnectFailure {
    /// The server refuses the token or the session, with a CONNECT_ERROR or an HTTP status.
    Refused(Error),
    /// The server refuses for another reason: it is busy, restarting or full.
    ServerProblem(Error),
    Failed(Error),
}

impl ConnectFailure {
    pub(crate) fn into_error(self) -> Error {
        match self {
            ConnectFailure::Refused(error)
            | ConnectFailure::ServerProblem(error)
            | ConnectFailure::Failed(error) => error,
        }
    }

    /// Whether the failure happened before the server could answer.
    pub(crate) fn is_of_the_network(&self) -> bool {
        matches!(self, ConnectFailure::Failed(error) if matches!(error.kind(), ErrorKind::Connect | ErrorKind::Timeout))
    }
}

impl From<Error> for ConnectFailure {
    fn from(error: Error) -> Self {
        match error.kind() {
            ErrorKind::Unauthorized => ConnectFailure::Refused(error),
            ErrorKind::Forbidden if error.server_message().is_some_and(is_about_credentials) => {
                ConnectFailure::Refused(error)
            }
            ErrorKind::Forbidden => ConnectFailure::ServerProblem(error),
            _ => ConnectFailure::Failed(error),
        }
    }
}

/// A connection after dial and upgrade. The client has read its open packet, but has not sent CONNECT.
///
/// Only CONNECT contains the credentials, so one thread can open a connection while another thread fetches the
/// credentials.
#[derive(Debug)]
pub(crate) struct Opened {
    connection: Connection,
    at: Instant,
}

impl Opened {
    /// Dials and upgrades. `cancel` lets another thread end the attempt.
    ///
    /// # Errors
    /// Why there is no connection.
    pub(crate) fn open(target: &Target, memory: &TransportMemory, cancel: &CancelToken) -> Result<Self> {
        Ok(Opened { connection: open::open(target, memory, cancel)?, at: Instant::now() })
    }

    /// Whether the server still keeps this connection: a server closes connections that send no CONNECT or answer no
    /// pings.
    pub(crate) fn is_fresh(&self) -> bool {
        self.at.elapsed() < FRESH.min(self.connection.silence() / 2)
    }

    /// From now on, `cancel` ends the connection.
    pub(crate) fn cancel_with(&self, cancel: &CancelToken) {
        cancel.adopt(self.connection.cancel_token());
    }

    pub(crate) fn is_polling(&self) -> bool {
        self.connection.is_polling()
    }

    /// Ends the connection, because it is not needed.
    pub(crate) fn discard(self) {
        self.connection.cut();
    }

    /// Joins the main namespace with `auth`, a JSON object.
    ///
    /// `recovery` asks the server to recover a lost session. Ask only once per loss: this function limits the size of a
    /// replay, so a replay that is too large fails every time.
    pub(crate) fn join(
        self,
        target: &Target,
        auth: &str,
        recovery: Option<&Recovery>,
    ) -> Result<Connected, ConnectFailure> {
        let connect_packet = socket_io::encode_connect(auth, recovery)?;
        self.send_connect(connect_packet, target, recovery)
    }

    fn send_connect(
        self,
        connect_packet: String,
        target: &Target,
        recovery: Option<&Recovery>,
    ) -> Result<Connected, ConnectFailure> {
        let connection = self.connection;
        connection.send(connect_packet.into()).map_err(|failure| match failure {
            SendFailure::Refused(error) => error,
            other => broke(other.into_end(), &target.secrets),
        })?;
        let (reply, early) = await_reply(
            &connection,
            deadline::after(target.dial_timeout),
            if recovery.is_some() { EARLY_REPLAY } else { EARLY },
            &target.secrets,
        )?;
        connection.confirm(u64::MAX);
        let recovered = recovery.is_some_and(|recovery| reply.pid.as_ref() == Some(&recovery.pid));
        Ok(Connected { connection, early, reply, recovered })
    }
}

/// Connects, upgrades, and joins the main namespace: [`Opened::open`] and [`Opened::join`].
pub(crate) fn connect(
    target: &Target,
    auth: &str,
    recovery: Option<&Recovery>,
    memory: &TransportMemory,
    cancel: &CancelToken,
) -> Result<Connected, ConnectFailure> {
    // Encodes first: invalid credentials need no connection.
    let connect_packet = socket_io::encode_connect(auth, recovery)?;
    Opened::open(target, memory, cancel)?.send_connect(connect_packet, target, recovery)
}

/// Reads until the server answers CONNECT. Answers pings meanwhile.
fn await_reply(
    connection: &Connection,
    deadline: Instant,
    limit: Early,
    secrets: &Secrets,
) -> Result<(ConnectReply, Vec<Inbound>), ConnectFailure> {
    let mut early = Vec::new();
    let mut end = connection.drain(&mut early).err();
    let (mut counted, mut bytes) = (0, 0);
    loop {
        for inbound in early.iter().skip(counted) {
            match inbound {
                Inbound::Event(event) => bytes += event.size(),
                Inbound::Ack(..) => {}
                Inbound::Refused(json) => {
                    let error = refused_connect(json, secrets);
                    return Err(match error.kind() {
                        ErrorKind::Unauthorized => ConnectFailure::Refused(error),
                        _ => ConnectFailure::ServerProblem(error),
                    });
                }
                Inbound::Connected(reply) => {
                    let reply = reply.clone();
                    check_reply(&reply)?;
                    // Other items, such as the end of the connection, appear again in the first read.
                    early.retain(|inbound| matches!(inbound, Inbound::Event(_)));
                    return Ok((reply, early));
                }
            }
        }
        counted = early.len();
        if let Some(end) = end {
            return Err(broke(end, secrets).into());
        }
        if counted > limit.items || bytes > limit.bytes {
            return Err(Error::protocol("the server sends events but does not answer CONNECT").into());
        }
        if Instant::now() >= deadline {
            return Err(Error::timeout("the server did not answer the Socket.IO CONNECT in time").into());
        }
        end = connection.turn(Some(deadline), &mut early).err();
    }
}

fn check_reply(reply: &ConnectReply) -> Result<()> {
    match reply.sid {
        Some(_) => Ok(()),
        None => Err(Error::protocol(
            "the server's CONNECT reply has no session id: it seems to speak an older Socket.IO (v2)",
        )),
    }
}

fn broke(end: Disconnect, secrets: &Secrets) -> Error {
    let end = end.without(secrets);
    Error::new(
        ErrorKind::Connect,
        format!("the connection broke during the handshake: {}: {}", end.reason, end.detail),
    )
}

#[cfg(test)]
mod tests {
    use tungstenite::Message;

    use super::*;
    use crate::net::settings::{ProxyChoice, TlsSettings};
    use crate::net::{ApiUrl, Dialer};
    use crate::socket::transport::choice::Transport;

    /// Connects to a server that sends `before` and then `reply`. Also returns the payload of CONNECT.
    fn connect_to(
        recovery: Option<&Recovery>,
        before: Vec<String>,
        reply: &str,
    ) -> (Result<Connected, ConnectFailure>, String) {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let reply = reply.to_owned();
        let server = std::thread::spawn(move || {
            let mut peer = tungstenite::accept(listener.accept().unwrap().0).unwrap();
            peer.send(Message::text(r#"0{"sid":"engine"}"#)).unwrap();
            let hello = peer.read().unwrap().into_text().unwrap().to_string();
            // The client may leave early.
            let _ = before.into_iter().chain([reply]).try_for_each(|text| peer.send(Message::text(text)));
            let _ = peer.read();
            hello
        });
        let target = Target {
            dialer: Dialer::new(&TlsSettings::default(), &ProxyChoice::Direct).unwrap(),
            url: ApiUrl::parse(&url).unwrap(),
            user_agent: "test".to_owned(),
            dial_timeout: Duration::from_secs(5),
            transport: Transport::WebSocket,
            secrets: Secrets::default(),
        };
        let connected = connect(
            &target,
            r#"{"token":"t"}"#,
            recovery,
            &TransportMemory::default(),
            &CancelToken::default(),
        );
        if let Ok(connected) = &connected {
            connected.connection.cut();
        }
        (connected, server.join().unwrap())
    }

    #[test]
    fn b55_a_name_look_up_that_hangs_is_under_the_deadline() {
        let (answer, question) = std::sync::mpsc::channel();
        let question = std::sync::Mutex::new(question);
        let resolve = move |_: &str, _| question.lock().unwrap().recv().map_err(std::io::Error::other);
        let target = Target {
            dialer: Dialer::new(&TlsSettings::default(), &ProxyChoice::Direct)
                .unwrap()
                .with_resolver(resolve),
            url: ApiUrl::parse("http://slow.example").unwrap(),
            user_agent: "test".to_owned(),
            dial_timeout: Duration::from_millis(500),
            transport: Transport::Auto,
            secrets: Secrets::default(),
        };
        let dial = |cancel: &CancelToken| {
            let started = Instant::now();
            let failure = connect(&target, "{}", None, &TransportMemory::default(), cancel).unwrap_err();
            (failure.into_error(), started.elapsed())
        };
        let (error, took) = dial(&CancelToken::default());
        assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
        assert!(took < Duration::from_secs(5), "{took:?}");
        let cancel = CancelToken::default();
        std::thread::scope(|scope| {
            scope.spawn(|| cancel.cancel());
            let (error, _) = dial(&cancel);
            assert!(matches!(error.kind(), ErrorKind::Closed | ErrorKind::Timeout), "{error}");
        });
        drop(answer);
    }

    fn recovery() -> Recovery {
        Recovery { pid: "secret".into(), offset: "last".into() }
    }

    fn arguments(early: &[Inbound]) -> Vec<String> {
        let args = |inbound: &Inbound| match inbound {
            Inbound::Event(event) => event.args().to_owned(),
            other => panic!("{other:?}"),
        };
        early.iter().map(args).collect()
    }

    #[test]
    fn t51_the_public_id_is_the_one_of_the_namespace() {
        let (connected, hello) = connect_to(None, vec![], r#"40{"sid":"public","pid":"private"}"#);
        let connected = connected.unwrap();
        assert_eq!(hello, r#"40{"token":"t"}"#);
        assert_eq!(connected.reply.sid.as_deref(), Some("public"));
        assert_eq!(connected.reply.pid.as_deref(), Some("private"));
        assert!(!connected.recovered);
    }

    #[test]
    fn t109_a_lost_session_is_taken_up_again() {
        let missed = (0..1000).map(|n| format!(r#"42["m",{n},"offset-{n}"]"#)).collect();
        let (connected, hello) = connect_to(Some(&recovery()), missed, r#"40{"sid":"same","pid":"secret"}"#);
        let connected = connected.unwrap();
        let hello: serde_json::Value = serde_json::from_str(hello.strip_prefix("40").unwrap()).unwrap();
        assert_eq!(hello, serde_json::json!({"token": "t", "pid": "secret", "offset": "last"}));
        assert!(connected.recovered);
        let early = arguments(&connected.early);
        assert_eq!((early.len(), early[999].as_str()), (1000, r#"999,"offset-999""#));
    }

    #[test]
    fn t109_a_session_that_is_gone_begins_anew() {
        let (connected, _) = connect_to(Some(&recovery()), vec![], r#"40{"sid":"new","pid":"other"}"#);
        assert!(!connected.unwrap().recovered);
        let (connected, _) = connect_to(Some(&recovery()), vec![], r#"40{"sid":"new"}"#);
        assert!(!connected.unwrap().recovered, "the server has turned recovery off");
    }

    #[test]
    fn a_replay_is_bounded() {
        let endless = (0..20_000).map(|n| format!(r#"42["m",{n}]"#)).collect();
        let (connected, _) = connect_to(Some(&recovery()), endless, r#"40{"sid":"same","pid":"secret"}"#);
        let error = connected.unwrap_err().into_error();
        assert_eq!(error.kind(), ErrorKind::Protocol, "{error}");
    }

    #[test]
    fn keys_of_the_credentials_win() {
        let frame = |auth| socket_io::encode_connect(auth, Some(&recovery()));
        assert_eq!(frame(r#"{"pid":"mine"}"#).unwrap(), r#"40{"offset":"last","pid":"mine"}"#);
        assert_eq!(frame("{}").unwrap(), r#"40{"offset":"last","pid":"secret"}"#);
        assert_eq!(frame("[]").unwrap_err().kind(), ErrorKind::Invalid);
    }

    #[test]
    fn wants_a_session_id() {
        assert!(check_reply(&ConnectReply::parse(r#"{"sid":"abc","pid":"x"}"#)).is_ok());
        for bad in ["", "{}", r#"{"sid":""}"#, "[]", r#"{"sid":7}"#, "{"] {
            assert!(check_reply(&ConnectReply::parse(bad)).is_err(), "{bad}");
        }
    }
}
