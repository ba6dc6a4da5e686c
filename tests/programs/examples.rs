//! The examples do what their texts say. Each runs as a program against a sandbox.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use crate::common::{PROGRAMS, TestSandbox, Watchdog, eventually, watchdog};
use crustocean::{Client, PersonalAccessToken};
use serde_json::Value;

/// Long, because the examples may have to be built first.
fn long_watchdog() -> Watchdog {
    watchdog(Duration::from_secs(900))
}

/// A command for an example that uses only this server, without settings from the test's own environment.
fn example(name: &str, url: Option<&str>, settings: &[(&str, &str)], args: &[&str]) -> Command {
    let mut command = Command::new(&PROGRAMS[name]);
    for unset in
        ["CRUSTOCEAN_TOKEN", "AGENT_TOKEN", "CRUSTOCEAN_AGENT_TOKEN", "CRUSTOCEAN_API_URL", "WEBHOOK_SECRET"]
    {
        command.env_remove(unset);
    }
    command.env("NO_PROXY", "*").args(args).envs(settings.iter().copied());
    command.envs(url.map(|url| ("CRUSTOCEAN_API_URL", url)));
    command.stdin(Stdio::null());
    command
}

/// A user with a personal access token for the programs, and with a session.
struct User {
    sandbox: TestSandbox,
    client: Client,
    token: String,
}

impl User {
    fn new() -> User {
        let sandbox = TestSandbox::new();
        let login = Client::builder().api_url(sandbox.url()).register("olga", "correct horse").unwrap();
        let token = login.client.tokens().create("for the examples").send().unwrap().token;
        User { token: token.expose().to_owned(), client: login.client, sandbox }
    }

    fn run(&self, name: &str, args: &[&str]) -> Output {
        let url = self.sandbox.url();
        example(name, Some(url), &[("CRUSTOCEAN_TOKEN", &self.token)], args).output().unwrap()
    }

    /// Runs it and returns its output. It must succeed.
    #[track_caller]
    fn prints(&self, name: &str, args: &[&str]) -> String {
        let output = self.run(name, args);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{name} {args:?}: {errors}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs it and returns its errors. It must fail.
    #[track_caller]
    fn fails(&self, name: &str, args: &[&str]) -> String {
        let output = self.run(name, args);
        assert!(!output.status.success(), "{name} {args:?}");
        String::from_utf8(output.stderr).unwrap()
    }
}

/// Ends the program with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The rest of the line that begins with a word.
fn after<'t>(text: &'t str, word: &str) -> &'t str {
    let found = text.lines().find_map(|line| line.strip_prefix(word));
    found.unwrap_or_else(|| panic!("no {word:?} in {text}"))
}

#[test]
fn quickstart_holds_a_conversation_and_ends() {
    let _watchdog = long_watchdog();
    let alone = example("quickstart", None, &[], &[]).output().unwrap();
    let elsewhere = TestSandbox::new();
    let url = elsewhere.url();
    let there = example("quickstart", Some(url), &[], &[]).output().unwrap();
    for output in [&alone, &there] {
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{said} {}", String::from_utf8_lossy(&output.stderr));
        assert!(said.contains("are you there?") && said.contains("this is Rust!"), "{said}");
    }
    assert!(String::from_utf8_lossy(&there.stdout).contains(&format!("talking to {url}")));
    let lobby = elsewhere.messages(&elsewhere.lobby_id());
    assert!(lobby.iter().any(|message| message.content.contains("this is Rust!")), "{lobby:?}");
}

#[test]
fn echo_bot_answers_mentions() {
    let _watchdog = long_watchdog();
    let sandbox = TestSandbox::new();
    let token = sandbox.agent_token("mybot");
    let settings = [("AGENT_TOKEN", token.expose())];
    let mut command = example("echo_bot", Some(sandbox.url()), &settings, &[]);
    let mut bot = Running(command.stdout(Stdio::piped()).spawn().unwrap());
    let mut first = String::new();
    // The output stays open, because the bot prints more.
    let mut printed = BufReader::new(bot.0.stdout.take().unwrap());
    printed.read_line(&mut first).unwrap();
    assert_eq!(first.trim(), "@mybot is listening");
    sandbox.alice_says("@mybot hi");
    eventually("it answers", || {
        let said = sandbox.messages(&sandbox.lobby_id());
        said.iter().any(|message| message.content == "You said: @mybot hi")
    });
}

