//! Runs a script against a live bot and compares the bot's answers.

use std::fmt;
use std::fs;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use axum::http::Uri;
use serde_json::{Value, json};

use crate::sandbox::Sandbox;
use crate::script_lines::{Expect, Line, Matcher, Say};

const DEFAULT_WITHIN: Duration = Duration::from_secs(10);
/// How often the script reads the room's messages.
const POLL_INTERVAL: Duration = Duration::from_millis(25);
const HTTP_TIMEOUT: Duration = Duration::from_secs(30);

/// A conversation to replay: users' messages, and the expected answers of the bot.
///
/// A script is a text file with one JSON object per line. The parser ignores empty lines and lines that begin with `#`
/// or `//`.
///
/// ```text
/// {"say":"@mybot hello","as":"alice"}
/// {"expect":{"contains":"hello"}}
/// {"say":"@mybot what time is it?","as":"alice","room":"lobby","after_ms":1500}
/// {"expect":{"exact":"It is {time}."},"within_ms":5000}
/// {"expect":{"matches":"^Anything (more|else)\\?$"}}
/// {"say":"no","as":"alice","room":"@alice,@mybot"}
/// {"expect":{"any":true},"room":"@alice,@mybot"}
/// ```
///
/// In `exact`, `{id}`, `{time}`, `{number}` and `{any}` are placeholders for text that differs each time. The script
/// compares expectations and answers in order: the first expectation in a room with the first answer there, and so on.
///
/// [`Sandbox::record`] and the page create such files.
///
/// ```no_run
/// use crustocean_sandbox::{Sandbox, Script};
///
/// let sandbox = Sandbox::builder().demo(true).start()?;
/// // … the bot connects …
/// println!("{}", Script::load("talk.jsonl")?.run(&sandbox, "mybot")?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Script {
    /// The lines, with their line numbers.
    lines: Vec<(usize, Line)>,
    pace: f64,
}

/// The result of a script whose answers were as expected.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Report {
    /// How many messages the script has posted.
    pub said: usize,
    /// How many answers were as expected.
    pub answered: usize,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} posted, {} answered as expected", self.said, self.answered)
    }
}

/// Why a script failed.
#[derive(Debug)]
#[non_exhaustive]
pub enum ScriptError {
    /// The file cannot be read, or the sandbox cannot be reached.
    Io(io::Error),
    /// A line of the file is not valid, or the sandbox refused it.
    #[non_exhaustive]
    Line {
        /// The line number, from 1 on.
        line: usize,
        /// The problem in this line.
        what: String,
    },
    /// Some answers were different, or missing.
    #[non_exhaustive]
    Different {
        /// The answers that were as expected.
        report: Report,
        /// One text per difference, as [`Display`](fmt::Display) prints it.
        differences: Vec<String>,
    },
}

impl fmt::Display for ScriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ScriptError::Io(error) => error.fmt(f),
            ScriptError::Line { line, what } => write!(f, "line {line}: {what}"),
            ScriptError::Different { report, differences } => {
                for difference in differences {
                    writeln!(f, "{difference}")?;
                }
                write!(f, "{report}, {} not", differences.len())
            }
        }
    }
}

impl std::error::Error for ScriptError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            ScriptError::Io(error) => Some(error),
            _ => None,
        }
    }
}

impl From<io::Error> for ScriptError {
    fn from(error: io::Error) -> Self {
        ScriptError::Io(error)
    }
}

impl Script {
    /// Reads a script from a file.
    ///
    /// # Errors
    /// [`ScriptError::Io`] if the file cannot be read, [`ScriptError::Line`] if a line is not valid.
    pub fn load(path: impl AsRef<Path>) -> Result<Script, ScriptError> {
        let path = path.as_ref();
        let text = fs::read_to_string(path);
        let text =
            text.map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
        Script::parse(&text)
    }

