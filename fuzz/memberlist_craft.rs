//! The target with typed messages, in memberlist's wire format.

#![allow(unreachable_pub)]

use crate::craft::{self, Dialog, Grammar, some_number};
use crate::harness::{Ops, name};
use crate::memberlist as forge;
use crate::memberlist_harness::{labelled, message, record, speaking_with};
use tidings::{Config, Done, ExchangeError, Failure, Options, Refusal};

/// Fuzzes a node of memberlist's format.
pub fn craft(bytes: &[u8]) {
    // With keys, all that is not encrypted would be rejected.
    craft::play(bytes, |mode| Format { mode: if mode % 8 == 5 { 0 } else { mode } });
}

struct Format {
    mode: u8,
}

impl Grammar for Format {
    fn config(&self, n: u8, change: &dyn Fn(&mut Options)) -> Config {
        speaking_with(self.mode & 7, n, change)
    }

    fn message(&self, ops: &mut Ops<'_>) -> Vec<u8> {
        match ops.byte() % 8 {
            0 => {
                let (number, node) = (some_number(ops) as u32, name(ops.byte() % 8));
                forge::suspect(number, &node, &name(ops.byte() % 8))
            }
            1 => {
                let (number, node) = (some_number(ops) as u32, name(ops.byte() % 8));
                forge::dead(number, &node, &name(ops.byte() % 8))
            }
            2 => {
                let inner: Vec<_> = (0..ops.byte() % 4).map(|_| message(ops)).collect();
                forge::compress(&forge::compound(&inner))
            }
            _ => message(ops),
        }
    }

    fn datagram(&self, ops: &mut Ops<'_>, messages: &[Vec<u8>]) -> Vec<u8> {
        let how = ops.byte();
        let mut datagram = match messages {
            [one] => one.clone(),
            messages => forge::compound(messages),
        };
        if how & 3 == 0 {
            datagram = forge::compress(&datagram);
        }
        labelled(self.mode, &if how & 4 == 0 { forge::crc(&datagram) } else { datagram })
    }

    fn ack(&self, _: &mut Ops<'_>, token: u32) -> Vec<u8> {
        forge::ack(token)
    }

    fn frame(&self, ops: &mut Ops<'_>, dialog: &Dialog) -> Vec<u8> {
        let kind = ops.byte() % 8;
        let mut frame = match kind {
            0 => forge::ping(some_number(ops) as u32, &name(ops.byte() % 8)),
            1 => forge::ack(ops.byte().into()),
            2 => forge::error("an error"),
            3 => forge::reliable(&vec![b'r'; usize::from(ops.byte()) * 4]),
            4 => self.message(ops),
            _ => {
                let records: Vec<_> = (0..ops.byte() % 8).map(|_| record(ops)).collect();
                let state = vec![b's'; [0, 3, 1000, 1001][usize::from(ops.byte()) % 4]];
                forge::push_pull(ops.byte() % 2 == 0, &records, &state)
            }
        };
        if ops.byte() % 4 == 0 {
            frame = forge::compress(&frame);
        }
        if dialog.ours { frame } else { labelled(self.mode, &frame) }
    }

    fn read_ping(&self, datagram: &[u8]) -> Option<u32> {
        forge::ping_in(datagram)
    }

    fn is_terse(&self) -> bool {
        false
    }

    /// A newcomer does not accept a table with a member that shares no protocol version with it.
    fn may_refuse(&self, result: &Result<Done, Failure>) -> bool {
        let Err(Failure::NoSeed(seeds)) = result else { return false };
        seeds.iter().all(|seed| seed.error == ExchangeError::NotAccepted(Refusal::Versions))
    }

    /// An ack has a payload and may be encrypted, and a ping may have no field at all.
    fn surplus(&self) -> usize {
        64
    }
}
