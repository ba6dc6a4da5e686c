//! Texts that do not fit into one message.

use std::time::{Duration, Instant};

use crate::common::{SOON, ScriptedServer, TestSandbox, wait_for, wait_for_message, watchdog};
use crustocean::{
    Agent, ErrorKind, Event, Events, Message, Outgoing,
    agent::LongMessages,
    model::{Color, Span, TraceStep},
};
use serde_json::json;

const LIMIT: Duration = Duration::from_secs(180);

fn next_messages(events: &Events, count: usize) -> Vec<Message> {
    let next = |_| {
        wait_for(events, "a message", |event| match event {
            Event::Message(message) => Some(message),
            _ => None,
        })
    };
    (0..count).map(next).collect()
}

fn in_lobby(sandbox: &TestSandbox, name: &str, policy: LongMessages) -> Agent {
    let agent = sandbox.builder().long_messages(policy).connect(sandbox.agent_token(name)).unwrap();
    agent.set_home(&agent.join("lobby").unwrap()).unwrap();
    agent
}

/// Splits at 300 characters without a pause.
fn split_at_300() -> LongMessages {
    LongMessages::split(300).pause(Duration::ZERO)
}

fn words(letter: char, count: usize) -> String {
    format!("{letter}{letter}{letter} ").repeat(count).trim_end().to_owned()
}

#[test]
fn a_text_of_eight_thousand_characters_is_one_message_and_a_longer_one_two() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let (larry, ben) = (sandbox.in_lobby("larry"), sandbox.in_lobby("ben"));
    let events = ben.events();
    // The limit counts characters, not bytes.
    let full = "\u{e9}".repeat(8_000);
    larry.send(&full).unwrap();
    assert_eq!(next_messages(&events, 1)[0].content, full);
    let started = Instant::now();
    larry.send(format!("{full}!")).unwrap();
    assert!(started.elapsed() >= Duration::from_millis(350), "a pause between the parts");
    let parts = next_messages(&events, 2);
    assert_eq!(parts[0].content.clone() + &parts[1].content, full + "!");
}

#[test]
fn the_first_part_has_the_metadata_and_every_part_the_guard() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let larry = in_lobby(&sandbox, "larry", split_at_300());
    let ben = sandbox.in_lobby("ben");
    let events = ben.events();
    sandbox.alice_says("@larry go");
    let question = wait_for_message(&larry.events(), "go");
    let code = format!("{}\n\n```rust\n{}```", words('a', 50), "let x = 1;\n".repeat(40));
    let message = Outgoing::new(code).skill("coding").trace([TraceStep::new("think")]).agent_log();
    larry.reply(&question, message).unwrap();
    wait_for_message(&events, "go");
    let parts = next_messages(&events, 3);
    assert_eq!(
        (parts[0].content.as_str(), parts[0].metadata.skill()),
        (&*words('a', 50), Some("coding".into()))
    );
    assert_eq!(parts[0].metadata.trace().len(), 1);
    let guard = parts[0].loop_guard().unwrap();
    for part in &parts[1..] {
        assert!(part.content.starts_with("```rust\nlet x") && part.content.ends_with("1;\n```"), "{part:?}");
        assert!(part.metadata.skill().is_none() && part.metadata.trace().is_empty());
    }
    assert!(
        parts.iter().all(|part| part.loop_guard() == Some(guard.clone()) && part.metadata.is_agent_log())
    );
    assert!(parts.iter().all(|part| part.content.chars().count() <= 300));
}

#[test]
fn colours_stay_with_their_text() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let larry = in_lobby(&sandbox, "larry", split_at_300());
    let spans = [
        Span::new(words('a', 40) + " "),
        Span::colored(words('b', 40) + " ", Color::ThemeError),
        Span::colored(words('c', 20), Color::ThemeMuted),
    ];
    larry.send(Outgoing::from_spans(spans)).unwrap();
    let parts = next_messages(&larry.events(), 2);
    for part in parts {
        let spans = part.metadata.content_spans();
        let joined: String = spans.iter().map(|span| span.text.as_str()).collect();
        assert_eq!(joined, part.content);
        for span in spans {
            let expected = match span.text.chars().next() {
                Some('a') => None,
                Some('b') => Some(Color::ThemeError),
                _ => Some(Color::ThemeMuted),
            };
            assert_eq!(span.color, expected, "{}", span.text);
        }
    }
}

