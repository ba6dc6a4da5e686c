//! The service example as a real process that gets real signals.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use crate::common::{PROGRAMS, SOON, TestSandbox, eventually, promptly, watchdog};

/// The time limit is long, because the example may have to be built first.
const LIMIT: Duration = Duration::from_secs(900);
/// The time limit for the end of the process.
const AT_ONCE: Duration = Duration::from_secs(2);

/// The process of the service. It ends with the test.
struct Service {
    process: Child,
    log: Receiver<String>,
}

impl Service {
    fn start(url: &str, token: &str) -> Service {
        let mut command = Command::new(&PROGRAMS["service"]);
        command.env_clear().envs([("AGENT_TOKEN", token), ("CRUSTOCEAN_API_URL", url), ("NO_PROXY", "*")]);
        let mut process = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let (tell, log) = mpsc::channel();
        thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| tell.send(line)));
        Service { process, log }
    }

    fn signal(&self, name: &str) {
        let pid = self.process.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
    }

    fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + SOON;
        loop {
            if let Some(status) = self.process.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "it still runs");
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Checks that it ends successfully. Returns how long that takes.
    fn ends_by(&mut self, signal: &str) -> Duration {
        let signalled = Instant::now();
        self.signal(signal);
        let status = self.wait();
        let took = signalled.elapsed();
        let log: Vec<String> = self.log.try_iter().collect();
        assert_eq!(status.code(), Some(0), "{signal}: {log:#?}");
        took
    }

    fn says(&self, text: &str) {
        loop {
            let line = self.log.recv_timeout(SOON).unwrap_or_else(|_| panic!("it does not say {text:?}"));
            if line.contains(text) {
                return;
            }
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn a_signal_ends_the_service_while_it_works() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let token = sandbox.agent_token("mybot");
    for signal in ["TERM", "INT"] {
        promptly(AT_ONCE, signal, || {
            sandbox.clear_records();
            let mut service = Service::start(sandbox.url(), token.expose());
            sandbox.wait_for_event("join-agency", SOON).expect("it joins");
            sandbox.alice_says("@mybot tea in 600");
            let begun = sandbox.wait_for_event("agent-run-start", SOON).expect("it begins");
            let took = service.ends_by(signal);
            let ended = sandbox.wait_for_event("agent-run-error", SOON).expect("no run is left");
            assert_eq!(ended["runId"], begun["runId"]);
            let record = sandbox.client().runs().get(&begun["runId"].as_str().unwrap().into()).unwrap();
            assert_ne!(record.info.status.as_deref(), Some("running"), "{signal}");
            took
        });
    }
    assert_eq!(sandbox.run_violations(), Vec::<String>::new());
}

#[test]
fn the_service_waits_for_the_server_and_can_be_stopped_meanwhile() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let (token, alice) = (sandbox.agent_token("mybot"), sandbox.alice.clone());
    let url = sandbox.url().to_owned();
    let state = sandbox.suspend();
    drop(sandbox);
    promptly(AT_ONCE, "while it tries to connect", || {
        let mut impatient = Service::start(&url, token.expose());
        impatient.says("cannot connect: ");
        impatient.ends_by("TERM")
    });

    let mut service = Service::start(&url, token.expose());
    service.says("cannot connect: ");
    let sandbox = TestSandbox::resumed(state, alice);
    sandbox.wait_for_event("join-agency", SOON).expect("it joins");
    sandbox.alice_says("@mybot tea in 0");
    eventually("it reminds", || {
        let said = sandbox.messages(&sandbox.lobby_id());
        said.iter().any(|message| message.content == "@alice it is time")
    });
    service.ends_by("INT");
}

#[test]
fn the_exit_code_says_whether_a_restart_helps() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let code = |url: &str, token: &str| Service::start(url, token).wait().code();
    assert_eq!(code(sandbox.url(), "sk_nobody"), Some(77));
    assert_eq!(code("ftp://nowhere", "sk_nobody"), Some(78));
    assert_eq!(code(sandbox.url(), ""), Some(78));
}
