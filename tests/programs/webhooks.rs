//! The examples that receive webhooks, called by the sandbox like the platform, and with forged and repeated requests.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::common::{
    PROGRAMS, Response, SOON, ScriptedServer, TestSandbox, Watchdog, eventually, iso, wait_for,
    wait_for_message, watchdog,
};
use crustocean::Event;
use crustocean::webhook::{SIGNATURE_HEADER, WebhookEvent, WebhookSecret};

/// The time limit is long, because the examples may have to be built first.
fn long_watchdog() -> Watchdog {
    watchdog(Duration::from_secs(900))
}

/// A program that listens on a free port.
struct Listening {
    child: Child,
    lines: BufReader<ChildStdout>,
    address: String,
}

fn program(name: &str, settings: &[(&str, &str)]) -> Command {
    let mut command = Command::new(&PROGRAMS[name]);
    for unset in ["AGENT_TOKEN", "CRUSTOCEAN_AGENT_TOKEN", "CRUSTOCEAN_API_URL", "WEBHOOK_SECRET", "HOOK_KEY"]
    {
        command.env_remove(unset);
    }
    command.env("NO_PROXY", "*").envs(settings.iter().copied()).arg("127.0.0.1:0");
    command
}

/// Checks that the example ends with a text that names the variable that is not set.
fn names_what_is_missing(name: &str, variable: &str) {
    let output = program(name, &[(variable, " ")]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.starts_with(&format!("set the environment variable {variable} ")), "{said}");
}

impl Listening {
    fn start(name: &str, settings: &[(&str, &str)]) -> Listening {
        let mut command = program(name, settings);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        let mut program = Listening { child, lines, address: String::new() };
        let line = program.line();
        program.address =
            line.strip_prefix("listening on http://").unwrap_or_else(|| panic!("{line}")).to_owned();
        program
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }

    /// Posts these bytes and returns the status.
    fn post(&self, path: &str, body: &[u8], signature: &str) -> String {
        post(&self.address, path, body, signature).0
    }
}

/// Posts a signed body. Returns the status and the body of the response.
fn post(address: &str, path: &str, body: &[u8], signature: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n{SIGNATURE_HEADER}: {signature}\r\n\r\n",
        body.len()
    );
    stream.write_all(&[head.as_bytes(), body].concat()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let body = answer.split_once("\r\n\r\n").unwrap().1;
    (answer[9..12].to_owned(), body.to_owned())
}

impl Drop for Listening {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn webhook_receives_all_three_kinds() {
    let _watchdog = long_watchdog();
    let sandbox = TestSandbox::new();
    let owner = sandbox.client();
    let created = owner.agents().create("oracle").role("Oracle").send().unwrap();
    owner.agents().verify(&created.agent.id).unwrap();
    let settings = [("WEBHOOK_SECRET", "only we know\n"), ("AGENT_TOKEN", created.agent_token.expose())];
    names_what_is_missing("webhook", "WEBHOOK_SECRET");
    let mut program = Listening::start("webhook", &settings);
    let (room, agent) = sandbox.shop("asker");
    let events = agent.events();

    // Tests commands.
    owner.commands(&room).create("throw", program.url("/hook")).send().unwrap();
    owner.commands(&room).create("shout", program.url("/hook")).send().unwrap();
    agent.rooms()[0].command("/throw 2d6").visible().late(Duration::ZERO).send().unwrap();
    wait_for_message(&events, "asker throws 2 dice with 6 sides");
    agent.rooms()[0].command("/shout louder").visible().late(Duration::ZERO).send().unwrap();
    wait_for_message(&events, "LOUDER");
    agent.rooms()[0].command("/throw many").visible().late(Duration::ZERO).send().unwrap();
    wait_for_message(&events, "Say how many dice, and of how many sides: /throw 2d6");

    // Tests deliveries.
    let secret: WebhookSecret = "only we know".parse().unwrap();
    let subscription = owner.webhooks(&room).create(program.url("/events"), [WebhookEvent::MessageCreated]);
    subscription.secret(secret.clone()).send().unwrap();
    agent.send("hello wörld").unwrap();
    assert_eq!(program.line(), "message.created: hello wörld");

