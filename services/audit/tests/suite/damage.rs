//! A changed row is found at the start, and the log is not served.

use ailayer_audit::RunError;
use ailayer_devnet::Postgres;

use crate::harness::Home;

/// Eleven entries, several checkpoints, stopped.
async fn stopped_log() -> Home {
    let home = Home::without_chain("").await;
    let audit = home.start().await;
    for number in 0..11u64 {
        audit.append(format!("entry {number}").as_bytes()).await;
        if number % 4 == 0 {
            audit.checkpoint_over(number + 1).await;
        }
    }
    audit.checkpoint_over(11).await;
    audit.stop().await;
    home
}

async fn refused(statement: &'static str, mention: &str) {
    let home = stopped_log().await;
    home.execute(statement).await;
    let error = home.start_refused().await;
    assert!(matches!(error, RunError::Fsck(_)), "{statement}: {error:?}");
    assert!(error.to_string().contains(mention), "{statement}: {error}");
}

#[tokio::test]
async fn a_flipped_byte_in_an_entry() {
    refused(
        "update entry set bytes = set_byte(bytes, 0, get_byte(bytes, 0) # 1) where leaf_index = 3",
        "entry 3",
    )
    .await;
}

#[tokio::test]
async fn a_flipped_byte_in_a_leaf_hash() {
    refused(
        "update entry set leaf_hash = set_byte(leaf_hash, 9, get_byte(leaf_hash, 9) # 1) where leaf_index = 3",
        "entry 3",
    )
    .await;
}

#[tokio::test]
async fn an_entry_that_was_changed_together_with_its_leaf_hash() {
    refused(
        "update entry set bytes = 'forged'::bytea, leaf_hash = sha256('\\x00'::bytea || 'forged'::bytea)
         where leaf_index = 3",
        "log damaged",
    )
    .await;
}

#[tokio::test]
async fn a_flipped_byte_in_a_node() {
    refused(
        "update node set hash = set_byte(hash, 31, get_byte(hash, 31) # 128) where level = 1 and node_index = 1",
        "node level 1 index 1",
    )
    .await;
}

#[tokio::test]
async fn a_removed_node() {
    refused("delete from node where level = 2 and node_index = 0", "node level 2 index 0").await;
}

#[tokio::test]
async fn a_node_too_many() {
    refused("insert into node values (5, 7, sha256('x'))", "nodes that the entries do not lead to").await;
}

#[tokio::test]
async fn a_removed_entry() {
    refused("delete from entry where leaf_index = 3", "entry 3 is missing").await;
}

#[tokio::test]
async fn a_cut_tail() {
    refused("delete from entry where leaf_index = 10", "missing").await;
}

#[tokio::test]
async fn a_flipped_byte_in_a_checkpoint_s_root() {
    refused(
        "update checkpoint set root_hash = set_byte(root_hash, 0, get_byte(root_hash, 0) # 1) where tree_size = 1",
        "checkpoint 1",
    )
    .await;
}

#[tokio::test]
async fn a_changed_letter_in_a_checkpoint_s_note() {
    refused(
        "update checkpoint set note = replace(note, 'ailayer', 'bilayer') where tree_size = 1",
        "checkpoint 1",
    )
    .await;
}

#[tokio::test]
async fn a_log_that_was_set_back() {
    refused("update log set tree_size = 10", "log damaged").await;
}

#[tokio::test]
async fn a_damaged_right_edge_is_found_even_by_the_quick_check() {
    let home = stopped_log().await;
    home.execute("update node set hash = sha256('x') where level = 3").await;
    let config =
        format!("{}\n", home.config_text().replace("[audit]\n", "[audit]\nstart_check = \"roots\"\n"));
    let error = home.start_with_refused(&config).await;
    assert!(matches!(error, RunError::Fsck(_)), "{error:?}");
}

#[tokio::test]
async fn a_database_without_its_key_file_is_refused() {
    let home = stopped_log().await;
    for name in ["log.key", "wallet.mnemonic"] {
        let path = home.data_dir().join(name);
        let aside = path.with_extension("aside");
        std::fs::rename(&path, &aside).unwrap();
        let error = home.start_refused().await;
        assert!(matches!(error, RunError::Secret(_)), "{error:?}");
        assert!(error.to_string().contains(name), "{error}");
        std::fs::rename(&aside, &path).unwrap();
    }
    home.start().await.stop().await;
}

#[tokio::test]
async fn a_database_with_another_key_is_refused() {
    let home = stopped_log().await;
    let other = stopped_log().await;
    std::fs::copy(other.data_dir().join("log.key"), home.data_dir().join("log.key")).unwrap();
    assert!(matches!(home.start_refused().await, RunError::OtherLog { .. }));
}

#[tokio::test]
async fn a_database_that_is_away_is_no_damage() {
    let home = stopped_log().await;
    let nowhere = Postgres::shared().await.unwrap().url("no_such_database");
    let config = home.config_text().replace(&home.database, &nowhere);
    assert!(matches!(home.start_with_refused(&config).await, RunError::Store(_)));
}
