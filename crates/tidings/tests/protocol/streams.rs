//! Streams: deadlines, caps, and peers that misbehave.

use super::*;

#[test]
fn a_stream_that_is_opened_twice_sends_one_request() {
    let mut node = Node::new(config(0, addr(0)), [7; 32], Instant::ZERO);
    node.join(Instant::ZERO, &[addr(1)]).unwrap();
    let mut buf = Vec::new();
    let mut written = 0;
    for _ in 0..2 {
        let mut opens = Vec::new();
        while let Some(output) = node.poll_output(&mut buf) {
            match output {
                Output::Stream { id, action: StreamAction::Open { .. } } => opens.extend([id; 2]),
                Output::Stream { action: StreamAction::Write(_), .. } => written += 1,
                _ => {}
            }
        }
        opens.into_iter().for_each(|id| node.handle_stream(Instant::ZERO, id, StreamInput::Opened));
    }
    assert_eq!(written, 1);
}

#[test]
fn a_stream_that_drips_ends_at_its_deadline() {
    let mut net = pair();
    let request =
        forge::frame(0, &forge::sync_hello(&[forge::member(0, "x", "10.0.0.9:1", 1, b"")]));
    let stream = net.inject_stream(0, stranger(), &request[..1]);
    let start = net.now;
    for byte in &request[1..] {
        net.run_for(SECOND / 20);
        if !net.injected_stream_actions(0, stream).is_empty() {
            break;
        }
        net.feed_stream(0, stream, StreamInput::Data(std::slice::from_ref(byte)));
    }
    assert_eq!(net.injected_stream_actions(0, stream), [StreamAction::Reset]);
    assert_eq!(net.now.since(start), Options::local().stream_timeout);
    assert_eq!(net.nodes[0].node.stats().streams_timed_out, 1);
}

#[test]
fn a_peer_that_never_closes_is_dropped_at_the_deadline() {
    let mut net = pair();
    let request = forge::frame(7, &[2, b'n', b'0']);
    let stream = net.inject_stream(0, stranger(), &request);
    assert!(matches!(
        net.injected_stream_actions(0, stream),
        [StreamAction::Write(_), StreamAction::Close]
    ));
    net.run_for(Options::local().stream_timeout);
    assert_eq!(net.injected_stream_actions(0, stream).last(), Some(&StreamAction::Reset));
}

#[test]
fn streams_are_capped_in_number_in_bytes_and_in_time() {
    let mut options = Options::local();
    options.max_streams_in = 3;
    options.max_meta = 0;
    options.sync_chunk = 5800;
    options.max_sync_state = 0;
    options.max_frame = 11_600;
    options.max_stream_memory = 12_700;
    let config = common::config_with(0, &options).with_generation(1);
    let mut node = Node::new(config, [1; 32], Instant::ZERO);
    let now = Instant::ZERO + SECOND;
    let ids: Vec<_> = (0..3).map(|_| node.accept_stream(now, stranger()).unwrap()).collect();
    assert_eq!(node.accept_stream(now, stranger()), None);
    assert_eq!(node.stats().streams_refused, 1);
    // Three streams begin a frame of 5,000 bytes and never end it: the third exceeds the limit.
    let mut begun = forge::frame(0, &[0; 5000]);
    begun.pop();
    for &id in &ids {
        node.handle_stream(now, id, StreamInput::Data(&begun));
    }
    assert_eq!(stream_actions(&mut node, ids[2]), [StreamAction::Reset]);
    assert_eq!(node.stats().rejected_streams.oversized, 1);
    // The others end at their deadline.
    node.handle_timeout(now + options.stream_timeout);
    assert_eq!(node.stats().streams_timed_out, 2);
    assert!(node.accept_stream(now + options.stream_timeout, stranger()).is_some());
}
