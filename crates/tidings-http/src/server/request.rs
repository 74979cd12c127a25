//! Requests: the bytes of a head, and what of it matters.

use crate::pages::Response;
use httparse::{EMPTY_HEADER, Header, Status};
use std::net::{IpAddr, SocketAddr};
use std::str;

/// The longest head of a request, in bytes.
pub(crate) const MAX_HEAD: usize = 8 << 10;
/// The number of headers that a request may have.
const MAX_HEADERS: usize = 64;

/// A request for a page.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Request<'a> {
    pub(crate) path: &'a str,
    pub(crate) accept: Option<&'a str>,
    /// Whether the answer's body is wanted: GET, not HEAD.
    pub(crate) body: bool,
}

/// The hosts for which a server answers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Hosts {
    Any,
    /// IP addresses and `localhost`: a website has a name, whatever address it gives to it.
    Local,
}

impl Hosts {
    pub(crate) fn of(listener: SocketAddr) -> Self {
        if listener.ip().to_canonical().is_loopback() { Self::Local } else { Self::Any }
    }

    fn allow(self, host: &str) -> bool {
        // An IPv6 address is in brackets; what follows the last colon after them is the port.
        let name = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|digit| digit.is_ascii_digit()) => name,
            _ => host,
        };
        let ip = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
        self == Self::Any || name.eq_ignore_ascii_case("localhost") || ip.parse::<IpAddr>().is_ok()
    }
}

/// Parses the head of a request; `None` while it is not complete.
///
/// # Errors
///
/// The answer to a request that is not served.
pub(crate) fn parse(head: &[u8], hosts: Hosts) -> Result<Option<Request<'_>>, Response> {
    let mut headers = [EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(head) {
        Ok(Status::Complete(_)) => {}
        Ok(Status::Partial) if head.len() < MAX_HEAD => return Ok(None),
        Ok(Status::Partial) => {
            return Err(Response::text(431, "the request's head has more than 8192 bytes\n"));
        }
        Err(httparse::Error::TooManyHeaders) => {
            return Err(Response::text(431, "the request has more than 64 headers\n"));
        }
        Err(error) => return Err(Response::text(400, &format!("not an HTTP request: {error}\n"))),
    }
    let (Some(method), Some(path)) = (request.method, request.path) else {
        return Err(Response::text(400, "not an HTTP request\n"));
    };
    let body = match method {
        "GET" => true,
        "HEAD" => false,
        _ => {
            let response = Response::text(405, "only GET and HEAD are served\n");
            return Err(response.with("Allow", "GET, HEAD"));
        }
    };
    let host = header(request.headers, "host");
    if host.is_none() && request.version == Some(1) {
        return Err(Response::text(400, "an HTTP/1.1 request needs the header Host\n"));
    }
    if host.is_some_and(|host| !hosts.allow(host)) {
        let text = "this server answers for IP addresses and localhost only, by the header Host\n";
        return Err(Response::text(421, text));
    }
    Ok(Some(Request { path, accept: header(request.headers, "accept"), body }))
}

/// The value of the first header of this name; `None` also if it is not UTF-8.
fn header<'a>(headers: &[Header<'a>], name: &str) -> Option<&'a str> {
    let header = headers.iter().find(|header| header.name.eq_ignore_ascii_case(name))?;
    str::from_utf8(header.value).ok().map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(head: &str) -> u16 {
        parse(head.as_bytes(), Hosts::Local).expect_err(head).status
    }

    #[test]
    fn a_request_is_parsed_once_it_is_complete() {
        let head = "GET /status?x=1 HTTP/1.1\r\nHost: localhost:7980\r\nACCEPT: text/html\r\n\r\n";
        for len in 0..head.len() {
            assert_eq!(parse(&head.as_bytes()[..len], Hosts::Local), Ok(None), "{len}");
        }
        let (path, accept) = ("/status?x=1", Some("text/html"));
        let request = Request { path, accept, body: true };
        assert_eq!(parse(head.as_bytes(), Hosts::Local), Ok(Some(request)));
        let request = Request { path: "/", accept: None, body: false };
        assert_eq!(parse(b"HEAD / HTTP/1.0\n\n", Hosts::Local), Ok(Some(request)));
    }

    #[test]
    fn what_is_not_served_has_a_status_that_says_why() {
        assert_eq!(status("POST / HTTP/1.1\r\nHost: [::1]\r\n\r\n"), 405);
        assert_eq!(status("GET / HTTP/1.1\r\n\r\n"), 400);
        assert_eq!(status("GET / HTTP/3.0\r\n\r\n"), 400);
        assert_eq!(status("\x16\x03\x01\x02\x00\x01"), 400);
        let many = "a: b\r\n".repeat(65);
        assert_eq!(status(&format!("GET / HTTP/1.1\r\n{many}\r\n")), 431);
        let long = "a".repeat(MAX_HEAD);
        assert_eq!(status(&format!("GET /{long}")), 431);
    }

    #[test]
    fn on_loopback_only_local_hosts_are_served() {
        let hosts = Hosts::of("127.0.0.1:7980".parse().unwrap());
        for host in ["localhost", "LOCALHOST:7980", "127.0.0.1:7980", "[::1]:7980", "[::1]"] {
            assert!(hosts.allow(host), "{host}");
        }
        for host in ["evil.example", "evil.example:7980", "localhost.evil.example", "", ":80"] {
            assert!(!hosts.allow(host), "{host}");
        }
        assert_eq!(status("GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n"), 421);
        assert!(Hosts::of("0.0.0.0:7980".parse().unwrap()).allow("db-7.shop.example"));
        assert_eq!(Hosts::of("[::ffff:127.0.0.1]:1".parse().unwrap()), Hosts::Local);
    }
}