    /// Reads a script from text.
    ///
    /// # Errors
    /// [`ScriptError::Line`] if a line is not valid.
    pub fn parse(text: &str) -> Result<Script, ScriptError> {
        let mut lines = Vec::new();
        for (number, text) in (1..).zip(text.lines()) {
            let text = text.trim();
            if text.is_empty() || text.starts_with('#') || text.starts_with("//") {
                continue;
            }
            let invalid = |what: String| ScriptError::Line { line: number, what };
            let value: Value =
                serde_json::from_str(text).map_err(|error| invalid(format!("not JSON: {error}")))?;
            let line = if value.get("say").is_some() {
                serde_json::from_value::<Say>(value).map(Line::Say)
            } else if value.get("expect").is_some() {
                serde_json::from_value::<Expect>(value).map(Line::Expect)
            } else {
                return Err(invalid("a line has \"say\" or \"expect\"".to_owned()));
            };
            let line = line.map_err(|error| invalid(error.to_string()))?;
            if let Line::Expect(expect) = &line {
                expect.expect.refuse("").map_err(invalid)?;
            }
            lines.push((number, line));
        }
        Ok(Script { lines, pace: 0.0 })
    }

    /// Sets the factor for the pauses between lines: 1 keeps the recorded pauses, 0.1 is ten times as fast. Defaults to
    /// 0: the script posts each message as soon as the expected answers before it have arrived.
    #[must_use]
    pub fn pace(mut self, pace: f64) -> Self {
        self.pace = if pace.is_finite() { pace.clamp(0.0, 1_000.0) } else { 0.0 };
        self
    }

    /// Runs the script against a bot that is connected to this sandbox. Blocks until the end of the script.
    ///
    /// # Errors
    /// [`ScriptError::Different`] if an answer was different or did not arrive in time. The script still runs to its
    /// end, so the error has all differences.
    pub fn run(&self, sandbox: &Sandbox, bot: &str) -> Result<Report, ScriptError> {
        self.run_at(sandbox.url(), bot)
    }

    /// Runs the script against the sandbox at a URL, such as one that runs as a program.
    ///
    /// # Errors
    /// The errors of [`run`](Script::run).
    pub fn run_at(&self, url: &str, bot: &str) -> Result<Report, ScriptError> {
        let mut play =
            Play { url, bot, rooms: Vec::new(), report: Report::default(), differences: Vec::new() };
        for (number, line) in &self.lines {
            let result = match line {
                Line::Say(say) => {
                    thread::sleep(Duration::from_millis(say.after_ms).mul_f64(self.pace));
                    play.say(say)
                }
                Line::Expect(expect) => play.expect(*number, expect),
            };
            result.map_err(|error| match error.kind() {
                io::ErrorKind::InvalidInput => ScriptError::Line { line: *number, what: error.to_string() },
                _ => ScriptError::Io(error),
            })?;
        }
        if play.differences.is_empty() {
            return Ok(play.report);
        }
        Err(ScriptError::Different { report: play.report, differences: play.differences })
    }
}

/// A running script.
struct Play<'a> {
    url: &'a str,
    bot: &'a str,
    /// The name of each room, and the number of the last message that the script has compared there.
    rooms: Vec<(String, u64)>,
    report: Report,
    differences: Vec<String>,
}

