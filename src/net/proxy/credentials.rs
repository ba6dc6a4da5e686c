//! User and password for a proxy.

use percent_encoding::percent_decode_str;
use zeroize::Zeroizing;

/// Credentials of a proxy. No `Debug`.
pub(super) struct ProxyCredentials {
    pub(super) user: Zeroizing<String>,
    pub(super) password: Zeroizing<String>,
}

impl ProxyCredentials {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (user, password) = text.split_once(':').unwrap_or((text, ""));
        let decode = |text| {
            let text = percent_decode_str(text).decode_utf8().ok()?;
            Some(Zeroizing::new(text.into_owned()))
        };
        Some(ProxyCredentials { user: decode(user)?, password: decode(password)? })
    }
}
