//! Odd input of a bot's author or of a room: a clear error or a sensible result, and no panic, hang or busy loop.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::common::{SOON, TestSandbox, asked, eventually, wait_for_message, watchdog};
use crate::remember::stores::Folder;
use crustocean::agent::RecvError;
use crustocean::{Agent, ErrorKind, Event, Message, Outgoing, Stop};
use serde_json::json;

const LIMIT: Duration = Duration::from_secs(180);
/// The time limit for work that waits for nothing, also on a busy machine.
const QUICK: Duration = Duration::from_secs(9);

fn text(event: Event) -> Option<String> {
    match event {
        Event::Message(message) => Some(message.content),
        _ => None,
    }
}

#[test]
fn a_state_file_that_cannot_be_used_is_an_error_that_says_why() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let folder = Folder::new("odd-places");
    let token = sandbox.agent_token("larry");
    std::fs::write(folder.0.join("a-file"), "x").unwrap();
    std::fs::create_dir(folder.0.join("a-directory")).unwrap();
    std::fs::create_dir(folder.0.join("blocked.new")).unwrap();
    std::fs::write(folder.0.join("empty"), "").unwrap();
    for (name, words) in [
        ("a-file/larry.state", "The folder must exist"),
        ("missing/larry.state", "The folder must exist"),
        ("a-directory", "name a file"),
        ("blocked", "cannot store the memory in"),
        ("empty", "it is empty. It was not changed. Move it away"),
    ] {
        let path = folder.0.join(name);
        let error = sandbox.builder().remember(&path).connect(token.clone()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{name}: {error}");
        let said = error.to_string();
        assert!(said.contains(words) && said.contains(&*path.to_string_lossy()), "{said}");
    }
    assert!(!folder.0.join("a-directory.lock").exists(), "nothing is left beside a directory");
    let error = sandbox.builder().remember("").connect(token).unwrap_err();
    assert!(error.kind() == ErrorKind::Config && error.to_string().contains("larry.state"), "{error}");
    assert!(!Path::new(".lock").exists());
}

#[cfg(unix)]
#[test]
fn a_state_file_may_be_a_symbolic_link() {
    use std::os::unix::fs::symlink;

    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let folder = Folder::new("links");
    let token = sandbox.agent_token("larry");
    let (real, link, other) = (folder.0.join("real.state"), folder.file(), folder.0.join("other.state"));
    // Relative, to a file that does not exist yet.
    symlink("real.state", &link).unwrap();
    symlink(&link, &other).unwrap();
    let agent = sandbox.builder().remember(&link).connect_and_join(token.clone(), "lobby").unwrap();
    let error = sandbox.builder().remember(&other).connect(token.clone()).unwrap_err();
    assert!(error.to_string().contains("another running agent"), "{error}");
    agent.close().unwrap();
    eventually("it is saved", || real.exists());
    assert!(link.is_symlink() && other.is_symlink(), "the links are not replaced");
    drop(sandbox.builder().remember(&other).connect(token.clone()).unwrap());

    let circle = folder.0.join("circle");
    symlink("circle", &circle).unwrap();
    let error = sandbox.builder().remember(&circle).connect(token).unwrap_err();
    assert!(error.kind() == ErrorKind::Config && error.to_string().contains("form a loop"), "{error}");
}

#[test]
fn a_stop_that_was_stopped_before_costs_nothing() {
    let _watchdog = watchdog(LIMIT);
    let (sandbox, stop) = (TestSandbox::new(), Stop::new());
    let folder = Folder::new("stopped");
    stop.stop();
    stop.stop();
    let builder = sandbox.builder().stop(&stop).remember(folder.file());
    let token = sandbox.agent_token("larry");
    let start = Instant::now();
    assert!(builder.connect(token.clone()).unwrap_err().is_closed());
    assert!(start.elapsed() < QUICK);
    // Another agent can use the file now.
    sandbox.builder().remember(folder.file()).connect(token).unwrap().close().unwrap();
}

