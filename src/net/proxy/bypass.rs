//! `NO_PROXY`: targets that need no proxy.

use std::net::IpAddr;

use crate::net::url::split_port;

/// Entries with commas or white space between them: `*` for everything, names (including subdomains; a leading dot or
/// `*.` has no effect), addresses, and networks such as `10.0.0.0/8`. All except networks may have a port. Names match
/// as text, without a lookup.
#[derive(Debug, Clone, Default)]
pub(super) struct Bypass(Vec<BypassRule>);

#[derive(Debug, Clone)]
enum BypassRule {
    Everything,
    Name(String, Option<u16>),
    Address(IpAddr, Option<u16>),
    Network(IpAddr, u16),
}

impl Bypass {
    /// Ignores entries that cannot be parsed, as other programs do.
    pub(super) fn parse(list: &str) -> Self {
        let mut entries = Vec::new();
        for text in list.split(|c: char| c == ',' || c.is_whitespace()) {
            if let Some(entry) = BypassRule::parse(text) {
                entries.push(entry);
            }
        }
        Bypass(entries)
    }

    pub(super) fn covers(&self, host: &str, port: u16) -> bool {
        let name = host.trim_end_matches('.').to_ascii_lowercase();
        let address = host.parse::<IpAddr>().ok().map(|address| address.to_canonical());
        self.0.iter().any(|entry| match entry {
            BypassRule::Everything => true,
            BypassRule::Name(suffix, its_port) => {
                let is_below = |name: &str| {
                    name.strip_suffix(suffix.as_str())
                        .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
                };
                address.is_none() && is_below(&name) && its_port.is_none_or(|its| its == port)
            }
            BypassRule::Address(its_own, its_port) => {
                address == Some(*its_own) && its_port.is_none_or(|its| its == port)
            }
            BypassRule::Network(network, bits) => {
                address.is_some_and(|address| is_in(address, *network, *bits))
            }
        })
    }
}

impl BypassRule {
    fn parse(text: &str) -> Option<Self> {
        if text == "*" {
            return Some(BypassRule::Everything);
        }
        if let Some((network, bits)) = text.split_once('/') {
            let network: IpAddr = network.parse().ok()?;
            let width = if network.is_ipv4() { 32 } else { 128 };
            let bits = bits.parse().ok().filter(|bits| *bits <= width)?;
            return Some(BypassRule::Network(network, bits));
        }
        // An IPv6 address without brackets has no port.
        let (host, port) = match text.parse::<IpAddr>() {
            Ok(address) => return Some(BypassRule::Address(address.to_canonical(), None)),
            Err(_) => split_port(text.strip_prefix('*').unwrap_or(text))?,
        };
        if let Ok(address) = host.parse::<IpAddr>() {
            return Some(BypassRule::Address(address.to_canonical(), port));
        }
        let name = host.trim_matches('.').to_ascii_lowercase();
        (!name.is_empty()).then_some(BypassRule::Name(name, port))
    }
}

fn is_in(address: IpAddr, network: IpAddr, bits: u16) -> bool {
    let (address, network, width) = match (address, network) {
        (IpAddr::V4(address), IpAddr::V4(network)) => {
            (u128::from(address.to_bits()), u128::from(network.to_bits()), 32)
        }
        (IpAddr::V6(address), IpAddr::V6(network)) => (address.to_bits(), network.to_bits(), 128),
        _ => return false,
    };
    // A shift by the full width overflows, so check the shift.
    let host_bits: u32 = width - u32::from(bits);
    (address ^ network).checked_shr(host_bits).unwrap_or_default() == 0
}
