//! What a node costs in memory and on the wire: `cargo bench -p tidings --bench memory`.

mod common;

use common::link::Link;
use common::solo::{GENERATION, STRANGER, Solo, UPDATES, address, name};
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
    let mut solo = Solo::new(members);
    for news in solo.news(0) {
        solo.give(STRANGER, &news);
        solo.settle();
    }
    solo.node
}

/// A node that learned of all before it told anybody.
fn at_once(members: u32) -> Node {
    Solo::warm(members).node
}

/// A node that learned of all from its seed.
fn joined(members: u32) -> Node {
    let mut link = Link::newcomer(members);
    link.sync();
    link.into_newcomer()
}

fn allocations() {
    let mut solo = Solo::warm(1_000);
    let of = |solo: &mut Solo, what: &str, act: &dyn Fn(&mut Solo)| {
        let datagrams = |solo: &Solo| {
            let stats = solo.node.stats();
            stats.datagrams_in + stats.datagrams_out
        };
        let before = datagrams(solo);
        let counted = allocation_counter::measure(|| act(solo));
        let datagrams = datagrams(solo) - before;
        let each = counted.count_total as f64 / datagrams as f64;
        println!("| {what} | {each:.3} | {} in {datagrams} |", counted.count_total);
    };
    println!("| what | each | in all |\n|---|---|---|");
    of(&mut solo, "quiet", &|solo| (0..1000).for_each(|_| solo.round()));
    of(&mut solo, "nothing new in what is told", &|solo| tell(solo, 0));
    of(&mut solo, "all news", &|solo| tell(solo, 1));
    of(&mut solo, "telling it on", &|solo| solo.settle());
}

/// Tells a node of all its peers in an incarnation. Making the datagrams allocates too, but is not
/// counted.
fn tell(solo: &mut Solo, number: u64) {
    let mut news = Vec::new();
    allocation_counter::opt_out(|| news = solo.news(number).collect());
    news.iter().for_each(|news| solo.give(STRANGER, news));
    allocation_counter::opt_out(|| drop(news));
}

fn on_the_wire() {
    let mut solo = Solo::warm(1_000);
    let mut buf = Vec::new();
    println!("| what | bytes |\n|---|---|");

    let before = solo.node.stats().clone();
    (0..1000).for_each(|_| solo.round());
    let after = solo.node.stats().clone();
    let sent = (after.bytes_out - before.bytes_out) as f64 / 1000.0;
    let taken = (after.bytes_in - before.bytes_in) as f64 / 1000.0;
    println!("| sent per quiet second, in 2 datagrams | {sent:.1} |");
    println!("| taken per quiet second, in 2 datagrams | {taken:.1} |");

    solo.write_ping(&mut buf);
    println!("| ping | {} |", buf.len());
    println!("| ack | {} |", answer(&mut solo, &buf));
    let request = forge::plain_datagram(forge::CLUSTER, &[forge::ping_request(1, 100, "nobody")]);
    println!("| nack | {} |", answer(&mut solo, &request));
    let bare = forge::plain_datagram(forge::CLUSTER, &[]).len();
    println!("| header of a datagram | {bare} |");

    let messages: [(&str, Vec<u8>); 3] = [
        ("alive", forge::alive(&name(1), &address(1).to_string(), GENERATION, 1, b"")),
        ("suspect", forge::suspect(7, &name(1), GENERATION, 1)),
        ("failed, left", forge::failed(&name(1), GENERATION, 1)),
    ];
    for (kind, message) in messages {
        // The node takes it, and tells it on in as many bytes.
        solo.give(STRANGER, &forge::plain_datagram(forge::CLUSTER, std::slice::from_ref(&message)));
        solo.now = solo.node.poll_timeout().expect("there is news");
        solo.node.handle_timeout(solo.now);
        let told = next_datagram(&mut solo).expect("it is told");
        assert_eq!(told, bare + message.len(), "{kind}");
        println!("| {kind} | {} |", message.len());
        solo.drain();
        solo.settle();
    }
    solo.run_for(Duration::from_secs(1));
    tell(&mut solo, 2);
    solo.now = solo.node.poll_timeout().expect("there is news");
    solo.node.handle_timeout(solo.now);
    let full = next_datagram(&mut solo).expect("it is told");
    println!("| a datagram full of news of {UPDATES} who are alive | {full} |");
}

/// The size of the answer to a datagram from a member.
fn answer(solo: &mut Solo, datagram: &[u8]) -> usize {
    solo.node.handle_datagram(solo.now, address(1), datagram);
    next_datagram(solo).expect("it is answered")
}

/// The size of the next datagram that a node sends.
fn next_datagram(solo: &mut Solo) -> Option<usize> {
    let mut buf = Vec::new();
    while let Some(output) = solo.node.poll_output(&mut buf) {
        if let Output::Datagram { data, .. } = output {
            return Some(data.len());
        }
    }
    None
}
