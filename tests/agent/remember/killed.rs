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
    let told = PathBuf::from(std::env::var("REMEMBER_TEST_TOLD").unwrap());
    let agent = Agent::builder().api_url(url).remember(&file).connect(token).unwrap();
    let all = agent.subscribe();
    std::thread::spawn(move || {
        for event in all.flatten() {
            if let Event::StateNotSaved { error, .. } = event {
                let mut options = std::fs::OpenOptions::new();
                let mut told = options.append(true).create(true).open(&told).unwrap();
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

/// The disk of a run of the program.
#[derive(Clone, Copy)]
#[allow(dead_code, reason = "not every system has all of them")]
enum Disk {
    Usual,
    /// No file may be larger than 1 KiB.
    SmallFiles,
    /// A separate file system, with the state file and no free space. It disappears after the run.
    Full,
}

impl Disk {
    /// A command that becomes the program.
    fn command(self) -> Command {
        let me = std::env::current_exe().unwrap();
        let (shell, before): (&[&str], _) = match self {
            Disk::Usual => return Command::new(me),
            Disk::SmallFiles => (&["sh"], "trap '' XFSZ; ulimit -f 2"),
            Disk::Full => (
                &["unshare", "-rm", "sh"],
                "full=${REMEMBER_TEST_FILE%/*}/full; mkdir -p $full && mount -t tmpfs -o size=256k none $full && \
                 cp $REMEMBER_TEST_FILE $full && dd if=/dev/zero of=$full/filler bs=1k; \
                 export REMEMBER_TEST_FILE=$full/${REMEMBER_TEST_FILE##*/}",
            ),
        };
        let mut command = Command::new(shell[0]);
        command.args(&shell[1..]).args(["-c", &format!("{before}; exec \"$0\" \"$@\"")]).arg(me);
        command
    }
}

/// The running program. Dropping this kills it.
struct Program(Child);

impl Program {
    fn start(larry: &Larry, folder: &Folder, disk: Disk) -> Program {
        let mut command = disk.command();
        command.args(["--exact", "remember::killed::as_a_program", "--nocapture", "--test-threads=1"]);
        command.env("REMEMBER_TEST_URL", larry.sandbox.url()).env("REMEMBER_TEST_TOLD", told(folder));
        command.env("REMEMBER_TEST_TOKEN", larry.token.expose()).env("REMEMBER_TEST_FILE", folder.file());
        let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Program(command.spawn().unwrap())
    }
}

/// The file with the errors that the program reports.
fn told(folder: &Folder) -> PathBuf {
    folder.file().with_extension("told")
}

impl Drop for Program {
    fn drop(&mut self) {
        // Sends SIGKILL on systems with signals.
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

/// Kills the program several times. Every run has the disk `disk`, except the first and the last.
fn questions_and_kills(questions: usize, kills: usize, folder: &Folder, disk: Disk) {
    let _watchdog = watchdog(PATIENCE + Duration::from_millis((questions * 100 + kills * 3_000) as u64));
    let larry = Larry::new();
    let mut trial = Trial { larry: &larry, asked: 0 };
    let mut random = Random::new(17);
    let mut program = Program::start(&larry, folder, Disk::Usual);
    // The first run begins after it has joined.
    larry.sandbox.wait_for_event("join-agency", SOON * 3).expect("the program joins");
    eventually("it is in the room", || folder.file().exists());
    for life in 1..=kills {
        let answered = trial.answers().len();
        trial.ask(questions * life / kills - trial.asked);
        // Kills the program at any moment: before the join, while it reads the history, in a handler, or after an
        // answer.
        let open = trial.asked - answered;
        trial.wait_for(answered + random.below(open as u64 + 1) as usize);
        std::thread::sleep(Duration::from_micros(random.below(5_000)));
        drop(program);
        program = Program::start(&larry, folder, disk);
    }
    trial.wait_for(trial.asked);
    if !matches!(disk, Disk::Usual) {
        // Earlier runs may have been killed before they saved.
        let has_line = |text: String| text.contains('\n');
        eventually("the run reports its disk", || std::fs::read_to_string(told(folder)).is_ok_and(has_line));
    }
    drop(program);
    // A last start repeats no question: a repeated one would be answered before the new one.
    let _program = Program::start(&larry, folder, Disk::Usual);
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
    questions_and_kills(number("REMEMBER_QUESTIONS", 200), number("REMEMBER_KILLS", 8), &folder, Disk::Usual);
    assert!(!told(&folder).exists(), "everything could be saved");
}

/// Checks that a run on such a disk reports this error, and that the last run can save again.
#[cfg(unix)]
fn reports_and_answers_once(name: &str, disk: Disk, error: &str) {
    let folder = Folder::new(name);
    questions_and_kills(100, 4, &folder, disk);
    let told = std::fs::read_to_string(told(&folder)).unwrap();
    assert!(told.contains("cannot be saved"), "{told}");
    assert!(told.contains(error), "{told}");
    let saved = std::fs::metadata(folder.file()).unwrap().len();
    assert!(saved > 1024, "the last run can save again: {saved}");
}

#[cfg(unix)]
#[test]
fn with_a_limit_on_files_every_question_is_answered_once() {
    reports_and_answers_once("small", Disk::SmallFiles, "File too large");
}

/// This test mounts a file system. On a system that does not permit this, only the test above runs.
#[cfg(target_os = "linux")]
#[test]
fn with_a_full_disk_every_question_is_answered_once() {
    let mounts = Command::new("unshare").args(["-rm", "mount", "-t", "tmpfs", "none", "/mnt"]).status();
    if !mounts.is_ok_and(|status| status.success()) {
        eprintln!("this system permits no mount in a namespace of its own: not tested");
        return;
    }
    reports_and_answers_once("full", Disk::Full, "No space left on device");
}
