//! The examples do what the documentation says that they do.

#[allow(dead_code, unreachable_pub, reason = "it is a program of its own")]
#[path = "../../tidings/examples/loop.rs"]
mod example;

/// The same seeds give the same history, which docs/EMBEDDING.md shows.
///
/// If the protocol has changed: `cargo run -p tidings --example loop`.
#[test]
fn the_loop_lives_through_the_history_that_is_written_down() {
    let history = example::history();
    assert_eq!(history, example::history());
    assert!(EMBEDDING.contains(&history), "docs/EMBEDDING.md does not show\n{history}");
}

const EMBEDDING: &str = include_str!("../../../docs/EMBEDDING.md");
