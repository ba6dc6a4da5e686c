//! The names of keys in Redis. All keys of one agent have the same hash tag, so that a cluster keeps them on one node.

use crate::error::{Error, Result};

/// Refuses empty and long names, control characters, and braces, which would break the hash tag.
pub(crate) fn check_name(what: &str, name: &str) -> Result<()> {
    if name.is_empty() || name.len() > 200 || name.chars().any(|c| c.is_control() || matches!(c, '{' | '}')) {
        let rule = "must have 1 to 200 bytes, no braces and no control characters";
        return Err(Error::invalid(format!("{what} {rule}, but is {name:?}")));
    }
    Ok(())
}

/// The two keys of a lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LeaseKeys {
    /// The key with the holder's name. Exists only while a process holds the lease.
    pub(crate) lease: String,
    /// The last fencing number.
    pub(crate) fence: String,
}

impl LeaseKeys {
    pub(crate) fn named(prefix: &str, name: &str) -> Self {
        Self::under(&format!("{prefix}:{{{name}}}"))
    }

    fn under(base: &str) -> Self {
        LeaseKeys { lease: format!("{base}:lease"), fence: format!("{base}:fence") }
    }
}

/// The keys of one agent's questions and answers.
#[derive(Debug, Clone)]
pub(crate) struct AgentKeys {
    base: String,
}

impl AgentKeys {
    pub(crate) fn new(prefix: &str, agent: &str) -> Result<Self> {
        check_name("an agent's name", agent)?;
        Ok(AgentKeys { base: format!("{prefix}:{{{}}}", lease_name(agent)) })
    }

    /// The lease of the process that holds the agent's connection.
    pub(crate) fn holder(&self) -> LeaseKeys {
        LeaseKeys::under(&self.base)
    }

    /// The lease of the process that works on a shard.
    pub(crate) fn shard(&self, shard: usize) -> LeaseKeys {
        LeaseKeys::under(&format!("{}:shard:{shard}", self.base))
    }

    /// The number of shards.
    pub(crate) fn shards(&self) -> String {
        format!("{}:shards", self.base)
    }

    /// The stream of a shard's questions.
    pub(crate) fn questions(&self, shard: usize) -> String {
        format!("{}:in:{shard}", self.base)
    }

    /// The stream of answers for the holder to post.
    pub(crate) fn answers(&self) -> String {
        format!("{}:out", self.base)
    }

    /// The stream of questions that failed on every delivery.
    pub(crate) fn dead(&self) -> String {
        format!("{}:dead", self.base)
    }

    /// The data of `lua/note_restart.lua` about a stream: a hash.
    pub(crate) fn restart(&self, stream: &str) -> String {
        format!("{stream}:restart")
    }

    /// A room's watermark (the intake has read the messages up to this time) and origin: a hash.
    pub(crate) fn room(&self, room: &str) -> String {
        format!("{}:room:{room}", self.base)
    }

    /// The questions of a room near its watermark: a sorted set.
    pub(crate) fn seen(&self, room: &str) -> String {
        format!("{}:seen:{room}", self.base)
    }

    /// The origin of each room, from which on its messages count: a hash. Waiting intakes read it, too.
    pub(crate) fn origins(&self) -> String {
        format!("{}:origins", self.base)
    }

    /// The worker processes: a sorted set.
    pub(crate) fn members(&self) -> String {
        format!("{}:workers", self.base)
    }
}

/// The name of the lease for an agent's connection.
pub(crate) fn lease_name(agent: &str) -> String {
    format!("agent:{agent}")
}

/// The shard of a room. Every process and every version computes the same one (FNV-1a, 64 bits).
pub(crate) fn shard_of(room: &str, shards: usize) -> usize {
    let hash = room.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    // The high half is better distributed.
    ((hash >> 32) % shards.max(1) as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_stays_in_its_shard() {
        assert_eq!(["lobby", "a", "b", ""].map(|room| shard_of(room, 16)), [6, 12, 12, 4]);
        assert_eq!(shard_of("lobby", 0), 0);
        let mut counts = [0; 16];
        for n in 0..1600 {
            counts[shard_of(&format!("{n:08x}-1c2d-4e5f-8a9b-0c1d2e3f4a5b"), 16)] += 1;
        }
        assert!(counts.iter().all(|count| (60..140).contains(count)), "{counts:?}");
    }

    #[test]
    fn names_that_would_break_the_hash_tag_are_refused() {
        for name in ["", "a{b", "a}b", "a\nb", &"a".repeat(201)] {
            assert!(check_name("a name", name).is_err(), "{name:?}");
        }
        assert!(AgentKeys::new("crustocean", "larry").is_ok());
        let keys = AgentKeys::new("x", "larry").unwrap();
        assert_eq!(keys.holder(), LeaseKeys::named("x", &lease_name("larry")));
    }
}
