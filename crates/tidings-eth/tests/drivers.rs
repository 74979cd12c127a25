//! The drivers, against nodes that this test plays, over loopback and Unix sockets.

#![cfg(unix)]

use futures_lite::future::block_on;
use socket2::{Domain, SockAddr, Socket, Type};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::ops::ControlFlow;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use tidings_eth::alloy_primitives::{Address, U256};
use tidings_eth::{
    Answer, CallError, CallOptions, Endpoint, Fault, GatewayOptions, Gateways, NotReached, Reach,
    Request, async_io, blocking, sol, tokio,
};

sol!(CallDemo, "contracts/calldemo.abi");

/// A driver under test.
#[derive(Clone, Copy, Debug)]
enum Driver {
    Blocking,
    AsyncIo,
    Tokio,
}

const DRIVERS: [Driver; 3] = [Driver::Blocking, Driver::AsyncIo, Driver::Tokio];

impl Driver {
    fn request(self, gateways: &Gateways, request: Request) -> Result<Answer, CallError> {
        match self {
            Self::Blocking => blocking::request(gateways, request),
            Self::AsyncIo => block_on(async_io::request(gateways, request)),
            Self::Tokio => runtime().block_on(tokio::request(gateways, request)),
        }
    }

    fn year(self, gateways: &Gateways) -> Result<U256, CallError> {
        let (contract, get) = (Address::ZERO, CallDemo::getCall {});
        match self {
            Self::Blocking => blocking::call(gateways, contract, &get),
            Self::AsyncIo => block_on(async_io::call(gateways, contract, &get)),
            Self::Tokio => runtime().block_on(tokio::call(gateways, contract, &get)),
        }
    }
}

fn runtime() -> ::tokio::runtime::Runtime {
    ::tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

/// A node that this test plays.
#[derive(Clone, Default)]
struct Node {
    height: Arc<AtomicU64>,
    /// It accepts connections, and answers nothing.
    frozen: Arc<AtomicBool>,
    asked: Arc<AtomicU64>,
}

impl Node {
    fn http(&self) -> Endpoint {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let node = self.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let node = node.clone();
                thread::spawn(move || node.serve(stream.unwrap(), true));
            }
        });
        endpoint
    }

    fn ipc(&self, name: &str) -> Endpoint {
        let path = std::env::temp_dir().join(format!("tidings-{}-{name}.ipc", std::process::id()));
        drop(std::fs::remove_file(&path));
        let listener = UnixListener::bind(&path).unwrap();
        let node = self.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let node = node.clone();
                thread::spawn(move || node.serve(stream.unwrap(), false));
            }
        });
        Endpoint::from(path)
    }

    /// Answers one batch, once all of it is there.
    fn serve(&self, mut stream: impl Read + Write, http: bool) {
        let (mut request, mut buf) = (Vec::new(), [0; 4096]);
        loop {
            let len = stream.read(&mut buf).unwrap_or(0);
            request.extend_from_slice(&buf[..len]);
            let text = String::from_utf8_lossy(&request);
            let body =
                if http { text.split_once("\r\n\r\n").map_or("", |(_, body)| body) } else { &text };
            match serde_json::from_str::<Vec<serde_json::Value>>(body) {
                Ok(batch) if !self.frozen.load(Ordering::Relaxed) => {
                    self.asked.fetch_add(1, Ordering::Relaxed);
                    let replies: Vec<_> = batch.iter().map(|request| self.reply(request)).collect();
                    let json = serde_json::to_string(&replies).unwrap();
                    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", json.len());
                    let reply = if http { head + &json } else { json };
                    drop(stream.write_all(reply.as_bytes()));
                    return;
                }
                _ if len == 0 => return,
                _ => {}
            }
        }
    }

    fn reply(&self, request: &serde_json::Value) -> serde_json::Value {
        let result = match request["method"].as_str().unwrap() {
            "eth_chainId" => "0x7a69".into(),
            "eth_blockNumber" => format!("{:#x}", self.height.load(Ordering::Relaxed)).into(),
            "eth_call" => format!("0x{:064x}", 2020).into(),
            "eth_syncing" => serde_json::Value::Bool(false),
            other => panic!("{other}"),
        };
        serde_json::json!({ "jsonrpc": "2.0", "id": request["id"], "result": result })
    }
}

