//! All three together: they see each other, and nothing is left of them.

use std::{
    path::Path,
    sync::Mutex,
    time::{Duration, Instant},
};

use ailayer_devnet::{Backbone, DataDir, Process, Toolbox};

use crate::tear_down::is_alive;

#[tokio::test]
async fn starts_mines_and_leaves_nothing() {
    let lines = Mutex::new(Vec::new());
    let data_dir = DataDir::temporary().unwrap();
    let path = data_dir.path().to_owned();
    let backbone = Backbone::start(data_dir, &Toolbox::discover(), |progress| {
        lines.lock().unwrap().push(progress.to_string());
    })
    .await
    .unwrap();
    let lines = lines.into_inner().unwrap();
    assert_eq!(lines.len(), 6, "{lines:?}");
    assert!(lines.contains(&"starting bitcoind …".to_owned()), "{lines:?}");
    assert!(lines[5].starts_with("electrumx ready in "), "{lines:?}");

    let began = Instant::now();
    let mined = backbone.bitcoind.mine(3).await.unwrap();
    let tip = backbone.electrumx.wait_for_tip().await.unwrap();
    assert_eq!((tip.height, Some(&tip.hash)), (3, mined.last()));
    assert!(began.elapsed() < Duration::from_secs(15), "ElectrumX took {:?}", began.elapsed());

    // A reorganisation reaches it too.
    let mined = backbone.bitcoind.mine(12).await.unwrap();
    backbone.electrumx.wait_for_tip().await.unwrap();
    backbone.bitcoind.invalidate_block(mined[10]).await.unwrap();
    let other = backbone.bitcoind.mine(4).await.unwrap();
    let tip = backbone.electrumx.wait_for_tip().await.unwrap();
    assert_eq!((tip.height, Some(&tip.hash)), (17, other.last()));

    for name in ["postgres", "bitcoind", "electrumx"] {
        assert!(path.join(format!("logs/{name}.log")).exists(), "{name} has no log");
    }
    let pids = [&backbone.electrumx.process(), &backbone.bitcoind.process(), &backbone.postgres.process()]
        .map(|process: &&Process| process.pid().unwrap());
    drop(backbone);
    assert!(pids.iter().all(|pid| !is_alive(*pid)));
    assert!(!Path::new(&path).exists(), "the data folder is still there");
}

#[tokio::test]
async fn data_survive_a_stop_in_a_folder_that_stays() {
    let parent = tempfile_dir();
    let start = || async {
        let data_dir = DataDir::at(parent.path().join("devnet")).unwrap();
        Backbone::start(data_dir, &Toolbox::discover(), |_| {}).await.unwrap()
    };
    let backbone = start().await;
    let mined = backbone.bitcoind.mine(2).await.unwrap();
    backbone.postgres.create_database_named("shop").await.unwrap();
    backbone.stop().await.unwrap();

    let backbone = start().await;
    assert_eq!(Some(&backbone.electrumx.tip().await.unwrap().hash), mined.last());
    backbone.postgres.create_database_named("shop").await.unwrap();
}

/// Reachable by the user that PostgreSQL runs as.
fn tempfile_dir() -> tempfile::TempDir {
    use std::os::unix::fs::PermissionsExt;
    let permissions = std::fs::Permissions::from_mode(0o755);
    tempfile::Builder::new()
        .prefix("ailayer-devnet-test-")
        .permissions(permissions)
        .tempdir_in("/tmp")
        .unwrap()
}
