//! The exact bytes of requests, and invalid responses.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::JoinHandle;
use std::time::Duration;

use crustocean::{
    AgencyId, AgentId, Client, ErrorKind, PersonalAccessToken, UserId,
    model::{Expiry, Timestamp},
};

const PAT: &str = "cru_4f8a00112233445566778899aabbccddeeff001122334455";

struct Seen {
    line: String,
    headers: Vec<String>,
    body: String,
}

/// Answers one request per connection with the given bodies, in order, and reports the requests.
struct Script {
    url: String,
    server: JoinHandle<Vec<Seen>>,
}

impl Script {
    fn new(answers: &[&str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let answers: Vec<String> = answers.iter().map(|answer| (*answer).to_owned()).collect();
        let server = std::thread::spawn(move || {
            answers.iter().map(|answer| serve(accept(&listener), answer)).collect()
        });
        Script { url, server }
    }

    fn client(&self) -> Client {
        let builder = Client::builder().api_url(&self.url).request_timeout(Duration::from_secs(5));
        builder.build(PAT.parse::<PersonalAccessToken>().unwrap()).unwrap()
    }

    fn seen(self) -> Vec<Seen> {
        self.server.join().unwrap()
    }
}

/// Accepts a connection within a time limit. So a test that makes too few requests fails instead of hanging.
fn accept(listener: &TcpListener) -> TcpStream {
    listener.set_nonblocking(true).unwrap();
    for _ in 0..1000 {
        if let Ok((stream, _)) = listener.accept() {
            stream.set_nonblocking(false).unwrap();
            return stream;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("no request came");
}

fn serve(stream: TcpStream, answer: &str) -> Seen {
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let mut reader = BufReader::new(&stream);
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    let mut headers = Vec::new();
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).unwrap();
        match header.trim_end() {
            "" => break,
            header => headers.push(header.to_owned()),
        }
    }
    let length = headers.iter().find_map(|header| {
        let (name, value) = header.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().unwrap())
    });
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body).unwrap();
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close";
    write!(&stream, "{head}\r\ncontent-length: {}\r\n\r\n{answer}", answer.len()).unwrap();
    let mut line = line.trim_end().trim_end_matches(" HTTP/1.1").to_owned();
    // These characters may be encoded in a query but need not be.
    for (encoded, plain) in [("%2D", "-"), ("%2E", "."), ("%3A", ":"), ("+", "%20")] {
        line = line.replace(encoded, plain);
    }
    Seen { line, headers, body: String::from_utf8(body).unwrap() }
}