fn options() -> CallOptions {
    let mut options = CallOptions::default();
    options.attempt_timeout = Duration::from_millis(300);
    options
}

/// An endpoint at which nobody listens.
fn closed() -> Endpoint {
    let addr = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    format!("http://{addr}").parse().unwrap()
}

fn year() -> U256 {
    U256::from(2020)
}

#[test]
fn a_contract_is_called_over_http_and_over_a_unix_socket() {
    for driver in DRIVERS {
        let node = Node::default();
        for endpoint in [node.http(), node.ipc(&format!("{driver:?}"))] {
            let gateways = Gateways::fixed([endpoint.clone()], options()).unwrap();
            assert_eq!(driver.year(&gateways), Ok(year()), "{driver:?} {endpoint}");
        }
    }
}

#[test]
fn a_host_may_be_a_name() {
    for driver in DRIVERS {
        let by_ip = Node::default().http();
        let port = by_ip.as_http().unwrap().port();
        let by_name = format!("http://localhost:{port}").parse().unwrap();
        let gateways = Gateways::fixed([by_name], options()).unwrap();
        assert_eq!(driver.year(&gateways), Ok(year()), "{driver:?}");
        let unknown = "http://nowhere.invalid:1".parse().unwrap();
        let gateways = Gateways::fixed([unknown, by_ip], options()).unwrap();
        assert_eq!(driver.year(&gateways), Ok(year()), "{driver:?}");
    }
}

#[test]
fn nodes_that_are_closed_silent_or_missing_are_passed_over_and_remembered() {
    for driver in DRIVERS {
        let frozen = Node::default();
        frozen.frozen.store(true, Ordering::Relaxed);
        let missing = Endpoint::from(PathBuf::from("/nowhere/node.ipc"));
        let alive = Node::default().http();
        let list = [closed(), missing, frozen.http(), frozen.ipc(&format!("f{driver:?}")), alive];
        let gateways = Gateways::fixed(list.clone(), options()).unwrap();
        assert_eq!(driver.year(&gateways), Ok(year()), "{driver:?}");
        let start = Instant::now();
        assert_eq!(driver.year(&gateways), Ok(year()), "{driver:?}");
        assert!(start.elapsed() < Duration::from_millis(300), "the live one is asked first now");

        let gateways = Gateways::fixed(list[..4].to_vec(), options()).unwrap();
        let Err(CallError::NoGateway(attempts)) = driver.year(&gateways) else { panic!() };
        let faults: Vec<_> = attempts.into_iter().map(|attempt| attempt.fault).collect();
        let timeout = Fault::Timeout(Duration::from_millis(300));
        assert!(matches!(faults[..2], [Fault::Connection(_), Fault::Connection(_)]), "{faults:?}");
        assert_eq!(faults[2..], [timeout.clone(), timeout], "{driver:?}");
    }
}

/// A frozen node accepts no connections, and those that wait for it fill its queue.
#[test]
fn a_socket_whose_queue_is_full_does_not_hold_a_call_up() {
    let path = std::env::temp_dir().join(format!("tidings-{}-full.ipc", std::process::id()));
    drop(std::fs::remove_file(&path));
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
    socket.bind(&SockAddr::unix(&path).unwrap()).unwrap();
    socket.listen(0).unwrap();
    let _waits = UnixStream::connect(&path).unwrap();
    for driver in DRIVERS {
        let list = [Endpoint::from(path.clone()), Node::default().http()];
        let gateways = Gateways::fixed(list, options()).unwrap();
        let start = Instant::now();
        assert_eq!(driver.year(&gateways), Ok(year()), "{driver:?}");
        assert!(start.elapsed() < Duration::from_secs(2), "{driver:?}");
    }
}

