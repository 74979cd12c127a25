//! Tests of asynchronous adapters only: cancellation, stopped drivers, fairness.

use futures_lite::future::{block_on, or, poll_once, yield_now};
use std::io::Read;
use std::net::{TcpListener, UdpSocket};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use tidings_async_io::{Events, Tidings};
use tidings_driver::prelude::{Event, Failure, JoinError};
use tidings_tests::conformance::{
    Fault, FaultyPeer, LIMIT, id, loopback, patient, read_to_close, within,
};
use tokio::runtime::{Builder, Runtime};

#[test]
fn on_async_io_all_has_stopped_once_the_driver_was_dropped() {
    let (node, events, driver) = tidings_async_io::bind(patient("a")).unwrap();
    assert_all_stops(node, events, || drop(driver));
}

#[test]
fn on_tokio_all_has_stopped_once_the_runtime_was_dropped() {
    let runtime = runtime();
    let (node, events) = runtime.block_on(async { tidings_tokio::bind(patient("a")) }).unwrap();
    assert_all_stops(node, events, || drop(runtime));
}

/// A command that is running when the driver stops fails, and so does every later one.
#[track_caller]
fn assert_all_stops(node: Tidings, events: Events, stop: impl FnOnce() + Send + 'static) {
    let silent = FaultyPeer::at(loopback(), Fault::Stalls);
    within(LIMIT, move || {
        block_on(async {
            let seeds = [silent.addr()];
            let mut joining = pin!(node.join(seeds));
            assert!(poll_once(&mut joining).await.is_none());
            stop();
            assert_eq!(joining.await.unwrap_err(), JoinError::Stopped);
            assert_eq!(node.join(seeds).await.unwrap_err(), JoinError::Stopped);
            assert_eq!(node.leave().await, Err(Failure::Stopped));
            assert_eq!(rest(events).await, []);
        });
        // Queries still work.
        assert_eq!(node.local().id(), &id("a"));
    });
}

async fn rest(mut events: Events) -> Vec<Event> {
    let mut rest = Vec::new();
    while let Some(event) = events.recv().await {
        rest.push(event);
    }
    rest
}

#[test]
fn tokio_without_a_runtime_is_an_error() {
    let error = tidings_tokio::bind(patient("a")).unwrap_err();
    assert!(error.to_string().contains("runtime"), "{error}");
}

#[test]
fn one_thread_is_enough_for_nodes_and_applications_on_tokio() {
    Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
        let (a, mut events) = tidings_tokio::bind(patient("a")).unwrap();
        let (b, _b) = tidings_tokio::bind(patient("b")).unwrap();
        assert_eq!(b.join([a.addr()]).await.unwrap(), 2);
        b.ping(&id("a")).await.unwrap();
        b.send_reliable(&id("a"), vec![7; 500_000]).await.unwrap();
        assert_eq!(b.leave().await, Ok(1));
        drop(b);
        let mut left = false;
        while !left {
            left = matches!(events.recv().await.unwrap(), Event::Left(_));
        }
        drop(a);
        rest(events).await;
    });
}

#[test]
fn a_flood_of_datagrams_leaves_others_on_the_same_thread_their_turn() {
    within(LIMIT, || {
        let (node, _events, driver) = tidings_async_io::bind(patient("a")).unwrap();
        block_on(or(driver, watch_during_flood(&node)));
    });
    within(LIMIT, || {
        Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
            let (node, _events) = tidings_tokio::bind(patient("a")).unwrap();
            watch_during_flood(&node).await;
        });
    });
}

/// Runs beside a node that is flooded with datagrams, until it has received far more than in one
/// turn.
async fn watch_during_flood(node: &Tidings) {
    let (over, addr) = (Arc::new(AtomicBool::new(false)), node.addr());
    let is_over = Arc::clone(&over);
    let flood = thread::spawn(move || {
        let udp = UdpSocket::bind(loopback()).unwrap();
        while !is_over.load(Ordering::Relaxed) {
            udp.send_to(&[7; 100], addr).unwrap();
        }
    });
    while node.stats().datagrams_in < 10_000 {
        yield_now().await;
    }
    over.store(true, Ordering::Relaxed);
    flood.join().unwrap();
}

#[test]
fn a_command_that_nobody_waits_for_any_more_is_taken_back() {
    let (node, _events, driver) = tidings_async_io::bind(patient("a")).unwrap();
    thread::spawn(|| block_on(driver));
    assert_cancelled(&node);

    let runtime = runtime();
    let bound = runtime.block_on(async { tidings_tokio::bind(patient("a")) });
    assert_cancelled(&bound.unwrap().0);
}

/// Dropping the future of a join closes its stream, long before the deadline.
#[track_caller]
fn assert_cancelled(node: &Tidings) {
    let listener = TcpListener::bind(loopback()).unwrap();
    let seeds = [listener.local_addr().unwrap()];
    let mut joining = Box::pin(node.join(seeds));
    assert!(block_on(poll_once(&mut joining)).is_none());
    let mut stream = listener.accept().unwrap().0;
    assert!(stream.read(&mut [0; 1]).unwrap() > 0);

    let start = Instant::now();
    drop(joining);
    read_to_close(stream);
    assert!(start.elapsed() < Duration::from_secs(5), "it took {:?}", start.elapsed());
}

fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}
