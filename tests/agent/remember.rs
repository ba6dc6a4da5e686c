//! Questions asked while the program was not running, and questions not finished when it ended.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::common::{Random, SOON, Stage, eventually, wait_for, watchdog};
use crustocean::agent::{AgentBuilder, MemoryStore, StateStore, StoreError};
use crustocean::{Agent, AgentToken, Event, Mention, Outgoing};

const LIMIT: Duration = Duration::from_secs(90);

/// A folder that is deleted when this is dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let folder = std::env::temp_dir().join(format!("crustocean-remember-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        Folder(folder)
    }

    fn file(&self) -> PathBuf {
        self.0.join("larry.state")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn start(builder: AgentBuilder, token: &str) -> Agent {
    let agent = builder.connect(token.parse::<AgentToken>().unwrap()).unwrap();
    agent.join("lobby").unwrap();
    agent
}

fn texts(mentions: &crustocean::Mentions, count: usize) -> Vec<String> {
    (0..count).map(|_| mentions.recv_timeout(SOON).unwrap().content.clone()).collect()
}

#[test]
fn missed_questions_come_first_and_done_ones_do_not_come_again() {
    let _watchdog = watchdog(LIMIT);
    let stage = Stage::new();
    let larry = stage.sandbox.agent("larry").unwrap();
    let store = MemoryStore::default();
    let run = || start(stage.builder().remember_in(store.clone()), &larry.token);
    stage.alice_says("@larry before the first start");
    {
        let agent = run();
        let mentions = agent.mentions();
        stage.alice_says("@larry one");
        stage.alice_says("@larry two");
        stage.alice_says("nothing to answer");
        assert_eq!(texts(&mentions, 2), ["@larry one", "@larry two"], "the first run begins now");
        // The second was not finished.
    }
    stage.alice_says("@larry three");
    stage.alice_says("nothing to answer either");
    {
        let agent = run();
        let mentions = agent.mentions();
        stage.alice_says("@larry four");
        let mut got = Vec::new();
        while got.len() < 3 {
            let mention = mentions.recv_timeout(SOON).unwrap();
            got.push((mention.content.clone(), mention.replayed));
        }
        let expected =
            [("@larry two", true), ("@larry three", true)].map(|(text, old)| (text.to_owned(), old));
        assert_eq!(&got[..2], &expected);
        assert_eq!(got[2].0, "@larry four");
        let mention = mentions.recv_timeout(Duration::from_millis(50));
        assert!(mention.is_err(), "{mention:?}");
    }
    // All are done, and a loop over events gets the events that it has not had.
    stage.alice_says("hello");
    let agent = run();
    let message = wait_for(&agent.events(), "a message", |event| match event {
        Event::Message(message) => Some(message),
        _ => None,
    });
    assert_eq!((message.content.as_str(), message.replayed), ("hello", true));
}

#[test]
fn done_takes_effect_at_once_or_when_the_last_clone_is_dropped() {
    let _watchdog = watchdog(LIMIT);
    let stage = Stage::new();
    let larry = stage.sandbox.agent("larry").unwrap();
    let store = MemoryStore::default();
    let agent = start(stage.builder().remember_in(store.clone()), &larry.token);
    let mentions = agent.mentions();
    for text in ["@larry one", "@larry two", "@larry three"] {
        stage.alice_says(text);
    }
    let saved = |mention: &Mention| store.saved().is_some_and(|text| text.contains(mention.id.as_str()));
    let one = mentions.recv_timeout(SOON).unwrap();
    let two = mentions.recv_timeout(SOON).unwrap();
    assert!(!saved(&one), "it is still held");
    two.done();
    assert!(saved(&two) && !saved(&one));
    let id = one.id.clone();
    std::thread::spawn(move || drop(one)).join().unwrap();
    assert!(store.saved().unwrap().contains(id.as_str()));
    // A question whose handler panics is not done.
    let three = mentions.recv_timeout(SOON).unwrap();
    let id = three.id.clone();
    assert!(mentions.try_recv().is_err());
    let panics = std::thread::spawn(move || {
        let _three = three;
        std::panic::resume_unwind(Box::new("no answer"));
    });
    assert!(panics.join().is_err());
    agent.close().unwrap();
    assert!(!store.saved().unwrap().contains(id.as_str()));
}

#[test]
fn a_question_answered_in_the_room_is_not_asked_again() {
    let _watchdog = watchdog(LIMIT);
    let stage = Stage::new();
    let larry = stage.sandbox.agent("larry").unwrap();
    let store = MemoryStore::default();
    {
        let agent = start(stage.builder().remember_in(store.clone()), &larry.token);
        let mentions = agent.mentions();
        stage.alice_says("@larry one");
        let one = mentions.recv_timeout(SOON).unwrap();
        // Answered, but the program ends before it is done.
        one.room().post(Outgoing::new("I am one").in_reply_to(&one)).unwrap();
        let panics = std::thread::spawn(move || {
            let _one = one;
            std::panic::resume_unwind(Box::new("the program ends here"));
        });
        assert!(panics.join().is_err());
    }
    stage.alice_says("@larry two");
    let agent = start(stage.builder().remember_in(store), &larry.token);
    assert_eq!(texts(&agent.mentions(), 1), ["@larry two"]);
}

#[test]
fn one_file_serves_one_agent_at_a_time() {
    let _watchdog = watchdog(LIMIT);
    let stage = Stage::new();
    let folder = Folder::new("shared");
    let larry = stage.agent_token("larry");
    let agent = stage.builder().remember(folder.file()).connect(larry.clone()).unwrap();
    agent.join("lobby").unwrap();
    let error = stage.builder().remember(folder.file()).connect(larry.clone()).unwrap_err();
    assert_eq!(error.kind(), crustocean::ErrorKind::Config);
    assert!(error.to_string().contains("larry.state"), "{error}");
    drop(agent);
    let error = stage.builder().remember(folder.file()).connect(stage.agent_token("ben")).unwrap_err();
    assert!(error.to_string().contains("another agent"), "{error}");
    // A torn write.
    let text = std::fs::read(folder.file()).unwrap();
    std::fs::write(folder.file(), &text[..text.len() / 2]).unwrap();
    let error = stage.builder().remember(folder.file()).connect(larry).unwrap_err();
    assert!(error.to_string().contains("larry.state") && error.to_string().contains("torn"), "{error}");
    assert_eq!(std::fs::read(folder.file()).unwrap(), &text[..text.len() / 2], "nothing is lost");
}

#[test]
fn questions_that_are_too_old_are_left_out() {
    let _watchdog = watchdog(LIMIT);
    let stage = Stage::new();
    let larry = stage.sandbox.agent("larry").unwrap();
    let store = MemoryStore::default();
    drop(start(stage.builder().remember_in(store.clone()), &larry.token));
    stage.alice_says("@larry yesterday");
    std::thread::sleep(Duration::from_millis(1100));
    let builder = stage.builder().remember_in(store).max_age(Duration::from_secs(1));
    let agent = start(builder, &larry.token);
    stage.alice_says("@larry today");
    assert_eq!(texts(&agent.mentions(), 1), ["@larry today"]);
}

#[test]
fn a_full_disk_is_reported_and_the_agent_goes_on() {
    struct Full(AtomicBool, MemoryStore);
    impl StateStore for &'static Full {
        fn load(&self) -> Result<Option<String>, StoreError> {
            self.1.load()
        }
        fn save(&self, state: &str) -> Result<(), StoreError> {
            if self.0.load(Ordering::Relaxed) {
                Err("no space left on device".into())
            } else {
                self.1.save(state)
            }
        }
    }
    let _watchdog = watchdog(LIMIT);
    let stage = Stage::new();
    let larry = stage.sandbox.agent("larry").unwrap();
    let full: &'static Full = Box::leak(Box::new(Full(AtomicBool::new(true), MemoryStore::default())));
    let agent = start(stage.builder().remember_in(full), &larry.token);
    let events = agent.events();
    let error = wait_for(&events, "the bad news", |event| match event {
        Event::StateNotSaved { error, .. } => Some(error),
        _ => None,
    });
    assert!(error.to_string().contains("no space left"), "{error}");
    // The agent goes on, and saves as soon as that is possible.
    stage.alice_says("@larry one");
    wait_for(&events, "the question", |event| matches!(event, Event::Message(_)).then_some(()));
    stage.alice_says("@larry two");
    wait_for(&events, "the next question", |event| matches!(event, Event::Message(_)).then_some(()));
    full.0.store(false, Ordering::Relaxed);
    let until = Instant::now() + SOON;
    while full.1.saved().is_none() {
        let _ = events.recv_timeout(Duration::from_millis(100));
        assert!(Instant::now() < until, "it is tried again");
    }
}

