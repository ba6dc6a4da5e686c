//! A room's history, written to a file page by page: by the crate, and by the same requests with ureq.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::thread;
use std::time::{Duration, Instant};

use crustocean::{Client, Message, PersonalAccessToken};

use crate::{ROOM, TOKEN, load};

/// Messages a page.
pub const PAGE: usize = 100;

/// Reads `count` messages with [`Messages::iter`](crustocean::rest::Messages::iter). The caller's own work takes `work`
/// a page. The time that it took.
pub fn with_crate(url: &str, count: usize, work: Duration) -> Duration {
    // The replay server takes any.
    let token: PersonalAccessToken = format!("cru_{}", "0".repeat(48)).parse().expect("a token");
    let client = Client::builder().api_url(url).build(token).expect("a client");
    let mut output = Output::new(work);
    for message in client.agencies().messages(&ROOM.into()).limit(PAGE as u32).iter().take(count) {
        output.write(&message.expect("a message"));
    }
    output.finish(count)
}

/// The same with ureq, one page after the other.
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
            // The first one was the last of the page before: pages overlap, so that none of its moment is missed.
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
        // It is gone with the process.
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
