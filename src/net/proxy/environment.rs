//! The proxies in environment variables, by the rules of curl.
//!
//! The variables for `https` targets are `https_proxy` and `HTTPS_PROXY`. The variable for `http` targets is
//! `http_proxy`. `all_proxy` and `ALL_PROXY` are for both. `no_proxy` and `NO_PROXY` list the exceptions. The first
//! variable that is set and not empty counts.
//!
//! `HTTP_PROXY` in capitals counts unless `REQUEST_METHOD` is set: in a CGI program the variable is the request
//! header `Proxy`, which any client can set.

use std::fmt;

use zeroize::Zeroizing;

use super::bypass::Bypass;
use super::server::Proxy;
use crate::error::Result;
use crate::net::url::ApiUrl;

pub(crate) struct Environment {
    https: Option<Setting>,
    http: Option<Setting>,
    bypass: Bypass,
}

/// A setting in text form, because an unusable variable is an error only for connections that need it.
#[derive(Clone)]
struct Setting {
    variable: &'static str,
    url: Zeroizing<String>,
}

impl Environment {
    pub(super) fn of_process() -> Self {
        // A value that is not Unicode fails later as a host name, with an error that names the variable.
        Environment::read(|name| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned()))
    }

    pub(super) fn read(variable: impl Fn(&str) -> Option<String>) -> Self {
        let first = |names: &[&'static str]| {
            names.iter().find_map(|name| {
                let url = Zeroizing::new(variable(name)?);
                (!url.trim().is_empty()).then_some(Setting { variable: name, url })
            })
        };
        let is_cgi = variable("REQUEST_METHOD").is_some();
        let all = first(&["all_proxy", "ALL_PROXY"]);
        let http: &[_] = if is_cgi { &["http_proxy"] } else { &["http_proxy", "HTTP_PROXY"] };
        Environment {
            https: first(&["https_proxy", "HTTPS_PROXY"]).or_else(|| all.clone()),
            http: first(http).or(all),
            bypass: first(&["no_proxy", "NO_PROXY"]).map(|list| Bypass::parse(&list.url)).unwrap_or_default(),
        }
    }

    pub(super) fn proxy_for(&self, url: &ApiUrl) -> Result<Option<Proxy>> {
        let setting = if url.is_secure() { &self.https } else { &self.http };
        match setting {
            Some(setting) if !self.bypass.covers(url.host(), url.port()) => {
                Proxy::parse(&setting.url, setting.variable).map(Some)
            }
            _ => Ok(None),
        }
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |setting: &Option<Setting>| setting.as_ref().map(|setting| setting.variable);
        f.debug_struct("Environment")
            .field("https", &name(&self.https))
            .field("http", &name(&self.http))
            .field("bypass", &self.bypass)
            .finish()
    }
}
