//! `Stop` ends all waits at once, and lets sent messages arrive.

use std::io;
use std::net::TcpListener;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use crate::common::{SOON, TestSandbox, eventually, promptly, watchdog};
use crustocean::{
    AgencyId, Agent, Client, Error, ErrorKind, MessageId, PersonalAccessToken, Stop,
    agent::{Reconnect, RecvError},
    run::Trigger,
};

const LIMIT: Duration = Duration::from_secs(180);
/// How long a stop may take to end all waits.
const AT_ONCE: Duration = Duration::from_millis(100);

fn stoppable(sandbox: &TestSandbox, name: &str, stop: &Stop) -> Agent {
    sandbox.builder().stop(stop).connect(sandbox.agent_token(name)).unwrap()
}

#[test]
fn a_stop_ends_a_connect_and_prevents_later_ones() {
    let _watchdog = watchdog(LIMIT);
    // The server accepts the connection and does not answer.
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    promptly(AT_ONCE, "a connect under way", || {
        let stop = Stop::new();
        let builder = Agent::builder().api_url(&url).stop(&stop);
        let (stopped, error) = thread::scope(|scope| {
            let connecting = scope.spawn(|| builder.clone().connect("sk_x".parse().unwrap()).unwrap_err());
            let _held = listener.accept().unwrap();
            let stopped = Instant::now();
            stop.stop();
            (stopped, connecting.join().unwrap())
        });
        let took = stopped.elapsed();
        assert_eq!(error.kind(), ErrorKind::Closed, "{error}");
        assert!(error.to_string().contains("was stopped before it was connected"), "{error}");
        took
    });
    promptly(AT_ONCE, "a connect after the stop", || {
        let stop = Stop::new();
        stop.stop();
        stop.stop();
        let started = Instant::now();
        let builder = Agent::builder().api_url(&url).stop(&stop).first_connect(Reconnect::Forever);
        assert!(builder.connect("sk_x".parse().unwrap()).unwrap_err().is_closed());
        started.elapsed()
    });
}

/// Starts every wait of an agent and a client, on a server that does not answer, and stops them. Returns the time from
/// the stop until the last wait has ended.
fn stop_everything(sandbox: &TestSandbox, stop: &Stop, agent: &Agent) -> Duration {
    let room = agent.join("lobby").unwrap();
    let token: PersonalAccessToken = sandbox.alice.token.parse().unwrap();
    let client = Client::builder().api_url(sandbox.url()).stop(stop).build(token).unwrap();
    let run = room.start_run(Trigger::none()).unwrap();
    let reader = stop.reader(Silent).unwrap();
    let scheduler = stop.clone();
    sandbox.freeze(LIMIT);
    type Wait<'a> = Box<dyn Fn() -> Error + Send + Sync + 'a>;
    let errors: [(&str, Wait<'_>); 10] = [
        ("post", Box::new(|| room.post("hello").unwrap_err())),
        ("edit", Box::new(|| room.post_edit(&MessageId::from("m"), "hello").unwrap_err())),
        ("command", Box::new(|| room.command("/help").send().unwrap_err())),
        ("join", Box::new(|| agent.join(AgencyId::from("ag-2")).unwrap_err())),
        ("call", Box::new(|| agent.raw().call("question", &1, LIMIT).unwrap_err())),
        ("interrupt", Box::new(|| run.wait_interrupt(LIMIT).unwrap_err())),
        ("an event", Box::new(|| room.wait_for(LIMIT, |_| false).unwrap_err())),
        ("the turn of a run", Box::new(|| room.start_run(Trigger::none()).unwrap_err())),
        ("rest of the agent", Box::new(|| agent.client().account().me().unwrap_err())),
        ("rest of a client", Box::new(|| client.account().me().unwrap_err())),
    ];
    let took = thread::scope(|scope| {
        let waiting: Vec<_> = errors.iter().map(|(name, wait)| (name, scope.spawn(wait))).collect();
        let events = scope.spawn(|| agent.events().filter_map(Result::err).count());
        let mentions = scope.spawn(|| agent.mentions().next().is_none());
        let commands = scope.spawn(|| agent.commands("!larry").next().is_none());
        let ticks = scope.spawn(|| agent.every(LIMIT).next().is_none());
        let read = scope.spawn(|| io::read_to_string(reader).unwrap());
        let waited = scope.spawn(move || scheduler.wait(LIMIT));
        let timed = scope.spawn(|| {
            loop {
                match agent.events().recv_timeout(LIMIT) {
                    Ok(_) => {}
                    Err(end) => return end,
                }
            }
        });
        // The test cannot know when all threads wait, because a frozen server does not tell. So a call may begin after
        // the stop, and must end, too.
        thread::sleep(Duration::from_millis(200));
        let stopped = Instant::now();
        stop.stop();
        for (name, thread) in waiting {
            let error = thread.join().unwrap();
            assert!(error.is_closed(), "{name}: {error:?}");
        }
        assert_eq!(events.join().unwrap(), 0, "it is no error");
        assert!(mentions.join().unwrap() && commands.join().unwrap() && ticks.join().unwrap());
        assert!(waited.join().unwrap() && read.join().unwrap().is_empty());
        assert!(matches!(timed.join().unwrap(), RecvError::Closed));
        stopped.elapsed()
    });
    assert!(agent.is_closed());
    took
}

/// A reader that blocks.
struct Silent;

impl io::Read for Silent {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        thread::park_timeout(LIMIT);
        Ok(0)
    }
}