#[test]
fn any_number_of_threads_is_served() {
    let _watchdog = watchdog(LIMIT);
    for threads in [0, 1, usize::MAX] {
        let (sandbox, stop) = (TestSandbox::new(), Stop::new());
        let builder = sandbox.builder().stop(&stop);
        let agent = builder.connect_and_join(sandbox.agent_token("larry"), "lobby").unwrap();
        let lobby = sandbox.room("lobby").unwrap();
        thread::scope(|scope| {
            let bot = scope.spawn(|| {
                agent.mentions().in_parallel(threads, |question| {
                    // A wait inside a handler takes nothing from the loop.
                    let room = question.room();
                    question.reply("go on?")?;
                    let more = room.wait_for(
                        SOON,
                        |event| matches!(event, Event::Message(message) if message.content == "@larry go"),
                    )?;
                    question.reply(format!("{:?}", text(more)))
                })
            });
            lobby.say("alice", "@larry hello").unwrap();
            lobby.wait_for_message(SOON, |message| message.content == "go on?").unwrap();
            // This wait may begin after the first one.
            let answered = AtomicBool::new(false);
            thread::scope(|scope| {
                scope.spawn(|| {
                    lobby.wait_for_message(SOON, |message| message.content.starts_with("Some")).unwrap();
                    answered.store(true, Ordering::SeqCst);
                });
                eventually("it is answered", || {
                    lobby.say("alice", "@larry go").unwrap();
                    thread::sleep(Duration::from_millis(20));
                    answered.load(Ordering::SeqCst)
                });
            });
            stop.stop();
            bot.join().unwrap().unwrap();
        });
    }
}

#[test]
fn waits_take_limits_of_zero_and_without_end() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let (larry, lobby, mentions) = sandbox.in_conversation("larry");
    let mention = asked(&lobby, &mentions, "@larry hello");
    let start = Instant::now();
    let error = mention.ask("now?", Duration::ZERO).unwrap_err();
    assert!(error.is_timeout() && error.to_string().contains("@alice"), "{error}");
    let error = mention.room().wait_for(Duration::ZERO, |_| true).unwrap_err();
    assert!(error.is_timeout(), "{error}");
    assert!(matches!(larry.events().recv_timeout(Duration::ZERO), Ok(_) | Err(RecvError::Timeout)));
    assert!(!larry.wait_closed(Duration::ZERO) && start.elapsed() < QUICK);
    thread::scope(|scope| {
        let asks = scope.spawn(|| mention.ask("and later?", Duration::MAX).unwrap().content.clone());
        lobby.wait_for_message(SOON, |message| message.content == "and later?").unwrap();
        lobby.say("bob", "not asked").unwrap();
        lobby.say("alice", "yes").unwrap();
        assert_eq!(asks.join().unwrap(), "yes");
    });
}

#[test]
fn the_time_for_an_answer_begins_when_the_question_is_in_the_room() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let (_larry, lobby, mentions) = sandbox.in_conversation("larry");
    let mention = asked(&lobby, &mentions, "@larry hello");
    let limit = Duration::from_secs(2);
    // The server delays the question by the time limit of its answer.
    sandbox.freeze(limit + Duration::from_millis(200));
    thread::scope(|scope| {
        let asks = scope.spawn(|| mention.ask("sure?", limit).map(|answer| answer.content.clone()));
        lobby.wait_for_message(SOON, |message| message.content == "sure?").unwrap();
        lobby.say("alice", "yes").unwrap();
        assert_eq!(asks.join().unwrap().unwrap(), "yes");
    });
}

#[test]
fn subscriptions_and_waits_begin_with_what_comes_after_them() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let larry = sandbox.in_lobby("larry");
    let room = larry.home().unwrap();
    // No loop has taken these messages yet.
    sandbox.alice_says("old");
    sandbox.alice_says("@larry older question");
    eventually("they have come", || larry.stats().queued_events >= 2);
    let error = room.wait_for(Duration::from_millis(50), |event| matches!(event, Event::Message(_)));
    assert!(error.unwrap_err().is_timeout());
    let subscription = larry.subscribe();
    let stats = larry.stats();
    assert!(stats.queued_events >= 2 && stats.queued_bytes > 0, "they still wait for a loop: {stats:?}");
    sandbox.alice_says("new");
    assert_eq!(wait_for_message(&subscription, "").content, "new");
    // The loops still get these messages.
    let mentions = larry.mentions();
    assert_eq!(mentions.recv_timeout(SOON).unwrap().content, "@larry older question");
    drop(mentions);
}

