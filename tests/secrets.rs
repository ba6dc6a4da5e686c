//! `Debug`, `Display`, errors and the log never contain a token, a password or a key.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failure here is a failed test"
)]

mod common;

use std::error::Error as _;
use std::fmt::Write as _;
use std::sync::Mutex;
use std::time::Duration;

use common::{Response, ScriptedServer, TRANSPORTS, TestSandbox, watchdog};
use crustocean::{
    Agent, AgentToken, Client, Error, HookKey, PersonalAccessToken, SessionToken,
    rest::HookClient,
    webhook::{PromptReply, PromptRequest, WebhookEvent, WebhookSecret},
};

static LOG: Mutex<String> = Mutex::new(String::new());

struct Everything;

impl log::Log for Everything {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        // tungstenite logs whole messages at trace, as the README says. Our own records, and all
        // records below `trace`, must not contain secrets.
        if record.target().starts_with("crustocean") || record.level() < log::Level::Trace {
            let _ =
                writeln!(LOG.lock().unwrap(), "{} {}: {}", record.level(), record.target(), record.args());
        }
    }

    fn flush(&self) {}
}

fn show(out: &mut String, error: &Error) {
    let _ = write!(out, "{error} {error:?} {:?}", error.server_message());
    let mut source = error.source();
    while let Some(cause) = source {
        let _ = write!(out, " {cause} {cause:?}");
        source = cause.source();
    }
}

/// The ways in which a server may quote a secret.
fn quotes(secret: &str) -> Vec<String> {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    vec![
        secret.to_owned(),
        secret.bytes().map(|byte| format!("%{byte:02X}")).collect(),
        secret.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect(),
        STANDARD.encode(secret),
        STANDARD.encode(format!("user:{secret}")),
    ]
}

