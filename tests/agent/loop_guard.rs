//! Every answer to a message continues its loop guard, so that two agents that answer each other stop.

use std::time::Duration;

use crate::common::{SOON, ScriptedServer, TestSandbox, eventually, scripted, watchdog};
use crustocean::run::Trigger;
use crustocean::{Agent, Message, Outgoing, Room};
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(180);

/// Answers with a stream, as in the documentation of `start_run`.
fn answer_by_run(room: &Room, message: &Message, text: &str) -> crustocean::Result<()> {
    let run = room.start_run(message)?;
    run.status("looking it up")?;
    let mut answer = run.stream()?;
    answer.push(text)?;
    answer.finish()?;
    run.complete("Done.")
}

/// The same, but the stream and the run end when they are dropped.
fn answer_and_let_go(room: &Room, message: &Message, text: &str) -> crustocean::Result<()> {
    let run = room.start_run(message)?;
    run.stream()?.push(text)
}

/// The same, with an ordinary message instead of a stream.
fn answer_within_run(room: &Room, message: &Message, text: &str) -> crustocean::Result<()> {
    let run = room.start_run(message)?;
    run.room().post(text)?;
    run.complete("Done.")
}

type Answer = fn(&Room, &Message, &str) -> crustocean::Result<()>;

#[test]
fn two_agents_that_answer_by_runs_stop() {
    let _watchdog = watchdog(LIMIT);
    for answer in [answer_by_run, answer_and_let_go, answer_within_run] as [Answer; 3] {
        let sandbox = TestSandbox::new();
        let (larry, ben) = (sandbox.in_lobby("larry"), sandbox.in_lobby("ben"));
        let bot = |me: &Agent, other: &'static str| {
            let me = me.clone();
            std::thread::spawn(move || {
                for question in me.mentions() {
                    let question = question.unwrap();
                    // The last answer arrives before its run has ended. Then the agent is closed.
                    match answer(&me.room_of(&question), &question, &format!("@{other} and you?")) {
                        Err(error) if error.is_closed() => {}
                        answered => answered.unwrap(),
                    }
                }
            })
        };
        let bots = [bot(&larry, "ben"), bot(&ben, "larry")];
        sandbox.alice_says("@larry hello");
        // One hop per answer, and twenty hops.
        let said = || sandbox.messages(&sandbox.lobby_id()).len();
        eventually("the last answer", || said() == 21);
        larry.close().unwrap();
        ben.close().unwrap();
        bots.into_iter().for_each(|bot| bot.join().unwrap());
        assert_eq!(said(), 21);
    }
}

/// What an agent sends in answer to a message with hop 3, up to the event `last`.
fn sent_by(act: impl FnOnce(&Room, &Message), last: &'static str) -> Vec<(String, Value)> {
    let (sender, receiver) = std::sync::mpsc::channel();
    let server = ScriptedServer::start(move |conn| {
        conn.handshake();
        conn.accept_join();
        while let Some(text) = conn.recv_text(SOON) {
            let Some(at) = text.find('[').filter(|_| text.starts_with("42")) else { continue };
            let mut event: Value = serde_json::from_str(&text[at..]).unwrap();
            let (name, payload) = (event[0].as_str().unwrap().to_owned(), event[1].take());
            if at > 2 {
                conn.send_text(format!(
                    "43{}[{}]",
                    &text[2..at],
                    json!({"ok": true, "command": "x", "content": ""})
                ));
            } else if name == "send-message" {
                let mut echo = payload.clone();
                echo["id"] = json!("m-2");
                echo["agency_id"] = json!("ag-1");
                echo["sender_id"] = json!("agent-1");
                echo["created_at"] = json!("2026-01-01T00:00:05.000Z");
                conn.send_event("message", echo);
            }
            let over = name == last;
            sender.send((name, payload)).unwrap();
            if over {
                break;
            }
        }
        conn.recv(SOON);
    });
    let agent = scripted(&server);
    let room = agent.join("ag-1").unwrap();
    let message = serde_json::from_value(json!({
        "id": "m-1", "agency_id": "ag-1", "content": "@mybot", "sender_id": "u-1", "created_at": "x",
        "metadata": {"loop_guard": {"interaction_id": "lg_1_a", "hop": 3, "max_hops": 9, "status": "active"}},
    }));
    act(&room, &message.unwrap());
    let mut sent = Vec::new();
    while sent.last().is_none_or(|(name, _)| name != last) {
        sent.push(receiver.recv_timeout(SOON).unwrap());
    }
    sent
}

fn next_hop() -> Value {
    json!({"interaction_id": "lg_1_a", "hop": 4, "max_hops": 9, "status": "active"})
}

fn guards(sent: &[(String, Value)], name: &str) -> Vec<Value> {
    let named = sent.iter().filter(|(sent, payload)| sent == name && payload["done"] != json!(false));
    named.map(|(_, payload)| payload["metadata"]["loop_guard"].clone()).collect()
}

#[test]
fn every_message_of_a_run_is_one_hop_further() {
    let _watchdog = watchdog(LIMIT);
    let sent = sent_by(
        |room, message| {
            let run = room.start_run(message).unwrap();
            let mut stream = run.stream().unwrap();
            stream.push("one").unwrap();
            stream.finish().unwrap();
            run.stream().unwrap().finish_with(Outgoing::new("two").with("skill", "x")).unwrap();
            drop(run.stream().unwrap());
            // Longer than the server allows. The first part carries the guard, too.
            let mut long = run.stream().unwrap();
            long.push("\u{1}".repeat(250 * 1024)).unwrap_err();
            drop(long);
            run.room().send("three").unwrap();
            run.room().editor("four").unwrap().set("five").unwrap();
            run.execute(&room.command("/roll").visible()).unwrap();
            run.room().trace().run(&run.room().command("/roll").visible()).unwrap();
            run.complete("six").unwrap();
        },
        "agent-run-complete",
    );
    assert_eq!(guards(&sent, "agent-run-stream"), vec![next_hop(); 4]);
    assert_eq!(guards(&sent, "send-message"), vec![next_hop(); 4]);
    assert_eq!(guards(&sent, "agent-run-complete"), [next_hop()]);
    let sent = sent_by(|room, message| drop(room.start_run(message).unwrap()), "agent-run-error");
    assert_eq!(guards(&sent, "agent-run-error"), [next_hop()]);
}

#[test]
fn a_message_that_answers_nothing_has_no_loop_guard() {
    let _watchdog = watchdog(LIMIT);
    let sent = sent_by(
        |room, message| {
            let run = room.start_run(Trigger::none()).unwrap();
            run.stream().unwrap().finish().unwrap();
            run.room().send("one").unwrap();
            // Only the caller sees it.
            room.in_reply_to(message).command("/roll").send().unwrap();
            room.send("two").unwrap();
            run.complete("three").unwrap();
        },
        "agent-run-complete",
    );
    assert_eq!(guards(&sent, "send-message"), vec![Value::Null; 3]);
    assert_eq!(guards(&sent, "agent-run-stream"), [Value::Null]);
    assert_eq!(guards(&sent, "agent-run-complete"), [Value::Null]);

    // An explicitly set guard is kept.
    let sent = sent_by(
        |room, message| room.in_reply_to(message).send(Outgoing::new("x").with("loop_guard", 7)).unwrap(),
        "send-message",
    );
    assert_eq!(guards(&sent, "send-message"), [json!(7)]);
}
