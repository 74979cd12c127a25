//! A small service: it joins a cluster, publishes its role, reacts to the others, and leaves on
//! Ctrl-C or SIGTERM.
//!
//! In two terminals, on one machine:
//!
//! ```sh
//! cargo run -p tidings-async-io --example service_async_io -- web 127.0.0.1:7946
//! cargo run -p tidings-async-io --example service_async_io -- db 127.0.0.1:7947 127.0.0.1:7946
//! ```

use futures_channel::mpsc;
use futures_lite::{StreamExt, future};
use std::error::Error;
use std::thread;
use tidings_async_io::{Event, Tidings};

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(role), Some(bind)) = (args.next(), args.next()) else {
        return Err("usage: service ROLE IP:PORT [SEED]...".into());
    };
    let seeds: Vec<_> = args.collect();
    let (signal, mut signalled) = mpsc::unbounded();
    ctrlc::set_handler(move || _ = signal.unbounded_send(()))?;
    async_io::block_on(async {
        let (node, mut events, driver) = tidings_async_io::builder("services")
            .name(format!("{role}@{bind}"))
            .bind(bind)
            .meta(&*format!("role={role}"))
            .start()?;
        // Any executor will do; here it is one thread.
        thread::spawn(|| async_io::block_on(driver));
        if !seeds.is_empty() {
            println!("{} members are present", node.join(&seeds).await?);
        }
        while let Some(event) = future::or(events.recv(), async {
            signalled.next().await;
            None
        })
        .await
        {
            react(&node, &event);
        }
        println!("left; confirmed by {} of the members", node.leave().await?);
        Ok(())
    })
}

/// Prints an event, and lists the members that are present after it.
fn react(node: &Tidings, event: &Event) {
    match event {
        Event::Joined(member) => println!("{} joined, {:?}", member.id(), member.meta()),
        Event::Failed(member) => println!("{} failed", member.id()),
        Event::Left(member) => println!("{} left", member.id()),
        Event::Message { data, .. } => println!("a message: {data:?}"),
        _ => return,
    }
    let names: Vec<_> = node.members().iter().map(|member| member.id().to_string()).collect();
    println!("  present: {}", names.join(", "));
}
