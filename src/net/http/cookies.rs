//! The cookies of one session with one server, so that a load balancer always uses the same machine.
//!
//! A jar belongs to one session with one URL, so cookies go only to the origin that set them. The jar ignores `Domain`,
//! and cookies expire with the jar. The jar supports `Path` and `Secure`, and removes a cookie if its `Max-Age` is zero
//! or less.

use std::fmt;

use zeroize::Zeroizing;

/// The most cookies of a server, and the longest name and value of a cookie together.
const MAX_COOKIES: usize = 32;
const MAX_COOKIE: usize = 4 * 1024;

/// Cookies with longer paths first, the order in which they are sent.
#[derive(Default)]
pub(crate) struct Jar(Vec<Cookie>);

struct Cookie {
    name: String,
    value: Zeroizing<String>,
    path: String,
    secure: bool,
}

impl Jar {
    /// Reads one `Set-Cookie` header. `path` is the path of the request. Ignores an invalid cookie.
    pub(crate) fn absorb(&mut self, header: &[u8], path: &str, is_secure: bool) {
        // Keeps only printable ASCII, because the cookie becomes a part of a request header.
        let header: String =
            header.iter().filter(|byte| matches!(byte, b' '..=b'~')).map(|byte| char::from(*byte)).collect();
        let header = Zeroizing::new(header);
        let mut parts = header.split(';');
        let Some((name, value)) = parts.next().and_then(|pair| pair.split_once('=')) else { return };
        let (name, value) = (name.trim(), value.trim());
        if name.is_empty() || name.len() + value.len() > MAX_COOKIE {
            return;
        }
        let mut cookie = Cookie {
            name: name.to_owned(),
            value: Zeroizing::new(value.to_owned()),
            path: default_path(path).to_owned(),
            secure: false,
        };
        let mut taken_back = false;
        for part in parts {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            let (key, value) = (key.trim(), value.trim());
            if key.eq_ignore_ascii_case("path") && value.starts_with('/') && value.len() <= MAX_COOKIE {
                value.clone_into(&mut cookie.path);
            } else if key.eq_ignore_ascii_case("secure") {
                cookie.secure = true;
            } else if key.eq_ignore_ascii_case("max-age") {
                taken_back = value == "0" || value.starts_with('-');
            }
        }
        if cookie.secure && !is_secure {
            return;
        }
        let place = self.0.iter().position(|old| old.name == cookie.name && old.path == cookie.path);
        match place {
            Some(place) if taken_back => drop(self.0.remove(place)),
            // A replaced cookie keeps its place, as RFC 6265 requires.
            Some(place) => {
                if let Some(old) = self.0.get_mut(place) {
                    *old = cookie;
                }
            }
            None if taken_back || self.0.len() >= MAX_COOKIES => {}
            None => {
                let place = self.0.partition_point(|old| old.path.len() >= cookie.path.len());
                self.0.insert(place, cookie);
            }
        }
    }

    /// The value of the `Cookie` header for a request, longer paths first. `None` if there are no cookies.
    pub(crate) fn header(&self, path: &str, is_secure: bool) -> Option<Zeroizing<String>> {
        let path = path.split(['?', '#']).next().unwrap_or_default();
        // Allocate once, because a string that grows leaves a copy of its content behind.
        let length = self.0.iter().map(|cookie| cookie.name.len() + cookie.value.len() + 3).sum();
        let mut line = Zeroizing::new(String::with_capacity(length));
        for cookie in &self.0 {
            if (cookie.secure && !is_secure) || !covers(&cookie.path, path) {
                continue;
            }
            if !line.is_empty() {
                line.push_str("; ");
            }
            for part in [&cookie.name, "=", &cookie.value] {
                line.push_str(part);
            }
        }
        (!line.is_empty()).then_some(line)
    }
}

/// Shows only the names: a value may be as secret as a password.
impl fmt::Debug for Jar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|cookie| &cookie.name)).finish()
    }
}

/// RFC 6265, section 5.1.4: the request's path up to its last slash.
fn default_path(path: &str) -> &str {
    let path = path.split(['?', '#']).next().unwrap_or_default();
    match path.rsplit_once('/') {
        Some((before, _)) if before.starts_with('/') => before,
        _ => "/",
    }
}

