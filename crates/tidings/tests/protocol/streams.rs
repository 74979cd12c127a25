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
    let ids: Vec<_> = (0..3).map(|n| node.accept_stream(now, source(n)).unwrap()).collect();
    assert_eq!(node.accept_stream(now, source(3)), None);
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

#[test]
fn a_source_takes_half_of_the_streams_at_most() {
    let mut node = Node::new(config(0, addr(0)), [7; 32], Instant::ZERO);
    let most = node.config().options().max_streams_in;
    let one = |n: u16| SocketAddr::from(([192, 0, 2, 1], n));
    let network = |n: u16| SocketAddr::from(([0x2001, 0xdb8, 0, 7, 1, 2, 3, n], 999));
    for from in [one, network] {
        let accepted = (0..128).filter(|&n| node.accept_stream(Instant::ZERO, from(n)).is_some());
        assert_eq!(accepted.count(), most / 2);
    }
    assert_eq!(node.stats().streams_refused, 128);
    // Of its own streams, the one that is idle for longest gives way.
    let later = Instant::ZERO + SECOND;
    assert!(node.accept_stream(later, one(200)).is_some());
    assert_eq!(stream_resets(&mut node), [0]);
}

#[test]
fn the_stream_that_is_idle_for_longest_gives_way() {
    let options = Options::lan();
    let config = common::config_with(0, &options).with_generation(1);
    let mut node = Node::new(config, [7; 32], Instant::ZERO);
    let mut now = Instant::ZERO;
    let ids: Vec<_> = (0..128).map(|n| node.accept_stream(now, source(n)).unwrap()).collect();
    now += SECOND / 5;
    assert_eq!(node.accept_stream(now, source(200)), None, "none is idle yet");
    // Of the first two, one sends a whole frame, and one a part.
    let request = forge::frame(7, &[2, b'n', b'0']);
    node.handle_stream(now, ids[0], StreamInput::Data(&request));
    node.handle_stream(now, ids[1], StreamInput::Data(&request[..9]));
    now += SECOND / 20;
    for n in 200..327 {
        assert!(node.accept_stream(now, source(n)).is_some());
    }
    let all_but_the_first: Vec<_> = (1..128).collect();
    assert_eq!(stream_resets(&mut node), all_but_the_first);
    assert_eq!(node.accept_stream(now, source(400)), None);
    assert_eq!(node.stats().streams_timed_out, 127);
}

#[test]
fn a_stream_waits_for_its_first_byte_for_a_quarter_of_its_timeout() {
    let options = Options::lan();
    let config = common::config_with(0, &options).with_generation(1);
    let mut node = Node::new(config, [7; 32], Instant::ZERO);
    node.leave(Instant::ZERO);
    let silent = node.accept_stream(Instant::ZERO, source(1)).unwrap();
    let begun = node.accept_stream(Instant::ZERO, source(2)).unwrap();
    let first = Instant::ZERO + 2 * SECOND;
    node.handle_stream(first, begun, StreamInput::Data(&forge::frame(7, &[2, b'n', b'0'])[..9]));
    for (at, ended) in [(2.4, vec![]), (2.5, vec![silent]), (9.9, vec![]), (10.0, vec![begun])] {
        node.handle_timeout(Instant::ZERO + Duration::from_secs_f64(at));
        let ended: Vec<_> = ended.iter().map(|id| id.as_u64()).collect();
        assert_eq!(stream_resets(&mut node), ended, "after {at} seconds");
    }
}

#[test]
fn answers_that_peers_do_not_read_count_against_the_memory_for_streams() {
    let mut options = Options::lan();
    options.max_stream_memory = options.max_frame + 1024;
    let mut net = Net::with_options(1, &options);
    net.add_fictional_members(0, 1000);
    // Peers that ask for all members, and do not read the answer.
    let greeting = [&[0], &forge::member(0, "x", "10.0.0.9:1", 1, b"")[..], &[0]].concat();
    let ask = |net: &mut Net, n| {
        let stream = net.inject_stream(0, source(n), &forge::frame(0, &greeting));
        let [StreamAction::Write(answer)] = net.injected_stream_actions(0, stream) else {
            // An eighth of the memory is left to the streams that the node opens.
            assert_eq!(net.injected_stream_actions(0, stream), [StreamAction::Reset]);
            return None;
        };
        let all = forge::later_frame(&answer.clone(), 2, 5, &[3, 0xff]);
        net.feed_stream(0, stream, StreamInput::Data(&all));
        Some(stream)
    };
    let (mut unread, mut streams) = (0, Vec::new());
    for n in 0..100 {
        let Some(stream) = ask(&mut net, n) else { continue };
        match &net.injected_stream_actions(0, stream)[1..] {
            [StreamAction::Write(answer)] => {
                unread += answer.len();
                streams.push(stream);
            }
            actions => assert_eq!(actions, [StreamAction::Reset]),
        }
    }
    assert!(unread <= options.max_stream_memory && unread > options.max_stream_memory / 2);
    assert_eq!(net.nodes[0].node.stats().rejected_streams.oversized, 100 - streams.len() as u64);
    // One that reads its answer, and says something more, makes room for another one; and one that
    // ends.
    for input in [StreamInput::Data(&forge::frame(5, &[])[..1]), StreamInput::Closed] {
        net.feed_stream(0, streams.pop().unwrap(), input);
        let stream = ask(&mut net, 200).expect("there is room");
        assert!(matches!(net.injected_stream_actions(0, stream)[1..], [StreamAction::Write(_)]));
        let refused = ask(&mut net, 201);
        let is_reset = |id| net.injected_stream_actions(0, id)[1..] == [StreamAction::Reset];
        assert!(refused.is_none_or(is_reset));
    }
}

/// An address of another source for each number.
fn source(n: usize) -> SocketAddr {
    SocketAddr::from(([198, 18, (n >> 8) as u8, n as u8], 999))
}

/// Takes all outputs of a node; returns the numbers of the streams that it reset.
fn stream_resets(node: &mut Node) -> Vec<u64> {
    let mut buf = Vec::new();
    let mut resets = Vec::new();
    while let Some(output) = node.poll_output(&mut buf) {
        if let Output::Stream { id, action: StreamAction::Reset } = output {
            resets.push(id.as_u64());
        }
    }
    resets
}
