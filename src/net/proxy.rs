//! Proxies: which proxy a connection uses, and how the proxy opens a tunnel.
//!
//! An HTTP proxy gets CONNECT for `http` and `ws` targets, too: a WebSocket needs CONNECT (RFC 6455, section 4.1), and
//! REST and the socket must take the same path. The disadvantage: some proxies allow CONNECT only to port 443. The
//! platform uses this port, and a development server is seldom behind a proxy.

mod bypass;
mod connect;
mod credentials;
mod environment;
mod failure;
mod server;
mod socks;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use self::environment::Environment;
pub(crate) use self::server::{Proxy, ProxyKind};
use super::settings::ProxyChoice;
use super::url::ApiUrl;
use crate::error::Result;

/// Returns the proxy for every target. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) enum Proxies {
    Direct,
    Always(Arc<Proxy>),
    Environment(Arc<Environment>),
}

impl Proxies {
    /// Reads the environment, if `choice` says so.
    ///
    /// # Errors
    /// `Config` if the builder's URL is not usable.
    pub(crate) fn new(choice: &ProxyChoice) -> Result<Self> {
        Ok(match choice {
            ProxyChoice::Environment => Proxies::Environment(Arc::new(Environment::of_process())),
            ProxyChoice::Direct => Proxies::Direct,
            ProxyChoice::Url(url) => Proxies::Always(Arc::new(Proxy::parse(url, "proxy()")?)),
        })
    }

    /// Returns the proxy for this target. `None` means a direct connection.
    ///
    /// # Errors
    /// `Config` if an environment variable is not usable. The error names the variable.
    pub(crate) fn for_target(&self, url: &ApiUrl) -> Result<Option<Arc<Proxy>>> {
        match self {
            Proxies::Direct => Ok(None),
            Proxies::Always(proxy) => Ok(Some(Arc::clone(proxy))),
            Proxies::Environment(environment) => Ok(environment.proxy_for(url)?.map(Arc::new)),
        }
    }
}
