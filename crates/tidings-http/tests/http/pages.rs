//! What the pages say about real nodes on loopback.

use crate::client::{node, pages, wait};
use serde_json::Value;
use std::collections::BTreeSet;
use tidings_http::{Pages, Response};
use tidings_std::Tidings;

const HTML: Option<&str> = Some("text/html,application/xhtml+xml,*/*;q=0.8");

fn text(response: Response) -> String {
    assert_eq!(response.status, 200);
    String::from_utf8(response.body).unwrap()
}

fn json(pages: &Pages) -> Value {
    serde_json::from_str(&text(pages.get("/status", None))).unwrap()
}

fn content_type(response: &Response) -> &'static str {
    response.headers.iter().find(|(name, _)| *name == "Content-Type").unwrap().1
}

/// Two nodes of one cluster, and the pages of the first.
fn two(names: [&str; 2], meta: &str) -> (Tidings, Tidings, Pages) {
    let ((a, events), (b, _)) = (node(names[0], meta), node(names[1], meta));
    let (pages, _) = pages(&a, events);
    b.join([a.addr()]).unwrap();
    wait(|| json(&pages)["members"].as_array().unwrap().len() == 2);
    (a, b, pages)
}

#[test]
fn the_status_has_members_with_metadata_rtt_and_last_change() {
    let (a, b, pages) = two(["a", "b"], "role=db");
    wait(|| json(&pages)["members"][1]["rtt"].is_f64());
    let status = json(&pages);
    assert_eq!(status["node"]["name"], "a");
    assert_eq!(status["node"]["cluster"], "test");
    assert_eq!(status["node"]["wire"], "tidings");
    assert_eq!(status["node"]["ready"], true);
    assert_eq!(status["counts"]["alive"], 2);
    let [first, second] = &status["members"].as_array().unwrap()[..] else { panic!("{status}") };
    assert_eq!((&first["name"], &first["local"]), (&"a".into(), &true.into()));
    assert_eq!((&second["name"], &second["state"]), (&"b".into(), &"alive".into()));
    assert_eq!(
        (&second["meta_text"], &second["meta"]),
        (&"role=db".into(), &"726f6c653d6462".into())
    );
    assert_eq!(second["port"], b.addr().port());
    assert_eq!(second["last_change"]["kind"], "joined");
    assert_eq!(status["events"][0]["kind"], "joined");

    // The same digest at both nodes.
    let other = Pages::new(b.observer());
    wait(|| json(&pages)["node"]["digest"] == json(&other)["node"]["digest"]);

    b.leave().unwrap();
    wait(|| json(&pages)["counts"]["left"] == 1);
    let status = json(&pages);
    assert_eq!(
        (&status["members"][0]["name"], &status["members"][0]["state"]),
        (&"b".into(), &"left".into()),
        "it is first"
    );
    wait(|| json(&pages)["members"][0]["last_change"]["kind"] == "left");
    assert_eq!(a.members().len(), 1);
}

#[test]
fn what_came_from_the_network_is_escaped_on_the_page() {
    let name = "<img src=x onerror=alert(1)>'\"&";
    let meta = "</bdi></td><script>alert(2)</script>\u{1b}[2J\u{202e}";
    let (_a, _b, pages) = two(["a", name], meta);
    wait(|| !json(&pages)["events"].as_array().unwrap().is_empty());
    let page = text(pages.get("/status", HTML));
    assert!(page.contains("&lt;img src=x onerror=alert(1)&gt;&#39;&quot;&amp;</bdi>"));
    assert!(page.contains(
        "&lt;/bdi&gt;&lt;/td&gt;&lt;script&gt;alert(2)&lt;/script&gt;\\u{1b}[2J\\u{202e}"
    ));
    assert!(!page.contains("<img") && !page.contains("alert(2)</script>"));
    assert!(!page.contains('\u{1b}') && !page.contains('\u{202e}'));
    // Once as a member, once in an event.
    assert_eq!(page.matches("&lt;img").count(), 2, "{page}");
    // JSON has them as they are.
    let members = json(&pages)["members"].clone();
    let shown = members.as_array().unwrap().iter().find(|member| member["local"] == false).unwrap();
    assert_eq!((&shown["name"], &shown["meta_text"]), (&name.into(), &meta.into()));
    // So have metrics, which name no peer.
    assert!(!text(pages.get("/metrics", None)).contains("onerror"));
}

