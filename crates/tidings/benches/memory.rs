//! Memory, allocations and datagram sizes of a node: `cargo bench -p tidings --bench memory`.

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
    println!(
        "| members | updates gossiped as they arrive | all at once, then gossiped | by a join |"
    );
    println!("|---|---|---|---|");
    for members in MEMBERS {
        print!("| {members} |");
        for learn in [in_batches, at_once, joined] {
            let mut node = None;
            let held = allocation_counter::measure(|| node = Some(learn(members)));
            print!(" {:.1} |", held.bytes_current as f64 / f64::from(members));
        }
        println!();
    }
    println!("\nAllocations per datagram received or sent, at 1,000 members\n");
    allocations();
    println!("\nBytes of datagrams, generation of today, 10-byte names, IPv4, no metadata\n");
    on_the_wire();
}

/// A node that learned all members a few at a time, and gossiped each batch.
fn in_batches(members: u32) -> Node {
    let mut single = SingleNode::new(members);
    for updates in single.alive_updates(0) {
        single.receive(STRANGER, &updates);
        single.settle();
    }
    single.node
}

/// A node that learned all members before it gossiped any.
fn at_once(members: u32) -> Node {
    SingleNode::warm(members).node
}

/// A node that learned all members from its seed.
fn joined(members: u32) -> Node {
    let mut link = Link::newcomer(members);
    link.sync();
    link.into_newcomer()
}

fn allocations() {
    let mut single = SingleNode::warm(1_000);
    let measure = |single: &mut SingleNode, label: &str, act: &dyn Fn(&mut SingleNode)| {
        let datagrams = |single: &SingleNode| {
            let stats = single.node.stats();
            stats.datagrams_in + stats.datagrams_out
        };
        let before = datagrams(single);
        let counted = allocation_counter::measure(|| act(single));
        let datagrams = datagrams(single) - before;
        let each = counted.count_total as f64 / datagrams as f64;
        println!("| {label} | {each:.3} | {} in {datagrams} |", counted.count_total);
    };
    println!("| load | per datagram | in all |\n|---|---|---|");
    measure(&mut single, "quiet", &|single| (0..1000).for_each(|_| single.round()));
    measure(&mut single, "known updates received", &|single| send_updates(single, 0));
    measure(&mut single, "new updates received", &|single| send_updates(single, 1));
    measure(&mut single, "updates gossiped", &|single| single.settle());
}

/// Sends a node updates about all its peers, in incarnations with this number. The allocations for
/// the datagrams are not counted.
fn send_updates(single: &mut SingleNode, number: u64) {
    let mut datagrams = Vec::new();
    allocation_counter::opt_out(|| datagrams = single.alive_updates(number).collect());
    datagrams.iter().for_each(|datagram| single.receive(STRANGER, datagram));
    allocation_counter::opt_out(|| drop(datagrams));
}

fn on_the_wire() {
    let mut single = SingleNode::warm(1_000);
    let mut buf = Vec::new();
    println!("| content | bytes |\n|---|---|");

    let before = single.node.stats().clone();
    (0..1000).for_each(|_| single.round());
    let after = single.node.stats().clone();
    let sent = (after.bytes_out - before.bytes_out) as f64 / 1000.0;
    let received = (after.bytes_in - before.bytes_in) as f64 / 1000.0;
    println!("| sent per quiet second, in 2 datagrams | {sent:.1} |");
    println!("| received per quiet second, in 2 datagrams | {received:.1} |");

    single.write_ping(&mut buf, 1);
    println!("| ping | {} |", buf.len());
    println!("| ack | {} |", reply_len(&mut single, &buf));
    let sender = forge::sender_tag(name(1).as_bytes(), GENERATION);
    let request = forge::ping_request_of(sender, 1, 100, "nobody");
    let request = forge::plain_datagram(forge::CLUSTER, &[request]);
    println!("| nack | {} |", reply_len(&mut single, &request));
    let bare = forge::plain_datagram(forge::CLUSTER, &[]).len();
    println!("| header of a datagram | {bare} |");

    let messages: [(&str, Vec<u8>); 3] = [
        ("alive", forge::alive(&name(1), &address(1).to_string(), GENERATION, 1, b"")),
        ("suspect", forge::suspect(7, &name(1), GENERATION, 1)),
        ("failed, left", forge::failed(&name(1), GENERATION, 1)),
    ];
    for (kind, message) in messages {
        // The node accepts the update, and gossips it in as many bytes.
        single.receive(
            STRANGER,
            &forge::plain_datagram(forge::CLUSTER, std::slice::from_ref(&message)),
        );
        single.now = single.node.poll_timeout().expect("a gossip round is due");
        single.node.handle_timeout(single.now);
        let sent = next_datagram_len(&mut single).expect("the update is gossiped");
        assert_eq!(sent, bare + message.len(), "{kind}");
        println!("| {kind} | {} |", message.len());
        single.drain();
        single.settle();
    }
    single.run_for(Duration::from_secs(1));
    send_updates(&mut single, 2);
    single.now = single.node.poll_timeout().expect("a gossip round is due");
    single.node.handle_timeout(single.now);
    let full = next_datagram_len(&mut single).expect("the updates are gossiped");
    println!("| a datagram full of {UPDATES_PER_DATAGRAM} alive updates | {full} |");
}

/// The size of the reply to a datagram from a member.
fn reply_len(single: &mut SingleNode, datagram: &[u8]) -> usize {
    single.node.handle_datagram(single.now, address(1), datagram);
    next_datagram_len(single).expect("the node replies")
}

/// The size of the next datagram that a node sends.
fn next_datagram_len(single: &mut SingleNode) -> Option<usize> {
    let mut buf = Vec::new();
    while let Some(output) = single.node.poll_output(&mut buf) {
        if let Output::Datagram { data, .. } = output {
            return Some(data.len());
        }
    }
    None
}