#[test]
fn every_wait_ends_while_the_server_is_frozen() {
    let _watchdog = watchdog(LIMIT);
    let mut number = 0;
    promptly(AT_ONCE, "every wait", || {
        number += 1;
        let (sandbox, stop) = (TestSandbox::new(), Stop::new());
        let agent = stoppable(&sandbox, &format!("larry{number}"), &stop);
        let took = stop_everything(&sandbox, &stop, &agent);
        sandbox.thaw();
        took
    });
}

#[test]
fn waiting_for_a_lost_connection_ends() {
    let _watchdog = watchdog(LIMIT);
    promptly(AT_ONCE, "a wait for the connection", || {
        let (sandbox, stop) = (TestSandbox::new(), Stop::new());
        let agent = stoppable(&sandbox, "larry", &stop);
        let room = agent.join("lobby").unwrap();
        sandbox.stop();
        eventually("the link is lost", || !agent.is_connected());
        let (began, begun) = mpsc::channel();
        thread::scope(|scope| {
            let send = scope.spawn(|| {
                began.send(()).unwrap();
                room.send("hello").unwrap_err()
            });
            let events = scope.spawn(|| agent.events().count());
            begun.recv().unwrap();
            let stopped = Instant::now();
            stop.stop();
            let error = send.join().unwrap();
            assert!(error.is_closed() && !error.may_have_been_sent(), "{error:?}");
            events.join().unwrap();
            assert!(agent.wait_closed(SOON));
            stopped.elapsed()
        })
    });
}

#[test]
fn open_runs_end_as_errors_and_sent_messages_arrive() {
    let _watchdog = watchdog(LIMIT);
    let (sandbox, stop) = (TestSandbox::new(), Stop::new());
    let (larry, ben) = (stoppable(&sandbox, "larry", &stop), stoppable(&sandbox, "ben", &stop));
    let runs = [&larry, &ben].map(|agent| agent.join("lobby").unwrap().start_run(Trigger::none()).unwrap());
    assert!(!larry.is_closed() && !larry.wait_closed(Duration::from_millis(1)));
    for n in 0..100 {
        runs[n % 2].room().send(format!("number {n}")).unwrap();
    }
    // The messages are queued, and no loop has taken them.
    eventually("alice is heard", || larry.is_connected());
    stop.stop();
    assert!(larry.events().next().is_none(), "queued events are not handed out any more");
    larry.close().unwrap();
    ben.close().unwrap();
    // The run's end arrives before the disconnect.
    let ended = sandbox.wait_for_events("agent-run-error", 2, SOON);
    let mut ids: Vec<_> = ended.iter().map(|end| end["runId"].as_str().unwrap()).collect();
    let mut expected: Vec<_> = runs.iter().map(|run| run.id().as_str()).collect();
    ids.sort_unstable();
    expected.sort_unstable();
    assert_eq!(ids, expected);
    assert_eq!(sandbox.messages(&sandbox.lobby_id()).len(), 100);
}

#[test]
fn dropping_the_last_handle_waits_for_the_disconnect() {
    let _watchdog = watchdog(LIMIT);
    let (sandbox, stop) = (TestSandbox::new(), Stop::new());
    let agent = stoppable(&sandbox, "larry", &stop);
    let room = agent.join("lobby").unwrap();
    room.send("the last words").unwrap();
    stop.stop();
    for event in agent.events() {
        event.unwrap();
    }
    drop((agent, room));
    eventually("they are there", || sandbox.messages(&sandbox.lobby_id()).len() == 1);
    eventually("nobody is left", || sandbox.connections() == 0);
}

