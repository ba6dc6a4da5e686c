//! Bytes in and out. Knows nothing of Crustocean or Socket.IO.

pub(crate) mod dial;
pub(crate) mod http;
#[cfg(test)]
mod testing;
pub(crate) mod tls;
pub(crate) mod url;
pub(crate) mod wire;
