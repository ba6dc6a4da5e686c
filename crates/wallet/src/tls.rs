//! The TLS library and its trusted certificate authorities. All `cfg`s for TLS are in this file.

pub(crate) use choice::{Roots, choose, roots};

#[cfg(any(feature = "tls-rustls", feature = "tls-native"))]
mod choice {
    use std::sync::Arc;

    use ureq::config::ConfigBuilder;
    use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
    use ureq::typestate::AgentScope;

    use crate::error::{Error, Result};

    pub(crate) type Roots = RootCerts;

    /// The settings for the compiled-in TLS library, with the given authorities or its own.
    pub(crate) fn choose(
        settings: ConfigBuilder<AgentScope>,
        roots: Option<Roots>,
    ) -> ConfigBuilder<AgentScope> {
        let tls = TlsConfig::builder();
        // ureq does not select the system's library by its feature alone.
        #[cfg(not(feature = "tls-rustls"))]
        let tls = tls.provider(ureq::tls::TlsProvider::NativeTls).root_certs(RootCerts::PlatformVerifier);
        let tls = match roots {
            Some(roots) => tls.root_certs(roots),
            None => tls,
        };
        settings.tls_config(tls.build())
    }

    /// The certificates in a PEM text.
    pub(crate) fn roots(pem: &[u8]) -> Result<Roots> {
        let unusable = || Error::config("root_certificate: this is no certificate in PEM");
        let mut roots = Vec::new();
        for item in parse_pem(pem) {
            if let PemItem::Certificate(certificate) = item.map_err(|_| unusable())? {
                roots.push(certificate);
            }
        }
        if roots.is_empty() { Err(unusable()) } else { Ok(RootCerts::Specific(Arc::new(roots))) }
    }
}

#[cfg(not(any(feature = "tls-rustls", feature = "tls-native")))]
mod choice {
    use ureq::config::ConfigBuilder;
    use ureq::typestate::AgentScope;

    use crate::error::{Error, Result};

    /// No value of this type exists, because without TLS there are no certificates.
    #[derive(Debug)]
    pub(crate) enum Roots {}

    pub(crate) fn choose(settings: ConfigBuilder<AgentScope>, _: Option<Roots>) -> ConfigBuilder<AgentScope> {
        settings
    }

    pub(crate) fn roots(_: &[u8]) -> Result<Roots> {
        let needs = "root_certificate needs the feature `tls-rustls` (the default) or `tls-native` of crustocean-wallet";
        Err(Error::config(needs))
    }
}
