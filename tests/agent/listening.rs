//! Several readers: loops over events and mentions at the same time, subscriptions, and waits in a handler.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::common::{SOON, TestSandbox, eventually, wait_for_message, watchdog};
use crustocean::{Agent, ErrorKind, Event, agent::RecvError};

const LIMIT: Duration = Duration::from_secs(180);

fn agent(sandbox: &TestSandbox) -> Agent {
    sandbox.in_lobby("larry")
}

fn text(event: Event) -> Option<String> {
    match event {
        Event::Message(message) => Some(message.content),
        _ => None,
    }
}

#[test]
fn loops_over_events_and_mentions_each_get_all_their_items() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let larry = agent(&sandbox);
    let (events, mentions, all) = (larry.events(), larry.mentions(), larry.subscribe());
    let (told, tells) = mpsc::channel();
    thread::scope(|scope| {
        let events_told = told.clone();
        scope.spawn(move || {
            events.flatten().filter_map(text).for_each(|text| events_told.send(('e', text)).unwrap())
        });
        let all_told = told.clone();
        scope.spawn(move || {
            all.flatten().filter_map(text).for_each(|text| all_told.send(('a', text)).unwrap())
        });
        scope.spawn(move || {
            mentions.flatten().for_each(|mention| told.send(('m', mention.content.clone())).unwrap())
        });
        for number in 0..50 {
            sandbox.alice_says(&format!("{}{number}", if number % 5 == 0 { "@larry " } else { "" }));
        }
        let mut got = Vec::new();
        while got.len() < 50 + 50 + 10 {
            got.push(tells.recv_timeout(SOON).unwrap_or_else(|_| panic!("only {got:?}")));
        }
        let of = |kind: char| -> Vec<String> {
            got.iter().filter(|(one, _)| *one == kind).map(|(_, text)| text.clone()).collect()
        };
        let said: Vec<String> =
            (0..50).map(|n| format!("{}{n}", if n % 5 == 0 { "@larry " } else { "" })).collect();
        assert_eq!((of('e'), of('a')), (said.clone(), said.clone()));
        let asked: Vec<String> = said.into_iter().filter(|text| text.starts_with('@')).collect();
        assert_eq!(of('m'), asked);
        larry.clone().close().unwrap();
    });
}

#[test]
fn a_loop_that_starts_after_a_wait_gets_the_same_events() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let larry = agent(&sandbox);
    let room = larry.home().unwrap();
    thread::scope(|scope| {
        let waits = scope.spawn(|| {
            room.wait_for(SOON, |event| matches!(event, Event::Message(message) if message.content == "go"))
        });
        // The wait gets only events after its start.
        eventually("it is heard", || {
            sandbox.alice_says("@larry before");
            sandbox.alice_says("go");
            thread::sleep(Duration::from_millis(20));
            waits.is_finished()
        });
        waits.join().unwrap().unwrap();
    });
    let mentions = larry.mentions();
    assert_eq!(mentions.recv_timeout(SOON).unwrap().content, "@larry before");
    let error = room.wait_for(Duration::from_millis(30), |_| false).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
}

#[test]
fn a_handler_can_ask_a_question_without_losing_events() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let larry = agent(&sandbox);
    let lobby = sandbox.room("lobby").unwrap();
    let bot = {
        let larry = larry.clone();
        thread::spawn(move || {
            let mut answered = Vec::new();
            for mention in larry.mentions() {
                let mention = mention.unwrap();
                if mention.content.contains("delete") {
                    let answer = mention.ask("Are you sure?", SOON).unwrap();
                    answer.reply(format!("You said {}", answer.content)).unwrap();
                } else {
                    mention.reply("ok").unwrap();
                }
                answered.push(mention.content.clone());
            }
            answered
        })
    };
    lobby.say("alice", "@larry delete all").unwrap();
    lobby.wait_for_message(SOON, |message| message.content == "Are you sure?").unwrap();
    lobby.say("bob", "@larry and me?").unwrap();
    lobby.say("bob", "no").unwrap();
    // The answer mentions the agent, too, but is not yielded a second time.
    lobby.say("alice", "@larry yes").unwrap();
    lobby.wait_for_message(SOON, |message| message.content == "You said @larry yes").unwrap();
    eventually("bob is answered", || lobby.messages().iter().any(|message| message.content == "ok"));
    lobby.say("alice", "@larry last").unwrap();
    lobby.wait_for_message(SOON, |message| message.content == "ok").unwrap();
    larry.close().unwrap();
    assert_eq!(bot.join().unwrap(), ["@larry delete all", "@larry and me?", "@larry last"]);
}

#[test]
fn an_unread_subscription_is_bounded_and_reports_dropped_events() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let larry = sandbox.builder().queue(10, 1 << 20).connect(sandbox.agent_token("larry")).unwrap();
    larry.join("lobby").unwrap();
    let (slow, events) = (larry.subscribe(), larry.events());
    for number in 0..40 {
        sandbox.alice_says(&format!("n{number}"));
        wait_for_message(&events, &format!("n{number}"));
    }
    let first = slow.try_recv().unwrap();
    assert!(matches!(first, Event::Lagged { missed, .. } if missed >= 30), "{first:?}");
    let rest: Vec<String> = std::iter::from_fn(|| slow.try_recv().ok()).filter_map(text).collect();
    assert_eq!(rest.last().map(String::as_str), Some("n39"));
    assert!(rest.len() <= 10);
    larry.close().unwrap();
    while !matches!(slow.try_recv(), Err(RecvError::Closed)) {}
}

/// A direct message needs no mention, so the loop over mentions would answer each command, too.
#[test]
fn a_command_in_a_direct_message_is_for_the_loop_over_commands_alone() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let larry = agent(&sandbox);
    let dm = sandbox.dm("alice", "larry").unwrap();
    larry.join_dms().unwrap();
    let (mentions, commands) = (larry.mentions(), larry.commands("!"));
    for text in ["!remind 5s", "hello", "!remind @larry", "the last"] {
        dm.say("alice", text).unwrap();
    }
    let mut heard = Vec::new();
    while heard.last().is_none_or(|text| text != "the last") {
        heard.push(mentions.recv_timeout(SOON).unwrap().content.clone());
    }
    assert_eq!(heard, ["hello", "!remind @larry", "the last"]);
    for text in ["!remind 5s", "!remind @larry"] {
        assert_eq!(commands.recv_timeout(SOON).unwrap().content, text);
    }
    // Without a loop over commands, the text is a direct message like any other.
    drop(commands);
    dm.say("alice", "!again").unwrap();
    assert_eq!(mentions.recv_timeout(SOON).unwrap().content, "!again");
}
