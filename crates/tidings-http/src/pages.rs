//! The pages of one node: which answer a request gets.

use crate::accept::prefers;
use crate::html;
use crate::json;
use crate::log::EventLog;
use crate::metrics::{self, Answered, Format};
use crate::view::View;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tidings_driver::Observer;

/// The pages of one node, without a server.
///
/// They do not keep the node running: once it has stopped, the answers say so with status 503.
/// Cloning is cheap; all clones share one [`EventLog`].
#[derive(Clone, Debug)]
pub struct Pages {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    node: Observer,
    log: EventLog,
    answered: Answered,
    /// The last look at the node, and when it was taken.
    last: Mutex<Option<(Instant, Arc<View>)>>,
}

/// An answer to a request.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    /// The headers, among them `Content-Type`; not `Content-Length`.
    pub headers: Vec<(&'static str, &'static str)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Pages {
    /// Makes the pages of a node, whose handle has the [`Observer`].
    pub fn new(node: Observer) -> Self {
        let (log, answered, last) = (EventLog::default(), Answered::default(), Mutex::default());
        Self { shared: Arc::new(Shared { node, log, answered, last }) }
    }

    /// The log whose events the pages show; without any they show the members all the same.
    pub fn log(&self) -> EventLog {
        self.shared.log.clone()
    }

    /// The answer to a GET of this path; `accept` is the request's `Accept`, if it has one.
    ///
    /// A query is ignored. Links between the pages are relative, so that they work below any
    /// prefix; a caller that has one removes it first.
    pub fn get(&self, path: &str, accept: Option<&str>) -> Response {
        match path.split('?').next().unwrap_or_default() {
            "/" => {
                let response = Response::text(303, "see /status\n");
                response.with("Location", "status")
            }
            "/healthz" => self.probe(View::unhealthy),
            "/readyz" => self.probe(View::unready),
            "/metrics" => self.metrics(accept),
            "/status" if prefers(accept, "text/html", "application/json") => {
                self.html().with("Vary", "Accept")
            }
            "/status" => self.json().with("Vary", "Accept"),
            "/status.html" => self.html(),
            "/status.json" => self.json(),
            "/status.css" => Response::new(200, "text/css; charset=utf-8", html::STYLE),
            "/status.js" => Response::new(200, "text/javascript; charset=utf-8", html::SCRIPT),
            _ => Response::text(
                404,
                "not found; there are /status, /metrics, /healthz and /readyz\n",
            ),
        }
    }

    /// The answer to a probe, which fails for the reason that `wrong` finds.
    fn probe(&self, wrong: fn(&View) -> Option<String>) -> Response {
        let Some(view) = self.view() else { return Response::stopped() };
        match wrong(&view) {
            None => Response::text(200, "ok\n"),
            Some(reason) => Response::text(503, &format!("{reason}\n")),
        }
    }

    fn metrics(&self, accept: Option<&str>) -> Response {
        let Some(view) = self.view() else { return Response::stopped() };
        let (format, content_type) =
            if prefers(accept, "application/openmetrics-text", "text/plain") {
                (Format::OpenMetrics, "application/openmetrics-text; version=1.0.0; charset=utf-8")
            } else {
                (Format::Prometheus, "text/plain; version=0.0.4; charset=utf-8")
            };
        let text = metrics::encode(&view, &self.shared.answered, format);
        Response::new(200, content_type, text).with("Vary", "Accept")
    }

    fn json(&self) -> Response {
        let Some(view) = self.view() else { return Response::stopped() };
        let mut text = json::status(&view).to_string();
        text.push('\n');
        Response::new(200, "application/json", text)
    }

    fn html(&self) -> Response {
        let Some(view) = self.view() else { return Response::stopped() };
        let page = html::status(&view);
        Response::new(200, "text/html; charset=utf-8", page)
            .with("Content-Security-Policy", CONTENT_SECURITY_POLICY)
            .with("Referrer-Policy", "no-referrer")
    }

    /// The node as it is, or was a moment ago; `None` once it has stopped.
    fn view(&self) -> Option<Arc<View>> {
        // Those who ask meanwhile wait for the one look.
        let mut last = self.shared.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, view)) = last.as_ref().filter(|(at, _)| at.elapsed() < LOOK_INTERVAL) {
            return Some(Arc::clone(view));
        }
        let view = View::take(&self.shared.node, &self.shared.log, MAX_MEMBERS).map(Arc::new);
        *last = view.clone().map(|view| (Instant::now(), view));
        view
    }
}

impl Response {
    pub(crate) fn new(status: u16, content_type: &'static str, body: impl Into<Vec<u8>>) -> Self {
        let headers = vec![
            ("Content-Type", content_type),
            ("Cache-Control", "no-store"),
            ("X-Content-Type-Options", "nosniff"),
        ];
        Self { status, headers, body: body.into() }
    }

    pub(crate) fn text(status: u16, text: &str) -> Self {
        Self::new(status, "text/plain; charset=utf-8", text)
    }

    pub(crate) fn with(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.push((name, value));
        self
    }

    fn stopped() -> Self {
        Self::text(503, "the node has stopped\n")
    }
}

/// Everything comes from the page's own origin, nothing is inline, nobody frames it.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; \
    connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The time for which one look at the node serves all requests.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);
/// The number of members that the status lists.
const MAX_MEMBERS: usize = 1000;
