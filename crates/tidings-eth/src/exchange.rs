//! One exchange with a node: a batch of requests, and its reply, over HTTP or IPC.

use crate::attempt::Fault;
use crate::endpoint::Endpoint;
use crate::framer::{FrameError, JsonFramer};
use crate::http::{HttpError, HttpExchange};

/// The reading half of one exchange over one connection.
#[derive(Debug)]
pub(crate) enum Exchange {
    Http(HttpExchange),
    Ipc(JsonFramer),
}

impl Exchange {
    /// An exchange, and the bytes to send once the connection is there.
    pub(crate) fn new(
        endpoint: &Endpoint,
        json: &str,
        max_reply: usize,
    ) -> Result<(Self, Vec<u8>), Fault> {
        match endpoint {
            Endpoint::Http(http) if http.is_tls() => Err(Fault::Tls),
            Endpoint::Http(http) => {
                let (exchange, bytes) = HttpExchange::new(http, json, max_reply)?;
                Ok((Self::Http(exchange), bytes))
            }
            Endpoint::Ipc(_) => Ok((Self::Ipc(JsonFramer::new(max_reply)), json.into())),
        }
    }

    /// Takes received bytes; the reply's JSON once it is complete.
    pub(crate) fn receive(&mut self, bytes: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        match self {
            Self::Http(exchange) => exchange.receive(bytes)?.map(json).transpose(),
            Self::Ipc(framer) => Ok(framer.receive(bytes)?),
        }
    }

    /// Takes the end of the connection; the reply's JSON if that completes it.
    pub(crate) fn close(&mut self) -> Result<Vec<u8>, Fault> {
        match self {
            Self::Http(exchange) => match exchange.close() {
                Ok(reply) => json(reply),
                Err(HttpError::Closed) => Err(Fault::Closed),
                Err(error) => Err(error.into()),
            },
            Self::Ipc(_) => Err(Fault::Closed),
        }
    }
}

/// The body of a reply that is none of an error, and no deeper than one over IPC may be.
fn json((status, body): (u16, Vec<u8>)) -> Result<Vec<u8>, Fault> {
    if !(200..300).contains(&status) {
        return Err(Fault::Status(status));
    }
    match JsonFramer::new(body.len()).receive(&body) {
        Err(FrameError::TooDeep) => Err(FrameError::TooDeep.into()),
        // What is no JSON is left to its parser.
        _ => Ok(body),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_over_http_is_no_deeper_than_one_over_ipc() {
        let nested = |depth: usize| [vec![b'['; depth], vec![b']'; depth]].concat();
        assert!(json((200, nested(JsonFramer::MAX_DEPTH))).is_ok());
        let too_deep = Err(Fault::Frame(FrameError::TooDeep));
        assert_eq!(json((200, nested(JsonFramer::MAX_DEPTH + 1))), too_deep);
        assert_eq!(json((429, Vec::new())), Err(Fault::Status(429)));
    }
}
