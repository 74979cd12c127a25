//! What a task that waits for a node may do.

#[tokio::test(flavor = "multi_thread")]
async fn a_handle_is_shared_by_tasks_that_move_between_threads() {
    let start =
        |name| tidings_tokio::builder("tasks").name(name).bind("127.0.0.1:0").start().unwrap();
    let ((a, _a), (b, mut events)) = (start("a"), start("b"));
    let (joiner, seed) = (b.clone(), a.addr());
    assert_eq!(tokio::spawn(async move { joiner.join([seed]).await.unwrap() }).await.unwrap(), 2);
    let id = a.local().id().clone();
    let talker = b.clone();
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
