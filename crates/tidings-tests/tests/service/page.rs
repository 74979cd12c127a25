//! The status page in a browser.

use crate::agents::Agent;
use crate::browser::Browser;
use std::path::Path;
use std::time::Duration;

/// The time in which the page shows a kill.
///
/// A probe of the member begins within two rounds over the four others, 1.6 s; its suspicion ends
/// after 3.6 s at the latest (`suspicion_mult` 3, `suspicion_max_mult` 6), the page is refreshed
/// every 2 s, and the server looks at the node every 0.2 s: 7.4 s, and something for the machine.
const BOUND: Duration = Duration::from_secs(12);

const NAMES: [&str; 5] = ["db-1", "db-2", "db-3", "db-4", "db-5"];

/// An expression: how many members the page shows in a state.
fn shown(state: &str) -> String {
    format!("document.querySelectorAll('#members .{state}').length")
}

#[test]
fn the_page_shows_five_members_and_a_kill_within_the_bound() {
    let Some(mut browser) = Browser::start() else { return };
    let mut agents = Agent::cluster(NAMES, &["--meta", "role=db"]);
    let url = format!("http://{}/status", agents[0].http);
    browser.open(&url);
    browser.wait(BOUND, &format!("{} === 5", shown("alive")));
    let text = browser.evaluate("document.querySelector('#members').innerText");
    for name in NAMES {
        assert!(text.as_str().unwrap().contains(name), "{text}");
    }
    assert_eq!(browser.evaluate("document.title"), "db-1: 5 of 5 present");

    // The page is the same one all the time.
    browser.evaluate("globalThis.marked = true");
    agents[4].kill();
    let failed = format!(
        "{} === 1 && {} === 4 && document.querySelector('#members tbody tr').innerText\
         .startsWith('db-5')",
        shown("failed"),
        shown("alive")
    );
    let took = browser.wait(BOUND, &failed);
    println!("the page showed the kill after {took:?}");
    browser.wait(BOUND, "document.querySelector('#events').innerText.includes('db-5')");
    assert_eq!(browser.evaluate("marked"), true);
    assert_eq!(browser.evaluate("document.getElementById('stale').hidden"), true);
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target");
    browser.screenshot(&target.join("page/status.png"));

    assert_eq!(browser.problems, [""; 0]);
    let origin = format!("http://{}/", agents[0].http);
    for request in &browser.requests {
        assert!(request.starts_with(&origin) || request == "data:,", "{request}");
    }

    // A page whose agent is gone says that it is old.
    agents[0].kill();
    browser.wait(BOUND, "!document.getElementById('stale').hidden");
}

#[test]
fn without_scripts_the_page_reloads_itself() {
    let Some(mut browser) = Browser::start() else { return };
    let agents = Agent::cluster(["a", "b"], &[]);
    browser.disable_scripts();
    browser.open(&format!("http://{}/status", agents[0].http));
    browser.wait_for_html(|html| html.matches("class=\"badge alive\"").count() == 2);
    agents[1].terminate();
    browser.wait_for_html(|html| html.contains("class=\"badge left\""));
    assert!(!browser.requests.iter().any(|request| request.ends_with(".js")));
    assert_eq!(browser.problems, [""; 0]);
}

#[test]
fn names_and_metadata_from_the_network_run_nothing() {
    let Some(mut browser) = Browser::start() else { return };
    let name = "<img src=x onerror=alert(1)>";
    let meta = "</bdi></td></table><script>alert(2)</script><a href=\"javascript:alert(3)\">";
    let agents = Agent::cluster(["a", name], &["--meta", meta]);
    browser.open(&format!("http://{}/status", agents[0].http));
    browser.wait(BOUND, &format!("{} === 2", shown("alive")));
    // Once more, by the script.
    browser.evaluate("document.querySelector('main').marked = true");
    browser.wait(BOUND, "!document.querySelector('main').marked");
    let text = browser.evaluate("document.querySelector('#members').innerText");
    let text = text.as_str().unwrap();
    assert!(text.contains(name) && text.contains(meta), "{text}");
    assert_eq!(browser.evaluate("document.querySelectorAll('img, main script').length"), 0);
    assert_eq!(browser.problems, [""; 0]);
}
