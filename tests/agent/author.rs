//! How the author of a bot tests it: its decisions without any server, its answers in a sandbox.

use std::time::Duration;

use crate::common::{SOON, watchdog};
use crustocean::agent::{Decision, decide};
use crustocean::model::User;
use crustocean::{Agent, Message};
use crustocean_sandbox::Sandbox;

/// The bot under test.
fn answer(question: &Message) -> String {
    format!("{} characters", question.content.chars().count())
}

#[test]
fn decisions_are_tested_without_a_server() {
    let larry = User::named("larry");
    for (message, expected) in [
        (Message::builder("hello @larry"), Decision::Respond),
        (Message::builder("hello all"), Decision::NotMentioned),
        (Message::builder("I am @larry").said_by("larry"), Decision::Own),
        (Message::builder("@Larry?").said_by("ben"), Decision::Respond),
    ] {
        let message = message.build();
        assert_eq!(decide(&larry, &message), expected, "{}", message.content);
    }
    assert_eq!(answer(&Message::builder("ü\u{1F980}").build()), "2 characters");
}

#[test]
fn answers_are_tested_in_a_sandbox() {
    let _watchdog = watchdog(Duration::from_secs(180));
    let sandbox = Sandbox::start().unwrap();
    let access = sandbox.agent("larry").unwrap();
    let builder = Agent::builder().api_url(&access.url);
    let agent = builder.connect_and_join(access.token.parse().unwrap(), access.room.as_str()).unwrap();
    let mentions = agent.mentions();
    let bot = std::thread::spawn(move || {
        for question in mentions {
            let question = question.unwrap();
            question.reply(answer(&question)).unwrap();
        }
    });
    let lobby = sandbox.room("lobby").unwrap();
    for (text, expected) in
        [("@larry", "6 characters"), ("@larry hi", "9 characters"), ("@larry", "6 characters")]
    {
        lobby.say("alice", text).unwrap();
        // An answer from before the question does not count.
        let answer = lobby.wait_for_message(SOON, |message| message.sender == "larry").unwrap();
        assert_eq!(answer.content, expected);
    }
    assert!(lobby.messages().iter().any(|message| message.sender == "alice"));
    agent.close().unwrap();
    bot.join().unwrap();
}
