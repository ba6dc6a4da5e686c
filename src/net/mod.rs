//! Network I/O, independent of Crustocean and Socket.IO.

pub(crate) mod cancel;
pub(crate) mod dial;
mod endpoint;
pub(crate) mod http;
mod lookup;
pub(crate) mod proxy;
pub(crate) mod read_size;
pub(crate) mod secrets;
pub(crate) mod settings;
#[cfg(test)]
mod testing;
pub(crate) mod tls;
pub(crate) mod url;
pub(crate) mod wire;

pub(crate) use cancel::{Cancel, CancelToken};
pub(crate) use dial::Dialer;
pub(crate) use http::Http;
pub(crate) use secrets::Secrets;
pub(crate) use tls::MaybeTlsStream;
pub(crate) use url::ApiUrl;
