//! The loop over the messages to answer, and the limit between agents.

use std::thread;
use std::time::{Duration, Instant};

use crate::common::{SOON, TestSandbox, eventually, wait_for_message, watchdog};
use crustocean::{
    Agent, Mentions, Message,
    agent::{Decision, ExchangeLimit, RecvError},
    rest::HookClient,
};
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(180);

/// The texts of the messages to answer, up to the text `last`.
fn until(mentions: &Mentions, last: &str) -> Vec<String> {
    let mut texts = Vec::new();
    while texts.last().is_none_or(|text: &String| !text.contains(last)) {
        match mentions.recv_timeout(SOON) {
            Ok(message) => texts.push(message.content.clone()),
            Err(error) => panic!("no {last:?} within {SOON:?}, only {texts:?}: {error}"),
        }
    }
    texts
}

#[test]
fn mentions_yields_only_messages_to_answer() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let larry = sandbox.in_lobby("larry");
    let ben = sandbox.in_lobby("ben");
    let lobby = sandbox.lobby_id();
    let dm = sandbox.client().dms().open(&larry.user().id).unwrap();
    larry.join_dms().unwrap();
    let mentions = larry.mentions();

    sandbox.alice_says("hello all");
    sandbox.alice_says("@larry one");
    sandbox.alice_says("@larry_lobster not you");
    larry.post("@larry said to myself").unwrap();
    let guard = |hop, status| {
        let guard = json!({"interaction_id": "lg_1_x", "hop": hop, "max_hops": 3, "status": status});
        json!({ "loop_guard": guard })
    };
    for (text, metadata) in [
        ("@larry two", guard(2, "active")),
        ("@larry a hop too many", guard(3, "active")),
        ("@larry it is over", guard(1, "closed")),
        ("@larry three", json!({"webhook": true, "heartbeat": true})),
    ] {
        sandbox.say(&lobby, &sandbox.alice.id, text, metadata).unwrap();
    }
    sandbox.say(dm.as_str(), &sandbox.alice.id, "four", Value::Null).unwrap();
    ben.post("@larry five").unwrap();
    sandbox.alice_says("@larry last");
    let expected = ["@larry one", "@larry two", "@larry three", "four", "@larry five", "@larry last"];
    assert_eq!(until(&mentions, "last"), expected);
    assert!(matches!(mentions.try_recv(), Err(RecvError::Empty)));
    let started = Instant::now();
    assert!(matches!(mentions.recv_timeout(Duration::from_millis(50)), Err(RecvError::Timeout)));
    assert!(started.elapsed() >= Duration::from_millis(50));

    // The loop ends with the agent.
    larry.close().unwrap();
    assert!(matches!(mentions.try_recv(), Err(RecvError::Closed)));
    assert!(mentions.into_iter().next().is_none());
}

#[test]
fn messages_of_hooks_are_answered_and_messages_of_the_platform_are_not() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let larry = sandbox.connect("larry");
    let client = sandbox.client();
    let agency = client.agencies().create("Deploys").send().unwrap().id;
    client.agencies().add_agent(&agency, "larry").unwrap();
    let room = larry.join(&agency).unwrap();
    let commands = client.commands(&agency);
    let key = commands.create("deploy", "http://127.0.0.1:1/hook").send().unwrap().hook_key.unwrap();
    let hook = HookClient::builder().api_url(sandbox.url()).build(key).unwrap();
    let mentions = larry.mentions();

    hook.post(&agency, "the build of nobody is broken").unwrap();
    hook.post(&agency, "@larry your build is broken").unwrap();
    room.command("/echo @larry said the platform").visible().send().unwrap();
    hook.post(&agency, "@larry last").unwrap();
    assert_eq!(until(&mentions, "last"), ["@larry your build is broken", "@larry last"]);

    // The platform's messages can be included, too.
    let mentions = larry.mentions().system(true);
    room.command("/echo @larry last").visible().send().unwrap();
    assert_eq!(until(&mentions, "last"), ["@larry last"]);
}