/// The program that is killed: the tests below start this test program with only this test.
#[test]
fn as_a_program() {
    let Ok(url) = std::env::var("REMEMBER_TEST_URL") else { return };
    let token: AgentToken = std::env::var("REMEMBER_TEST_TOKEN").unwrap().parse().unwrap();
    let agent = Agent::builder().api_url(url).remember(std::env::var("REMEMBER_TEST_FILE").unwrap());
    let agent = agent.connect(token).unwrap();
    agent.join("lobby").unwrap();
    for mention in agent.mentions() {
        let Ok(mention) = mention else { return };
        // A handler is sometimes slow, so that it is killed while it runs, too.
        std::thread::sleep(Duration::from_millis(u64::from(mention.id.as_str().as_bytes()[0] % 8)));
        let answer = format!("answer to {}", mention.content.trim_start_matches("@larry "));
        mention.reply(answer).unwrap_or_else(|error| eprintln!("not answered: {error}"));
    }
}

fn program(stage: &Stage, token: &str, file: &Path, shell: Option<&str>) -> Child {
    let me = std::env::current_exe().unwrap();
    let mut command = match shell {
        Some(before) => {
            let mut shell = Command::new("sh");
            shell.args(["-c", &format!("{before}; exec \"$0\" \"$@\"")]).arg(me);
            shell
        }
        None => Command::new(me),
    };
    command.args(["--exact", "remember::as_a_program", "--nocapture", "--test-threads=1"]);
    command.env("REMEMBER_TEST_URL", stage.sandbox.url()).env("REMEMBER_TEST_TOKEN", token);
    command.env("REMEMBER_TEST_FILE", file);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// The number of answers to each question.
fn answers(stage: &Stage) -> HashMap<usize, usize> {
    let mut count = HashMap::new();
    for message in stage.sandbox.messages(&stage.sandbox.lobby_id()) {
        if let Some(number) = message.content.strip_prefix("answer to ") {
            *count.entry(number.parse().unwrap()).or_default() += 1;
        }
    }
    count
}

fn questions_and_kills(questions: usize, kills: u64, shell: Option<&str>) {
    let stage = Stage::new();
    let folder = Folder::new(if shell.is_some() { "full" } else { "kill" });
    let larry = stage.sandbox.agent("larry").unwrap();
    let mut random = Random::new(17);
    let mut child = program(&stage, &larry.token, &folder.file(), None);
    // The first run begins after it has joined.
    stage.sandbox.wait_for_event("join-agency", SOON * 3).expect("the program joins");
    eventually("it is in the room", || folder.file().exists());
    let mut killed = 0;
    for number in 0..questions {
        stage.alice_says(&format!("@larry {number}"));
        std::thread::sleep(Duration::from_millis(3));
        if number as u64 * kills / questions as u64 > killed || number + 1 == questions {
            std::thread::sleep(Duration::from_millis(random.below(120)));
            child.kill().unwrap();
            child.wait().unwrap();
            killed += 1;
            child = program(&stage, &larry.token, &folder.file(), shell);
        }
    }
    let until = Instant::now() + Duration::from_secs(60);
    while answers(&stage).len() < questions {
        assert!(Instant::now() < until, "only {} of {questions} are answered", answers(&stage).len());
        std::thread::sleep(Duration::from_millis(50));
    }
    // A last start repeats no question.
    std::thread::sleep(Duration::from_millis(300));
    child.kill().unwrap();
    child.wait().unwrap();
    let mut child = program(&stage, &larry.token, &folder.file(), None);
    std::thread::sleep(Duration::from_millis(700));
    child.kill().unwrap();
    child.wait().unwrap();
    let twice: Vec<_> = answers(&stage).into_iter().filter(|(_, count)| *count != 1).collect();
    assert!(twice.is_empty(), "answered more than once: {twice:?}");
}

#[test]
fn killed_at_any_moment_every_question_is_answered_once() {
    let _watchdog = watchdog(LIMIT);
    let number = |name: &str, usual: usize| {
        std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
    };
    questions_and_kills(number("REMEMBER_QUESTIONS", 200), number("REMEMBER_KILLS", 8) as u64, None);
}

/// Limits the size of files, like a full disk.
#[cfg(unix)]
#[test]
fn killed_with_a_full_disk_every_question_is_answered_once() {
    let _watchdog = watchdog(LIMIT);
    questions_and_kills(100, 4, Some("trap '' XFSZ; ulimit -f 2"));
}
