//! Loops that take the agent's events, and threads that post.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use crate::common::Random;
use crustocean::agent::RecvError;
use crustocean::{AgencyId, Agent, ErrorKind, Event, MessageId};

/// The number of messages that the agent posts.
pub(crate) const POSTS: usize = 1_200;

pub(crate) const POSTERS: usize = 4;

/// What all loops have received.
#[derive(Default)]
pub(crate) struct Heard {
    /// How often each message was received.
    pub(crate) times: HashMap<MessageId, usize>,
    /// The gaps that the agent has reported, by room.
    pub(crate) gaps: HashMap<AgencyId, Vec<String>>,
    /// How many messages of each room's history the agent has reported as unreadable.
    pub(crate) unreadable: HashMap<AgencyId, usize>,
    /// The events of the connection.
    pub(crate) story: Vec<String>,
    pub(crate) total: usize,
}

/// The messages that one loop has received, in order, by room. The flag says whether the message came live.
pub(crate) type Story = HashMap<AgencyId, Vec<(MessageId, bool)>>;

pub(crate) fn listen(agent: &Agent, heard: &Mutex<Heard>, mut dice: Random) -> Story {
    let events = agent.events();
    let mut story = Story::new();
    loop {
        match events.recv_timeout(Duration::from_secs(120)) {
            Ok(Event::Message(message)) => {
                if dice.below(64) == 0 {
                    // Some threads are slower than others.
                    std::thread::sleep(dice.millis(1, 10));
                }
                story.entry(message.agency_id).or_default().push((message.id.clone(), !message.replayed));
                let mut heard = heard.lock().unwrap();
                heard.total += 1;
                *heard.times.entry(message.id).or_default() += 1;
            }
            // Reconnects at once, because the usual pauses between attempts are too long for a storm.
            Ok(event @ (Event::Disconnected { .. } | Event::ConnectFailed { .. })) => {
                heard.lock().unwrap().story.push(format!("{event:?}"));
                std::thread::sleep(Duration::from_millis(50));
                agent.reconnect_now();
            }
            Ok(Event::GapNotFilled { agency_id, error, .. }) => {
                let (mut heard, error) = (heard.lock().unwrap(), error.to_string());
                match error.strip_suffix(" of the room's history cannot be read") {
                    Some(count) => {
                        let count: usize = count.split(' ').next().unwrap().parse().unwrap();
                        *heard.unreadable.entry(agency_id).or_default() += count;
                    }
                    None => heard.gaps.entry(agency_id).or_default().push(error),
                }
            }
            Ok(Event::AgencyJoined(_)) => {}
            Ok(event) => heard.lock().unwrap().story.push(format!("{event:?}")),
            Err(RecvError::Closed) => return story,
            Err(error) => panic!("{error}"),
        }
    }
}

/// Posts messages. Returns the ids of the confirmed posts, the texts of the posts that were not sent, and the number of
/// posts whose outcome is unknown.
pub(crate) fn post(agent: &Agent, room: &AgencyId, poster: usize) -> (Vec<MessageId>, Vec<String>, usize) {
    let room = agent.rooms().into_iter().find(|joined| joined.id() == room).unwrap();
    let (mut posted, mut denied, mut unsure) = (Vec::new(), Vec::new(), 0);
    for n in 0..POSTS / POSTERS {
        // Spreads the posts over the whole storm.
        std::thread::sleep(Duration::from_millis(15));
        let text = format!("post {n} of {poster}");
        match room.post(text.as_str()) {
            Ok(posted_now) => {
                let message = posted_now.first;
                assert_eq!(message.content, text);
                posted.push(message.id);
            }
            Err(error) if error.kind() == ErrorKind::NotSent => denied.push(text),
            Err(error) if matches!(error.kind(), ErrorKind::MaybeSent | ErrorKind::Timeout) => unsure += 1,
            Err(error) if error.is_closed() => unsure += 1,
            Err(error) => panic!("{text}: {error}"),
        }
    }
    (posted, denied, unsure)
}
