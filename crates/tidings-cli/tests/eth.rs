//! `tidings eth`, as a user runs it; the nodes replay what real ones have sent.

#![cfg(feature = "eth")]

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::Duration;

/// The contract's ABI; tests run in the package's folder.
const ABI: &str = "contracts/calldemo.abi";
const CONTRACT: &str = "0x5FbDB2315678afecb367f032d93F642f64180aa3";

fn tidings(args: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } =
        Command::new(env!("CARGO_BIN_EXE_tidings")).arg("eth").args(args).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

/// A node on a free port that answers each request with bytes that anvil has sent.
fn node(reply: &str) -> String {
    let reply = std::fs::read(format!("tests/fixtures/{reply}.http")).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            // The whole request comes in one piece.
            _ = stream.read(&mut [0; 4096]);
            _ = stream.write_all(&reply);
        }
    });
    url
}

fn call(node: &str, args: &[&str]) -> (Option<i32>, String, String) {
    let args: Vec<_> = args.iter().map(|arg| if *arg == "ABI" { ABI } else { *arg }).collect();
    tidings(&[&["call", "--node", node, CONTRACT], &args[..]].concat())
}

#[test]
fn a_call_prints_what_the_contract_returns() {
    let url = node("get");
    let printed = |text: &str| (Some(0), text.to_owned(), String::new());
    assert_eq!(call(&url, &["get()(uint256)"]), printed("2020\n"));
    assert_eq!(call(&url, &["get", "--abi", "ABI"]), printed("2020\n"));
    let json = "{\"chain\":31337,\"data\":\"0x00000000000000000000000000000000000000000000000000000\
                000000007e4\",\"height\":1,\"node\":\"URL\",\"values\":[\"2020\"]}\n";
    let json = json.replace("URL", &url);
    assert_eq!(call(&url, &["get()(uint256)", "--json", "--chain", "31337"]), printed(&json));
    assert_eq!(call(&node("name"), &["name()(string)"]), printed("\"calldemo\"\n"));
}

#[test]
fn a_revert_ends_with_its_reason() {
    let failed = |text: &str| {
        let error = format!("tidings: the contract reverted: {text}\n");
        (Some(1), String::new(), error)
    };
    let custom = node("revert_custom");
    let set = ["set(uint256)(bool)", "0"];
    let decoded = failed("TooSmall { given: 0, least: 1 }");
    assert_eq!(call(&custom, &["divide", "1", "0", "--abi", "ABI"]), decoded);
    let (status, _, error) = call(&custom, &set);
    assert_eq!(status, Some(1));
    assert!(error.starts_with("tidings: the contract reverted: 0xe94fe3af0000"), "{error}");
    assert!(error.ends_with("; --abi may name it\n"), "{error}");
    let panic = failed("Panic(0x12): division or modulo by zero");
    assert_eq!(call(&node("revert_panic"), &["divide(uint256,uint256)(uint256)", "1", "0"]), panic);
    assert_eq!(call(&node("revert_string"), &["fail()(bool)"]), failed("no luck"));
}

#[test]
fn a_call_without_an_answer_says_what_each_node_did() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (status, _, error) = call(&format!("http://{closed}"), &["get()(uint256)"]);
    assert_eq!(status, Some(1));
    assert!(error.contains(&format!("no gateway answered; http://{closed}: ")), "{error}");

    let chain = ["get()(uint256)", "--chain", "1"];
    let (status, _, error) = call(&node("get"), &chain);
    assert_eq!(status, Some(1));
    assert!(error.contains("31337"), "{error}");

    let (status, _, error) = call(&node("get"), &["get()(string)"]);
    assert_eq!(status, Some(1));
    assert!(error.starts_with("tidings: cannot decode the answer: "), "{error}");
}