#[test]
fn calls_have_the_documented_form() {
    let script = Script::new(&[
        r#"{"id":"t","name":"ci","token":"cru_00","expires_at":null}"#,
        r#"{"agent":{"id":"a/b","username":"mybot"},"agentToken":"sk_1"}"#,
        "",
        r#"{"config":{"role":"x"}}"#,
        r#"{"id":"a","name":"mybot"}"#,
        "",
        r#"{"id":"ag-1","slug":"my-team"}"#,
        "{}",
        "[]",
        r#"{"agencyId":"dm-1"}"#,
    ]);
    let client = script.client();
    let agent = AgentId::from("a/b");
    let agency = AgencyId::from("ag-1");
    client.tokens().create("ci").expires(Expiry::OneYear).send().unwrap();
    client.agents().create("mybot").role("Assistant").agency(&agency).send().unwrap();
    client.agents().verify(&agent).unwrap();
    client.agents().config_in(&agent, &agency).unwrap();
    client.agents().update_config(&agent).role("y").send().unwrap();
    client.agents().transfer(&agent, &UserId::from("usr-2")).unwrap();
    client.agencies().create("My Team").private(true).password("p w").send().unwrap();
    client.agencies().add_agent(&agency, "mybot").unwrap();
    let before = Timestamp::from("2026-03-05T10:00:00.000Z");
    client.agencies().messages(&agency).limit(500).before(&before).mentions("@my bot").send().unwrap();
    client.dms().open(&UserId::from("usr-2")).unwrap();

    let seen = script.seen();
    let calls: Vec<(&str, &str)> = seen.iter().map(|seen| (seen.line.as_str(), seen.body.as_str())).collect();
    assert_eq!(
        calls[..8],
        [
            ("POST /api/auth/tokens", r#"{"expiresIn":"1y","name":"ci"}"#),
            ("POST /api/agents", r#"{"agencyId":"ag-1","name":"mybot","role":"Assistant"}"#),
            ("POST /api/agents/a%2Fb/verify", ""),
            ("GET /api/agents/a%2Fb/config?agencyId=ag-1", ""),
            ("PATCH /api/agents/a%2Fb/config", r#"{"role":"y"}"#),
            ("POST /api/agents/a%2Fb/transfer", r#"{"newOwnerId":"usr-2"}"#),
            ("POST /api/agencies", r#"{"isPrivate":true,"name":"My Team","password":"p w"}"#),
            ("POST /api/agencies/ag-1/agents", r#"{"username":"mybot"}"#),
        ]
    );
    assert_eq!(
        calls[8].0,
        "GET /api/agencies/ag-1/messages?limit=100&before=2026-03-05T10:00:00.000Z&mentions=my%20bot"
    );
    assert_eq!(calls[9].0, "POST /api/dm/usr-2");
    for seen in &seen {
        let credential =
            seen.headers.iter().find(|header| header.to_ascii_lowercase().starts_with("authorization:"));
        assert!(credential.unwrap().ends_with(&format!("Bearer {PAT}")), "{}", seen.line);
    }
}

#[test]
fn logging_in_sends_no_token() {
    let script = Script::new(&[r#"{"token":"abc","user":{"id":"u","username":"alice"}}"#]);
    let login = Client::builder().api_url(&script.url).login("alice", "correct horse").unwrap();
    assert_eq!((login.token.expose(), login.user.username.as_str()), ("abc", "alice"));
    let seen = script.seen();
    assert_eq!(seen[0].body, r#"{"username":"alice","password":"correct horse"}"#);
    assert!(!seen[0].headers.iter().any(|header| header.to_ascii_lowercase().starts_with("authorization")));
}

#[test]
fn an_undecodable_response_names_the_call_and_not_the_body() {
    let script = Script::new(&[
        "<html>sk_secret</html>",
        r#"{"token":"sk_secret"}"#,
        r#""sk_secret""#,
        "",
        r#"{"agent":"sk_secret"}"#,
    ]);
    let client = script.client();
    for (error, call) in [
        (client.account().me().unwrap_err(), "GET /api/auth/me"),
        (client.tokens().create("ci").send().unwrap_err(), "POST /api/auth/tokens"),
        (client.agents().list().unwrap_err(), "GET /api/agents"),
        (client.agencies().list().unwrap_err(), "GET /api/agencies"),
        (client.agents().create("mybot").send().unwrap_err(), "POST /api/agents"),
    ] {
        assert_eq!(error.kind(), ErrorKind::Protocol);
        assert!(error.to_string().contains(call), "{error}");
        assert!(!format!("{error} {error:?}").contains("sk_secret"), "{error:?}");
    }
    script.seen();
}

#[test]
fn a_history_is_read_to_its_end() {
    let page = |ids: &[u32]| {
        let messages = ids.iter().map(|id| {
            format!(r#"{{"id":"m{id}","agency_id":"ag-1","content":"{id}","created_at":"2026-03-05T10:00:{id:02}Z"}}"#)
        });
        format!("[{}]", messages.collect::<Vec<_>>().join(","))
    };
    // The server interprets `before` as "not after": the next page repeats the oldest message of this one.
    let script = Script::new(&[&page(&[9, 8, 7]), &format!("{{\"messages\":{}}}", page(&[7, 6]))]);
    let client = script.client();
    let history = client.agencies().messages(&AgencyId::from("ag-1")).limit(3).iter();
    let ids: Vec<String> = history.map(|message| message.unwrap().id.to_string()).collect();
    assert_eq!(ids, ["m9", "m8", "m7", "m6"]);
    let lines: Vec<String> = script.seen().into_iter().map(|seen| seen.line).collect();
    // Slightly later than the oldest message, because others may have the same time and not fit on the page.
    assert!(!lines[0].contains("before"), "{lines:?}");
    assert!(lines[1].contains("before=2026-03-05T10:00:07.001Z"), "{lines:?}");
    // The second page was not full, so it was the last one.
    assert_eq!(lines.len(), 2, "{lines:?}");
}

#[test]
fn an_error_ends_the_history() {
    let script = Script::new(&["not json"]);
    let client = script.client();
    let mut history = client.dms().messages(&AgencyId::from("dm-1")).iter();
    assert_eq!(history.next().unwrap().unwrap_err().kind(), ErrorKind::Protocol);
    assert!(history.next().is_none());
    script.seen();
}
