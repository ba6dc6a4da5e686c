//! A program that is killed at any moment answers every question once, also with a full disk.

use std::collections::HashMap;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::Larry;
use super::stores::Folder;
use crate::common::{Random, SOON, eventually, watchdog};
use crustocean::{Agent, AgentToken, Event};

/// How long to wait for the next answer. The program is a separate process.
const PATIENCE: Duration = Duration::from_secs(60);

/// The program that is killed: the tests below start this test program with only this test.
#[test]
fn as_a_program() {
    let Ok(url) = std::env::var("REMEMBER_TEST_URL") else { return };
    let token: AgentToken = std::env::var("REMEMBER_TEST_TOKEN").unwrap().parse().unwrap();
    let file = PathBuf::from(std::env::var("REMEMBER_TEST_FILE").unwrap());
    let agent = Agent::builder().api_url(url).remember(&file).connect(token).unwrap();
    let all = agent.subscribe();
    std::thread::spawn(move || {
        for event in all.flatten() {
            if let Event::StateNotSaved { error, .. } = event {
                let mut told = std::fs::OpenOptions::new();
                let mut told = told.append(true).create(true).open(file.with_extension("told")).unwrap();
                writeln!(told, "{error}").unwrap();
            }
        }
    });
    agent.join("lobby").unwrap();
    for mention in agent.mentions() {
        let Ok(mention) = mention else { return };
        // A handler is sometimes slow, so that it is killed while it runs, too.
        std::thread::sleep(Duration::from_millis(u64::from(mention.id.as_str().as_bytes()[0] % 8)));
        let answer = format!("answer to {}", mention.text());
        mention.reply(answer).unwrap_or_else(|error| eprintln!("not answered: {error}"));
    }
}

/// The running program. Dropping this kills it.
struct Program(Child);

impl Program {
    /// `before`: shell commands to run first.
    fn start(larry: &Larry, folder: &Folder, before: Option<&str>) -> Program {
        let me = std::env::current_exe().unwrap();
        let mut command = match before {
            Some(before) => {
                let mut shell = Command::new("sh");
                shell.args(["-c", &format!("{before}; exec \"$0\" \"$@\"")]).arg(me);
                shell
            }
            None => Command::new(me),
        };
        command.args(["--exact", "remember::killed::as_a_program", "--nocapture", "--test-threads=1"]);
        command.env("REMEMBER_TEST_URL", larry.sandbox.url());
        command.env("REMEMBER_TEST_TOKEN", larry.token.expose()).env("REMEMBER_TEST_FILE", folder.file());
        let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Program(command.spawn().unwrap())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // SIGKILL, where there are signals.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The questions of a test.
struct Trial<'a> {
    larry: &'a Larry,
    asked: usize,
}

impl Trial<'_> {
    fn ask(&mut self, count: usize) {
        for _ in 0..count {
            self.larry.sandbox.alice_says(&format!("@larry {}", self.asked));
            self.asked += 1;
        }
    }

    /// The number of answers to each question.
    fn answers(&self) -> HashMap<usize, usize> {
        let sandbox = &self.larry.sandbox;
        let mut count = HashMap::new();
        for message in sandbox.messages(&sandbox.lobby_id()) {
            if let Some(number) = message.content.strip_prefix("answer to ") {
                *count.entry(number.parse().unwrap()).or_default() += 1;
            }
        }
        count
    }

    /// Waits until so many questions have an answer.
    fn wait_for(&self, count: usize) {
        let room = self.larry.sandbox.room("lobby").unwrap();
        while self.answers().len() < count {
            let more = room.wait_for_message(PATIENCE, |message| message.sender == "larry");
            let have = self.answers().len();
            assert!(more.is_ok() || have >= count, "only {have} of {} are answered", self.asked);
        }
    }

    fn assert_answered_once(&self) {
        let answers = self.answers();
        assert_eq!(answers.len(), self.asked);
        let twice: Vec<_> = answers.into_iter().filter(|(_, count)| *count != 1).collect();
        assert!(twice.is_empty(), "answered more than once: {twice:?}");
    }
}

/// `before`: shell commands to run before every start but the first and the last.
fn questions_and_kills(questions: usize, kills: usize, folder: &Folder, before: Option<&str>) {
    let _watchdog = watchdog(PATIENCE + Duration::from_millis((questions * 100 + kills * 3_000) as u64));
    let larry = Larry::new();
    let mut trial = Trial { larry: &larry, asked: 0 };
    let mut random = Random::new(17);
    let mut program = Program::start(&larry, folder, None);
    // The first run begins after it has joined.
    larry.sandbox.wait_for_event("join-agency", SOON * 3).expect("the program joins");
    eventually("it is in the room", || folder.file().exists());
    for life in 1..=kills {
        let answered = trial.answers().len();
        trial.ask(questions * life / kills - trial.asked);
        // Any moment: before the join, while it reads the history, in a handler, after an answer.
        let open = trial.asked - answered;
        trial.wait_for(answered + random.below(open as u64 + 1) as usize);
        std::thread::sleep(Duration::from_micros(random.below(5_000)));
        drop(program);
        program = Program::start(&larry, folder, before);
    }
    trial.wait_for(trial.asked);
    drop(program);
    // A last start repeats no question: a repeated one would be answered before the new one.
    let _program = Program::start(&larry, folder, None);
    trial.ask(1);
    trial.wait_for(trial.asked);
    trial.assert_answered_once();
}

#[test]
fn at_any_moment_every_question_is_answered_once() {
    let number = |name: &str, usual: usize| {
        std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
    };
    let folder = Folder::new("kill");
    questions_and_kills(number("REMEMBER_QUESTIONS", 200), number("REMEMBER_KILLS", 8), &folder, None);
    assert!(!folder.file().with_extension("told").exists(), "everything could be saved");
}

/// Limits the size of files, like a full disk, in all runs of the program but the first and the last.
#[cfg(unix)]
#[test]
fn with_a_full_disk_every_question_is_answered_once() {
    let folder = Folder::new("full");
    questions_and_kills(100, 4, &folder, Some("trap '' XFSZ; ulimit -f 2"));
    let told = std::fs::read_to_string(folder.file().with_extension("told")).unwrap();
    assert!(told.lines().count() >= 2 && told.contains("cannot be saved"), "each run reports it: {told}");
    let saved = std::fs::metadata(folder.file()).unwrap().len();
    assert!(saved > 1024, "the last run can save again: {saved}");
}
