//! Proxies: which one stands between this program and a server, and how it is told where to go.
//!
//! An HTTP proxy gets CONNECT for `http` and `ws` targets, too: it is the only way a WebSocket has through one
//! (RFC 6455, section 4.1), and REST and the socket are to take the same way. What it costs: some proxies allow CONNECT
//! to port 443 only. The platform is there; a development server is seldom behind a proxy.

mod bypass;
mod connect;
mod credentials;
mod environment;
mod lost;
mod server;
mod socks;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use self::environment::Environment;
pub(crate) use self::server::{Kind, Proxy};
use super::settings::ProxyChoice;
use super::url::ApiUrl;
use crate::error::Result;

/// Knows the proxy for every target. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) enum Proxies {
    Direct,
    Always(Arc<Proxy>),
    Environment(Arc<Environment>),
}

impl Proxies {
    /// Reads the environment, if that is the choice.
    ///
    /// # Errors
    /// `Config`, when the builder's URL is unusable.
    pub(crate) fn new(choice: &ProxyChoice) -> Result<Self> {
        Ok(match choice {
            ProxyChoice::Environment => Proxies::Environment(Arc::new(Environment::of_process())),
            ProxyChoice::Direct => Proxies::Direct,
            ProxyChoice::Url(url) => Proxies::Always(Arc::new(Proxy::parse(url, "proxy()")?)),
        })
    }

    /// The proxy for this target, if it has one.
    ///
    /// # Errors
    /// `Config`, naming the environment variable that cannot be used.
    pub(crate) fn for_target(&self, url: &ApiUrl) -> Result<Option<Arc<Proxy>>> {
        match self {
            Proxies::Direct => Ok(None),
            Proxies::Always(proxy) => Ok(Some(Arc::clone(proxy))),
            Proxies::Environment(environment) => Ok(environment.proxy_for(url)?.map(Arc::new)),
        }
    }
}
