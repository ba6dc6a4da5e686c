//! Questions asked while the program was not running, and questions not finished when it ended.

mod commands;
mod killed;
pub(super) mod stores;
mod user_stores;

use std::time::Duration;

use crate::common::{Response, SOON, ScriptedServer, TestSandbox, wait_for, wait_for_message, watchdog};
use crustocean::agent::{AgentBuilder, MemoryStore};
use crustocean::{Agent, AgentToken, ErrorKind, Event, Mention, Mentions, Outgoing};
use serde_json::json;

const LIMIT: Duration = Duration::from_secs(180);

/// The agent larry, which remembers from one start to the next.
struct Larry {
    sandbox: TestSandbox,
    token: AgentToken,
    store: MemoryStore,
}

impl Larry {
    fn new() -> Larry {
        let sandbox = TestSandbox::new();
        let token = sandbox.agent_token("larry");
        Larry { sandbox, token, store: MemoryStore::default() }
    }

    fn builder(&self) -> AgentBuilder {
        self.sandbox.builder().remember_in(self.store.clone())
    }

    /// Starts once more, and joins the lobby.
    fn start(&self) -> Agent {
        self.start_with(self.builder())
    }

    fn start_with(&self, builder: AgentBuilder) -> Agent {
        let agent = builder.connect(self.token.clone()).unwrap();
        agent.join("lobby").unwrap();
        agent
    }

    /// Returns whether the question is done according to the store.
    fn has_saved(&self, id: &str) -> bool {
        self.store.saved().is_some_and(|text| text.contains(id))
    }
}

/// Returns the next questions, and whether each is from before the start.
fn asked(mentions: &Mentions, count: usize) -> Vec<(String, bool)> {
    let next = || mentions.recv_timeout(SOON).unwrap();
    (0..count).map(|_| next()).map(|mention| (mention.content.clone(), mention.replayed)).collect()
}

fn texts(mentions: &Mentions, count: usize) -> Vec<String> {
    asked(mentions, count).into_iter().map(|(text, _)| text).collect()
}

/// A handler that panics.
fn panic_with(mention: Mention) {
    let panics = std::thread::spawn(move || {
        let _mention = mention;
        std::panic::resume_unwind(Box::new("no answer"));
    });
    assert!(panics.join().is_err());
}

#[test]
fn missed_questions_come_first_and_done_ones_do_not_come_again() {
    let _watchdog = watchdog(LIMIT);
    let larry = Larry::new();
    larry.sandbox.alice_says("@larry before the first start");
    {
        let agent = larry.start();
        let mentions = agent.mentions();
        larry.sandbox.alice_says("@larry one");
        larry.sandbox.alice_says("@larry two");
        larry.sandbox.alice_says("nothing to answer");
        assert_eq!(texts(&mentions, 2), ["@larry one", "@larry two"], "the first run begins now");
        // The second was not finished.
    }
    larry.sandbox.alice_says("@larry three");
    larry.sandbox.alice_says("nothing to answer either");
    {
        let agent = larry.start();
        let mentions = agent.mentions();
        larry.sandbox.alice_says("@larry four");
        larry.sandbox.alice_says("@larry five");
        let got = asked(&mentions, 4);
        let old = [("@larry two", true), ("@larry three", true)].map(|(text, old)| (text.to_owned(), old));
        assert_eq!(&got[..2], &old);
        assert_eq!((got[2].0.as_str(), got[3].0.as_str()), ("@larry four", "@larry five"));
        assert!(mentions.try_recv().is_err());
    }
    // All questions are done. A loop over events gets only events that no earlier loop has had.
    larry.sandbox.alice_says("hello");
    let agent = larry.start();
    let message = wait_for(&agent.events(), "a message", |event| match event {
        Event::Message(message) => Some(message),
        _ => None,
    });
    assert_eq!((message.content.as_str(), message.replayed), ("hello", true));
}

#[test]
fn done_takes_effect_at_once_or_when_the_last_clone_is_dropped() {
    let _watchdog = watchdog(LIMIT);
    let larry = Larry::new();
    let agent = larry.start();
    let mentions = agent.mentions();
    for text in ["@larry one", "@larry two", "@larry three"] {
        larry.sandbox.alice_says(text);
    }
    let one = mentions.recv_timeout(SOON).unwrap();
    let two = mentions.recv_timeout(SOON).unwrap();
    assert!(!larry.has_saved(one.id.as_str()), "it is still held");
    two.done();
    assert!(larry.has_saved(two.id.as_str()) && !larry.has_saved(one.id.as_str()));
    let id = one.id.clone();
    std::thread::spawn(move || drop(one)).join().unwrap();
    assert!(larry.has_saved(id.as_str()));
    // A question whose handler panics is not done.
    let three = mentions.recv_timeout(SOON).unwrap();
    let id = three.id.clone();
    assert!(mentions.try_recv().is_err());
    panic_with(three);
    agent.close().unwrap();
    assert!(!larry.has_saved(id.as_str()));
}

#[test]
fn a_question_answered_in_the_room_is_not_asked_again() {
    let _watchdog = watchdog(LIMIT);
    let larry = Larry::new();
    {
        let agent = larry.start();
        let mentions = agent.mentions();
        larry.sandbox.alice_says("@larry one");
        let one = mentions.recv_timeout(SOON).unwrap();
        // Answered, but the program ends before it is done.
        one.room().post(Outgoing::new("I am one").in_reply_to(&one)).unwrap();
        panic_with(one);
    }
    larry.sandbox.alice_says("@larry two");
    assert_eq!(texts(&larry.start().mentions(), 1), ["@larry two"]);
}

