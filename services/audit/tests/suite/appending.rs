//! Entries get dense indices, once each, whatever happens around them.

use std::collections::BTreeMap;

use ailayer_platform::error::{ErrorReason, reason_of};
use ailayer_proto::ailayer::audit::v1::get_entry_request::Name;
use ailayer_proto::ailayer::audit::v1::{self as pb};
use ailayer_tlog::{Frontier, IndexPromise, NodeHash, leaf_hash};
use tokio::task::JoinSet;
use tonic::Code;

use crate::harness::{Audit, Home, append, open};

const TASKS: u32 = 16;
const APPENDS: u32 = 500;
const DISTINCT: u32 = 350;

fn entry(number: u32) -> Vec<u8> {
    format!("entry {number}").into_bytes()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_appends_with_repeats_get_dense_indices_that_are_all_provable() {
    let home = Home::without_chain("").await;
    let audit = home.start().await;
    let verifier = audit.verifier().await;
    let empty = audit.checkpoint().await;
    assert_eq!(empty.tree_size, 0);

    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        let client = home.client();
        tasks.spawn(async move {
            let mut answers = Vec::new();
            for number in (task..APPENDS).step_by(TASKS as usize) {
                let entry = entry(number % DISTINCT);
                let answer = append(&client, &entry).await;
                answers.push((entry, answer));
            }
            answers
        });
    }
    let mut indices: BTreeMap<u64, Vec<u8>> = BTreeMap::new();
    let mut duplicates = 0;
    while let Some(answers) = tasks.join_next().await {
        for (entry, answer) in answers.unwrap() {
            let hash = leaf_hash(&entry);
            assert_eq!(answer.leaf_hash, hash.to_bytes()[..]);
            let promise = IndexPromise {
                leaf_index: answer.leaf_index,
                leaf_hash: hash,
                sequenced_unix_ms: answer.sequenced_unix_ms,
            };
            assert!(promise.verifies(&verifier, &answer.index_signature));
            duplicates += u32::from(answer.duplicate);
            let held = indices.entry(answer.leaf_index).or_insert_with(|| entry.clone());
            assert_eq!(*held, entry, "one index, one entry");
        }
    }
    assert_eq!(duplicates, APPENDS - DISTINCT);
    assert!(indices.keys().copied().eq(0..u64::from(DISTINCT)), "indices are dense");

    let checkpoint = audit.checkpoint_over(u64::from(DISTINCT)).await;
    let mut naive = Frontier::new();
    for entry in indices.values() {
        naive.append(leaf_hash(entry)).unwrap();
    }
    assert_eq!(checkpoint.root_hash, naive.root());
    for (index, entry) in &indices {
        audit.prove_inclusion(*index, entry, &checkpoint).await;
    }
    check_consistency_of_all(&home, &audit).await;
    audit.stop().await;
}

/// Every checkpoint ever signed is consistent with every later one.
async fn check_consistency_of_all(home: &Home, audit: &Audit) {
    let notes: Vec<(String,)> = sqlx::query_as("select note from checkpoint order by tree_size")
        .fetch_all(&mut home.sql().await)
        .await
        .unwrap();
    let verifier = audit.verifier().await;
    let checkpoints: Vec<_> = notes.iter().map(|(note,)| open(note, &verifier)).collect();
    assert!(checkpoints.len() >= 2);
    for (position, old) in checkpoints.iter().enumerate() {
        for new in &checkpoints[position..] {
            audit.prove_consistency(old, new).await;
        }
    }
}

#[tokio::test]
async fn a_restart_goes_on_where_the_log_stopped() {
    let home = Home::without_chain("").await;
    let audit = home.start().await;
    let first = audit.append(b"before").await;
    let old = audit.checkpoint_over(1).await;
    let key = audit.log().await.verification_key;
    audit.stop().await;

    let audit = home.start().await;
    assert_eq!(audit.log().await.verification_key, key);
    assert_eq!(audit.checkpoint().await, old);
    let again = audit.append(b"before").await;
    assert!(again.duplicate && !first.duplicate);
    assert_eq!(
        (again.leaf_index, again.sequenced_unix_ms, again.index_signature),
        (first.leaf_index, first.sequenced_unix_ms, first.index_signature)
    );
    assert_eq!(audit.append(b"after").await.leaf_index, 1);
    let new = audit.checkpoint_over(2).await;
    audit.prove_consistency(&old, &new).await;
    audit.stop().await;
}

#[tokio::test]
async fn an_entry_whose_caller_went_away_is_sequenced() {
    let home = Home::without_chain("").await;
    let audit = home.start().await;
    // Callers that hang up at different moments of the append; the last one stays and proves the queue moved on.
    for number in 0..20u32 {
        let mut client = audit.client.clone();
        let request = pb::AppendEntryRequest { entry: entry(number).into() };
        let _ = tokio::time::timeout(
            std::time::Duration::from_micros(u64::from(number) * 100),
            client.append_entry(request),
        )
        .await;
    }
    audit.append(b"last").await;
    for number in 0..20 {
        audit.append(&entry(number)).await;
    }
    assert_eq!(audit.log().await.tree_size, 21, "each entry once, whether its first caller stayed or not");
    audit.stop().await;
}

