//! HTTP/1.1 as a client of JSON-RPC needs it: one request, one reply, one connection.

use crate::endpoint::HttpEndpoint;
use std::fmt;
use ureq_proto::BodyMode;
use ureq_proto::client::state::{RecvBody, RecvResponse};
use ureq_proto::client::{Call, RecvResponseResult, SendRequestResult};
use ureq_proto::http::Request;

/// One request to post JSON, and its reply, read from bytes in pieces of any size (RFC 9112).
///
/// Interim replies are skipped. A body has a length, is chunked, or ends with the connection. All
/// heads, and what surrounds the chunks of a body, have at most 16 KiB. Redirects are not
/// followed: they are replies with a status like others. A compressed body is an error, because the
/// request accepts none.
#[derive(Debug)]
pub(crate) struct HttpExchange {
    state: State,
    /// Received and not yet processed.
    buf: Vec<u8>,
    /// The length of all heads so far.
    heads: usize,
    status: u16,
    body: Vec<u8>,
    max_body: usize,
}

#[derive(Debug)]
enum State {
    Head(Box<Call<RecvResponse>>),
    Body(Box<Call<RecvBody>>),
    Done,
    /// After an error.
    Failed,
}

impl HttpExchange {
    /// An exchange with a reply of at most `max_body` bytes, and the bytes of its request.
    ///
    /// # Errors
    ///
    /// If the endpoint is no valid target of a request.
    pub(crate) fn new(
        endpoint: &HttpEndpoint,
        json: &str,
        max_body: usize,
    ) -> Result<(Self, Vec<u8>), HttpError> {
        let (path, host) = (endpoint.path(), endpoint.authority());
        let request = Request::post(format!("http://{host}{path}"))
            .header("host", host)
            .header("content-type", "application/json")
            .header("content-length", json.len())
            .header("connection", "close")
            .body(())
            .map_err(HttpError::new)?;
        let mut bytes = vec![0; MAX_REQUEST_HEAD + json.len()];
        let mut call = Call::new(request).map_err(HttpError::new)?.proceed();
        let mut len = 0;
        while !call.can_proceed() {
            len += call.write(&mut bytes[len..]).map_err(HttpError::new)?;
        }
        let Some(SendRequestResult::SendBody(mut call)) = call.proceed().map_err(HttpError::new)?
        else {
            return Err(HttpError::Invalid("the request has no body".into()));
        };
        len += call.write(json.as_bytes(), &mut bytes[len..]).map_err(HttpError::new)?.1;
        bytes.truncate(len);
        let call = call.proceed().ok_or(HttpError::Closed)?;
        let (buf, body) = (Vec::new(), Vec::new());
        let state = State::Head(Box::new(call));
        Ok((Self { state, buf, heads: 0, status: 0, body, max_body }, bytes))
    }

    /// Takes bytes that the server sent; the status and the body once the reply is complete.
    ///
    /// # Errors
    ///
    /// If the bytes are not a valid reply, or it is too long. The exchange has failed then.
    pub(crate) fn receive(&mut self, bytes: &[u8]) -> Result<Option<(u16, Vec<u8>)>, HttpError> {
        let ended = self.process(bytes);
        if ended.is_err() {
            self.state = State::Failed;
        }
        ended
    }

    /// Takes the end of the connection; the status and the body if that completes the reply.
    ///
    /// # Errors
    ///
    /// If the reply is not complete.
    pub(crate) fn close(&mut self) -> Result<(u16, Vec<u8>), HttpError> {
        match std::mem::replace(&mut self.state, State::Failed) {
            State::Body(call) if call.can_proceed() => Ok(self.take()),
            State::Done => Ok(self.take()),
            _ => Err(HttpError::Closed),
        }
    }

    fn process(&mut self, bytes: &[u8]) -> Result<Option<(u16, Vec<u8>)>, HttpError> {
        let seen = self.buf.len();
        self.buf.extend_from_slice(bytes);
        // A head is parsed when its end is there, so that pieces of one byte cost no more.
        let mut complete = has_blank_line(&self.buf, seen);
        while complete && matches!(self.state, State::Head(_)) {
            complete = self.read_head()?;
        }
        if let State::Body(_) = self.state {
            self.read_body()?;
        }
        if self.buf.len() > MAX_HEAD && !matches!(self.state, State::Done) {
            return Err(HttpError::HeadTooLong);
        }
        Ok(matches!(self.state, State::Done).then(|| self.take()))
    }