fn covers(cookie: &str, path: &str) -> bool {
    path.strip_prefix(cookie)
        .is_some_and(|rest| rest.is_empty() || cookie.ends_with('/') || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATH: &str = "/socket.io/?EIO=4";

    fn jar(headers: &[&str]) -> Jar {
        let mut jar = Jar::default();
        for header in headers {
            jar.absorb(header.as_bytes(), PATH, true);
        }
        jar
    }

    fn sent(jar: &Jar) -> Option<String> {
        jar.header(PATH, true).map(|line| line.to_string())
    }

    #[test]
    fn cookies_come_back() {
        for (headers, expected) in [
            (&[][..], None),
            (&["io=abc; Path=/; HttpOnly; SameSite=Strict"], Some("io=abc")),
            (&["a=1", "b=2"], Some("a=1; b=2")),
            (&["a=1", "b=2", "a=3"], Some("a=3; b=2")),
            (&["AWSALB=x/y+z==; Expires=Wed, 09 Jun 2100 10:18:14 GMT; Path=/"], Some("AWSALB=x/y+z==")),
            (&["a="], Some("a=")),
            (&["a=\"q\""], Some("a=\"q\"")),
            (&["a=1; Domain=evil.example"], Some("a=1")),
            (&["a=1; Secure"], Some("a=1")),
            // A cookie with another path is another cookie. The longer path is sent first.
            (&["a=1; Path=/", "a=2; Path=/socket.io"], Some("a=2; a=1")),
            (&["a=1; Path=/other"], None),
            (&["a=1; Path=/sock"], None),
            (&["a=1; Path=/socket.io/"], Some("a=1")),
            (&["a=1; Path=nonsense"], Some("a=1")),
            (&["a=1", "a=1; Max-Age=0"], None),
            (&["a=1", "a=1; max-age=-5"], None),
            (&["a=1; Max-Age=600"], Some("a=1")),
            (&["a=1", "b=; Max-Age=0"], Some("a=1")),
            (&["nonsense", "=x", "", ";", "; Path=/"], None),
        ] {
            assert_eq!(sent(&jar(headers)).as_deref(), expected, "{headers:?}");
        }
    }

    #[test]
    fn a_secure_cookie_does_not_go_in_the_clear() {
        let mut jar = jar(&["a=1; Secure", "b=2"]);
        assert_eq!(jar.header(PATH, false).unwrap().as_str(), "b=2");
        jar.absorb(b"c=3; Secure", PATH, false);
        assert_eq!(sent(&jar).unwrap(), "a=1; b=2");
    }

    #[test]
    fn b52_a_flood_of_cookies_is_bounded() {
        let mut jar = Jar::default();
        for number in 0..10_000 {
            jar.absorb(format!("c{number}=x").as_bytes(), PATH, true);
        }
        assert_eq!(jar.0.len(), MAX_COOKIES);
        // Existing cookies can still change.
        jar.absorb(b"c0=changed", PATH, true);
        assert!(sent(&jar).unwrap().starts_with("c0=changed; c1=x; "));

        let mut jar = Jar::default();
        jar.absorb(format!("a={}", "x".repeat(MAX_COOKIE)).as_bytes(), PATH, true);
        jar.absorb(format!("a=1; Path=/{}", "x".repeat(MAX_COOKIE)).as_bytes(), PATH, true);
        assert_eq!(sent(&jar).unwrap(), "a=1");
        jar.absorb(format!("b={}", "x".repeat(MAX_COOKIE - 1)).as_bytes(), PATH, true);
        assert!(sent(&jar).unwrap().len() > MAX_COOKIE);
    }

    #[test]
    fn b52_control_characters_are_dropped() {
        let jar = jar(&["a=1\r\nX-Evil: 1", "b\0=\u{7f}2\t", "c=ü3"]);
        assert_eq!(sent(&jar).unwrap(), "a=1X-Evil: 1; b=2; c=3");
        assert!(!format!("{jar:?}").contains("X-Evil"));
    }
}
