//! What a node costs in memory and on the wire: `cargo bench -p tidings --bench memory`.

mod common;

use common::link::Link;
use common::single_node::{GENERATION, STRANGER, SingleNode, UPDATES_PER_DATAGRAM, address, name};
use common::{MEMBERS, forge};
use std::time::Duration;
use tidings::{Node, Output};

fn main() {
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    println!("Bytes on the heap per member, the node itself included\n");
    println!("| members | news told as it comes | all at once, then told | by a join |");
    println!("|---|---|---|---|");
    for members in MEMBERS {
        print!("| {members} |");
        for learn in [slowly, at_once, joined] {
            let mut node = None;
            let held = allocation_counter::measure(|| node = Some(learn(members)));
            print!(" {:.1} |", held.bytes_current as f64 / f64::from(members));
        }
        println!();
    }
    println!("\nAllocations per datagram taken or sent, at 1,000 members\n");
    allocations();
    println!("\nBytes of datagrams, generation of today, 10-byte names, IPv4, no metadata\n");
    on_the_wire();
}

/// A node that learned of all a few at a time.
fn slowly(members: u32) -> Node {
    let mut single = SingleNode::new(members);
    for news in single.alive_updates(0) {
        single.receive(STRANGER, &news);
        single.settle();
    }
    single.node
}

/// A node that learned of all before it told anybody.
fn at_once(members: u32) -> Node {
    SingleNode::warm(members).node
}

/// A node that learned of all from its seed.
fn joined(members: u32) -> Node {
    let mut link = Link::newcomer(members);
    link.sync();
    link.into_newcomer()
}

fn allocations() {
    let mut single = SingleNode::warm(1_000);
    let of = |single: &mut SingleNode, what: &str, act: &dyn Fn(&mut SingleNode)| {
        let datagrams = |single: &SingleNode| {
            let stats = single.node.stats();
            stats.datagrams_in + stats.datagrams_out
        };
        let before = datagrams(single);
        let counted = allocation_counter::measure(|| act(single));
        let datagrams = datagrams(single) - before;
        let each = counted.count_total as f64 / datagrams as f64;
        println!("| {what} | {each:.3} | {} in {datagrams} |", counted.count_total);
    };
    println!("| what | each | in all |\n|---|---|---|");
    of(&mut single, "quiet", &|single| (0..1000).for_each(|_| single.round()));
    of(&mut single, "nothing new in what is told", &|single| tell(single, 0));
    of(&mut single, "all news", &|single| tell(single, 1));
    of(&mut single, "telling it on", &|single| single.settle());
}

/// Tells a node of all its peers in an incarnation. Making the datagrams allocates too, but is not
/// counted.
fn tell(single: &mut SingleNode, number: u64) {
    let mut news = Vec::new();
    allocation_counter::opt_out(|| news = single.alive_updates(number).collect());
    news.iter().for_each(|news| single.receive(STRANGER, news));
    allocation_counter::opt_out(|| drop(news));
}

fn on_the_wire() {
    let mut single = SingleNode::warm(1_000);
    let mut buf = Vec::new();
    println!("| what | bytes |\n|---|---|");

    let before = single.node.stats().clone();
    (0..1000).for_each(|_| single.round());
    let after = single.node.stats().clone();
    let sent = (after.bytes_out - before.bytes_out) as f64 / 1000.0;
    let taken = (after.bytes_in - before.bytes_in) as f64 / 1000.0;
    println!("| sent per quiet second, in 2 datagrams | {sent:.1} |");
    println!("| taken per quiet second, in 2 datagrams | {taken:.1} |");

    single.write_ping(&mut buf);
    println!("| ping | {} |", buf.len());
    println!("| ack | {} |", answer(&mut single, &buf));
    let request = forge::plain_datagram(forge::CLUSTER, &[forge::ping_request(1, 100, "nobody")]);
    println!("| nack | {} |", answer(&mut single, &request));
    let bare = forge::plain_datagram(forge::CLUSTER, &[]).len();
    println!("| header of a datagram | {bare} |");

    let messages: [(&str, Vec<u8>); 3] = [
        ("alive", forge::alive(&name(1), &address(1).to_string(), GENERATION, 1, b"")),
        ("suspect", forge::suspect(7, &name(1), GENERATION, 1)),
        ("failed, left", forge::failed(&name(1), GENERATION, 1)),
    ];
    for (kind, message) in messages {
        // The node takes it, and tells it on in as many bytes.
        single.receive(
            STRANGER,
            &forge::plain_datagram(forge::CLUSTER, std::slice::from_ref(&message)),
        );
        single.now = single.node.poll_timeout().expect("there is news");
        single.node.handle_timeout(single.now);
        let told = next_datagram(&mut single).expect("it is told");
        assert_eq!(told, bare + message.len(), "{kind}");
        println!("| {kind} | {} |", message.len());
        single.drain();
        single.settle();
    }
    single.run_for(Duration::from_secs(1));
    tell(&mut single, 2);
    single.now = single.node.poll_timeout().expect("there is news");
    single.node.handle_timeout(single.now);
    let full = next_datagram(&mut single).expect("it is told");
    println!("| a datagram full of news of {UPDATES_PER_DATAGRAM} who are alive | {full} |");
}

/// The size of the answer to a datagram from a member.
fn answer(single: &mut SingleNode, datagram: &[u8]) -> usize {
    single.node.handle_datagram(single.now, address(1), datagram);
    next_datagram(single).expect("it is answered")
}

/// The size of the next datagram that a node sends.
fn next_datagram(single: &mut SingleNode) -> Option<usize> {
    let mut buf = Vec::new();
    while let Some(output) = single.node.poll_output(&mut buf) {
        if let Output::Datagram { data, .. } = output {
            return Some(data.len());
        }
    }
    None
}