#[test]
fn wrong_arguments_end_with_status_2() {
    for (args, expected) in [
        (&["set(uint8)", "256"][..], "argument 1: `256` is no uint8: "),
        (&["set(uint8)"], "`set(uint8)` takes 1 argument; 0 given"),
        (&["get"], "`get` is no signature like `get()(uint256)`: "),
        (&["put", "--abi", "ABI"], "the ABI has no function `put`, but `divide(uint256,uint256)`"),
        (&["get()", "--abi", "/nowhere.abi"], "cannot read /nowhere.abi: "),
        (&["get()", "--agree", "0"], "agree is not 1 to 16"),
    ] {
        let (status, _, error) = call("/nowhere.ipc", args);
        assert_eq!(status, Some(2), "{args:?}");
        assert!(error.starts_with(&format!("tidings: {expected}")), "{args:?}: {error}");
    }
}

#[test]
fn abigen_prints_bindings_or_writes_them_to_a_file() {
    let args = ["abigen", "--abi", ABI, "--type", "CallDemo"];
    let (status, printed, error) = tidings(&args);
    assert_eq!((status, error.as_str()), (Some(0), ""));
    assert!(printed.contains("tidings_eth::sol! {\n    interface CallDemo {\n"), "{printed}");

    let out = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("calldemo.rs");
    let written = tidings(&[&args[..], &["--out", out.to_str().unwrap()]].concat());
    assert_eq!(written, (Some(0), String::new(), String::new()));
    assert_eq!(std::fs::read_to_string(out).unwrap(), printed);

    let (status, _, error) = tidings(&["abigen", "--abi", ABI, "--type", "Call Demo"]);
    assert_eq!(status, Some(2));
    assert_eq!(error, format!("tidings: {ABI}: `Call Demo` is no name for a type\n"));
}

#[test]
fn a_gateway_that_would_advertise_a_path_does_not_start() {
    let (status, printed, error) =
        tidings(&["gateway", "--node", "/node.ipc", "--rpc", "http://127.0.0.1:1/key"]);
    assert_eq!((status, printed.as_str()), (Some(2), ""));
    let reason = "an advertised endpoint is http(s)://HOST:PORT without a path";
    assert_eq!(error, format!("tidings: {reason}\n"));
}

/// An interrupted demo kills its nodes and removes its folder. The nodes are a script, of which the
/// first has a socket that answers nothing, so that the demo waits.
#[cfg(unix)]
#[test]
fn an_interrupted_demo_leaves_nothing_behind() {
    use std::os::unix::{fs::PermissionsExt, net::UnixListener};

    let folder = std::env::temp_dir().join(format!("tidings-eth-cli-{}-demo", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (script, pids) = (folder.join("anvil"), folder.join("pids"));
    let text = "#!/bin/sh\necho $$ >> \"$TMPDIR/pids\"\n\
                while ! test -e \"$TMPDIR/go\"; do sleep 0.05; done\n\
                echo Listening on 127.0.0.1:1\nexec sleep 60\n";
    std::fs::write(&script, text).unwrap();
    std::fs::set_permissions(&script, PermissionsExt::from_mode(0o755)).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidings"));
    command.args(["eth", "demo", "--anvil"]).arg(&script).env("TMPDIR", &folder);
    let mut demo = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let read_pids = || std::fs::read_to_string(&pids).unwrap_or_default();
    let wait_for = |count| {
        while read_pids().lines().count() < count {
            thread::sleep(Duration::from_millis(20));
        }
    };
    wait_for(1);
    let sockets = folder.join(format!("tidings-eth-demo-{}", demo.id()));
    let _silent = UnixListener::bind(sockets.join("n1.ipc")).unwrap();
    std::fs::write(folder.join("go"), "").unwrap();
    wait_for(3);
    let signal = |name: &str, pid: &str| Command::new("kill").args([name, pid]).status().unwrap();
    thread::sleep(Duration::from_millis(200));
    signal("-TERM", &demo.id().to_string());
    assert!(!demo.wait().unwrap().success());
    assert!(!sockets.exists());
    for pid in read_pids().lines() {
        assert!(!signal("-0", pid).success(), "{pid} runs");
    }
    std::fs::remove_dir_all(&folder).unwrap();
}
