//! A bot remembers, listens in several places, asks back and works in parallel.

use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use crustocean::agent::{MemoryStore, TurnRole};
use crustocean::{Agent, Error, Event};
use crustocean_interop::{
    AGENT_TOKEN, ALICE_NAME, DEN, LOBBY, Server, Value, in_lobby, json, next_message, token, watchdog,
};

const LIMIT: Duration = Duration::from_secs(60);
const SOON: Duration = Duration::from_secs(10);

/// How the server sends metadata.
const SHAPES: [&str; 2] = ["object", "string"];

#[test]
fn a_restarted_agent_gets_open_questions_and_missed_ones() {
    let _watchdog = watchdog(LIMIT);
    for shape in SHAPES {
        let server = Server::start(json!({"metadataAs": shape}));
        let store = MemoryStore::default();
        let start = || {
            let builder = Agent::builder().api_url(server.url()).remember_in(store.clone());
            let agent = builder.connect(token(AGENT_TOKEN)).unwrap();
            agent.join("lobby").unwrap();
            agent
        };
        server.alice_says(LOBBY, "@mybot before the first start");
        {
            let agent = start();
            let (mentions, commands) = (agent.mentions(), agent.commands("!deploy"));
            for text in ["@mybot answered", "@mybot done", "@mybot open", "!deploy open"] {
                server.alice_says(LOBBY, text);
            }
            let answered = mentions.recv_timeout(SOON).unwrap();
            assert_eq!(answered.text(), "answered", "{shape}");
            // The room has the answer, but the program ends before the question is done.
            agent.post_reply(&answered, "42").unwrap();
            let panics = thread::spawn(move || {
                let _answered = answered;
                std::panic::resume_unwind(Box::new("the program ends here"));
            });
            assert!(panics.join().is_err());
            let done = mentions.recv_timeout(SOON).unwrap();
            assert_eq!(done.text(), "done");
            done.done();
            assert_eq!(commands.recv_timeout(SOON).unwrap().text(), "open");
        }
        server.alice(json!({"agency": LOBBY, "content": "@mybot missed", "unheard": true}));
        let agent = start();
        let (mentions, commands) = (agent.mentions(), agent.commands("!deploy"));
        server.alice_says(LOBBY, "@mybot new");
        let got: Vec<_> = (0..3)
            .map(|_| mentions.recv_timeout(SOON).unwrap())
            .map(|mention| (mention.text(), mention.replayed))
            .collect();
        assert_eq!(&got[..2], &[("open".to_owned(), true), ("missed".to_owned(), true)], "{shape}");
        assert_eq!(got[2].0, "new");
        assert_eq!(commands.recv_timeout(SOON).unwrap().text(), "open");
    }
}

#[test]
fn a_handler_asks_back_while_other_loops_get_everything() {
    let _watchdog = watchdog(LIMIT);
    let server = Server::start(json!({}));
    let agent = in_lobby(&server);
    let (events, all, mentions) = (agent.events(), agent.subscribe(), agent.mentions());
    server.alice_says(LOBBY, "@mybot delete it");
    let mention = mentions.recv_timeout(SOON).unwrap();
    thread::scope(|scope| {
        let answer = scope.spawn(|| mention.ask("Are you sure?", SOON).unwrap());
        let go = scope.spawn(|| {
            let is_go = |event: &Event| matches!(event, Event::Message(message) if message.content == "yes");
            agent.home().unwrap().wait_for(SOON, is_go).unwrap()
        });
        next_message(&events, "Are you sure?");
        // The other wait may begin after the first answer `yes`.
        while !go.is_finished() {
            server.alice_says(LOBBY, "yes");
            thread::sleep(Duration::from_millis(20));
        }
        go.join().unwrap();
        assert_eq!(answer.join().unwrap().content, "yes");
    });
    for text in ["@mybot delete it", "Are you sure?", "yes"] {
        next_message(&all, text);
    }
    next_message(&events, "yes");
    server.alice_says(LOBBY, "@mybot next");
    assert_eq!(mentions.recv_timeout(SOON).unwrap().text(), "next", "the answer is not a new question");
}

