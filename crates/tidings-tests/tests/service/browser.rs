//! Headless Chromium, driven by the DevTools protocol over a pipe.

use crate::agents::LIMIT;
use data_encoding::BASE64;
use serde_json::{Value, json};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

/// A browser with one page; it is closed on drop.
pub(crate) struct Browser {
    process: Child,
    commands: File,
    messages: Receiver<Value>,
    session: Option<String>,
    next_id: u64,
    folder: PathBuf,
    /// Errors and warnings in the console, exceptions, dialogs, and loads that failed.
    pub(crate) problems: Vec<String>,
    /// The addresses of all requests.
    pub(crate) requests: Vec<String>,
}

impl Browser {
    /// Starts Chromium; `None`, with a message, if it is not there and the test is to be skipped.
    pub(crate) fn start() -> Option<Self> {
        static STARTED: AtomicUsize = AtomicUsize::new(0);
        let program = Path::new("/usr/bin/chromium");
        if !program.exists() {
            let help = "chromium is missing: run crates/tidings-tests/service/install.sh";
            assert!(std::env::var("TIDINGS_CHROMIUM").as_deref() != Ok("required"), "{help}");
            eprintln!("skipped: {help}");
            return None;
        }
        let (process, number) = (std::process::id(), STARTED.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(format!("tidings-chromium-{process}-{number}"));
        fs::create_dir_all(&folder).unwrap();
        let [commands, answers] = ["commands", "answers"].map(|name| folder.join(name));
        let made = Command::new("mkfifo").args([&commands, &answers]).status().unwrap();
        assert!(made.success());
        // Chromium reads commands from descriptor 3 and writes answers to 4.
        let process = Command::new("sh")
            .args(["-c", "exec \"$@\" 3<\"$COMMANDS\" 4>\"$ANSWERS\"", "sh"])
            .arg(program)
            .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"])
            .args(["--no-first-run", "--remote-debugging-pipe", "--window-size=1200,1000"])
            .args(["--disable-background-networking", "--disable-component-update"])
            .arg(format!("--user-data-dir={}", folder.join("profile").display()))
            .arg("about:blank")
            .env("COMMANDS", &commands)
            .env("ANSWERS", &answers)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(folder.join("log")).unwrap())
            .spawn()
            .unwrap();
        // Each waits for the other side.
        let commands = File::options().write(true).open(commands).unwrap();
        let answers = BufReader::new(File::open(answers).unwrap());
        let (sender, messages) = channel();
        thread::spawn(move || {
            for message in answers.split(0).map_while(Result::ok) {
                drop(sender.send(serde_json::from_slice(&message).unwrap()));
            }
        });
        let (session, next_id, problems, requests) = (None, 0, Vec::new(), Vec::new());
        let mut browser =
            Self { process, commands, messages, session, next_id, folder, problems, requests };
        let target = browser.call("Target.createTarget", json!({"url": "about:blank"}));
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let session = browser.call("Target.attachToTarget", attach);
        browser.session = Some(session["sessionId"].as_str().unwrap().to_owned());
        for domain in ["Page", "Runtime", "Log", "Network", "DOM"] {
            browser.call(&format!("{domain}.enable"), json!({}));
        }
        Some(browser)
    }

    /// Opens a page.
    pub(crate) fn open(&mut self, url: &str) {
        let opened = self.call("Page.navigate", json!({"url": url}));
        assert!(opened["errorText"].is_null(), "{url}: {opened}");
    }

    /// Opens pages without running their scripts from now on.
    pub(crate) fn disable_scripts(&mut self) {
        self.call("Emulation.setScriptExecutionDisabled", json!({"value": true}));
    }

    /// The value of an expression in the page.
    pub(crate) fn evaluate(&mut self, expression: &str) -> Value {
        let arguments = json!({"expression": expression, "returnByValue": true});
        let result = self.call("Runtime.evaluate", arguments);
        assert!(result["exceptionDetails"].is_null(), "{expression}: {result}");
        result["result"]["value"].clone()
    }

    /// The page's HTML as it is now; empty while the page is replaced by another one.
    pub(crate) fn html(&mut self) -> String {
        let Ok(document) = self.try_call("DOM.getDocument", json!({})) else {
            return String::new();
        };
        let node = json!({"nodeId": document["root"]["nodeId"]});
        let html = self.try_call("DOM.getOuterHTML", node);
        html.map_or_else(|_| String::new(), |html| html["outerHTML"].as_str().unwrap().into())
    }

    /// Waits until an expression is true in the page; returns how long that took.
    #[track_caller]
    pub(crate) fn wait(&mut self, limit: Duration, expression: &str) -> Duration {
        let start = Instant::now();
        while self.evaluate(expression) != true {
            let text = "document.body && document.body.innerText";
            assert!(start.elapsed() < limit, "{expression}: {}", self.evaluate(text));
            self.pause();
        }
        start.elapsed()
    }

    /// Waits until the page's HTML meets a condition, also without scripts.
    #[track_caller]
    pub(crate) fn wait_for_html(&mut self, such: impl Fn(&str) -> bool) {
        let start = Instant::now();
        loop {
            let html = self.html();
            if such(&html) {
                return;
            }
            assert!(start.elapsed() < LIMIT, "{html}");
            self.pause();
        }
    }

    /// Writes a picture of the whole page to a PNG file.
    pub(crate) fn screenshot(&mut self, path: &Path) {
        let arguments = json!({"format": "png", "captureBeyondViewport": true});
        let shot = self.call("Page.captureScreenshot", arguments);
        let png = BASE64.decode(shot["data"].as_str().unwrap().as_bytes()).unwrap();
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, png).unwrap();
    }

    fn call(&mut self, method: &str, arguments: Value) -> Value {
        self.try_call(method, arguments).unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    fn try_call(&mut self, method: &str, arguments: Value) -> Result<Value, Value> {
        let id = self.next_id;
        self.next_id += 1;
        let mut command = json!({"id": id, "method": method, "params": arguments});
        if let Some(session) = &self.session {
            command["sessionId"] = session.as_str().into();
        }
        self.commands.write_all(format!("{command}\0").as_bytes()).unwrap();
        loop {
            let mut message = self.messages.recv_timeout(LIMIT).unwrap_or_else(|_| {
                let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
                panic!("{method}: chromium does not answer: {log}")
            });
            if message["id"] == id {
                return match message["error"].take() {
                    Value::Null => Ok(message["result"].take()),
                    error => Err(error),
                };
            }
            self.note(&message);
        }
    }

    /// Waits for what happens next, for a moment.
    fn pause(&mut self) {
        if let Ok(message) = self.messages.recv_timeout(Duration::from_millis(50)) {
            self.note(&message);
        }
    }

    fn note(&mut self, event: &Value) {
        let arguments = &event["params"];
        let is_bad = |level: &Value| level == "error" || level == "warning";
        match event["method"].as_str().unwrap_or_default() {
            "Network.requestWillBeSent" => {
                self.requests.push(arguments["request"]["url"].as_str().unwrap().to_owned());
            }
            "Log.entryAdded" if !is_bad(&arguments["entry"]["level"]) => {}
            "Runtime.consoleAPICalled" if !is_bad(&arguments["type"]) => {}
            // A page that is left takes its requests with it.
            "Network.loadingFailed" if arguments["canceled"] == true => {}
            "Log.entryAdded"
            | "Runtime.consoleAPICalled"
            | "Runtime.exceptionThrown"
            | "Network.loadingFailed"
            | "Page.javascriptDialogOpening" => self.problems.push(event.to_string()),
            _ => {}
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
        drop(fs::remove_dir_all(&self.folder));
    }
}
