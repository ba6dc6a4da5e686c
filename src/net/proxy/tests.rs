//! Tests of URLs and variables. Other tests cover the proxy protocols through the whole crate.

use std::collections::HashMap;

use zeroize::Zeroizing;

use super::*;
use crate::error::ErrorKind;

fn parse(text: &str) -> Result<Proxy> {
    Proxy::parse(text, "HTTPS_PROXY")
}

#[test]
fn urls_are_read() {
    for (text, shown, credentials) in [
        ("http://proxy", "http://proxy:80", None),
        ("http://Proxy:3128/", "http://proxy:3128", None),
        (" proxy:3128 ", "http://proxy:3128", None),
        ("https://proxy", "https://proxy:443", None),
        ("SOCKS5://10.0.0.1", "socks5://10.0.0.1:1080", None),
        ("socks5h://[::1]:9050", "socks5h://[::1]:9050", None),
        ("socks://proxy:", "socks5h://proxy:1080", None),
        ("http://me:secret@proxy:1", "http://proxy:1", Some(("me", "secret"))),
        ("me:secret@proxy:1", "http://proxy:1", Some(("me", "secret"))),
        ("http://me@proxy", "http://proxy:80", Some(("me", ""))),
        ("http://m%65:a%3Ab%40c%2F%C3%BC@proxy", "http://proxy:80", Some(("me", "a:b@c/ü"))),
        ("http://me:a@b:c@proxy", "http://proxy:80", Some(("me", "a@b:c"))),
    ] {
        let proxy = parse(text).unwrap();
        assert_eq!(proxy.to_string(), shown);
        let read = proxy.credentials.as_ref();
        assert_eq!(read.map(|both| (both.user.as_str(), both.password.as_str())), credentials, "{text}");
    }
}

#[test]
fn what_cannot_be_used_is_said_without_the_password() {
    let long = format!("socks5h://me:hunter2{}@proxy", "x".repeat(300));
    for text in [
        "",
        "http://",
        "http://me:hunter2@",
        "socks4://me:hunter2@proxy",
        "ftp://me:hunter2@proxy",
        "http://me:hunter2@proxy/path",
        "http://me:hunter2@proxy?query",
        "http://me:hunter2@pro xy",
        "http://me:hunter2@proxy\r\nX-Evil: 1",
        "http://me:hunter2@proxy:0",
        "http://me:hunter2@proxy:65536",
        "http://me:hunter2@proxy:+1",
        "http://me:hunter2@[::1",
        "http://me:hunter2@[proxy]:1",
        "http://me:hunter2@[::1]1",
        "http://me:hunter2@::1",
        "http://me:hunter2%ff@proxy",
        "http://\u{fffd}",
        "socks5://me@proxy",
        long.as_str(),
    ] {
        let error = parse(text).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{text}");
        let shown = format!("{error} {error:?}");
        assert!(shown.contains("HTTPS_PROXY: ") && !shown.contains("hunter2"), "{shown}");
    }
}

#[test]
fn exceptions_are_understood() {
    let all = [
        ("", "example.com", 443, false),
        ("*", "example.com", 443, true),
        ("*", "10.0.0.1", 443, true),
        ("example.com", "example.com", 443, true),
        ("example.com", "EXAMPLE.com.", 443, true),
        ("example.com", "api.example.com", 443, true),
        ("example.com", "badexample.com", 443, false),
        ("example.com", "example.com.evil.org", 443, false),
        (".example.com", "api.example.com", 443, true),
        (".example.com", "example.com", 443, true),
        (".example.com", "badexample.com", 443, false),
        ("*.example.com", "api.example.com", 443, true),
        ("example.com.", "example.com", 443, true),
        ("example.com:443", "example.com", 443, true),
        ("example.com:8443", "example.com", 443, false),
        ("other.org, example.com", "example.com", 443, true),
        ("other.org example.com", "example.com", 443, true),
        (",, ,example.com,", "example.com", 443, true),
        (".", "example.com", 443, false),
        ("com", "example.com", 443, true),
        ("localhost,127.0.0.1", "127.0.0.1", 80, true),
        ("127.0.0.1:81", "127.0.0.1", 80, false),
        ("127.0.0.1:80", "127.0.0.1", 80, true),
        // A part of an address is not a subdomain.
        ("0.1", "127.0.0.1", 80, false),
        ("::1", "::1", 80, true),
        ("[::1]", "::1", 80, true),
        ("[::1]:81", "::1", 80, false),
        ("0:0:0:0:0:0:0:1", "::1", 80, true),
        ("10.0.0.0/8", "10.200.3.4", 80, true),
        ("10.0.0.0/8", "11.0.0.1", 80, false),
        ("10.0.0.0/8", "10.example.com", 80, false),
        ("10.1.2.3/8", "10.200.3.4", 80, true),
        ("192.168.1.128/25", "192.168.1.127", 80, false),
        ("192.168.1.128/25", "192.168.1.129", 80, true),
        ("0.0.0.0/0", "8.8.8.8", 80, true),
        ("0.0.0.0/0", "::1", 80, false),
        ("10.0.0.1/32", "10.0.0.1", 80, true),
        ("10.0.0.1/32", "10.0.0.2", 80, false),
        ("10.0.0.0/33", "10.0.0.1", 80, false),
        ("10.0.0.0/-1", "10.0.0.1", 80, false),
        ("10.0.0.0/8", "::ffff:10.0.0.1", 80, true),
        ("fd00::/8", "fd12::1", 80, true),
        ("fd00::/8", "fe80::1", 80, false),
        ("::/0", "fe80::1", 80, true),
    ];
    for (list, host, port, expected) in all {
        assert_eq!(bypass::Bypass::parse(list).covers(host, port), expected, "{list:?} for {host}:{port}");
    }
}

