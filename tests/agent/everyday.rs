//! Functions for every bot: the text without the mention, commands, the conversation for a language model, cooldowns, a
//! timer, statistics, notes.

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use crate::common::{SOON, TestSandbox, asked, eventually, watchdog};
use crustocean::{Outgoing, agent::TurnRole};
use serde_json::json;

const LIMIT: Duration = Duration::from_secs(180);

#[test]
fn a_mention_is_parsed_like_a_command_line() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let larry = sandbox.in_lobby("larry");
    let mentions = larry.mentions();
    sandbox.alice_says("@larry, price \"wrapped ETH\" --in EUR --quiet");
    let mention = mentions.recv_timeout(SOON).unwrap();
    assert_eq!(mention.text(), "price \"wrapped ETH\" --in EUR --quiet");
    let request = mention.request();
    assert_eq!((request.command(), request.positional()), ("price", &["wrapped ETH".to_owned()][..]));
    assert!(request.option("in") == Some("EUR") && request.flag("quiet"));
    mention.reply("3000").unwrap();
    assert!(!mention.is_own(&larry));
}

#[test]
fn prefix_commands_skip_the_agents_own_messages() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let conch = sandbox.in_lobby("conch");
    let commands = conch.commands("!conch");
    let mentions = conch.mentions();
    conch.post("!conch said by myself").unwrap();
    sandbox.alice_says("!conchita is somebody else");
    sandbox.alice_says("!Conch deploy web --to staging");
    sandbox.alice_says("@conch hello");
    sandbox.alice_says("!conch last");
    let command = commands.recv_timeout(SOON).unwrap();
    assert_eq!(command.text(), "deploy web --to staging");
    assert_eq!((command.request().command(), command.request().option("to")), ("deploy", Some("staging")));
    assert_eq!(commands.recv_timeout(SOON).unwrap().request().command(), "last");
    assert_eq!(mentions.recv_timeout(SOON).unwrap().text(), "hello", "nothing is taken from the other loop");
}

#[test]
fn the_conversation_has_the_form_for_a_language_model() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let (larry, lobby, mentions) = sandbox.in_conversation("larry");
    let home = larry.home().unwrap();
    lobby.say("alice", "hello").unwrap();
    lobby.say("bob", "hi").unwrap();
    home.post("I am here").unwrap();
    home.post(Outgoing::new("thinking about it").agent_log()).unwrap();
    home.post("and listening").unwrap();
    home.command("/echo said by the platform").visible().send().unwrap();
    let mention = asked(&lobby, &mentions, "@larry what now?");
    lobby.say("bob", "this is too late").unwrap();
    let turns = home.conversation(&mention).turns().unwrap();
    let seen: Vec<_> = turns.iter().map(|turn| (turn.role, turn.name.as_str(), turn.text.as_str())).collect();
    let expected = [
        (TurnRole::User, "alice, bob", "alice: hello\nbob: hi"),
        (TurnRole::Assistant, "larry", "I am here\nand listening"),
        (TurnRole::User, "alice", "@larry what now?"),
    ];
    assert_eq!(seen, expected);
    // The question is always included, even if nothing else fits.
    let turns = home.conversation(&mention).characters(20).turns().unwrap();
    assert_eq!(turns.len(), 1);
    assert_eq!(home.conversation(&mention).characters(30).turns().unwrap().len(), 2);
    assert_eq!(home.conversation(&mention).messages(2).turns().unwrap()[0].text, "and listening");
}

#[test]
fn the_conversation_can_include_tools_of_past_runs() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let larry = sandbox.in_lobby("larry");
    let home = larry.home().unwrap();
    let mentions = larry.mentions();
    sandbox.alice_says("@larry look it up");
    let first = mentions.recv_timeout(SOON).unwrap();
    let run = home.start_run(&first).unwrap();
    run.tool_step("search", json!({"q": "eth"}), || Ok::<_, crustocean::Error>("3000")).unwrap();
    let id = run.id().to_string();
    run.complete("").unwrap();
    home.post(Outgoing::new("It is 3000").with("run_id", id)).unwrap();
    sandbox.alice_says("@larry and now?");
    let second = mentions.recv_timeout(SOON).unwrap();
    let text = |tools: bool| {
        let turns = home.conversation(&second).tools(tools).turns().unwrap();
        turns.into_iter().find(|turn| turn.role == TurnRole::Assistant).unwrap().text
    };
    assert_eq!(text(false), "It is 3000");
    eventually("the transcript is there", || text(true).contains("search"));
    let told = text(true);
    assert!(told.contains("eth") && told.contains("3000]") && told.ends_with("It is 3000"), "{told}");
}

#[test]
fn a_cooldown_delays_only_the_user_who_asks_too_fast() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let larry = sandbox.in_lobby("larry");
    let lobby = sandbox.room("lobby").unwrap();
    let mentions = larry.mentions().cooldown(Duration::from_millis(700));
    let start = Instant::now();
    lobby.say("alice", "@larry one").unwrap();
    lobby.say("alice", "@larry two").unwrap();
    lobby.say("bob", "@larry three").unwrap();
    let next = || mentions.recv_timeout(SOON).unwrap().text();
    assert_eq!([next(), next(), next()], ["one", "three", "two"]);
    assert!(start.elapsed() >= Duration::from_millis(650), "{:?}", start.elapsed());
}

#[test]
fn a_schedule_ends_with_the_agent() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let larry = sandbox.in_lobby("larry");
    let ticks = larry.every(Duration::from_millis(20));
    let (sender, ticked) = mpsc::channel();
    let scheduler = thread::spawn(move || ticks.inspect(|_| sender.send(()).unwrap()).count());
    ticked.recv_timeout(SOON).unwrap();
    let start = Instant::now();
    assert_eq!(larry.every(Duration::from_millis(30)).take(3).count(), 3);
    assert!(start.elapsed() >= Duration::from_millis(90));
    let hourly = larry.every(Duration::from_secs(3600));
    let hourly = thread::spawn(move || hourly.count());
    // The timer does not keep the agent alive; only handles do.
    drop(larry);
    assert_eq!(hourly.join().unwrap(), 0);
    assert!(scheduler.join().unwrap() >= 1);
}

#[test]
fn statistics_show_the_state_of_the_agent() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let larry = sandbox.in_lobby("larry");
    sandbox.alice_says("hello");
    eventually("it waits", || larry.stats().queued_events > 0);
    let stats = larry.stats();
    assert!(stats.connected_for.is_some() && stats.last_heard.is_some() && stats.queued_bytes > 0);
    assert_eq!(
        (stats.agent.as_str(), stats.reconnects, stats.rooms, stats.gaps_not_filled),
        ("larry", 0, 1, 0)
    );
    sandbox.drop_links();
    eventually("it is counted", || larry.stats().reconnects == 1 && larry.stats().connected_for.is_some());
    let text = larry.stats().to_prometheus();
    assert!(text.contains("crustocean_reconnects_total{agent=\"larry\"} 1\n"), "{text}");
}

#[test]
fn a_room_stores_notes() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let room = sandbox.in_lobby("larry").home().unwrap();
    assert_eq!(room.note("repo").unwrap(), None);
    room.save_note("repo", "https://example.com/larry.git").unwrap();
    assert_eq!(room.note("repo").unwrap().as_deref(), Some("https://example.com/larry.git"));
    room.clear_note("repo").unwrap();
    assert_eq!(room.note("repo").unwrap(), None);
    for (name, text) in [("two words", "x"), ("", "x"), ("name", " ")] {
        assert_eq!(room.save_note(name, text).unwrap_err().kind(), crustocean::ErrorKind::Invalid);
    }
}