#[test]
fn an_unused_stop_ends_nothing_and_keeps_nothing_alive() {
    let _watchdog = watchdog(LIMIT);
    let (sandbox, stop) = (TestSandbox::new(), Stop::new());
    let agent = stoppable(&sandbox, "larry", &stop);
    agent.clone().close().unwrap();
    assert!(agent.is_closed() && agent.wait_closed(Duration::ZERO) && !stop.is_stopped());
    drop(agent);
    let second = stoppable(&sandbox, "ben", &stop);
    second.join("lobby").unwrap().post("still here").unwrap();
    drop(second);
    eventually("both are gone", || sandbox.connections() == 0);
    stop.stop();
}

#[test]
fn the_first_connection_waits_for_the_server() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let (token, alice) = (sandbox.agent_token("larry"), sandbox.alice.clone());
    let url = sandbox.url().to_owned();
    let builder = Agent::builder().api_url(&url);
    let state = sandbox.suspend();
    drop(sandbox);

    // The first connect fails without a policy, and with a policy that limits the attempts.
    assert_eq!(builder.clone().connect(token.clone()).unwrap_err().kind(), ErrorKind::Connect);
    let once = builder.clone().first_connect(Reconnect::AtMost(1)).connect(token.clone()).unwrap_err();
    assert_eq!(once.kind(), ErrorKind::Connect, "{once}");

    // The `Stop` ends the wait.
    let patient = builder.clone().first_connect(Reconnect::Forever);
    promptly(AT_ONCE, "a first connect that is tried again", || {
        let stop = Stop::new();
        let (done, ended) = mpsc::channel();
        thread::scope(|scope| {
            let stopping = patient.clone().stop(&stop);
            let token = token.clone();
            scope.spawn(move || done.send(stopping.connect(token).unwrap_err()).unwrap());
            assert!(ended.recv_timeout(Duration::from_millis(300)).is_err(), "it goes on trying");
            let stopped = Instant::now();
            stop.stop();
            assert!(ended.recv_timeout(SOON).unwrap().is_closed());
            stopped.elapsed()
        })
    });

    let sandbox = thread::scope(|scope| {
        let connecting = scope.spawn(|| patient.clone().connect(token.clone()).unwrap());
        thread::sleep(Duration::from_millis(300));
        let sandbox = TestSandbox::resumed(state, alice);
        let agent = connecting.join().unwrap();
        agent.join("lobby").unwrap().post("at last").unwrap();
        sandbox
    });
    // The crate tries again after a server error, but not after a refused token.
    sandbox.fail_next(3, 503, None);
    patient.clone().retries(0).connect(token).unwrap();
    let wrong = patient.connect("sk_wrong".parse().unwrap()).unwrap_err();
    assert_eq!(wrong.kind(), ErrorKind::Unauthorized, "{wrong}");
}

/// A payload of a panic that panics again when it is dropped.
struct BadDrop;

impl Drop for BadDrop {
    fn drop(&mut self) {
        if !thread::panicking() {
            panic!("dropped")
        }
    }
}

#[test]
fn a_function_that_panics_twice_does_not_keep_the_next_from_being_called() {
    let _watchdog = watchdog(LIMIT);
    let stop = Stop::new();
    let (tell, told) = mpsc::channel();
    let _bad = stop.on_stop(|| std::panic::panic_any(BadDrop));
    let _good = stop.on_stop(move || tell.send(()).unwrap());
    stop.stop();
    told.recv_timeout(SOON).unwrap();
}

/// Reads "hello" once, and then ends.
struct Hello {
    read: bool,
    /// The second read panics.
    panics: bool,
    _bad: BadDrop,
}

impl io::Read for Hello {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if std::mem::replace(&mut self.read, true) {
            assert!(!self.panics, "the reader of the program panics");
            return Ok(0);
        }
        buffer[..5].copy_from_slice(b"hello");
        Ok(5)
    }
}

#[test]
fn a_reader_that_panics_loses_nothing_that_it_has_read() {
    let _watchdog = watchdog(LIMIT);
    for panics in [false, true] {
        let mut reader = Stop::new().reader(Hello { read: false, panics, _bad: BadDrop }).unwrap();
        // Waits until the thread that reads has ended.
        thread::sleep(Duration::from_millis(300));
        let mut text = [0; 5];
        io::Read::read_exact(&mut reader, &mut text).unwrap();
        assert_eq!(&text, b"hello");
        let end = io::Read::read(&mut reader, &mut text);
        assert_eq!(end.is_err(), panics, "{end:?}");
    }
}