#[test]
fn the_result_of_the_agents_own_command_is_not_answered() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let larry = sandbox.in_lobby("larry");
    let lobby = sandbox.lobby_id();
    let result = |id: &str| -> Message {
        let message = json!({
            "id": id, "agency_id": lobby, "content": "@larry rolled a 6", "type": "tool_result", "metadata": {"webhook": true},
            "created_at": "2026-01-01T00:00:00.000Z", "sender_id": "system", "sender_username": "dicebot",
        });
        serde_json::from_value(message).unwrap()
    };
    let reply = larry.rooms()[0].command("/echo x").visible().send().unwrap();
    assert_eq!(larry.decide(&result(reply.message_id.unwrap().as_str())), Decision::FromSystem);
    assert!(larry.should_respond(&result("of somebody else")));
}

#[test]
fn a_repeated_message_is_yielded_once() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let larry = sandbox.in_lobby("larry");
    let lobby = sandbox.lobby_id();
    let mentions = larry.mentions();
    let say = |id: &str, text: &str| {
        let message = json!({
            "id": id, "agency_id": lobby, "content": text, "type": "tool_result", "metadata": {"webhook": "h-1"},
            "created_at": "2026-01-01T00:00:00.000Z", "sender_id": "system", "sender_username": "system",
        });
        sandbox.emit_to_agency(&lobby, "message", message);
    };
    say("m-1", "the build of nobody is broken");
    say("m-2", "@larry your build is broken");
    // The server may send the same message again. The loop yields it only once.
    say("m-2", "@larry your build is broken");
    say("m-3", "@larry last");
    assert_eq!(until(&mentions, "last"), ["@larry your build is broken", "@larry last"]);
}

#[test]
fn a_missed_message_is_yielded_once() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let larry = sandbox.in_lobby("larry");
    let mentions = larry.mentions();
    sandbox.alice_says("@larry before");
    assert_eq!(until(&mentions, "before").len(), 1);
    for round in 0..3 {
        sandbox.drop_links();
        sandbox.alice_says(&format!("@larry {round} missed"));
        sandbox.alice_says("nobody is meant");
        eventually("the link is back", || larry.is_connected());
        sandbox.alice_says(&format!("@larry {round} after"));
        let heard = until(&mentions, &format!("{round} after"));
        assert_eq!(heard, [format!("@larry {round} missed"), format!("@larry {round} after")]);
    }
}

#[test]
fn a_limited_agent_waits_without_delaying_others() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let larry = sandbox.in_lobby("larry");
    let ben = sandbox.in_lobby("ben");
    let wait = Duration::from_secs(3);
    let limit = ExchangeLimit::default().count(3).delays([Duration::ZERO, wait]);
    let mentions = larry.mentions().limited(limit);
    for n in 1..=5 {
        ben.post(format!("@larry ben {n}")).unwrap();
    }
    let asked = Instant::now();
    sandbox.alice_says("@larry alice");
    assert_eq!(until(&mentions, "alice"), ["@larry ben 1", "@larry alice"]);
    assert!(matches!(mentions.try_recv(), Err(RecvError::Empty)), "the others wait");
    assert_eq!(until(&mentions, "ben 3"), ["@larry ben 2", "@larry ben 3"]);
    assert!(asked.elapsed() >= wait, "{:?}", asked.elapsed());
    // Four and five exceeded the limit, so another message comes next.
    sandbox.alice_says("@larry last");
    assert_eq!(until(&mentions, "last"), ["@larry last"]);
}

#[test]
fn a_waiting_thread_takes_a_message_that_another_has_put_aside() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let larry = sandbox.in_lobby("larry");
    let ben = sandbox.in_lobby("ben");
    let limit = ExchangeLimit::default().delays([Duration::from_secs(3)]);
    let mentions = larry.mentions().limited(limit);
    let (first, second) = (mentions.clone(), mentions);
    ben.post("@larry ben").unwrap();
    sandbox.alice_says("@larry alice");
    // The first thread sets ben's message aside, takes alice's, and is then busy with it.
    assert_eq!(until(&first, "alice"), ["@larry alice"]);
    let waiting = std::thread::spawn(move || until(&second, "ben"));
    assert_eq!(waiting.join().unwrap(), ["@larry ben"]);
}

