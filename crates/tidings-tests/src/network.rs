//! The network of a scenario: addresses, namespaces, packet loss.

use crate::process::must;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::process::{self, Command};
use std::sync::atomic::{AtomicU16, Ordering};

/// A scenario's own network.
#[derive(Clone, Copy, Debug)]
pub enum Network {
    /// `127.X.Y.0/24`: addresses of this machine, so that scenarios run side by side.
    ///
    /// Every TCP connection within it comes from 127.0.0.1, whichever node opens it.
    Loopback(u8, u8),
    /// `10.9.0.0/24`: every node in a network namespace of its own, connected by one bridge, where
    /// packets can be dropped.
    Bridge,
}

/// memberlist's default port.
const PORT: u16 = 7946;

impl Network {
    /// An unused network on the loopback interface.
    pub(crate) fn free() -> Self {
        static NEXT: AtomicU16 = AtomicU16::new(0);
        let first = u16::try_from(process::id() % 0x8000).expect("it is smaller");
        loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed).wrapping_add(first << 4);
            let [x, y] = number.to_be_bytes();
            // Not 127.0: other services use it.
            let network = Self::Loopback(x.max(1), y);
            let addr = network.addr(1);
            if UdpSocket::bind(addr).is_ok() && TcpListener::bind(addr).is_ok() {
                return network;
            }
        }
    }

    /// Creates the bridge; only for a process in namespaces of its own.
    pub(crate) fn bridge() -> Self {
        must("mount", &["-t", "tmpfs", "none", "/run"]);
        fs::create_dir("/run/netns").expect("/run is empty");
        must("ip", &["link", "add", "bridge", "type", "bridge"]);
        must("ip", &["link", "set", "bridge", "up"]);
        must("nft", &["add table bridge faults"]);
        must("nft", &["add chain bridge faults drops { type filter hook forward priority 0; }"]);
        Self::Bridge
    }

    /// The address of node `number`.
    pub fn addr(self, number: u8) -> SocketAddr {
        let ip = match self {
            Self::Loopback(x, y) => Ipv4Addr::new(127, x, y, number),
            Self::Bridge => Ipv4Addr::new(10, 9, 0, number),
        };
        (ip, PORT).into()
    }

    /// Wraps a command to run in the namespace of node `number`, which is created if needed.
    pub(crate) fn at(self, number: u8, command: Command) -> Command {
        let Self::Bridge = self else {
            return command;
        };
        let (space, port) = (format!("n{number}"), format!("port{number}"));
        if !fs::exists(format!("/run/netns/{space}")).unwrap_or(false) {
            let addr = format!("{}/24", self.addr(number).ip());
            let ip = |line: &str| must("ip", &line.split(' ').collect::<Vec<_>>());
            ip(&format!("netns add {space}"));
            ip(&format!("link add {port} type veth peer name eth0 netns {space}"));
            ip(&format!("link set {port} master bridge up"));
            ip(&format!("-n {space} addr add {addr} dev eth0"));
            ip(&format!("-n {space} link set eth0 up"));
            ip(&format!("-n {space} link set lo up"));
        }
        let mut inside = Command::new("ip");
        inside.args(["netns", "exec", &space]).arg(command.get_program()).args(command.get_args());
        inside
    }

    /// Drops packets between two groups of nodes, in both directions; with `udp`, only datagrams.
    pub fn cut(self, one: &[u8], other: &[u8], udp: bool) {
        let group = |numbers: &[u8]| {
            let ips = numbers.iter().map(|number| self.addr(*number).ip().to_string());
            format!("{{ {} }}", ips.collect::<Vec<_>>().join(", "))
        };
        let what = if udp { "meta l4proto udp" } else { "" };
        for (from, to) in [(one, other), (other, one)] {
            let (from, to) = (group(from), group(to));
            must(
                "nft",
                &[format!(
                    "add rule bridge faults drops ip saddr {from} ip daddr {to} {what} drop"
                )],
            );
        }
    }

    /// Ends all packet loss.
    pub fn heal(self) {
        must("nft", &["flush chain bridge faults drops"]);
    }
}