#[test]
fn create_agent_creates_an_agent_that_can_connect() {
    let _watchdog = long_watchdog();
    let user = User::new();
    let printed = user.prints("create_agent", &["mybot", "Assistant"]);
    let agent = user.sandbox.builder().connect(after(&printed, "AGENT_TOKEN=").parse().unwrap()).unwrap();
    assert_eq!(agent.user().username, "mybot");
    agent.close().unwrap();
    assert!(user.fails("create_agent", &["x"]).contains("2 to 24"));
    assert!(user.fails("create_agent", &[]).contains("usage"));
    let nobody = example("create_agent", Some(user.sandbox.url()), &[], &["mybot"]).output().unwrap();
    assert!(!nobody.status.success());
    assert!(String::from_utf8_lossy(&nobody.stderr).contains("CRUSTOCEAN_TOKEN"));
}

#[test]
fn tokens_creates_lists_and_revokes() {
    let _watchdog = long_watchdog();
    let user = User::new();
    let printed = user.prints("tokens", &["create", "ci", "90d"]);
    assert!(after(&printed, "CRUSTOCEAN_TOKEN=").starts_with("cru_"));
    user.prints("tokens", &["create", "for-ever"]);
    let listed = user.prints("tokens", &["list"]);
    let line = |name: &str| listed.lines().find(|line| line.contains(name)).unwrap().to_owned();
    assert!(line("for-ever").contains("never expires") && !line(" ci ").contains("never"), "{listed}");
    let id = line(" ci ").split(' ').next().unwrap().to_owned();
    user.prints("tokens", &["revoke", &id]);
    assert!(!user.prints("tokens", &["list"]).contains(&id));
    // A typing error does not create a token that never expires.
    assert!(user.fails("tokens", &["create", "oops", "90"]).contains("never"));
    assert!(!user.prints("tokens", &[]).contains("oops"));
}

#[test]
fn cleanup_tokens_needs_yes_and_keeps_its_own_token() {
    let _watchdog = long_watchdog();
    let user = User::new();
    user.client.tokens().create("left over").send().unwrap();
    assert_eq!(user.prints("cleanup_tokens", &["1", "--yes"]), "", "nothing is as old as that");
    assert!(user.prints("cleanup_tokens", &["0"]).contains("would have revoked left over"));
    assert_eq!(user.client.tokens().list().unwrap().len(), 2);
    assert!(user.prints("cleanup_tokens", &["0", "--yes"]).contains("revoked left over"));
    let left = user.client.tokens().list().unwrap();
    assert_eq!((left.len(), left[0].name.as_str()), (1, "for the examples"));
    assert!(user.fails("cleanup_tokens", &["soon"]).contains("usage"));
}

#[test]
fn history_has_every_message_in_its_file() {
    let _watchdog = long_watchdog();
    let user = User::new();
    for number in 0..130 {
        user.sandbox.alice_says(&format!("number {number}"));
    }
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("history-{}.jsonl", std::process::id()));
    let printed = user.prints("history", &["lobby", file.to_str().unwrap()]);
    let lines = std::fs::read_to_string(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    assert!(printed.starts_with("130 messages of "), "{printed}");
    let said: Vec<String> = lines
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["content"].as_str().unwrap().to_owned())
        .collect();
    let newest_first: Vec<String> = (0..130).rev().map(|number| format!("number {number}")).collect();
    assert_eq!(said, newest_first);
    assert!(user.fails("history", &["no-such-room", file.to_str().unwrap()]).contains("404"));
}

#[test]
fn manage_agency_creates_everything() {
    let _watchdog = long_watchdog();
    let user = User::new();
    let urls = ["https://example.com/price", "https://example.com/events"];
    let printed = user.prints("manage_agency", &["Back Office", urls[0], urls[1]]);
    let client = &user.client;
    let room = client.agencies().lookup("back-office").unwrap();
    assert_eq!((after(&printed, "agency ").starts_with("back-office"), room.is_private), (true, Some(true)));
    assert_eq!(client.commands(&room.id).list().unwrap()[0].name, after(&printed, "command /"));
    assert!(!after(&printed, "HOOK_KEY=").is_empty());
    assert_eq!(client.webhooks(&room.id).list().unwrap()[0].id, after(&printed, "subscription "));
    let installed = client.agencies().skills(&room.id).unwrap().installed;
    assert!(installed.iter().any(|skill| skill.name == after(&printed, "skill ")));
    let code = after(&printed, "invite ").split(' ').next().unwrap();
    let guest = user.sandbox.add_user("guest").unwrap().token;
    let guest = Client::builder()
        .api_url(user.sandbox.url())
        .build(guest.parse::<PersonalAccessToken>().unwrap())
        .unwrap();
    assert_eq!(guest.agencies().redeem_invite(code).unwrap(), room.id);
}

#[test]
fn each_example_is_short_and_says_how_to_run_it() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        if path.is_dir() {
            continue; // shared code
        }
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.lines().count() < 100, "{name} has {} lines", text.lines().count());
        assert!(text.starts_with("//! ") && text.contains(&format!("cargo run --example {name}")), "{name}");
    }
}