#[tokio::test]
async fn entries_are_found_by_index_and_by_leaf_hash() {
    let home = Home::without_chain("").await;
    let audit = home.start().await;
    let answer = audit.append(b"findable").await;
    for name in [Name::LeafIndex(0), Name::LeafHash(answer.leaf_hash.clone())] {
        let request = pb::GetEntryRequest { name: Some(name) };
        let found = audit.client.clone().get_entry(request).await.unwrap().into_inner();
        assert_eq!(found.entry, b"findable"[..]);
        assert_eq!((found.leaf_index, found.sequenced_unix_ms), (0, answer.sequenced_unix_ms));
    }
    for name in [Name::LeafIndex(1), Name::LeafIndex(u64::MAX), Name::LeafHash(vec![7; 32])] {
        let status =
            audit.client.clone().get_entry(pb::GetEntryRequest { name: Some(name) }).await.unwrap_err();
        assert_eq!(reason_of(&status), Some(ErrorReason::EntryNotFound));
        assert_eq!(status.code(), Code::NotFound);
    }
    audit.stop().await;
}

#[tokio::test]
async fn bad_input_is_refused_with_a_reason_and_adds_nothing() {
    let home = Home::without_chain("").await;
    let audit = home.start().await;
    let mut client = audit.client.clone();
    audit.append(b"one").await;
    audit.append(&[7; 65_535]).await;

    let append = |entry: Vec<u8>| pb::AppendEntryRequest { entry: entry.into() };
    let status = client.append_entry(append(vec![])).await.unwrap_err();
    assert_eq!(reason_of(&status), Some(ErrorReason::InputEmpty));
    let status = client.append_entry(append(vec![7; 65_536])).await.unwrap_err();
    assert_eq!(reason_of(&status), Some(ErrorReason::InputTooLarge));

    let status = client.get_entry(pb::GetEntryRequest { name: None }).await.unwrap_err();
    assert_eq!(reason_of(&status), Some(ErrorReason::InvalidField));
    let short = pb::GetEntryProofRequest { leaf_hash: vec![1; 31], with_leaf_hash: vec![] };
    let status = client.get_entry_proof(short).await.unwrap_err();
    assert_eq!(reason_of(&status), Some(ErrorReason::InvalidField));
    let unknown = pb::GetEntryProofRequest { leaf_hash: vec![1; 32], with_leaf_hash: vec![] };
    let status = client.get_entry_proof(unknown).await.unwrap_err();
    assert_eq!(reason_of(&status), Some(ErrorReason::EntryNotFound));

    for (leaf_index, tree_size) in [(0, 3), (2, 2), (0, 0), (u64::MAX, u64::MAX)] {
        let request = pb::GetInclusionProofRequest { leaf_index, tree_size };
        let status = client.get_inclusion_proof(request).await.unwrap_err();
        assert_eq!(reason_of(&status), Some(ErrorReason::InvalidCursor), "{leaf_index} in {tree_size}");
    }
    for (old_size, new_size) in [(0, 3), (2, 1), (u64::MAX, u64::MAX)] {
        let request = pb::GetConsistencyProofRequest { old_size, new_size };
        let status = client.get_consistency_proof(request).await.unwrap_err();
        assert_eq!(reason_of(&status), Some(ErrorReason::InvalidCursor), "{old_size} in {new_size}");
    }
    for (page_size, token, reason) in [
        (101, "", ErrorReason::InvalidField),
        (0, "x", ErrorReason::InvalidCursor),
        (0, "-1", ErrorReason::InvalidCursor),
        (0, "007", ErrorReason::InvalidCursor),
    ] {
        let request = pb::ListAnchorsRequest { page_size, page_token: token.to_owned() };
        assert_eq!(reason_of(&client.list_anchors(request).await.unwrap_err()), Some(reason), "{token}");
    }
    assert_eq!(audit.log().await.tree_size, 2);
    audit.stop().await;
}

#[tokio::test]
async fn a_proof_tells_how_far_an_entry_has_come() {
    let home = Home::without_chain("").await;
    let audit = home.start().await;
    audit.append(b"a").await;
    audit.append(b"b").await;
    let checkpoint = audit.checkpoint_over(2).await;
    let proof = audit.entry_proof(b"a", Some(b"b")).await;
    assert_eq!(proof.promise(), pb::Promise::Published);
    assert_eq!((proof.leaf_index, proof.with_leaf_index), (0, Some(1)));
    assert_eq!(open(&proof.checkpoint, &audit.verifier().await), checkpoint);
    assert_eq!(proof.inclusion_hashes[0], leaf_hash(b"b").to_bytes()[..]);
    assert_eq!(proof.with_inclusion_hashes[0], leaf_hash(b"a").to_bytes()[..]);
    assert!(proof.anchor.is_none() && proof.headers.is_empty());

    let unknown = audit.entry_proof(b"a", Some(b"never appended")).await;
    assert_eq!(unknown.with_leaf_index, None);
    audit.stop().await;
}

#[tokio::test]
async fn an_entry_without_a_checkpoint_yet_is_integrated() {
    let home = Home::without_chain("").await;
    let slow = home.config_text().replace("checkpoint_interval = \"50ms\"", "checkpoint_interval = \"1h\"");
    let audit = home.start_with(&slow).await;
    // The first tick comes at once; entries after it wait for the next.
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    audit.append(b"early").await;
    let proof = audit.entry_proof(b"early", None).await;
    assert_eq!(proof.promise(), pb::Promise::Integrated);
    assert!(proof.checkpoint.is_empty() && proof.inclusion_hashes.is_empty());
    audit.stop().await;
    // A checkpoint covers it from the next start on.
    let audit = home.start().await;
    assert_eq!(audit.entry_proof(b"early", None).await.promise(), pb::Promise::Published);
    let root = NodeHash::new(leaf_hash(b"early").to_bytes());
    assert_eq!(audit.checkpoint().await.root_hash, root);
    audit.stop().await;
}
