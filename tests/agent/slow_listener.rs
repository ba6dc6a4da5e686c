//! A slow loop beside a fast one misses nothing.

use std::time::Duration;

use crate::common::{SOON, TestSandbox, eventually, wait_for, wait_for_message, watchdog};
use crustocean::{Agent, Event};

const LIMIT: Duration = Duration::from_secs(180);
/// Far more than the queue holds.
const COUNT: usize = 250;

/// The agent larry, whose queues hold ten events.
fn larry(sandbox: &TestSandbox) -> Agent {
    let agent = sandbox.builder().queue(10, 1 << 20).connect(sandbox.agent_token("larry")).unwrap();
    agent.join("lobby").unwrap();
    agent
}

/// Alice sends these messages, and another loop receives all of them.
fn say(sandbox: &TestSandbox, larry: &Agent, texts: &[String]) {
    let events = larry.events();
    for text in texts {
        sandbox.alice_says(text);
        wait_for_message(&events, text);
    }
}

fn numbered(prefix: &str) -> Vec<String> {
    (0..COUNT).map(|number| format!("{prefix} number {number}.")).collect()
}

#[test]
fn a_slow_loop_over_mentions_gets_every_question_in_order() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let larry = larry(&sandbox);
    let mentions = larry.mentions();
    let asked = numbered("@larry");
    say(&sandbox, &larry, &asked);
    assert!(larry.stats().dropped_events >= (COUNT - 10) as u64, "{:?}", larry.stats());
    let first = mentions.recv_timeout(SOON).unwrap();
    assert_eq!((first.content.as_str(), first.replayed), (asked[0].as_str(), true));
    // A question that is asked meanwhile comes after the missed ones.
    sandbox.alice_says("@larry the last one");
    for text in &asked[1..] {
        assert_eq!(&mentions.recv_timeout(SOON).unwrap().content, text);
    }
    let last = mentions.recv_timeout(SOON).unwrap();
    assert_eq!((last.content.as_str(), last.replayed), ("@larry the last one", false));
    assert!(mentions.try_recv().is_err());
    assert_eq!(larry.stats().gaps_not_filled, 0);
}

#[test]
fn a_slow_loop_over_events_is_told_and_gets_every_message() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let larry = larry(&sandbox);
    let (events, mentions) = (larry.events(), larry.mentions());
    let said = numbered("@larry");
    for text in &said {
        sandbox.alice_says(text);
        assert_eq!(&mentions.recv_timeout(SOON).unwrap().content, text);
    }
    let missed = wait_for(&events, "the number of dropped events", |event| match event {
        Event::Lagged { missed, .. } => Some(missed),
        _ => None,
    });
    assert!(missed >= (COUNT - 10) as u64, "{missed}");
    for text in &said {
        let next = wait_for(&events, text, |event| match event {
            Event::Message(message) => Some(message.content),
            _ => None,
        });
        assert_eq!(&next, text);
    }
}

#[test]
fn a_slow_loop_over_commands_gets_every_command() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let larry = larry(&sandbox);
    let commands = larry.commands("!larry");
    let said = numbered("!larry");
    say(&sandbox, &larry, &said);
    for text in &said {
        assert_eq!(&commands.recv_timeout(SOON).unwrap().content, text);
    }
}

#[test]
fn messages_that_cannot_be_read_again_are_reported() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let larry = larry(&sandbox);
    let (events, mentions) = (larry.events(), larry.mentions());
    for text in numbered("@larry") {
        sandbox.alice_says(&text);
        mentions.recv_timeout(SOON).unwrap();
    }
    // The crate can read a room's history from two endpoints. Both fail.
    sandbox.fail_next(2, 403, None);
    let error = wait_for(&events, "the gap", |event| match event {
        Event::GapNotFilled { error, .. } => Some(error),
        _ => None,
    });
    assert_eq!(error.status(), Some(403), "{error}");
    // The loop also gets the messages that were not dropped.
    wait_for_message(&events, &format!("number {}.", COUNT - 1));
    assert_eq!(larry.stats().gaps_not_filled, 1);
    assert!(larry.stats().to_prometheus().contains("crustocean_dropped_events_total"));
}

#[test]
fn a_loop_that_begins_late_gets_what_a_subscription_has_taken() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let larry = larry(&sandbox);
    let all = larry.subscribe();
    let asked = numbered("@larry");
    for text in &asked {
        sandbox.alice_says(text);
        wait_for_message(&all, text);
    }
    let mentions = larry.mentions();
    for text in &asked {
        assert_eq!(&mentions.recv_timeout(SOON).unwrap().content, text);
    }
}

#[test]
fn closing_ends_a_loop_that_still_reads() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let larry = larry(&sandbox);
    let mentions = larry.mentions();
    say(&sandbox, &larry, &numbered("@larry"));
    sandbox.delay_next(100, Duration::from_secs(30));
    assert!(mentions.try_recv().is_err(), "the history is asked for, and says nothing yet");
    larry.close().unwrap();
    eventually("the loop ends", || matches!(mentions.try_recv(), Err(crustocean::agent::RecvError::Closed)));
}
