//! Checkpoints, journals and replays: a node goes on as it was, and does again what it did.

mod common;

use common::tape::{Replayed, Tape};
use common::{Net, addr, config, forge, id};
use std::time::Duration;
#[cfg(not(feature = "encryption"))]
use tidings::BroadcastKey;
#[cfg(feature = "encryption")]
use tidings::Node;
use tidings::replay::{Input, MessageSummary, Replay, ReplayError, ReplayedOutput};
use tidings::{Event, Member};

#[cfg(not(feature = "encryption"))]
fn key(text: &str) -> BroadcastKey {
    BroadcastKey::new(text).unwrap()
}

const SECOND: Duration = Duration::from_secs(1);

/// Three nodes that keep journals, of which one fails and comes back.
fn taped() -> Net {
    let mut net = Net::new(0);
    net.taped = true;
    for n in 0..3 {
        net.start(config(n, addr(n)).with_generation(1));
    }
    for here in 1..3 {
        net.join(here, &[addr(0)]);
    }
    net.run_until(|net| (0..3).all(|here| net.nodes[here].node.present_count() == 3));
    net.set_meta(1, "news");
    net.kill(2);
    net.run_until(|net| {
        net.nodes[0].node.present_count() == 2 && net.nodes[1].node.present_count() == 2
    });
    net.resume(2);
    net.run_until(|net| (0..3).all(|here| net.nodes[here].node.present_count() == 3));
    net
}

fn tape(net: &Net, here: usize) -> &Tape {
    net.nodes[here].tape.as_ref().expect("it keeps a journal")
}

#[test]
#[cfg(not(feature = "encryption"))]
fn a_node_restored_at_any_point_has_the_same_future() {
    let history = |restoring: usize| {
        let mut net = Net::new(5);
        net.restoring = restoring;
        for here in 1..5 {
            net.join(here, &[addr(0)]);
        }
        net.run_for(SECOND * 3);
        net.loss = 20;
        net.kill(3);
        net.cut_both(0, 1);
        net.run_for(SECOND * 40);
        net.set_meta(2, "news");
        net.heal();
        net.resume(3);
        net.command(1, |node, now| node.broadcast_replacing(now, key("key"), "to all".into()))
            .unwrap();
        net.command(1, |node, now| node.send_reliable(now, &id(2), "to one".into())).unwrap();
        net.run_for(SECOND * 60);
        let events: Vec<_> = net.nodes.iter().map(|host| host.events.clone()).collect();
        (net.datagrams, net.writes, events)
    };
    let (datagrams, writes, events) = history(0);
    assert!(datagrams.len() > 1000 && writes.len() > 20 && events[0].len() > 10);
    for restoring in [1, 7, 100] {
        let (d, w, e) = history(restoring);
        assert!(d == datagrams && w == writes && e == events, "restored every {restoring} inputs");
    }
}

#[test]
#[cfg(feature = "encryption")]
fn a_node_with_keys_cannot_be_restored_and_leaves_none_behind() {
    let net = taped();
    let mut checkpoint = Vec::new();
    net.nodes[0].node.checkpoint(&mut checkpoint);
    assert_eq!(Node::restore(&checkpoint, None).unwrap_err(), ReplayError::Keys);
    // The keys of the tests are all of one byte.
    let keyring = net.nodes[0].node.keyring().unwrap();
    for key in keyring.keys() {
        let text = key.to_text();
        let base64 = text.rsplit(':').next().unwrap();
        let key = data_encoding::BASE64.decode(base64.as_bytes()).unwrap();
        for (checkpoint, journal) in tape(&net, 0).segments() {
            for bytes in [checkpoint, journal] {
                assert!(!bytes.windows(16).any(|window| window == &key[..16]));
                assert!(!bytes.windows(16).any(|window| window == &base64.as_bytes()[..16]));
            }
        }
    }
    let Replay { .. } = Replay::new(&checkpoint, &[]).unwrap();
}

