//! kill -9, at chosen points and at random ones.

use std::time::Duration;

use ailayer_proto::ailayer::audit::v1 as pb;

use crate::child;
use crate::harness::{Home, PATIENCE};

#[tokio::test]
async fn killed_behind_the_commit_the_entry_is_there_and_keeps_its_index() {
    let home = Home::without_chain("").await;
    let process = child::start(&home, Some("audit.a7.appended"));
    child::wait_until_up(&home, &process).await;
    let request = pb::AppendEntryRequest { entry: b"receipt".to_vec().into() };
    home.client().append_entry(request).await.unwrap_err();
    process.wait_for_exit(PATIENCE).await.unwrap();

    let audit = home.start().await;
    assert_eq!(audit.log().await.tree_size, 1);
    let again = audit.append(b"receipt").await;
    assert_eq!((again.leaf_index, again.duplicate), (0, true));
    audit.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_again_and_again_while_appending_no_answered_entry_moves() {
    let home = Home::without_chain("").await;
    let mut answered: Vec<pb::AppendEntryResponse> = Vec::new();
    for round in 0..5u64 {
        let process = child::start(&home, None);
        child::wait_until_up(&home, &process).await;
        let mut client = home.client();
        let killer = async {
            tokio::time::sleep(Duration::from_millis(60 + round * 37)).await;
            process.kill9().await.unwrap();
        };
        let appender = async {
            for number in 0..u64::MAX {
                let entry = format!("round {round} entry {number}").into_bytes();
                match client.append_entry(pb::AppendEntryRequest { entry: entry.into() }).await {
                    Ok(answer) => answered.push(answer.into_inner()),
                    Err(_) => return,
                }
            }
        };
        tokio::join!(killer, appender);
    }
    assert!(answered.len() > 5, "only {} entries were answered", answered.len());

    let audit = home.start().await;
    let tree_size = audit.log().await.tree_size;
    let checkpoint = audit.checkpoint_over(tree_size).await;
    let mut last = None;
    for answer in &answered {
        assert!(last < Some(answer.leaf_index), "indices grow");
        last = Some(answer.leaf_index);
        let request = pb::GetEntryRequest {
            name: Some(pb::get_entry_request::Name::LeafHash(answer.leaf_hash.clone())),
        };
        let stored = audit.client.clone().get_entry(request).await.unwrap().into_inner();
        assert_eq!(
            (stored.leaf_index, stored.sequenced_unix_ms),
            (answer.leaf_index, answer.sequenced_unix_ms)
        );
        audit.prove_inclusion(answer.leaf_index, &stored.entry, &checkpoint).await;
    }
    audit.stop().await;
}

#[tokio::test]
async fn a_second_service_on_the_same_log_is_refused() {
    let home = Home::without_chain("").await;
    let audit = home.start().await;
    let config =
        home.config_text().replace("[audit.store]\n", "[audit.store]\nacquire_timeout = \"200ms\"\n");
    let error = home.start_with_refused(&config).await;
    assert!(matches!(error, ailayer_audit::RunError::Store(_)), "{error:?}");
    audit.append(b"still the writer").await;
    audit.stop().await;
}
