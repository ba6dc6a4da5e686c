//! SOCKS 5 (RFC 1928) with user and password (RFC 1929).

use std::io::{self, Read, Write};
use std::net::IpAddr;

use zeroize::Zeroizing;

use super::credentials::ProxyCredentials;
use super::failure::broken;
use crate::error::{Error, ErrorKind, Result};
use crate::net::endpoint::Endpoint;
use crate::net::tls::MaybeTlsStream;

/// The name of this step in error texts.
const STEP: &str = "the SOCKS 5 handshake for";
const VERSION: u8 = 5;
const NO_CREDENTIALS: u8 = 0;
const USER_AND_PASSWORD: u8 = 2;
const NOTHING_ACCEPTABLE: u8 = 0xff;
/// The version of the username and password exchange.
const CREDENTIALS_VERSION: u8 = 1;
const CONNECT: u8 = 1;
const IPV4: u8 = 1;
const NAME: u8 = 3;
const IPV6: u8 = 4;

/// Opens the tunnel. Reads exactly the bytes of each answer, because the following bytes are from the target.
pub(super) fn open_tunnel(
    stream: &mut MaybeTlsStream,
    target: Endpoint<'_>,
    credentials: Option<&ProxyCredentials>,
) -> Result<()> {
    let request = connect_request(target)?;
    let methods: &[u8] = match credentials {
        None => &[NO_CREDENTIALS],
        Some(_) => &[NO_CREDENTIALS, USER_AND_PASSWORD],
    };
    let mut greeting = vec![VERSION, u8::try_from(methods.len()).unwrap_or_default()];
    greeting.extend_from_slice(methods);
    let failed = |error| broken(error, STEP, target);
    send(stream, &greeting).map_err(failed)?;
    let [version, method] = receive(stream).map_err(failed)?;
    if version != VERSION {
        return Err(Error::protocol(
            "the proxy does not answer as SOCKS 5: check that it is a SOCKS 5 proxy",
        ));
    }
    match (method, credentials) {
        (NO_CREDENTIALS, _) => {}
        (USER_AND_PASSWORD, Some(credentials)) => log_in(stream, credentials, target)?,
        (NOTHING_ACCEPTABLE, None) => {
            return Err(Error::config(
                "the proxy requires credentials: put them into its URL, as in socks5h://user:password@host:1080",
            ));
        }
        (NOTHING_ACCEPTABLE, Some(_)) => {
            return Err(Error::config(
                "the proxy requires credentials by a method that this crate does not know",
            ));
        }
        _ => return Err(Error::protocol("the proxy chose a method that the crate did not offer")),
    }

    send(stream, &request).map_err(failed)?;
    let [version, reply, _, kind] = receive(stream).map_err(failed)?;
    if version != VERSION {
        return Err(Error::protocol("the proxy's answer to CONNECT is not SOCKS 5"));
    }
    if reply != 0 {
        return Err(refused(reply, target));
    }
    // The proxy's local address is not needed, but its bytes must be read.
    let length = match kind {
        IPV4 => 4,
        IPV6 => 16,
        NAME => {
            let [length] = receive(stream).map_err(failed)?;
            usize::from(length)
        }
        _ => return Err(Error::protocol("the proxy's answer to CONNECT has an unknown kind of address")),
    };
    let mut address_and_port = vec![0; length + 2];
    stream.read_exact(&mut address_and_port).map_err(failed)
}

fn connect_request(target: Endpoint<'_>) -> Result<Vec<u8>> {
    let mut request = vec![VERSION, CONNECT, 0];
    match target.host.parse::<IpAddr>() {
        Ok(IpAddr::V4(address)) => {
            request.push(IPV4);
            request.extend_from_slice(&address.octets());
        }
        Ok(IpAddr::V6(address)) => {
            request.push(IPV6);
            request.extend_from_slice(&address.octets());
        }
        Err(_) => {
            let length = u8::try_from(target.host.len())
                .map_err(|_| Error::config("the API's host name is too long for SOCKS"))?;
            request.extend_from_slice(&[NAME, length]);
            request.extend_from_slice(target.host.as_bytes());
        }
    }
    request.extend_from_slice(&target.port.to_be_bytes());
    Ok(request)
}

fn log_in(stream: &mut MaybeTlsStream, credentials: &ProxyCredentials, target: Endpoint<'_>) -> Result<()> {
    let ProxyCredentials { user, password } = credentials;
    let mut request = Zeroizing::new(Vec::with_capacity(3 + user.len() + password.len()));
    request.push(CREDENTIALS_VERSION);
    for text in [user, password] {
        // The length was checked when the URL was parsed.
        request.push(u8::try_from(text.len()).unwrap_or(u8::MAX));
        request.extend_from_slice(text.as_bytes());
    }
    let failed = |error| broken(error, STEP, target);
    send(stream, &request).map_err(failed)?;
    let [_, status] = receive(stream).map_err(failed)?;
    if status == 0 {
        return Ok(());
    }
    Err(Error::config(
        "the proxy does not accept the user and password in its URL: check them, and percent-encode special characters",
    ))
}

fn refused(reply: u8, target: Endpoint<'_>) -> Error {
    let reason = match reply {
        1 => "an internal failure",
        2 => "the proxy's rules forbid it",
        3 => "the network cannot be reached",
        4 => "the host cannot be reached",
        5 => "the connection was refused",
        6 => "the connection took too long",
        7 => "the proxy does not know CONNECT",
        8 => "the proxy does not know this kind of address",
        _ => "a reason that SOCKS 5 does not name",
    };
    Error::new(ErrorKind::Connect, format!("the proxy cannot connect to {target}: {reason} ({reply})"))
}

fn send(stream: &mut MaybeTlsStream, bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes)?;
    stream.flush()
}

fn receive<const N: usize>(stream: &mut MaybeTlsStream) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes)?;
    Ok(bytes)
}