#[test]
fn a_replay_says_what_was_said() {
    let net = taped();
    let (mut pings, mut accused, mut synced, mut failed) = (0, 0, 0, 0);
    for (checkpoint, journal) in tape(&net, 0).segments() {
        let mut replay = Replay::new(checkpoint, journal).unwrap();
        while let Some(step) = replay.step().unwrap() {
            let heard = match &step.input {
                Input::Datagram { summaries, accepted: true, .. }
                | Input::StreamData { summaries, .. } => summaries,
                _ => &Vec::new(),
            };
            let given = step.outputs.iter().flat_map(|gave| match gave {
                ReplayedOutput::Datagram { summaries, .. }
                | ReplayedOutput::Write { summaries, .. } => summaries.as_slice(),
                ReplayedOutput::Event(Event::Failed(member)) => {
                    assert_eq!(*member.id(), id(2));
                    assert!(replay.suspects().is_empty());
                    failed += 1;
                    &[]
                }
                _ => &[],
            });
            for summaries in heard.iter().chain(given) {
                match summaries {
                    MessageSummary::Ping { target, .. } => {
                        pings +=
                            usize::from(target.is_some_and(|target| replay.name(target).is_some()));
                    }
                    MessageSummary::Claim { id: about, accuser: Some(accuser), .. } => {
                        assert_eq!(*about, id(2));
                        assert!(replay.name(*accuser).is_some());
                        accused += 1;
                    }
                    MessageSummary::Sync { from: Some(_), .. } => synced += 1,
                    MessageSummary::Unreadable => panic!("{step:?}"),
                    _ => {}
                }
            }
            for suspected in replay.suspects() {
                assert!(suspected.since < suspected.deadline && !suspected.accusers.is_empty());
            }
        }
    }
    let counted = (pings, accused, synced, failed);
    assert!(pings >= 10 && accused > 0 && synced >= 4 && failed == 1, "{counted:?}");
}

#[test]
fn whom_the_application_admits_is_noted_and_not_asked_again() {
    fn no_n1(member: &Member) -> bool {
        member.id().as_str() != "n1"
    }
    let mut net = Net::new(0);
    net.taped = true;
    let picky = config(0, addr(0)).to_builder().generation(1).admission(no_n1);
    net.start(picky.build().unwrap());
    for n in 1..3 {
        net.start(config(n, addr(n)).with_generation(1));
        net.join(n, &[addr(0)]);
    }
    net.run_for(SECOND * 5);
    assert_eq!(net.nodes[0].node.present_count(), 2);
    let mut all = Replayed::default();
    tape(&net, 0).replay(&mut all);
    assert!(all.outputs > 10);
}

#[test]
fn a_journal_that_says_otherwise_is_seen_to() {
    let net = taped();
    let (mut differ, mut malformed) = (0, 0);
    let (checkpoint, journal) = &tape(&net, 0).segments()[0];
    for at in (0..journal.len()).step_by(7) {
        let mut journal = journal.clone();
        journal[at] ^= 1 << (at % 8);
        let mut replay = Replay::new(checkpoint, &journal).unwrap();
        loop {
            match replay.step() {
                Ok(Some(step)) if step.difference.is_some() => break differ += 1,
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(error) => {
                    assert_eq!(error, ReplayError::Journal);
                    break malformed += 1;
                }
            }
        }
    }
    assert!(differ > 50 && malformed > 5, "{differ} {malformed}");
}

#[test]
fn what_is_no_checkpoint_is_refused() {
    let net = taped();
    let (checkpoint, _) = &tape(&net, 0).segments()[0];
    assert_eq!(Replay::new(&[], &[]).unwrap_err(), ReplayError::Checkpoint);
    let mut later = checkpoint.clone();
    later[0] = 9;
    assert_eq!(Replay::new(&later, &[]).unwrap_err(), ReplayError::Format(9));
    for len in 1..checkpoint.len() {
        assert_eq!(Replay::new(&checkpoint[..len], &[]).unwrap_err(), ReplayError::Checkpoint);
    }
    let mut longer = checkpoint.clone();
    longer.push(0);
    assert_eq!(Replay::new(&longer, &[]).unwrap_err(), ReplayError::Checkpoint);
}

#[test]
fn a_journal_that_nobody_takes_ends() {
    let mut net = Net::new(1);
    let node = &mut net.nodes[0].node;
    node.start_journal(&mut Vec::new());
    let datagram = forge::datagram(&[vec![0; 60_000]]);
    for _ in 0..600 {
        node.handle_datagram(net.now, addr(1), &datagram[1..]);
    }
    assert_eq!(node.journal_len(), None);
    node.start_journal(&mut Vec::new());
    assert_eq!(node.journal_len(), Some(0));
    node.stop_journal();
    assert_eq!(node.journal_len(), None);
}
