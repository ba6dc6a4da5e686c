//! The host names of this server, and the hosts that it may call.

use std::net::IpAddr;

use axum::http::Uri;
use axum::http::uri::Authority;

/// Additional names of this server, and hosts to which webhooks may go.
#[derive(Debug, Clone, Default)]
pub(crate) struct Access {
    /// The names of this server, in addition to IP addresses and names that resolve only on this machine.
    pub(crate) hosts: Vec<String>,
    /// The hosts of webhooks, in addition to loopback addresses. `*` allows every host.
    pub(crate) webhook_hosts: Vec<String>,
}

/// The address of an IP literal, with or without the brackets of IPv6.
fn address(host: &str) -> Option<IpAddr> {
    host.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

/// Whether a name resolves on this machine only (RFC 6761), so that no DNS server of an attacker can answer for it.
fn is_local_name(host: &str) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    ["localhost", "test"]
        .into_iter()
        .any(|name| host == "localhost" || host.strip_suffix(name).is_some_and(|rest| rest.ends_with('.')))
}

impl Access {
    /// Whether a `Host` header or the authority of a request names this server. A page of another site can reach a local server
    /// through a name of its own that points to 127.0.0.1 (DNS rebinding). Only the name shows that.
    pub(crate) fn is_own_host(&self, authority: &str) -> bool {
        let Ok(authority) = authority.parse::<Authority>() else { return false };
        if authority.as_str().contains('@') {
            return false;
        }
        let host = authority.host();
        address(host).is_some()
            || is_local_name(host)
            || self.hosts.iter().any(|allowed| allowed.eq_ignore_ascii_case(host))
    }

    /// Whether an origin is on this machine, on any port.
    pub(crate) fn is_own_origin(&self, origin: &str) -> bool {
        let Ok(uri) = origin.parse::<Uri>() else { return false };
        let Some(authority) = uri.authority() else { return false };
        let loopback = address(authority.host()).is_none_or(|ip| ip.is_loopback());
        matches!(uri.scheme_str(), Some("http" | "https")) && loopback && self.is_own_host(authority.as_str())
    }

    /// Whether the server may call a webhook on this host, at any address.
    pub(crate) fn may_call(&self, host: &str) -> bool {
        self.webhook_hosts.iter().any(|allowed| allowed == "*" || allowed.eq_ignore_ascii_case(host))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_stay_on_this_machine_are_its_own() {
        let access = Access { hosts: vec!["sandbox".to_owned()], ..Access::default() };
        for own in
            ["localhost", "LOCALHOST:7777", "127.0.0.1:1", "[::1]:80", "a.localhost", "x.test", "sandbox:7"]
        {
            assert!(access.is_own_host(own), "{own}");
        }
        for foreign in [
            "evil.example",
            "localhost.evil.example",
            "evil.example:7777",
            "a@localhost",
            "notlocalhost",
            "",
            "test",
        ] {
            assert!(!access.is_own_host(foreign), "{foreign}");
        }
    }

    #[test]
    fn only_pages_on_this_machine_may_ask() {
        let access = Access::default();
        assert!(
            access.is_own_origin("http://localhost:3000") && access.is_own_origin("http://127.0.0.1:7777")
        );
        for foreign in
            ["null", "https://evil.example", "http://192.168.0.9", "file://", "chrome-extension://abc"]
        {
            assert!(!access.is_own_origin(foreign), "{foreign}");
        }
    }
}
