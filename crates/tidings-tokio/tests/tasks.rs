//! What a task that waits for a node may do.

use std::sync::Arc;
use tidings_tokio::{ClusterName, Config, NodeId, Tidings};

#[tokio::test(flavor = "multi_thread")]
async fn a_handle_is_shared_by_tasks_that_move_between_threads() {
    let config = |name| {
        let here = "127.0.0.1:0".parse().unwrap();
        Config::local(ClusterName::new("tasks").unwrap(), NodeId::new(name).unwrap(), here)
    };
    let (a, _a) = Tidings::bind(config("a")).unwrap();
    let (b, mut events) = Tidings::bind(config("b")).unwrap();
    let (b, seed) = (Arc::new(b), a.addr());
    let joiner = Arc::clone(&b);
    assert_eq!(tokio::spawn(async move { joiner.join([seed]).await.unwrap() }).await.unwrap(), 2);
    let id = a.local().id().clone();
    let talker = Arc::clone(&b);
    tokio::spawn(async move {
        talker.ping(&id).await.unwrap();
        talker.send_reliable(&id, "hello").await.unwrap();
        talker.leave().await.unwrap();
    })
    .await
    .unwrap();
    drop(b);
    let ended = tokio::spawn(async move { while events.recv().await.is_some() {} });
    ended.await.unwrap();
}
