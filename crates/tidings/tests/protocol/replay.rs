//! Checkpoints, journals, replays: a restored node goes on as before, a replay repeats a history.

use super::*;
use common::journal::{Journals, ReplayCounts};
#[cfg(not(feature = "encryption"))]
use tidings::BroadcastKey;
use tidings::replay::{Input, MessageSummary, Replay, ReplayError, ReplayedOutput, TargetTag};

#[test]
fn the_same_seed_and_inputs_give_the_same_history() {
    let history = || {
        let mut net = joined(5);
        net.cut_both(1, 2);
        net.set_meta(3, "x");
        net.run_for(5 * SECOND);
        net.kill(4);
        net.run_for(20 * SECOND);
        let events: Vec<_> = net.nodes.iter().map(|host| format!("{:?}", host.events)).collect();
        (net.datagrams, events)
    };
    assert!(history() == history());
}

#[cfg(not(feature = "encryption"))]
fn key(text: &str) -> BroadcastKey {
    BroadcastKey::new(text).unwrap()
}

/// Three nodes that keep journals, of which one fails and comes back.
fn journaling() -> Net {
    let mut net = Net::new(0);
    net.journaling = true;
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

fn journals(net: &Net, here: usize) -> &Journals {
    net.nodes[here].journals.as_ref().expect("it keeps a journal")
}

#[test]
fn a_member_declared_to_have_left_is_in_the_journal() {
    let mut net = journaling();
    net.kill(2);
    net.run_until(|net| net.state(0, 2) == Some(State::Failed));
    net.command(0, |node, now| node.force_leave(now, &id(2))).unwrap();
    net.run_until(|net| net.state(1, 2) == Some(State::Left));
    net.assert_replays(100);
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
    let net = journaling();
    let mut checkpoint = Vec::new();
    net.nodes[0].node.checkpoint(&mut checkpoint);
    assert_eq!(Node::restore(&checkpoint, None).unwrap_err(), ReplayError::Keys);
    // Each test key repeats one byte.
    let keyring = net.nodes[0].node.keyring().unwrap();
    for key in keyring.keys() {
        let text = key.to_text();
        let base64 = text.rsplit(':').next().unwrap();
        let key = data_encoding::BASE64.decode(base64.as_bytes()).unwrap();
        for (checkpoint, journal) in journals(&net, 0).segments() {
            for bytes in [checkpoint, journal] {
                assert!(!bytes.windows(16).any(|window| window == &key[..16]));
                assert!(!bytes.windows(16).any(|window| window == &base64.as_bytes()[..16]));
            }
        }
    }
    let Replay { .. } = Replay::new(&checkpoint, &[]).unwrap();
}

#[test]
fn a_replay_summarizes_the_recorded_messages() {
    let net = journaling();
    let (mut pings, mut accused, mut synced, mut failed) = (0, 0, 0, 0);
    for (checkpoint, journal) in journals(&net, 0).segments() {
        let mut replay = Replay::new(checkpoint, journal).unwrap();
        while let Some(step) = replay.step().unwrap() {
            let incoming = match &step.input {
                Input::Datagram { summaries, accepted: true, .. }
                | Input::StreamData { summaries, .. } => summaries,
                _ => &Vec::new(),
            };
            let outgoing = step.outputs.iter().flat_map(|gave| match gave {
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
            for summaries in incoming.iter().chain(outgoing) {
                match summaries {
                    MessageSummary::Ping { target, .. } => {
                        let known = |target: TargetTag| {
                            replay.node().all_members().any(|member| target.is_of(member.id()))
                        };
                        pings += usize::from(target.is_some_and(known));
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
fn admission_decisions_are_recorded_and_not_asked_again() {
    fn no_n1(member: &Member) -> bool {
        member.id().as_str() != "n1"
    }
    let mut net = Net::new(0);
    net.journaling = true;
    let picky = config(0, addr(0)).to_builder().generation(1).admission(no_n1);
    net.start(picky.build().unwrap());
    for n in 1..3 {
        net.start(config(n, addr(n)).with_generation(1));
        net.join(n, &[addr(0)]);
    }
    net.run_for(SECOND * 5);
    assert_eq!(net.nodes[0].node.present_count(), 2);
    let mut all = ReplayCounts::default();
    journals(&net, 0).assert_replays(&mut all);
    assert!(all.outputs > 10);
}

#[test]
fn a_changed_journal_is_detected() {
    let net = journaling();
    let (mut differ, mut malformed) = (0, 0);
    let (checkpoint, journal) = &journals(&net, 0).segments()[0];
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
fn an_invalid_checkpoint_is_refused() {
    let net = journaling();
    let (checkpoint, _) = &journals(&net, 0).segments()[0];
    assert_eq!(Replay::new(&[], &[]).unwrap_err(), ReplayError::Checkpoint);
    let mut later = checkpoint.clone();
    later[0] = u8::MAX;
    assert_eq!(Replay::new(&later, &[]).unwrap_err(), ReplayError::Format(u8::MAX));
    for len in 1..checkpoint.len() {
        assert_eq!(Replay::new(&checkpoint[..len], &[]).unwrap_err(), ReplayError::Checkpoint);
    }
    let mut longer = checkpoint.clone();
    longer.push(0);
    assert_eq!(Replay::new(&longer, &[]).unwrap_err(), ReplayError::Checkpoint);
}

#[test]
fn a_journal_that_is_never_taken_ends() {
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

/// With the overflow checks of this build.
#[test]
fn a_forged_recording_is_an_error_or_replays_but_never_panics() {
    let mut net = journaling();
    for n in 0..40_u8 {
        net.command(0, |node, now| node.broadcast(now, vec![n; 30].into())).unwrap();
    }
    net.command(1, |node, now| node.send_reliable(now, &id(2), "to one".into())).unwrap();
    net.join(2, &[addr(0), addr(7)]);
    net.run_for(SECOND);
    net.command(1, |node, now| node.leave(now));
    net.run_for(2 * SECOND);
    let segments: Vec<_> = (0..3).flat_map(|n| journals(&net, n).segments().to_vec()).collect();
    let mut state = 0x1234_5678_9abc_def1_u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    let mut replayed = 0;
    for _ in 0..12_000 {
        let (mut checkpoint, mut journal) = segments[random(segments.len())].clone();
        for _ in 0..=random(3) {
            let forged = if random(4) == 0 { &mut journal } else { &mut checkpoint };
            if forged.len() < 2 {
                continue;
            }
            let at = 1 + random(forged.len() - 1);
            let number = forged[at..].iter().position(|byte| byte & 0x80 == 0).map_or(1, |n| n + 1);
            match random(4) {
                0 => forged[at] = random(256) as u8,
                1 => forged[at] ^= 1 << random(8),
                // A number at its end, of 64 bits and of 32.
                2 => drop(forged.splice(at..at + number, [[0xff; 9].as_slice(), &[1]].concat())),
                _ => drop(forged.splice(at..at + number, [0xff, 0xff, 0xff, 0xff, 0x0f])),
            }
        }
        let Ok(mut replay) = Replay::new(&checkpoint, &journal) else { continue };
        replayed += 1;
        for _ in 0..400 {
            drop((replay.timers(), replay.suspects().len(), replay.next_at()));
            let Ok(Some(step)) = replay.step() else { break };
            assert!(!format!("{step:?}").is_empty());
        }
    }
    assert!(replayed > 1000, "{replayed}");
}