#[test]
fn the_conversation_has_roles_and_the_request_has_options() {
    let _watchdog = watchdog(LIMIT);
    for shape in SHAPES {
        let server = Server::start(json!({"metadataAs": shape}));
        let agent = in_lobby(&server);
        let room = agent.home().unwrap();
        let mentions = agent.mentions();
        server.alice_says(LOBBY, "hello");
        room.post("I am here").unwrap();
        room.command("/echo 10").visible().send().unwrap();
        server.alice_says(LOBBY, "@mybot price \"wrapped ETH\" --in EUR --quiet");
        let mention = mentions.recv_timeout(SOON).unwrap();
        let request = mention.request();
        assert_eq!((request.command(), request.option("in")), ("price", Some("EUR")));
        assert!(request.flag("quiet") && request.positional() == ["wrapped ETH"]);
        let turns = room.conversation(&mention).characters(8_000).turns().unwrap();
        let turns: Vec<_> = turns.iter().map(|turn| (turn.role, turn.text.as_str())).collect();
        let expected = [
            (TurnRole::User, "hello"),
            (TurnRole::Assistant, "I am here"),
            (TurnRole::User, mention.content.as_str()),
        ];
        assert_eq!(turns, expected, "{shape}");
    }
}

#[test]
fn rooms_are_served_side_by_side_and_each_in_order() {
    let _watchdog = watchdog(LIMIT);
    let server = Server::start(json!({}));
    let agent = in_lobby(&server);
    agent.join(DEN).unwrap();
    let mentions = agent.mentions();
    let busy: Mutex<Vec<String>> = Mutex::default();
    thread::scope(|scope| {
        let work = scope.spawn(|| {
            mentions.in_parallel(4, |mention| {
                let room = mention.agency_id.to_string();
                assert!(!busy.lock().unwrap().contains(&room), "one at a time in a room");
                busy.lock().unwrap().push(room.clone());
                let run = mention.room().start_run(&mention)?;
                mention.reply(format!("re {}", mention.text()))?;
                run.complete("answered")?;
                busy.lock().unwrap().retain(|other| *other != room);
                Ok::<(), Error>(())
            })
        });
        for number in 0..5 {
            server.alice_says(LOBBY, &format!("@mybot lobby {number}"));
            server.alice_says(DEN, &format!("@mybot den {number}"));
        }
        let is_answer = |content: &Value| content.as_str().is_some_and(|text| text.starts_with("re "));
        let answers = server.wait(SOON, "answer", 10, |entry| {
            entry["event"] == "send-message" && is_answer(&entry.payload()["content"])
        });
        for (room, name) in [(LOBBY, "lobby"), (DEN, "den")] {
            let of_room: Vec<_> = answers
                .iter()
                .filter(|entry| entry.payload()["agencyId"] == room)
                .map(|entry| entry.payload()["content"].as_str().unwrap().to_owned())
                .collect();
            let expected: Vec<_> = (0..5).map(|number| format!("re {name} {number}")).collect();
            assert_eq!(of_room, expected, "asked by {ALICE_NAME}");
        }
        agent.clone().close().unwrap();
        work.join().unwrap().unwrap();
    });
    assert!(server.log(&["violation"]).is_empty());
}

#[test]
fn a_note_command_of_an_unknown_server_is_an_error() {
    let _watchdog = watchdog(LIMIT);
    let server = Server::start(json!({}));
    let agent = in_lobby(&server);
    let room = agent.home().unwrap();
    // This server has no notes and says so. The crate returns that error and does nothing else.
    assert!(room.save_note("repo", "https://example.com").unwrap_err().server_message().is_some());
    assert_eq!(room.note("repo").unwrap(), None);
    let sent = server.events("send-message");
    assert_eq!(sent[0].payload()["content"], "/save repo https://example.com");
    assert_eq!(sent[1].payload()["content"], "/get repo");
}
