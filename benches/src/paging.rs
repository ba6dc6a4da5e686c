//! Writes a room's history to a file page by page, with the crate, and with the same requests through ureq.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::thread;
use std::time::{Duration, Instant};

use crustocean::{Client, Message, PersonalAccessToken};

use crate::{ROOM, TOKEN, load};

/// The number of messages in a page.
pub const PAGE: usize = 100;

/// Reads `count` messages with [`Messages::iter`](crustocean::rest::Messages::iter) and returns the time that this
/// took. The caller's own work takes `work` for each page.
pub fn with_crate(url: &str, count: usize, work: Duration) -> Duration {
    // The replay server accepts every token.
    let token: PersonalAccessToken = format!("cru_{}", "0".repeat(48)).parse().expect("a token");
    let client = Client::builder().api_url(url).build(token).expect("a client");
    let mut output = Output::new(work);
    for message in client.agencies().messages(&ROOM.into()).limit(PAGE as u32).iter().take(count) {
        output.write(&message.expect("a message"));
    }
    output.finish(count)
}

/// Does the same with ureq, one page after the other.
pub fn bare(url: &str, count: usize, work: Duration) -> Duration {
    let agent = ureq::Agent::new_with_defaults();
    let mut output = Output::new(work);
    let mut before = String::new();
    let mut oldest = load::HISTORY;
    while output.written < count {
        let url = format!("{url}/api/agencies/{ROOM}/messages?limit={PAGE}{before}");
        let request = agent.get(&url).header("Authorization", format!("Bearer {TOKEN}"));
        let body = request.call().expect("an answer").body_mut().read_to_vec().expect("a page");
        let page: Vec<Message> = serde_json::from_slice(&body).expect("messages");
        for message in page {
            // Pages overlap, so that no message of the same millisecond is missed. So a page begins with the last
            // message of the page before.
            let number = load::number_at(message.created_at.as_str()).expect("its number");
            if number < oldest && output.written < count {
                oldest = number;
                output.write(&message);
            }
        }
        before = format!("&before={}", load::created_at(oldest + 1).replace(':', "%3A"));
    }
    output.finish(count)
}

/// The file, and the work of the caller.
struct Output {
    file: BufWriter<File>,
    written: usize,
    work: Duration,
    started: Instant,
}

impl Output {
    fn new(work: Duration) -> Self {
        let path = std::env::temp_dir().join(format!("crustocean-history-{}", std::process::id()));
        let file = BufWriter::new(File::create(&path).expect("a file"));
        // The file has no name now, so it disappears when the process ends.
        let _ = std::fs::remove_file(path);
        Output { file, written: 0, work, started: Instant::now() }
    }

    fn write(&mut self, message: &Message) {
        let Message { created_at, sender_username, content, .. } = message;
        writeln!(self.file, "{created_at} {sender_username}: {content}").expect("a line");
        self.written += 1;
        if self.written.is_multiple_of(PAGE) {
            thread::sleep(self.work);
        }
    }

    fn finish(mut self, count: usize) -> Duration {
        self.file.flush().expect("a file");
        assert_eq!(self.written, count, "messages");
        self.started.elapsed()
    }
}
