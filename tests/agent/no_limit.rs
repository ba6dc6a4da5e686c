//! `Duration::MAX` means "no limit" in every setting and call.

use std::time::Duration;

use crate::common::{SOON, ScriptedServer, TestSandbox, wait_for_message, watchdog};
use crustocean::{
    Agent,
    agent::{AgentBuilder, ExchangeLimit, LongMessages, Transport},
    model::InterruptAction,
    run::Trigger,
};
use serde_json::json;

const LIMIT: Duration = Duration::from_secs(180);
const NONE: Duration = Duration::MAX;

fn without_limits() -> AgentBuilder {
    Agent::builder()
        .handshake_timeout(NONE)
        .connect_timeout(NONE)
        .request_timeout(NONE)
        .max_retry_wait(NONE)
        .join_timeout(NONE)
        .send_timeout(NONE)
        .post_timeout(NONE)
        .close_timeout(NONE)
}

#[test]
fn every_setting_and_every_call_takes_no_limit() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let agent = without_limits().api_url(sandbox.url()).connect(sandbox.agent_token("larry")).unwrap();
    let room = agent.join("lobby").unwrap();
    agent.follow_dms(NONE).unwrap();
    let limit = ExchangeLimit::default().window(NONE).delays([NONE]);
    let events = agent.events();

    room.send("sent").unwrap();
    let posted = room.post("posted").unwrap().first;
    room.edit(&posted.id, "edited").unwrap();
    room.post_edit(&posted.id, "edited again").unwrap();
    let mut editor = room.editor("first").unwrap().every(NONE);
    editor.set("second").unwrap();
    editor.flush().unwrap();
    drop(editor);
    room.command("/echo quiet").timeout(NONE).late(NONE).send().unwrap();
    room.command("/echo loud").visible().timeout(NONE).late(NONE).send().unwrap();
    sandbox.alice_says("here it is");
    while events.recv_timeout(NONE).is_ok_and(|event| !format!("{event:?}").contains("here it is")) {}
    sandbox.alice_says("@larry hello");
    let mentions = agent.mentions().limited(limit);
    assert_eq!(mentions.recv_timeout(NONE).unwrap().content, "@larry hello");

    let run = room.start_run(Trigger::none()).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let asked = sandbox.wait_for_events("agent-run-permission", 1, SOON).remove(0);
            let permission = asked["permissionId"].as_str().unwrap();
            sandbox.respond_permission(run.id().as_str(), permission, "approve", None);
        });
        assert!(run.request_permission_within(NONE, "deploy", "Deploy it").unwrap().is_granted());
    });
    let stop = json!({"agencyId": room.id(), "runId": run.id(), "action": "stop"});
    sandbox.emit_to_agency(&sandbox.lobby_id(), "agent-run-interrupt", stop);
    assert_eq!(run.wait_interrupt(NONE).unwrap().unwrap().action, InterruptAction::Stop);
    drop(run);
    agent.close().unwrap();
}

#[test]
fn a_call_without_a_limit_gets_its_ack() {
    let _watchdog = watchdog(LIMIT);
    let server = ScriptedServer::start(|conn| {
        conn.handshake();
        while let Some(text) = conn.recv_text(SOON) {
            let id: String = text.chars().skip(2).take_while(char::is_ascii_digit).collect();
            if !id.is_empty() && !conn.send_text(format!("43{id}[7]")) {
                break;
            }
        }
    });
    for transport in [Transport::Auto, Transport::WebSocket] {
        let agent = without_limits().transport(transport).api_url(server.url());
        let agent = agent.connect("sk_x".parse().unwrap()).unwrap();
        assert_eq!(agent.raw().call("question", &1, NONE).unwrap(), json!(7));
        agent.close().unwrap();
    }
}

#[test]
fn a_long_message_without_a_limit_is_sent_in_parts() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let long = LongMessages::split(200).pause(Duration::ZERO);
    let agent = without_limits().long_messages(long).api_url(sandbox.url());
    let agent = agent.connect(sandbox.agent_token("larry")).unwrap();
    let events = agent.events();
    agent.set_home(&agent.join("lobby").unwrap()).unwrap();
    agent.send(format!("{} end", "word ".repeat(100))).unwrap();
    wait_for_message(&events, "end");
    agent.close().unwrap();
}