/// The proxy for `url` with these variables.
fn chosen(variables: &[(&str, &str)], url: &str) -> Option<String> {
    let variables: HashMap<_, _> = variables.iter().copied().collect();
    let environment = Environment::read(|name| variables.get(name).map(|value| (*value).to_owned()));
    let proxies = Proxies::Environment(Arc::new(environment));
    let proxy = proxies.for_target(&ApiUrl::parse(url).unwrap()).unwrap();
    proxy.map(|proxy| proxy.endpoint().host.to_owned())
}

#[test]
fn variables_are_chosen_as_curl_does() {
    let (https, http) = ("https://api.example.com", "http://api.example.com");
    type Variables = &'static [(&'static str, &'static str)];
    let all: [(Variables, &str, Option<&str>); 16] = [
        (&[], https, None),
        (&[("HTTPS_PROXY", "a")], https, Some("a")),
        (&[("HTTPS_PROXY", "a")], http, None),
        (&[("https_proxy", "b"), ("HTTPS_PROXY", "a")], https, Some("b")),
        (&[("https_proxy", ""), ("HTTPS_PROXY", "a")], https, Some("a")),
        (&[("http_proxy", "a")], http, Some("a")),
        (&[("http_proxy", "a")], https, None),
        (&[("HTTP_PROXY", "a")], http, Some("a")),
        (&[("HTTP_PROXY", "a"), ("REQUEST_METHOD", "GET")], http, None),
        (&[("http_proxy", "a"), ("REQUEST_METHOD", "GET")], http, Some("a")),
        (&[("ALL_PROXY", "a")], https, Some("a")),
        (&[("all_proxy", "b"), ("ALL_PROXY", "a")], http, Some("b")),
        (&[("HTTPS_PROXY", "a"), ("all_proxy", "b")], https, Some("a")),
        (&[("HTTPS_PROXY", "a"), ("NO_PROXY", "example.com")], https, None),
        (&[("HTTPS_PROXY", "a"), ("NO_PROXY", "example.com"), ("no_proxy", "other.org")], https, Some("a")),
        (&[("ALL_PROXY", "a"), ("no_proxy", "api.example.com:80")], http, None),
    ];
    for (variables, url, expected) in all {
        assert_eq!(chosen(variables, url).as_deref(), expected, "{variables:?} for {url}");
    }
}

#[test]
fn a_bad_variable_matters_only_to_those_who_need_it() {
    let variables = [("HTTPS_PROXY", "socks4://me:hunter2@x"), ("NO_PROXY", "free.example")];
    let environment = Environment::read(|name| {
        variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
    });
    assert!(!format!("{environment:?}").contains("hunter2"));
    let ask = |url: &str| environment.proxy_for(&ApiUrl::parse(url).unwrap());
    assert!(ask("http://bound.example").unwrap().is_none());
    assert!(ask("https://free.example").unwrap().is_none());
    let error = ask("https://bound.example").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().starts_with("HTTPS_PROXY: "), "{error}");
}

#[test]
fn the_builders_choice_is_not_asked_twice() {
    let target = ApiUrl::parse("https://127.0.0.1").unwrap();
    let url = ProxyChoice::Url(Zeroizing::new("http://me:hunter2@proxy".to_owned()));
    let proxies = Proxies::new(&url).unwrap();
    assert_eq!(proxies.for_target(&target).unwrap().unwrap().to_string(), "http://proxy:80");
    assert!(!format!("{url:?} {proxies:?}").contains("hunter2"));
    assert!(Proxies::new(&ProxyChoice::Direct).unwrap().for_target(&target).unwrap().is_none());
    let error = Proxies::new(&ProxyChoice::Url(Zeroizing::new("socks4://x".to_owned()))).unwrap_err();
    assert!(error.to_string().starts_with("proxy(): "), "{error}");
}