impl Play<'_> {
    fn room(&self, room: Option<&str>) -> String {
        room.unwrap_or("lobby").to_owned()
    }

    /// The number of the message after which answers count in a room. The first call sets it to the newest message.
    fn place(&mut self, room: &str) -> io::Result<&mut u64> {
        let known = self.rooms.iter().position(|(name, _)| name == room);
        let place = match known {
            Some(place) => place,
            None => {
                let last = self
                    .messages(room, 0)?
                    .last()
                    .map_or(0, |message| message["number"].as_u64().unwrap_or(0));
                self.rooms.push((room.to_owned(), last));
                self.rooms.len() - 1
            }
        };
        match self.rooms.get_mut(place) {
            Some((_, last)) => Ok(last),
            None => Err(io::Error::other("the room is gone")),
        }
    }

    /// The messages of a room after a number. Empty if the direct conversation does not exist yet.
    fn messages(&self, room: &str, after: u64) -> io::Result<Vec<Value>> {
        let room: String = serde_urlencoded::to_string([("room", room)]).unwrap_or_default();
        match http(self.url, "GET", &format!("/_sandbox/messages?{room}&limit=1000&after={after}"), "")? {
            (200, Value::Array(messages)) => Ok(messages),
            (404, _) => Ok(Vec::new()),
            (status, body) => Err(refused(status, &body)),
        }
    }

    fn say(&mut self, say: &Say) -> io::Result<()> {
        let room = self.room(say.room.as_deref());
        self.place(&room)?;
        let (path, body) = match room.split_once(',') {
            None => ("/_sandbox/say", json!({ "room": room, "as": say.who, "text": say.say })),
            Some((one, other)) => {
                let who = say.who.as_deref().unwrap_or(one).trim_start_matches('@');
                let to =
                    if one.trim().trim_start_matches('@').eq_ignore_ascii_case(who) { other } else { one };
                ("/_sandbox/dm", json!({ "as": who, "to": to.trim(), "text": say.say }))
            }
        };
        let (status, answer) = http(self.url, "POST", path, &body.to_string())?;
        if status != 200 {
            return Err(refused(status, &answer));
        }
        self.report.said += 1;
        Ok(())
    }

    fn expect(&mut self, number: usize, expect: &Expect) -> io::Result<()> {
        let room = self.room(expect.room.as_deref());
        let from = expect.from.as_deref().unwrap_or(self.bot).trim_start_matches('@').to_owned();
        let within = expect.within_ms.map_or(DEFAULT_WITHIN, Duration::from_millis);
        let after = *self.place(&room)?;
        let deadline = Instant::now() + within;
        let head = format!("line {number}: @{from} in {room}");
        loop {
            let messages = self.messages(&room, after)?;
            let answer = messages.iter().find(|message| {
                message["sender_username"].as_str().is_some_and(|name| name.eq_ignore_ascii_case(&from))
            });
            let last_chance = Instant::now() >= deadline;
            let Some(answer) = answer else {
                if last_chance {
                    let wanted = serde_json::to_string(&expect.expect)?;
                    self.differences
                        .push(format!("{head} said nothing within {within:?}\n  expected  {wanted}"));
                    return Ok(());
                }
                thread::sleep(POLL_INTERVAL);
                continue;
            };
            let text = answer["content"].as_str().unwrap_or_default();
            let why = expect.expect.refuse(text).map_err(io::Error::other)?;
            // The bot may still be editing its answer.
            if why.is_some() && !last_chance && is_still_written(answer) {
                thread::sleep(POLL_INTERVAL);
                continue;
            }
            match why {
                None => self.report.answered += 1,
                Some(why) => {
                    let got = match expect.expect {
                        Matcher::Exact(_) => String::new(),
                        _ => format!("\n  got       {text:?}"),
                    };
                    let why = if got.is_empty() { why } else { format!("  {why}") };
                    self.differences.push(format!("{head}\n{why}{got}"));
                }
            }
            *self.place(&room)? = answer["number"].as_u64().unwrap_or(after);
            return Ok(());
        }
    }
}

/// Whether a message is so recent that it may be a placeholder which the bot will edit.
fn is_still_written(message: &Value) -> bool {
    const MOMENT: u64 = 1_500;
    message["age_ms"].as_u64().is_some_and(|age| age < MOMENT)
}

fn refused(status: u16, body: &Value) -> io::Error {
    let what = body["error"].as_str().map_or_else(|| format!("the sandbox answered {status}"), str::to_owned);
    io::Error::new(io::ErrorKind::InvalidInput, what)
}

/// Makes one request to a sandbox on this machine.
fn http(url: &str, method: &str, path: &str, body: &str) -> io::Result<(u16, Value)> {
    let invalid = |what: String| io::Error::new(io::ErrorKind::InvalidInput, what);
    let uri: Uri = url.parse().map_err(|error| invalid(format!("{url}: {error}")))?;
    let host = uri.host().filter(|_| uri.scheme_str() == Some("http"));
    let host = host.ok_or_else(|| invalid(format!("{url} is not an http:// URL")))?;
    let port = uri.port_u16().unwrap_or(80);
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let unreachable =
        |error: io::Error| io::Error::new(error.kind(), format!("no sandbox at {url}: {error}"));
    let address = (bare, port).to_socket_addrs().map_err(unreachable)?.next();
    let address = address.ok_or_else(|| invalid(format!("{host} has no address")))?;
    let mut stream = TcpStream::connect_timeout(&address, HTTP_TIMEOUT).map_err(unreachable)?;
    stream.set_read_timeout(Some(HTTP_TIMEOUT))?;
    stream.set_write_timeout(Some(HTTP_TIMEOUT))?;
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.0\r\nHost: {host}:{port}\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    )?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let text = String::from_utf8_lossy(&answer);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.ok_or_else(|| io::Error::other(format!("the server at {url} does not use HTTP")))?;
    Ok((status, serde_json::from_str(body).unwrap_or_default()))
}