#[test]
fn the_page_works_without_a_script_and_has_no_external_resource() {
    let (_a, _b, pages) = two(["a", "b"], "");
    let response = pages.get("/status", HTML);
    assert_eq!(content_type(&response), "text/html; charset=utf-8");
    let csp = response.headers.iter().find(|(name, _)| *name == "Content-Security-Policy").unwrap();
    assert!(csp.1.starts_with("default-src 'none'"));
    let page = text(response);
    assert!(page.contains("<noscript><meta http-equiv=\"refresh\" content=\"5\"></noscript>"));
    assert!(!page.contains("http://") && !page.contains("https://") && !page.contains("//"));
    assert!(!page.contains("style=") && !page.contains("<style"));
    for (file, content) in
        [("status.css", "text/css; charset=utf-8"), ("status.js", "text/javascript; charset=utf-8")]
    {
        assert!(page.contains(&format!("\"{file}\"")));
        let response = pages.get(&format!("/{file}"), None);
        assert_eq!(content_type(&response), content);
        assert!(!text(response).contains("//") || file == "status.js");
    }
}

#[test]
fn each_path_has_its_answer() {
    let (a, events) = node("a", "");
    let (pages, _) = pages(&a, events);
    for path in ["/healthz", "/readyz", "/metrics", "/status", "/status.html", "/status.json?x=1"] {
        assert_eq!(pages.get(path, None).status, 200, "{path}");
    }
    let root = pages.get("/", None);
    assert_eq!((root.status, root.headers.contains(&("Location", "status"))), (303, true));
    for path in ["", "/x", "/status/", "/../etc/passwd", "http://a/status"] {
        assert_eq!(pages.get(path, None).status, 404, "{path}");
    }
    assert_eq!(content_type(&pages.get("/status.json", HTML)), "application/json");
    assert_eq!(content_type(&pages.get("/status", Some("*/*"))), "application/json");
}

#[test]
fn a_node_that_waits_for_its_seeds_is_healthy_and_not_ready() {
    // Nobody answers there.
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let seed = silent.local_addr().unwrap().to_string();
    let node = tidings_std::builder("test").name("a").bind("127.0.0.1:0").seeds([seed]);
    let (node, _events) = node.start().unwrap();
    let pages = Pages::new(node.observer());
    assert_eq!(pages.get("/healthz", None).status, 200);
    let answer = pages.get("/readyz", None);
    let reason = String::from_utf8(answer.body).unwrap();
    assert_eq!((answer.status, reason.contains("has not settled")), (503, true), "{reason}");
    assert!(text(pages.get("/metrics", None)).contains("\ntidings_ready 0\n"));

    node.leave().unwrap();
    let reason = |pages: &Pages| String::from_utf8(pages.get("/readyz", None).body).unwrap();
    wait(|| reason(&pages).contains("has left"));
}

#[test]
fn the_pages_of_a_node_that_has_stopped_say_so() {
    let (a, events) = node("a", "");
    let (pages, _) = pages(&a, events);
    drop(a);
    for path in ["/healthz", "/readyz", "/metrics", "/status", "/status.html"] {
        wait(|| pages.get(path, None).status == 503);
        assert_eq!(pages.get(path, None).body, b"the node has stopped\n");
    }
    assert_eq!(pages.get("/status.css", None).status, 200);
}

#[test]
fn metrics_have_one_help_one_type_and_no_series_twice_in_both_formats() {
    let (_a, _b, pages) = two(["a", "b"], "");
    wait(|| json(&pages)["members"][1]["rtt"].is_f64());
    let openmetrics = "application/openmetrics-text;version=1.0.0,text/plain;q=0.5";
    for accept in [None, Some(openmetrics)] {
        let response = pages.get("/metrics", accept);
        let is_openmetrics = content_type(&response).starts_with("application/openmetrics-text");
        assert_eq!(is_openmetrics, accept.is_some());
        let text = text(response);
        assert_eq!(text.ends_with("# EOF\n"), is_openmetrics);
        let (mut helped, mut typed, mut series) =
            (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for line in text.lines().filter(|line| *line != "# EOF") {
            let words: Vec<_> = line.splitn(4, ' ').collect();
            match &words[..] {
                ["#", "HELP", family, help] => {
                    assert!(help.ends_with('.') && helped.insert(family.to_string()), "{line}");
                }
                ["#", "TYPE", family, _] => assert!(typed.insert(family.to_string()), "{line}"),
                ["#", "UNIT", family, unit] => assert!(family.ends_with(unit), "{line}"),
                _ => {
                    let (name, value) = line.rsplit_once(' ').unwrap();
                    assert!(
                        value.parse::<f64>().is_ok() && series.insert(name.to_owned()),
                        "{line}"
                    );
                    assert!(name.starts_with("tidings_"), "{line}");
                }
            }
        }
        assert_eq!(helped, typed);
        assert!((80..100).contains(&series.len()), "{} series", series.len());
        // The number of series does not depend on the members, and no label names one.
        assert!(!series.iter().any(|name| name.contains("\"b\"")));
        assert!(series.contains("tidings_members{state=\"alive\"}"));
        assert!(series.contains("tidings_probe_rtt_seconds{quantile=\"0.5\"}"));
    }
}