/// A gateway on a member of its own, whose node this test plays, and a caller that finds it.
#[test]
fn a_caller_finds_a_gateway_by_gossip_at_addresses_that_it_may_reach() {
    for driver in DRIVERS {
        let node = Node::default();
        node.height.store(5, Ordering::Relaxed);
        let http = node.http().as_http().unwrap().clone();
        let gateway_options = GatewayOptions::new(node.ipc(&format!("g{driver:?}")), vec![http]);
        let end = Arc::new(AtomicBool::new(false));
        let (server, serving) = serve(driver, gateway_options, &end);
        let shop = tidings_std::builder("shop").bind("127.0.0.1:0").name("client");
        let (client, events) = shop.options(tidings::Options::local()).start().unwrap();
        client.join([server]).unwrap();

        let mut permitted = options();
        permitted.chain = Some(31337);
        let follow = |reach| Gateways::of(client.clone(), [], permitted.clone(), reach).unwrap();
        let (gateways, strict) = (follow(Reach::LOCAL), follow(Reach::PRIVATE));
        let start = Instant::now();
        while gateways.reference(31337) != Some(5) {
            assert!(start.elapsed() < Duration::from_secs(20), "{gateways:?}");
            if let Some(event) = events.recv_timeout(Duration::from_secs(1)) {
                gateways.handle_event(&event);
                strict.handle_event(&event);
            }
        }
        assert_eq!(driver.year(&gateways), Ok(year()), "{driver:?}");
        let Err(CallError::NoGateway(attempts)) = driver.year(&strict) else { panic!() };
        assert_eq!(attempts[0].fault, Fault::NotReached(NotReached::Loopback));
        let answer = driver.request(&gateways, Request::read("eth_syncing", "[]").unwrap());
        assert_eq!(answer.unwrap().height, 5);

        // The node answers no more: the gateway withdraws it.
        node.frozen.store(true, Ordering::Relaxed);
        while !gateways.list().is_empty() {
            assert!(start.elapsed() < Duration::from_secs(40), "{gateways:?}");
            if let Some(event) = events.recv_timeout(Duration::from_secs(1)) {
                gateways.handle_event(&event);
            }
        }
        end.store(true, Ordering::Relaxed);
        serving.join().unwrap();
    }
}

/// Runs a gateway on a node of a driver's kind, until `end`; its address, and its thread.
fn serve(
    driver: Driver,
    mut options: GatewayOptions,
    end: &Arc<AtomicBool>,
) -> (SocketAddr, JoinHandle<()>) {
    options.poll_interval = Duration::from_millis(100);
    options.poll_timeout = Duration::from_millis(300);
    options.repeat_height = Duration::from_millis(500);
    let gateways = Gateways::fixed([], CallOptions::default()).unwrap();
    let end = Arc::clone(end);
    let on_event = move |_| match end.load(Ordering::Relaxed) {
        true => ControlFlow::Break(()),
        false => ControlFlow::Continue(()),
    };
    macro_rules! start {
        ($adapter:ident) => {
            $adapter::builder("shop")
                .bind("127.0.0.1:0")
                .name("gateway")
                .options(tidings::Options::local())
                .start()
                .unwrap()
        };
    }
    match driver {
        Driver::Blocking => {
            let (node, _events) = start!(tidings_std);
            let addr = node.addr();
            let serve = move || blocking::serve(&node, &gateways, options, on_event).unwrap();
            (addr, thread::spawn(serve))
        }
        Driver::AsyncIo => {
            let (node, _events) = start!(tidings_smol);
            let addr = node.addr();
            let serve = async move {
                async_io::serve(&node, &gateways, options, on_event).await.unwrap();
            };
            (addr, thread::spawn(|| block_on(serve)))
        }
        Driver::Tokio => {
            let runtime = runtime();
            let inside = runtime.enter();
            let (node, _events) = start!(tidings_tokio);
            drop(inside);
            let addr = node.addr();
            let serve = async move {
                tokio::serve(&node, &gateways, options, on_event).await.unwrap();
            };
            (addr, thread::spawn(move || runtime.block_on(serve)))
        }
    }
}
