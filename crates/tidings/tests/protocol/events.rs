//! Events, and queries of the membership table.

use super::*;

#[test]
fn members_are_those_present_and_all_members_those_known() {
    let mut net = pair();
    let ids = |members: Vec<&Member>| -> Vec<_> {
        members.into_iter().map(|member| member.id().clone()).collect()
    };
    let both = |net: &Net, here: usize| {
        let node = &net.nodes[here].node;
        (ids(node.members().collect()), ids(node.all_members().collect()))
    };
    assert_eq!(both(&net, 0), ([id(0), id(1)].into(), [id(0), id(1)].into()));
    net.leave(1);
    net.run_for(Duration::from_secs(5));
    assert_eq!(both(&net, 0), ([id(0)].into(), [id(0), id(1)].into()));
    assert_eq!(both(&net, 1), ([id(0)].into(), [id(1), id(0)].into()), "it has left itself");
}

#[test]
fn an_event_is_emitted_when_the_queries_already_show_it() {
    let mut net = joined(5);
    net.cut(1, 0);
    net.cut(1, 2);
    net.set_meta(2, "new");
    net.kill(4);
    let mut seen = net.nodes[0].events.len();
    let mut checked = 0;
    let end = net.now + 30 * SECOND;
    while net.step(end) {
        for (_, event) in &net.nodes[0].events[seen..] {
            let (Event::Suspected(reported)
            | Event::Recovered(reported)
            | Event::Updated(reported)
            | Event::Failed(reported)
            | Event::Joined(reported)) = event
            else {
                continue;
            };
            assert_eq!(net.nodes[0].node.member(reported.id()), Some(reported), "{event:?}");
            checked += 1;
        }
        seen = net.nodes[0].events.len();
    }
    assert!(checked >= 4, "{checked}");
}