#[test]
fn one_subscription_that_is_never_read_costs_the_other_nothing() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let larry = sandbox.builder().queue(10, 1 << 20).connect(sandbox.agent_token("larry")).unwrap();
    larry.join("lobby").unwrap();
    let (unread, read) = (larry.subscribe(), larry.subscribe());
    for number in 0..40 {
        sandbox.alice_says(&format!("n{number}."));
        let next = wait_for_message(&read, "n").content;
        assert_eq!(next, format!("n{number}."), "none is missing");
    }
    let kept: Vec<Event> = std::iter::from_fn(|| unread.try_recv().ok()).collect();
    assert!(kept.len() <= 11 && matches!(kept[0], Event::Lagged { missed, .. } if missed >= 30), "{kept:?}");
}

#[test]
fn a_conversation_is_cut_between_visible_characters() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let (larry, lobby, mentions) = sandbox.in_conversation("larry");
    let home = larry.home().unwrap();
    // These seven code points are one visible character.
    let family = "👨\u{200d}👩\u{200d}👧\u{200d}👦";
    let first = asked(&lobby, &mentions, &format!("@larry {family}"));
    let run = home.start_run(&first).unwrap();
    let output = format!("{}{family}{family}", "x".repeat(496));
    run.tool_step("search", json!("\u{301}"), || Ok::<_, crustocean::Error>(output)).unwrap();
    let id = run.id().to_string();
    run.complete("").unwrap();
    home.post(Outgoing::new("found").with("run_id", id)).unwrap();
    let second = asked(&lobby, &mentions, &format!("@larry {family}"));
    let turns = |most| home.conversation(&second).characters(most).turns().unwrap();
    // A conversation has only whole messages: the question, and the earlier messages that fit.
    for (most, count) in [(0, 1), (14, 1), (18, 1), (19, 2), (32, 2), (33, 3), (usize::MAX, 3)] {
        let turns = turns(most);
        assert_eq!(turns.len(), count, "{most}: {turns:?}");
        assert_eq!(turns[count - 1].text, format!("@larry {family}"));
    }
    assert_eq!(home.conversation(&second).messages(0).turns().unwrap().len(), 1);
    let told = || home.conversation(&second).tools(true).turns().unwrap()[1].text.clone();
    eventually("the transcript is there", || told().contains("search"));
    assert!(told().contains("xxx…]") && !told().contains('👨'), "an emoji is not cut: {}", told());
}

#[test]
fn schedules_and_cooldowns_of_any_length() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let larry = sandbox.in_lobby("larry");
    let lobby = sandbox.room("lobby").unwrap();
    let start = Instant::now();
    assert_eq!(larry.every(Duration::ZERO).take(20).count(), 20);
    assert!(start.elapsed() >= Duration::from_millis(20), "no busy loop: {:?}", start.elapsed());
    for (time, second) in [(Duration::ZERO, true), (Duration::MAX, false)] {
        let mentions = larry.mentions().cooldown(time);
        lobby.say("alice", "@larry one").unwrap();
        lobby.say("alice", "@larry two").unwrap();
        lobby.say("bob", "@larry three").unwrap();
        let expected: &[&str] = if second { &["one", "two", "three"] } else { &["one", "three"] };
        for text in expected {
            assert_eq!(mentions.recv_timeout(SOON).unwrap().text(), *text);
        }
        assert!(matches!(mentions.try_recv(), Err(RecvError::Empty)));
    }
    let never = larry.every(Duration::MAX);
    thread::scope(|scope| {
        let ticks = scope.spawn(move || never.count());
        larry.clone().close().unwrap();
        assert_eq!(ticks.join().unwrap(), 0);
    });
}