#[test]
fn two_agents_that_always_reply_stop() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let (larry, ben) = (sandbox.in_lobby("larry"), sandbox.in_lobby("ben"));
    let polite = |me: &Agent, other: &'static str| {
        let me = me.clone();
        std::thread::spawn(move || {
            let mut answers = 0;
            let limit = ExchangeLimit::default().delays([]);
            for question in me.mentions().limited(limit) {
                me.reply(&question.unwrap(), format!("@{other} and you?")).unwrap();
                answers += 1;
            }
            answers
        })
    };
    let (of_larry, of_ben) = (polite(&larry, "ben"), polite(&ben, "larry"));
    sandbox.alice_says("@larry say hello to @ben");
    // Alice asked both agents, so there are two chains. Each agent answers the other agent six times, and alice once.
    let said = || sandbox.messages(&sandbox.lobby_id()).len();
    eventually("they have said all", || said() == 1 + 2 * 7);
    larry.close().unwrap();
    ben.close().unwrap();
    assert_eq!((of_larry.join().unwrap(), of_ben.join().unwrap()), (7, 7));
    assert_eq!(said(), 15);
}

#[test]
fn of_two_questions_to_one_person_the_first_gets_the_first_answer() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let agent = sandbox.in_lobby("larry");
    let mentions = agent.mentions();
    let ben = sandbox.in_lobby("ben").events();
    sandbox.alice_says("@larry one");
    sandbox.alice_says("@larry two");
    let (one, two) = (mentions.recv_timeout(SOON).unwrap(), mentions.recv_timeout(SOON).unwrap());
    thread::scope(|scope| {
        let first = scope.spawn(|| one.ask("first?", SOON).unwrap().content.clone());
        wait_for_message(&ben, "first?");
        let second = scope.spawn(|| two.ask("second?", SOON).unwrap().content.clone());
        wait_for_message(&ben, "second?");
        sandbox.alice_says("@larry a");
        sandbox.alice_says("@larry b");
        assert_eq!(first.join().unwrap(), "@larry a");
        assert_eq!(second.join().unwrap(), "@larry b");
    });
    // No call waits for an answer any more.
    let error = one.ask("third?", Duration::ZERO).unwrap_err();
    assert!(error.is_timeout(), "{error}");
    sandbox.alice_says("@larry too late");
    assert_eq!(until(&mentions, "too late"), ["@larry too late"]);
}

#[test]
fn only_the_person_who_was_asked_answers_if_the_server_omits_ids() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let agent = sandbox.in_lobby("larry");
    let lobby = sandbox.lobby_id();
    let mentions = agent.mentions();
    let ben = sandbox.in_lobby("ben").events();
    let say = |id: &str, who: &str, text: &str, time: &str| {
        let message = json!({"id": id, "agency_id": lobby, "content": text, "sender_username": who,
            "sender_type": "user", "type": "chat", "created_at": time});
        sandbox.emit_to_agency(&lobby, "message", message);
    };
    say("m-1", "alice", "@larry delete everything", "2030-01-01T00:00:00.000Z");
    let question = mentions.recv_timeout(SOON).unwrap();
    thread::scope(|scope| {
        let asking = scope.spawn(|| question.ask("Are you sure?", SOON));
        wait_for_message(&ben, "Are you sure?");
        say("m-2", "mallory", "yes", "2030-01-01T00:00:01.000Z");
        say("m-3", "", "yes", "2030-01-01T00:00:02.000Z");
        say("m-4", "Alice", "no", "2030-01-01T00:00:03.000Z");
        let answer = asking.join().unwrap().unwrap();
        assert_eq!((&*answer.sender_username, &*answer.content), ("Alice", "no"));
    });
}
