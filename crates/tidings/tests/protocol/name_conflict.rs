//! Two live nodes of one name.

use super::*;

#[test]
fn two_nodes_of_one_name_are_reported_on_both_sides_and_one_holds_it() {
    let mut net = trio();
    let twin = config(2, addr(9)).to_builder().generation(2).on_name_taken(OnNameTaken::Contest);
    let twin = net.start(twin.build().unwrap());
    net.join(twin, &[addr(0)]);
    let conflict = |event: &Event| matches!(event, Event::Conflict { .. });
    net.run_until(|net| net.saw(2, conflict) && net.saw(twin, conflict));
    net.run_for(30 * SECOND);
    for here in [0, 1] {
        assert_eq!(net.member(here, 2).unwrap().addr(), addr(9), "the later life holds the name");
        assert_eq!(net.state(here, 2), Some(State::Alive));
    }
    // Once the holder is gone, the other takes the name over.
    net.kill(twin);
    net.run_until(|net| net.member(0, 2).unwrap().addr() == addr(2));
    net.run_until(|net| net.state(1, 2) == Some(State::Alive));
}
