//! No text becomes a command of the agent, whichever user wrote it.

use std::time::Duration;

use crate::common::{SOON, TestSandbox, asked, wait_for_message, watchdog};
use crustocean::model::{Color, Span};
use crustocean::{Agent, ErrorKind, Outgoing, Result};

const LIMIT: Duration = Duration::from_secs(180);

#[test]
fn a_message_that_begins_with_a_slash_is_refused() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let agent = sandbox.in_lobby("larry");
    let events = agent.events();
    let room = agent.rooms().remove(0);
    type Send<'a> = &'a dyn Fn(&str) -> Result<()>;
    let sends: [(&str, Send<'_>); 7] = [
        ("send", &|text| agent.send(text)),
        ("try_send", &|text| agent.try_send(text)),
        ("post", &|text| agent.post(text).map(drop)),
        ("send in a room", &|text| room.send(text)),
        ("post in a room", &|text| room.post(text).map(drop)),
        ("editor", &|text| room.editor(text).map(drop)),
        ("spans", &|text| room.send(Outgoing::from_spans([Span::new(text)]))),
    ];
    for (name, send) in sends {
        for text in ["/roll 2d6", " \n/roll 2d6", "\u{feff}/roll 2d6", "/Ü"] {
            let error = send(text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{name}: {error}");
            assert!(error.to_string().contains("room.command"), "{name}: {error}");
        }
        // These texts are not commands.
        for text in ["/", "/ roll", "see /roll"] {
            send(text).unwrap_or_else(|error| panic!("{name} {text:?}: {error}"));
        }
    }
    agent.send("the last").unwrap();
    wait_for_message(&events, "the last");
    let lobby = sandbox.room("lobby").unwrap();
    assert!(lobby.messages().iter().all(|message| !message.content.contains("olled")));
}

/// A bot that repeats every text.
fn echo(agent: &Agent, question: &crustocean::Mention, way: usize) -> Result<()> {
    let text = question.request().rest().to_owned();
    match way {
        0 => question.reply(text),
        1 => question.room().post_reply(question, text).map(drop),
        2 => agent.reply(question, text),
        3 => question.room().in_reply_to(question).send(text),
        4 => question.room().editor(Outgoing::new(text).in_reply_to(question)).map(drop),
        _ => question.reply(Outgoing::from_spans([Span::colored(text, Color::ThemeError)])),
    }
}

#[test]
fn an_answer_is_always_shown() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let (agent, lobby, mentions) = sandbox.in_conversation("larry");
    let events = agent.events();
    for way in 0..6 {
        lobby.say("alice", &format!("@larry echo /roll {way}d6")).unwrap();
        let question = mentions.recv_timeout(SOON).unwrap();
        echo(&agent, &question, way).unwrap();
        let answer = wait_for_message(&events, &format!("… /roll {way}d6"));
        assert_eq!(answer.content, format!("… /roll {way}d6"));
    }
}

/// A direct message does not run commands.
#[test]
fn in_a_direct_message_a_slash_has_no_meaning() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let agent = sandbox.connect("larry");
    let dm = sandbox.dm("alice", "larry").unwrap();
    agent.join_dms().unwrap();
    let (events, mentions) = (agent.events(), agent.mentions());
    let question = asked(&dm, &mentions, "/roll 2d6");
    question.reply("/roll 3d6").unwrap();
    agent.send_dm(&question.agency_id, "/roll 4d6").unwrap();
    for text in ["/roll 3d6", "/roll 4d6"] {
        assert_eq!(wait_for_message(&events, text).content, text);
    }
}
