//! `--http`: metrics, health checks and the status page of an agent.

use crate::Fatal;
use crate::report::Report;
use crate::runtime::Node;
use std::net::SocketAddr;
use tidings_driver::prelude::Event;
use tidings_http::{EventLog, Pages, Server};

#[derive(clap::Args)]
pub(crate) struct HttpArgs {
    /// Serve metrics, health checks and a status page over HTTP [default if given: 127.0.0.1:7980]
    ///
    /// /metrics, /healthz, /readyz and /status, for all who reach the address: nobody logs in
    #[arg(
        id = "http",
        long = "http",
        value_name = "IP:PORT",
        num_args = 0..=1,
        default_missing_value = "127.0.0.1:7980",
        hide_short_help = true
    )]
    addr: Option<SocketAddr>,
}

/// The pages of an agent, if it serves any.
#[derive(Debug)]
pub(crate) struct Http {
    log: EventLog,
    _server: Server,
}

impl HttpArgs {
    /// Serves the pages of a node, if the agent is asked to, and reports where.
    pub(crate) fn serve(&self, node: &Node, report: &Report) -> Result<Option<Http>, Fatal> {
        let Some(addr) = self.addr else { return Ok(None) };
        let pages = Pages::new(node.observer());
        let log = pages.log();
        let server = Server::start(addr, pages)
            .map_err(|error| Fatal::usage(format!("--http: cannot listen at {addr}: {error}")))?;
        report.http(server.local_addr());
        Ok(Some(Http { log, _server: server }))
    }
}

impl Http {
    /// A function that shows events on the page; without a page it does nothing.
    pub(crate) fn recorder(http: Option<&Self>) -> impl Fn(&Event) + use<> {
        let log = http.map(|http| http.log.clone());
        move |event| {
            if let Some(log) = &log {
                log.record(event);
            }
        }
    }
}
