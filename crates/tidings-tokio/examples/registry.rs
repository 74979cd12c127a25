//! A service registry: each node offers one service in its metadata, and knows all others.
//!
//! In two terminals, on one machine; the seeds come last, and may start later:
//!
//! ```sh
//! cargo run -p tidings-tokio --example registry -- web 8080 127.0.0.1:7946
//! cargo run -p tidings-tokio --example registry -- db 5432 127.0.0.1:7947 127.0.0.1:7946
//! ```
//!
//! Each prints the services that come and go, and where the database is, until Ctrl-C or SIGTERM.

use std::collections::BTreeMap;
use std::error::Error;
use std::net::SocketAddr;
use tidings_tokio::{Event, Member, NodeId, Tidings};
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(name), Some(port), Some(bind)) = (args.next(), args.next(), args.next()) else {
        return Err("usage: registry SERVICE PORT IP:PORT [SEED]...".into());
    };
    let (node, mut events) = tidings_tokio::builder("registry")
        .name(format!("{name}@{bind}"))
        .bind(bind)
        .meta(&*format!("name={name},port={port}"))
        .seeds(args)
        .on_notice(|notice| println!("! {notice}"))
        .start()?;

    let (mut interrupt, mut terminate) =
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let mut registry = BTreeMap::new();
    loop {
        if refresh(&mut registry, &node) {
            match registry.values().find(|service| service.name == "db") {
                Some(database) => println!("  the database is at {}", database.addr),
                None => println!("  there is no database"),
            }
        }
        tokio::select! {
            Some(event) = events.recv() => match event {
                Event::Suspected(member) => println!("? {} does not answer", member.id()),
                Event::SeedFailed { .. } => println!("? {event}"),
                _ => {}
            },
            _ = interrupt.recv() => break,
            _ = terminate.recv() => break,
        }
    }
    println!("left; confirmed by {} of the members", node.leave().await?);
    Ok(())
}

/// A service, as a member's metadata describes it.
#[derive(Clone, Debug, PartialEq)]
struct Service {
    name: String,
    addr: SocketAddr,
}

impl Service {
    fn of(member: &Member) -> Option<Self> {
        let meta = std::str::from_utf8(member.meta()).ok()?;
        let field = |key| meta.split(',').find_map(|field| field.strip_prefix(key));
        let port = field("port=")?.parse().ok()?;
        Some(Self { name: field("name=")?.into(), addr: (member.addr().ip(), port).into() })
    }
}

/// Brings the registry up to date, and prints all changes; `false` if there are none.
fn refresh(registry: &mut BTreeMap<NodeId, Service>, node: &Tidings) -> bool {
    let members = node.members();
    let offer = |member: &Member| Some((member.id().clone(), Service::of(member)?));
    let offers: BTreeMap<_, _> = members.iter().filter_map(offer).collect();
    for (id, Service { name, addr }) in &*registry {
        if !offers.contains_key(id) {
            println!("- {name} at {addr}");
        }
    }
    for (id, service) in &offers {
        if registry.get(id) != Some(service) {
            println!("+ {} at {}", service.name, service.addr);
        }
    }
    let changed = *registry != offers;
    *registry = offers;
    changed
}