    /// Reads one head; whether another one, of the final reply, follows.
    fn read_head(&mut self) -> Result<bool, HttpError> {
        let State::Head(mut call) = std::mem::replace(&mut self.state, State::Failed) else {
            return Ok(false);
        };
        let (used, head) = call.try_response(&self.buf, false).map_err(HttpError::new)?;
        self.heads += used;
        if self.heads > MAX_HEAD {
            return Err(HttpError::HeadTooLong);
        }
        self.buf.drain(..used);
        let Some(head) = head else {
            self.state = State::Head(call);
            return Ok(used > 0);
        };
        self.status = head.status().as_u16();
        if head.headers().get("content-encoding").is_some_and(|coding| coding != "identity") {
            return Err(HttpError::Invalid("the body is compressed".into()));
        }
        self.state = match call.proceed() {
            Some(RecvResponseResult::RecvBody(call)) => State::Body(Box::new(call)),
            _ => State::Done,
        };
        Ok(false)
    }

    fn read_body(&mut self) -> Result<(), HttpError> {
        let State::Body(call) = &mut self.state else { return Ok(()) };
        let mut piece = [0; 4096];
        let mut at = 0;
        loop {
            let (used, read) = call.read(&self.buf[at..], &mut piece).map_err(HttpError::new)?;
            at += used;
            if self.body.len() + read > self.max_body {
                return Err(HttpError::BodyTooLong { max: self.max_body });
            }
            self.body.extend_from_slice(&piece[..read]);
            if used == 0 && read == 0 {
                break;
            }
        }
        self.buf.drain(..at);
        // A body that ends with the connection is complete only then.
        if call.can_proceed() && call.body_mode() != BodyMode::CloseDelimited {
            self.state = State::Done;
        }
        Ok(())
    }

    fn take(&mut self) -> (u16, Vec<u8>) {
        (self.status, std::mem::take(&mut self.body))
    }
}

/// Whether a blank line ends after the first `seen` bytes.
fn has_blank_line(buf: &[u8], seen: usize) -> bool {
    let from = seen.saturating_sub(3);
    buf[from..].windows(2).any(|pair| pair == b"\n\n")
        || buf[from..].windows(3).any(|three| three == b"\n\r\n")
}

/// The reason why bytes are no HTTP reply.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum HttpError {
    /// The bytes break a rule of HTTP.
    Invalid(String),
    /// The heads, or what surrounds the chunks of a body, are longer than 16 KiB.
    HeadTooLong,
    /// The body is longer than the limit.
    BodyTooLong {
        /// The limit, in bytes.
        max: usize,
    },
    /// The connection ended before the reply did.
    Closed,
}

impl HttpError {
    fn new(error: impl fmt::Display) -> Self {
        Self::Invalid(error.to_string())
    }
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(reason) => write!(f, "invalid HTTP: {reason}"),
            Self::HeadTooLong => write!(f, "the HTTP head has more than {MAX_HEAD} bytes"),
            Self::BodyTooLong { max } => write!(f, "the reply is too long; max_reply allows {max}"),
            Self::Closed => f.write_str("the connection ended within the reply"),
        }
    }
}

impl std::error::Error for HttpError {}