#[test]
fn requests_accept_the_punctuation_of_phones_and_languages() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let larry = sandbox.in_lobby("larry");
    let mentions = larry.mentions();
    for (said, command, positional, (option, value)) in [
        ("@larry\u{a0}price\u{a0}ETH --in\u{a0}EUR", "price", vec!["ETH"], ("in", Some("EUR"))),
        ("@larry price “wrapped ETH” —in EUR", "price", vec!["wrapped ETH"], ("in", Some("EUR"))),
        ("@larry say «\u{a0}à demain\u{a0}» --in=", "say", vec!["à demain"], ("in", Some(""))),
        ("@larry say \"not closed --in EUR", "say", vec!["not closed --in EUR"], ("in", None)),
        ("@larry say --= -- --in x", "say", vec!["--=", "--in", "x"], ("in", None)),
        ("@larry 🦀 --🎉 yes", "🦀", vec![], ("🎉", Some("yes"))),
        ("@larry --", "--", vec![], ("", None)),
        ("@larry", "", vec![], ("", None)),
        ("@larry \"", "", vec![], ("", None)),
    ] {
        sandbox.alice_says(said);
        let request = mentions.recv_timeout(SOON).unwrap().request();
        assert_eq!((request.command(), request.option(option)), (command, value), "{said}");
        assert_eq!(request.positional(), positional, "{said}");
    }
}

#[test]
fn an_empty_prefix_is_an_error_and_not_a_loop_without_end() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let larry = sandbox.in_lobby("larry");
    for prefix in ["", " ", "\u{a0}\n"] {
        let mut commands = larry.commands(prefix);
        let error = commands.next().unwrap().unwrap_err();
        assert!(error.kind() == ErrorKind::Invalid && error.to_string().contains("prefix"), "{error}");
        assert!(commands.next().is_none());
        assert!(matches!(commands.recv_timeout(SOON), Err(RecvError::Closed)));
    }
    // White space around a prefix is ignored.
    let commands = larry.commands("\u{a0} !conch ");
    sandbox.alice_says("!conch go");
    assert_eq!(commands.recv_timeout(SOON).unwrap().text(), "go");
}

#[test]
fn an_answer_of_white_space_costs_nothing() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let larry = sandbox.in_lobby("larry");
    let mentions = larry.mentions();
    sandbox.alice_says("@larry hello");
    let mention = mentions.recv_timeout(SOON).unwrap();
    for text in ["", "  ", "\u{a0}\n\t", "\u{3000}", "\u{feff}"] {
        let error = mention.reply(text).unwrap_err();
        assert!(error.kind() == ErrorKind::Invalid && error.to_string().contains("white space"), "{error}");
        let error = mention.ask(text, SOON).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    }
    mention.reply("still here").unwrap();
    eventually("it is said", || sandbox.messages(&sandbox.lobby_id()).len() == 2);
}

#[test]
fn a_message_with_nothing_set_is_whole() {
    let message = Message::builder("").build();
    assert!(message.content.is_empty() && !message.id.as_str().is_empty());
    assert!(!message.sender_username.is_empty() && !message.agency_id.as_str().is_empty());
    assert!(serde_json::to_string(&message).is_ok() && !message.is_from_agent());
}

#[test]
fn the_state_of_a_closed_agent_can_be_read() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let larry = sandbox.in_lobby("larry");
    let handle: Agent = larry.clone();
    larry.close().unwrap();
    let start = Instant::now();
    assert!(handle.wait_closed(Duration::ZERO) && handle.is_closed());
    let stats = handle.stats();
    assert!(
        stats.connected_for.is_none()
            && stats.to_prometheus().contains("crustocean_connected{agent=\"larry\"} 0")
    );
    assert!(matches!(handle.subscribe().recv_timeout(Duration::MAX), Err(RecvError::Closed)));
    assert!(handle.subscribe().next().is_none() && handle.mentions().next().is_none());
    assert!(handle.commands("!larry").next().is_none() && handle.every(Duration::ZERO).next().is_none());
    handle.mentions().in_parallel(2, |_| Ok::<(), String>(())).unwrap();
    let room = handle.home().unwrap();
    assert!(room.wait_for(Duration::MAX, |_| true).unwrap_err().is_closed());
    assert!(room.send("hello").unwrap_err().is_closed());
    handle.close().unwrap();
    assert!(start.elapsed() < QUICK);
}