#[test]
fn posting_confirms_every_part() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let larry = in_lobby(&sandbox, "larry", split_at_300());
    let room = larry.rooms().remove(0);
    let text = words('a', 200);
    let parts: Vec<_> = room.post(&text).unwrap().into_iter().collect();
    assert_eq!(parts.len(), 3);
    let joined: Vec<_> = parts.iter().map(|part| part.content.as_str()).collect();
    assert_eq!(joined.join(" "), text);
    let first = larry.post(Outgoing::new(&text).skill("talk")).unwrap().first;
    assert_eq!((&first.content, first.metadata.skill()), (&parts[0].content, Some("talk".into())));
    assert!(room.post("short").unwrap().rest.is_empty());
    larry.try_send(&text).unwrap();
    let sent = sandbox.wait_for_events("send-message", 10, SOON);
    assert_eq!(sent.len(), 10);
}

#[test]
fn long_messages_of_several_threads_do_not_get_mixed_up() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let policy = LongMessages::split(300).pause(Duration::from_millis(30));
    let larry = in_lobby(&sandbox, "larry", policy);
    std::thread::scope(|scope| {
        for letter in ['a', 'b', 'c', 'd'] {
            let larry = &larry;
            scope.spawn(move || larry.send(words(letter, 200)).unwrap());
        }
    });
    let parts = next_messages(&larry.events(), 12);
    for message in parts.chunks(3) {
        let letter = message[0].content.chars().next().unwrap();
        assert!(message.iter().all(|part| part.content.starts_with(letter)), "{message:?}");
    }
}

#[test]
fn a_long_try_send_does_not_get_into_another_long_message() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let policy = LongMessages::split(300).pause(LIMIT);
    let larry = in_lobby(&sandbox, "larry", policy);
    let events = larry.events();
    std::thread::scope(|scope| {
        let other = larry.clone();
        let sending = scope.spawn(move || other.send(words('a', 200)));
        wait_for_message(&events, "aaa");
        let error = larry.try_send(words('b', 200)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotSent, "{error}");
        larry.try_send("short").unwrap();
        wait_for_message(&events, "short");
        // Ends the pause.
        larry.clone().close().unwrap();
        assert!(sending.join().unwrap().is_err());
    });
}

#[test]
fn the_policy_can_refuse_long_texts_or_send_them_whole() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let strict = in_lobby(&sandbox, "strict", LongMessages::refuse(10));
    strict.send("ten chars.").unwrap();
    for outcome in
        [strict.send("eleven char"), strict.try_send("eleven char"), strict.post("eleven char").map(drop)]
    {
        let error = outcome.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains("11 characters, and the limit is 10"), "{error}");
    }
    let bold = in_lobby(&sandbox, "bold", LongMessages::Send);
    let long = words('a', 3_000);
    assert_eq!(bold.post(&long).unwrap().first.content, long);
    // A command is always one message.
    let larry = in_lobby(&sandbox, "larry", split_at_300());
    let reply = larry.rooms()[0].command(format!("/echo {long}")).send().unwrap();
    assert_eq!(reply.content, long);
}

#[test]
fn an_edit_is_one_message() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let larry = in_lobby(&sandbox, "larry", split_at_300());
    let room = larry.rooms().remove(0);
    let mine = room.post("short").unwrap().first;
    let error = room.edit(&mine.id, words('a', 100)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("cannot be split"), "{error}");
}

#[test]
fn a_partly_sent_message_is_not_reported_as_not_sent() {
    let _watchdog = watchdog(LIMIT);
    let server = ScriptedServer::start(|conn| {
        conn.handshake();
        conn.accept_join();
        conn.echo_message("m1");
        conn.expect_event("send-message");
        conn.send_event("error", json!({"message": "Slow down"}));
        conn.recv(SOON);
    });
    let agent = Agent::builder().api_url(server.url()).long_messages(split_at_300());
    let agent = agent.connect("sk_x".parse().unwrap()).unwrap();
    agent.set_home(&agent.join("lobby").unwrap()).unwrap();
    let error = agent.post(words('a', 200)).unwrap_err();
    assert_eq!((error.kind(), error.server_message()), (ErrorKind::MaybeSent, Some("Slow down")));
    assert!(error.to_string().starts_with("1 of 3 parts"), "{error}");
    assert!(!error.is_retryable());
}