#[test]
fn questions_that_are_too_old_are_left_out() {
    let _watchdog = watchdog(LIMIT);
    let larry = Larry::new();
    drop(larry.start());
    larry.sandbox.alice_says("@larry yesterday");
    std::thread::sleep(Duration::from_millis(1100));
    let agent = larry.start_with(larry.builder().max_age(Duration::from_secs(1)));
    larry.sandbox.alice_says("@larry today");
    assert_eq!(texts(&agent.mentions(), 1), ["@larry today"]);
}

#[test]
fn a_question_that_is_left_open_comes_again() {
    let _watchdog = watchdog(LIMIT);
    let larry = Larry::new();
    {
        let agent = larry.start();
        let mentions = agent.mentions();
        for text in ["@larry not now", "@larry now"] {
            larry.sandbox.alice_says(text);
        }
        mentions.recv_timeout(SOON).unwrap().leave_open();
        assert_eq!(mentions.recv_timeout(SOON).unwrap().text(), "now");
        assert!(mentions.try_recv().is_err());
        agent.close().unwrap();
    }
    let agent = larry.start();
    let mentions = agent.mentions();
    assert_eq!(asked(&mentions, 1), [("@larry not now".to_owned(), true)]);
    assert!(mentions.try_recv().is_err());
}

#[test]
fn an_answer_to_a_question_of_the_agent_does_not_come_again() {
    let _watchdog = watchdog(LIMIT);
    let larry = Larry::new();
    {
        let agent = larry.start();
        let mentions = agent.mentions();
        let ben = larry.sandbox.in_lobby("ben").events();
        larry.sandbox.alice_says("@larry delete");
        let question = mentions.recv_timeout(SOON).unwrap();
        std::thread::scope(|scope| {
            let asking = scope.spawn(|| question.ask("Are you sure?", SOON).unwrap().content.clone());
            wait_for_message(&ben, "Are you sure?");
            larry.sandbox.alice_says("@larry yes");
            assert_eq!(asking.join().unwrap(), "@larry yes");
        });
        drop(question);
        assert!(mentions.try_recv().is_err());
        agent.close().unwrap();
    }
    larry.sandbox.alice_says("@larry next");
    assert_eq!(texts(&larry.start().mentions(), 1), ["@larry next"]);
}

#[test]
fn rooms_that_the_agent_has_not_joined_are_not_remembered() {
    let _watchdog = watchdog(LIMIT);
    let larry = Larry::new();
    let agent = larry.start();
    let events = agent.events();
    let lobby = larry.sandbox.lobby_id();
    let emit = |n: usize, room: &str, text: &str| {
        let message = json!({"id": format!("m-{n}"), "agency_id": room, "content": text, "sender_id": "u-1",
            "sender_username": "x", "sender_type": "user", "type": "chat", "created_at": "2026-03-05T10:00:00.000Z"});
        larry.sandbox.emit_to_agency(&lobby, "message", message);
    };
    for n in 0..100 {
        emit(n, &format!("room-{n}"), if n % 2 == 0 { "hello" } else { "@larry hello" });
    }
    emit(100, &lobby, "the last one");
    wait_for_message(&events, "the last one");
    agent.close().unwrap();
    let saved: serde_json::Value = serde_json::from_str(&larry.store.saved().unwrap()).unwrap();
    let rooms: Vec<_> = saved["rooms"].as_object().unwrap().keys().collect();
    assert_eq!(rooms, [&lobby]);
}

#[test]
fn a_room_whose_join_is_refused_is_not_remembered() {
    let _watchdog = watchdog(LIMIT);
    let server = ScriptedServer::start(|conn| {
        conn.handshake();
        conn.expect_event("join-agency");
        conn.send_event("error", json!({"message": "members only"}));
        conn.recv_text(SOON);
    });
    // Every client can read the history.
    let message =
        json!({"id": "m", "agency_id": "ag-1", "content": "hi", "created_at": "2026-03-05T10:00:00.000Z"});
    server.on("GET", "/api/agencies/ag-1/messages", move |_| Response::json(200, json!([message])));
    let store = MemoryStore::default();
    let builder = Agent::builder().api_url(server.url()).remember_in(store.clone());
    let agent = builder.connect("sk_x".parse().unwrap()).unwrap();
    assert_eq!(agent.join("lobby").unwrap_err().kind(), ErrorKind::Rejected);
    drop(agent);
    let saved = store.saved().unwrap_or_default();
    assert!(!saved.contains("ag-1"), "{saved}");
}

#[test]
fn a_clock_that_is_ahead_of_the_servers_loses_no_question() {
    let _watchdog = watchdog(LIMIT);
    let larry = Larry::new();
    // The clock differs by two days, which is more than the greatest age of missed messages.
    larry.sandbox.skew_clocks(&[-2 * 24 * 60 * 60 * 1000], true);
    {
        let agent = larry.start();
        larry.sandbox.alice_says("@larry one");
        assert_eq!(texts(&agent.mentions(), 1), ["@larry one"]);
        agent.close().unwrap();
    }
    larry.sandbox.alice_says("@larry two");
    let agent = larry.start();
    // The first was not finished.
    assert_eq!(texts(&agent.mentions(), 2), ["@larry one", "@larry two"]);
}