/// A server that refuses every request and quotes its secrets.
fn quoting(status: u16, secrets: Vec<String>) -> ScriptedServer {
    let server = ScriptedServer::start_before_upgrade({
        let secrets = secrets.clone();
        move |conn| {
            let secret = secrets.get(conn.index % secrets.len()).cloned().unwrap_or_default();
            if conn.index % 3 == 0 {
                conn.accept();
                conn.open(Duration::from_secs(25), Duration::from_secs(20));
                // There is no socket if the token's exchange was refused.
                if conn.recv_text(Duration::from_secs(5)).is_none() {
                    return;
                }
                conn.send_text(format!(r#"44{{"message":"bad token {secret}"}}"#));
                conn.until_gone(Duration::from_secs(1));
            } else if conn.index % 3 == 1 {
                let body = format!(r#"{{"error":"unknown {secret}"}}"#);
                let head = format!("HTTP/1.1 403 No\r\nContent-Length: {}\r\n\r\n", body.len());
                conn.send_raw_bytes(format!("{head}{body}").as_bytes());
            } else {
                let head = format!("HTTP/1.1 302 There\r\nLocation: https://{secret}.example/{secret}\r\n");
                conn.send_raw_bytes(format!("{head}Content-Length: 0\r\n\r\n").as_bytes());
            }
        }
    });
    let turn = std::sync::atomic::AtomicUsize::new(0);
    server.on_all(move |request| {
        let secret = secrets[turn.fetch_add(1, std::sync::atomic::Ordering::Relaxed) % secrets.len()].clone();
        if request.path == "/api/auth/agent" && status == 200 {
            let user = serde_json::json!({"id": "u", "username": "larry"});
            return Response::json(200, serde_json::json!({"token": "sess_do_not_print_me", "user": user}));
        }
        // Unchanged, because the escapes are part of the body.
        Response::text(if status == 200 { 418 } else { status }, format!(r#"{{"error":"bad {secret}"}}"#))
            .header("X-Request-Id", &secret)
    });
    server
}

#[test]
fn secrets_quoted_by_a_server_are_not_printed() {
    let _watchdog = watchdog(Duration::from_secs(180));
    let (token, session) = ("sk_do_not_print_me", "sess_do_not_print_me");
    let password = "horse/do_not_print_me&";
    let mut out = String::new();
    for secret in [token, session] {
        for quote in quotes(secret) {
            let server = quoting(200, vec![quote.clone()]);
            for &transport in TRANSPORTS {
                for _ in 0..3 {
                    let agent = Agent::builder().api_url(server.url()).transport(transport);
                    show(&mut out, &agent.connect(token.parse().unwrap()).unwrap_err());
                }
            }
            let refusing = quoting(401, vec![quote]);
            let agent = Agent::builder().api_url(refusing.url());
            show(&mut out, &agent.connect(secret.parse().unwrap()).unwrap_err());
            let user: SessionToken = secret.parse().unwrap();
            let client = Client::builder().api_url(refusing.url()).build(user).unwrap();
            show(&mut out, &client.account().me().unwrap_err());
        }
    }
    for quote in quotes(password) {
        let server = quoting(400, vec![quote.replace('"', "\\\"")]);
        let builder = || Client::builder().api_url(server.url());
        show(&mut out, &builder().login("alice", password).unwrap_err());
        show(&mut out, &builder().register("alice", password).unwrap_err());
        let client = builder().build(SessionToken::try_from("other").unwrap()).unwrap();
        show(&mut out, &client.account().change_password(password, "another one").unwrap_err());
        show(&mut out, &client.agencies().join_with_password(&"ag-1".into(), password).unwrap_err());
    }
    for secret in [token, session, password] {
        for quote in quotes(secret) {
            assert!(!out.contains(&quote), "{quote} is printed: {out}");
        }
    }
    assert!(out.contains("bad …"), "{out}");
    // The settings.
    let shown = format!(
        "{:?}",
        Client::builder().api_url("https://me:do_not_print@host").proxy("http://me:do_not_print@proxy")
    );
    assert!(!shown.contains("do_not_print"), "{shown}");
}

#[test]
fn nothing_secret_is_printed_anywhere() {
    let _watchdog = watchdog(Duration::from_secs(180));
    log::set_logger(&Everything).unwrap();
    log::set_max_level(log::LevelFilter::Trace);
    let sandbox = TestSandbox::new();
    let mut out = String::new();

    let password = "correct-horse-battery";
    let login = Client::builder().api_url(sandbox.url()).register("carol", password).unwrap();
    let pat = login.client.tokens().create("ci").send().unwrap();
    let created = login.client.agents().create("carols-bot").send().unwrap();
    let _ = write!(out, "{login:?} {pat:?} {created:?} {:?}", login.client);

    // Every refused text.
    let builder = || Client::builder().api_url(sandbox.url());
    show(&mut out, &builder().login("carol", "wrong-horse-battery").unwrap_err());
    show(&mut out, &builder().register("carol", password).unwrap_err());
    show(&mut out, &builder().register("c", password).unwrap_err());
    show(&mut out, &builder().register("dave", "short77").unwrap_err());
    let bad: SessionToken = "0123456789secretsession".parse().unwrap();
    show(&mut out, &builder().build(bad.clone()).unwrap().account().me().unwrap_err());
    let agents = Agent::builder().api_url(sandbox.url());
    let unverified: AgentToken = created.agent_token.clone();
    show(&mut out, &agents.clone().connect(unverified.clone()).unwrap_err());
    let unknown: AgentToken = "sk_unknown_but_secret".parse().unwrap();
    show(&mut out, &agents.clone().connect(unknown.clone()).unwrap_err());
    for text in ["cru_0123secret", "sk_secret in two words", "cru_claim_topsecret"] {
        show(&mut out, &text.parse::<PersonalAccessToken>().unwrap_err());
        show(&mut out, &text.parse::<HookKey>().unwrap_err());
        show(&mut out, &text.parse::<AgentToken>().unwrap_err());
    }

    // Everything else that contains a secret.
    let client = &login.client;
    let room = client.agencies().create("Vault").private(true).password("open-sesame-now");
    let _ = write!(out, "{room:?}");
    let room = room.send().unwrap();
    let command = client.commands(&room.id).create("price", "https://example.com/price").send().unwrap();
    let hook_key = command.hook_key.clone().unwrap();
    let deploy = client.hooks().deploy("dice", "function handler() { return { content: 'x' } }");
    let deployed = deploy.command("throw", "Throws").send().unwrap();
    let hook = HookClient::builder().api_url(sandbox.url()).build(hook_key.clone()).unwrap();
    let _ = write!(out, "{command:?} {deployed:?} {hook:?} {:?}", HookClient::builder());
    let events = [WebhookEvent::MemberLeft];
    let subscription = client
        .webhooks(&room.id)
        .create("https://example.com/in", events)
        .secret("hmac-secret-1".parse().unwrap());
    let _ = write!(out, "{subscription:?}");
    let subscription = subscription.send().unwrap();
    let change = client.webhooks(&room.id).update(&subscription.id).secret("hmac-secret-2".parse().unwrap());
    let _ = write!(out, "{subscription:?} {change:?}");
    change.send().unwrap();
    let config = client.agents().update_config(&created.agent.id).llm_api_key("llm-secret-key");
    let config =
        config.response_webhook_secret("hmac-secret-3").openclaw("https://example.com", "claw-secret");
    let _ = write!(out, "{config:?}");
    config.send().unwrap();
    let config = client.agents().config(&created.agent.id).unwrap();
    let _ = write!(out, "{config:?}");
    let nobody = builder().anonymous().unwrap();
    let bootstrap = nobody.onboarding().bootstrap("erin", "erins-password", "erins-bot");
    let _ = write!(out, "{bootstrap:?}");
    let bootstrapped = bootstrap.send().unwrap();
    let own = nobody.onboarding().register_agent("Loner").send().unwrap();
    let _ = write!(out, "{bootstrapped:?} {own:?}");
    show(&mut out, &nobody.onboarding().claim(&own.claim_code, "a@example.com").unwrap_err());
    client.commands(&room.id).revoke_hook_key(&command.command.id).unwrap();
    show(&mut out, &hook.agencies().unwrap_err());
    show(&mut out, &hook.post(&room.id, "hi").unwrap_err());

    // Webhook requests.
    let secret = WebhookSecret::try_from("hmac-secret-4").unwrap();
    let prompt = br#"{"agent":{"id":"u","username":"a","config":{"llm_api_key":"llm-secret-too"}}}"#;
    let read = PromptRequest::from_signed(prompt, &secret.sign(prompt), &secret).unwrap();
    let signed = PromptReply::new("hi").sign(&created.agent_token);
    let _ = write!(out, "{secret:?} {read:?} {signed:?}");
    show(&mut out, &PromptRequest::from_signed(prompt, &"0".repeat(64), &secret).unwrap_err());
    show(&mut out, &PromptRequest::from_json(br#"{"agent":"llm-secret-too"}"#).unwrap_err());

    // A complete session with a reconnect and a renewed token.
    login.client.agents().verify(&created.agent.id).unwrap();
    let agent = agents.connect(unverified.clone()).unwrap();
    let room = agent.join("lobby").unwrap();
    let _ = write!(out, "{agent:?} {room:?} {:?} {:?}", agent.client(), agent.events());
    sandbox.expire_sessions();
    sandbox.drop_links();
    common::eventually("the loss is noticed", || !agent.is_connected());
    room.send("back").unwrap();
    for event in agent.events().take(2) {
        let _ = write!(out, "{event:?}");
    }
    agent.close().unwrap();
    show(&mut out, &Client::builder().api_url("https://me:urlsecret@host").anonymous().unwrap_err());

    let mut secrets = vec![
        password.to_owned(),
        "wrong-horse-battery".to_owned(),
        "short77".to_owned(),
        login.token.expose().to_owned(),
        pat.token.expose().to_owned(),
        unverified.expose().to_owned(),
        unknown.expose().to_owned(),
        bad.expose().to_owned(),
        "0123secret".to_owned(),
        "sk_secret".to_owned(),
        "topsecret".to_owned(),
        "urlsecret".to_owned(),
    ];
    for secret in [
        "open-sesame-now",
        "hmac-secret-",
        "llm-secret-",
        "claw-secret",
        "erins-password",
        hook_key.expose(),
        deployed.hook_key.as_ref().unwrap().expose(),
        bootstrapped.user.token.expose(),
        bootstrapped.pat.token.expose(),
        bootstrapped.agent.token.expose(),
        own.agent.token.expose(),
        own.claim_code.expose(),
    ] {
        secrets.push(secret.to_owned());
    }
    // The agent's session tokens.
    for handshake in sandbox.handshakes() {
        secrets.push(handshake["token"].as_str().unwrap().to_owned());
    }
    let log = LOG.lock().unwrap();
    assert!(log.contains("crustocean"), "the log is listened to");
    for secret in secrets {
        assert!(!out.contains(&secret), "{secret} is printed: {out}");
        let line = log.lines().find(|line| line.contains(&secret));
        assert!(line.is_none(), "{secret} is logged: {line:?}");
    }
}
