//! Bytes in and out. Knows nothing of Crustocean or Socket.IO.

pub(crate) mod http;
pub(crate) mod url;