/// The longest head of a reply, in bytes; common servers send a few hundred.
const MAX_HEAD: usize = 16 << 10;
/// The longest head of a request, in bytes: its URL and four short fields.
const MAX_REQUEST_HEAD: usize = 6 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn exchange() -> HttpExchange {
        HttpExchange::new(&"http://node:8545/v3".parse().unwrap(), "[]", 100).unwrap().0
    }

    /// Feeds a reply in pieces of each size from one byte to all of it; the outcome is the same.
    fn read(reply: &str) -> Result<(u16, String), HttpError> {
        let outcomes = (1..=reply.len()).map(|size| {
            let mut exchange = exchange();
            for piece in reply.as_bytes().chunks(size) {
                if let Some((status, body)) = exchange.receive(piece)? {
                    return Ok((status, String::from_utf8(body).unwrap()));
                }
            }
            exchange.close().map(|(status, body)| (status, String::from_utf8(body).unwrap()))
        });
        let outcomes: Vec<_> = outcomes.collect();
        assert!(outcomes.windows(2).all(|two| two[0] == two[1]), "{reply:?}: {outcomes:?}");
        outcomes.into_iter().next().unwrap()
    }

    #[test]
    fn a_request_posts_json_and_asks_to_close() {
        let (_, bytes) =
            HttpExchange::new(&"http://node:8545/v3".parse().unwrap(), "{}", 100).unwrap();
        assert_eq!(
            String::from_utf8(bytes).unwrap(),
            "POST /v3 HTTP/1.1\r\nhost: node:8545\r\ncontent-type: application/json\r\n\
             content-length: 2\r\nconnection: close\r\n\r\n{}"
        );
        let v6 = HttpExchange::new(&"http://[::1]:1".parse().unwrap(), "[]", 100).unwrap().1;
        assert!(v6.starts_with(b"POST / HTTP/1.1\r\nhost: [::1]:1\r\n"));
    }

    #[test]
    fn a_reply_ends_by_its_length_its_last_chunk_or_the_connection() {
        let ok = |body: &str| Ok((200, body.to_owned()));
        assert_eq!(read("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"), ok("{}"));
        assert_eq!(read("HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\n{}"), ok("{}"));
        assert_eq!(read("HTTP/1.1 200 OK\r\n\r\n{}"), ok("{}"));
        assert_eq!(read("HTTP/1.0 200 OK\r\nconnection: close\r\n\r\n{}"), ok("{}"));
        let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        assert_eq!(read(&format!("{chunked}1\r\n{{\r\n1;x=y\r\n}}\r\n0\r\n\r\n")), ok("{}"));
        assert_eq!(read(&format!("{chunked}2\r\n{{}}\r\n0\r\na: b\r\n\r\n")), ok("{}"));
        let interim = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n";
        assert_eq!(read(&format!("{interim}HTTP/1.1 200 OK\r\n\r\n{{}}")), ok("{}"));
        assert_eq!(read("HTTP/1.1 204 No Content\r\n\r\n"), Ok((204, String::new())));
        let moved = "HTTP/1.1 302 Found\r\nlocation: http://other/\r\ncontent-length: 0\r\n\r\n";
        assert_eq!(read(moved), Ok((302, String::new())));
    }

    #[test]
    fn a_chunked_body_with_a_length_is_read_by_its_chunks() {
        let reply = "HTTP/1.1 200 OK\r\ncontent-length: 9\r\ntransfer-encoding: chunked\r\n\r\n\
                     2\r\n{}\r\n0\r\n\r\n";
        assert_eq!(read(reply), Ok((200, "{}".into())));
    }

    #[test]
    fn broken_replies_are_errors() {
        for reply in [
            "HTTP/1.1 200 OK\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n{}",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n",
        ] {
            assert_eq!(read(&format!("{reply} ")), Err(HttpError::Closed), "{reply:?}");
        }
        for reply in [
            "SSH-2.0-OpenSSH_9.2\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n{}",
            "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n{}",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\n{}\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\n\r\n{}",
        ] {
            assert!(matches!(read(reply), Err(HttpError::Invalid(_))), "{reply:?}");
        }
    }

    #[test]
    fn heads_and_bodies_have_limits() {
        let long = "x".repeat(MAX_HEAD);
        let endless = format!("HTTP/1.1 200 OK\r\na: {long}");
        assert_eq!(exchange().receive(endless.as_bytes()), Err(HttpError::HeadTooLong));
        let interim = "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(1000);
        assert_eq!(exchange().receive(interim.as_bytes()), Err(HttpError::HeadTooLong));

        let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        let trailer = format!("{chunked}0\r\na: {long}");
        assert_eq!(exchange().receive(trailer.as_bytes()), Err(HttpError::HeadTooLong));
        let too_long = Err(HttpError::BodyTooLong { max: 100 });
        let body = "x".repeat(101);
        let sized = format!("HTTP/1.1 200 OK\r\ncontent-length: 101\r\n\r\n{body}");
        assert_eq!(exchange().receive(sized.as_bytes()), too_long);
        let until_closed = format!("HTTP/1.1 200 OK\r\n\r\n{body}");
        assert_eq!(exchange().receive(until_closed.as_bytes()), too_long);
        let chunked = format!("{chunked}65\r\n{body}\r\n0\r\n\r\n");
        assert_eq!(exchange().receive(chunked.as_bytes()), too_long);
    }
}
