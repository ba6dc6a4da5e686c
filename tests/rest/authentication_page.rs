//! Every step of the platform's page on its three tokens (docs.crustocean.chat, "SDK authentication"), against the sandbox.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use crate::common::{SOON, watchdog};
use crustocean::{
    Agent, Client, ErrorKind, PersonalAccessToken,
    model::{Expiry, ExploreMetadata},
    rest::HookClient,
    webhook::WebhookEvent,
};
use crustocean_sandbox::Sandbox;
use serde_json::Value;

/// A web server that answers every POST with a hook's reply, and reports the requests.
fn receiver() -> (String, Receiver<Value>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            stream.set_read_timeout(Some(SOON)).unwrap();
            let mut seen = String::new();
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = stream.read(&mut buffer) {
                seen.push_str(&String::from_utf8_lossy(&buffer[..count]));
                let body = seen.split_once("\r\n\r\n").unwrap_or_default().1;
                let Ok(body) = serde_json::from_str(body) else { continue };
                let answer = r#"{"content":"ETH is at 3000"}"#;
                let _ = write!(
                    stream,
                    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{answer}",
                    answer.len()
                );
                let _ = tell.send(body);
                break;
            }
        }
    });
    (url, told)
}

#[test]
fn every_step_of_the_page_works() {
    let _watchdog = watchdog(Duration::from_secs(180));
    let sandbox = Sandbox::start().unwrap();
    let api = || Client::builder().api_url(sandbox.url());

    // A session token, "for quick experiments"; with it a personal access token, as in the page's curl call.
    api().register("bob", "hunter2hunter2").unwrap();
    api().register("alice", "correct horse").unwrap();
    let session = api().login("alice", "correct horse").unwrap();
    let created = session.client.tokens().create("ci-deploy").expires(Expiry::Days90).send().unwrap();
    assert!(created.token.expose().starts_with("cru_"));
    assert!(created.info.expires_at.is_some(), "90 days are not for ever");
    let pat: PersonalAccessToken = created.token.expose().parse().expect("it is one");

    // "PAT: all user-flow functions": createAgent, verifyAgent, addAgentToAgency.
    let client = api().build(pat).unwrap();
    let mybot = client.agents().create("mybot").role("Assistant").send().unwrap();
    let connect = || Agent::builder().api_url(sandbox.url()).connect(mybot.agent_token.clone());
    assert_eq!(
        connect().unwrap_err().kind(),
        ErrorKind::NotVerified,
        "it must be verified before it can connect"
    );
    client.agents().verify(&mybot.agent.id).unwrap();
    let team = client.agencies().create("My Team").charter("We try things").send().unwrap();
    client.agencies().add_agent(&team.id, &mybot.agent.id).unwrap();
    assert!(client.agencies().members(&team.id).unwrap().iter().any(|member| member.username == "mybot"));

    // Custom commands and webhooks.
    let (url, commands) = receiver();
    let made = client
        .commands(&team.id)
        .create("price", &url)
        .description("What it costs")
        .explore_metadata(ExploreMetadata::new("prices", "prices", "alice"))
        .send()
        .unwrap();
    let hook_key = made.hook_key.expect("the first command for a URL comes with the key of its hook");
    assert_eq!(client.commands(&team.id).list().unwrap()[0].name, "price");
    assert_eq!(client.hooks().by_slug("prices").unwrap().commands[0].name, "price");
    let subscription = client
        .webhooks(&team.id)
        .create("https://example.com/events", [WebhookEvent::MessageCreated])
        .secret("only we know".parse().unwrap())
        .send()
        .unwrap();
    assert_eq!(client.webhooks(&team.id).list().unwrap()[0].id, subscription.id);

    // The agent token: connect, join, send, receive.
    let agent = connect().unwrap();
    let room = agent.join("my-team").unwrap();
    room.send("Hello from Rust!").unwrap();
    room.command("/price ETH").visible().send().unwrap();
    let body = commands.recv_timeout(SOON).expect("the command's webhook is called");
    assert_eq!((&body["command"], &body["rawArgs"]), (&"price".into(), &"ETH".into()));
    crate::common::eventually("the reply is in the room", || {
        let said = client.agencies().messages(&team.id).send().unwrap();
        said.iter().any(|message| message.content.contains("ETH is at 3000"))
    });

    // The fourth key belongs to the hook.
    let hook = HookClient::builder().api_url(sandbox.url()).build(hook_key).unwrap();
    assert_eq!(hook.agencies().unwrap()[0].id, team.id);
    let posted = hook.post(&team.id, "ETH goes up").unwrap().expect("an id");
    hook.edit(&posted, "ETH goes down").unwrap();
    agent.close().unwrap();

    // "To rotate, call transferAgent() and recreate."
    client.agents().transfer(&mybot.agent.id, "bob").unwrap();
    let bob = api().login("bob", "hunter2hunter2").unwrap().client;
    assert_eq!(bob.agents().list().unwrap()[0].id, mybot.agent.id);
    assert!(client.agents().list().unwrap().is_empty());
    bob.agents().delete(&mybot.agent.id).unwrap();
    let again = client.agents().create("mybot").send().unwrap();
    assert_ne!(again.agent_token.expose(), mybot.agent_token.expose());

    // A revoked token is refused at once.
    session.client.tokens().revoke(&created.info.id).unwrap();
    let error = client.account().me().unwrap_err();
    assert!(error.is_auth() && error.kind() == ErrorKind::Unauthorized, "{error:?}");
}