    // Forged ones are refused, repeated ones are ignored.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64;
    let delivery = |text: &str, age: i64| {
        let message = format!(r#"{{"id":"m","content":"{text}"}}"#);
        let time = iso(now - age);
        format!(
            r#"{{"event":"message.created","timestamp":"{time}","agencyId":"{room}","message":{message}}}"#
        )
    };
    let genuine = delivery("genuine", 0);
    let signature = secret.sign(genuine.as_bytes());
    let forged = genuine.replace("genuine", "forged");
    assert_eq!(program.post("/events", forged.as_bytes(), &signature), "401");
    assert_eq!(program.post("/events", genuine.as_bytes(), ""), "401");
    assert_eq!(program.post("/events", genuine.as_bytes(), &signature), "204");
    assert_eq!(program.post("/events", genuine.as_bytes(), &format!("sha256={signature}")), "204");
    let old = delivery("old", 3600);
    assert_eq!(program.post("/events", old.as_bytes(), &secret.sign(old.as_bytes())), "400");
    let last = delivery("last", 0);
    assert_eq!(program.post("/events", last.as_bytes(), &secret.sign(last.as_bytes())), "204");
    assert_eq!(program.line(), "message.created: genuine");
    assert_eq!(program.line(), "message.created: last", "neither forged nor twice nor old");

    // Tests prompts.
    let config =
        owner.agents().update_config(&created.agent.id).response_webhook_url(program.url("/prompts"));
    config.response_webhook_secret(secret.expose()).send().unwrap();
    let listener = sandbox.in_lobby("listener");
    let heard = listener.events();
    sandbox.alice_says("@oracle what will be?");
    let answer = wait_for_message(&heard, "I am oracle, at your service");
    assert_eq!(answer.sender_id, created.agent.id.as_str());
    let prompt = br#"{"agent":{"id":"u","username":"oracle"}}"#;
    assert_eq!(program.post("/prompts", prompt, &signature), "401");
    agent.close().unwrap();
    listener.close().unwrap();
}

#[test]
fn slow_hook_edits_its_message_until_it_is_done() {
    let _watchdog = long_watchdog();
    let sandbox = TestSandbox::new();
    let (room, agent) = sandbox.shop("asker");
    // The key belongs to the URL, and the program needs the key before it listens. So another listener holds the port first.
    let server = ScriptedServer::start(|_| {});
    let url = format!("{}/hook", server.url());
    let key = sandbox.client().commands(&room).create("build", url).send().unwrap().hook_key.unwrap();
    let settings = [("HOOK_KEY", key.expose()), ("CRUSTOCEAN_API_URL", sandbox.url())];
    names_what_is_missing("slow_hook", "HOOK_KEY");
    let program = Listening::start("slow_hook", &settings);
    let address = program.address.clone();
    server.on("POST", "/hook", move |request| {
        let (status, body) = post(&address, "/hook", &request.body, "");
        Response::text(status.parse().unwrap(), body).header("Content-Type", "application/json")
    });

    let events = agent.events();
    agent.rooms()[0].command("/build the ship").visible().late(Duration::ZERO).send().unwrap();
    let mut texts = Vec::new();
    wait_for(&events, "the end of the work", |event| {
        match event {
            Event::Message(message) if message.content.contains('%') => texts.push(message.content),
            Event::MessageEdited(edit) => texts.push(edit.content),
            _ => {}
        }
        texts.last().is_some_and(|text| text == "Built the ship.").then_some(())
    });
    assert_eq!(
        texts,
        [
            "Building the ship: 0 %",
            "Building the ship: 25 %",
            "Building the ship: 50 %",
            "Building the ship: 75 %",
            "Built the ship."
        ]
    );
    eventually("it goes on listening", || program.post("/hook", b"{}", "") == "400");
    agent.close().unwrap();
}
