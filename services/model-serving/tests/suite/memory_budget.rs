//! What does not fit is refused before it is loaded.

use ailayer_platform::error::ErrorReason;
use tonic::Code;

use crate::support::{Repository, Running, refused};
use crate::trial::{tried, warm_up};

const MIB: u64 = 1 << 20;

/// A repository with `big`, which takes 64 MiB and a little.
fn with_big() -> Repository {
    let repository = Repository::new();
    repository.add("memory", "big", "1");
    warm_up(&repository, "big", "elements", 16 << 20);
    repository
}

#[tokio::test(flavor = "multi_thread")]
async fn a_swap_needs_room_for_both_unless_the_old_one_goes_first() {
    let repository = with_big();
    let mut config = tried(&repository);
    config.memory_budget_bytes = Some(120 * MIB);
    let mut service = Running::start(config).await;
    service.until_ready().await;
    let message = refused(service.load("big").await, Code::ResourceExhausted, ErrorReason::MemoryBudget);
    assert!(message.contains("of the budget of 125829120"), "{message}");
    service.until_states(&["big/1 READY"]).await;
    service.until_reason("big", "1", "budget").await;

    // What went makes room.
    service.unload("big").await.unwrap();
    service.load("big").await.unwrap();
    let model_toml = repository.root().join("big/model.toml");
    let text = std::fs::read_to_string(&model_toml).unwrap();
    std::fs::write(&model_toml, format!("swap = \"unload_first\"\n{text}")).unwrap();
    for _ in 0..3 {
        service.load("big").await.unwrap();
    }
    service.until_states(&["big/1 READY"]).await;

    // Instances multiply.
    std::fs::write(&model_toml, format!("swap = \"unload_first\"\ninstances = 2\n{text}")).unwrap();
    refused(service.load("big").await, Code::ResourceExhausted, ErrorReason::MemoryBudget);
    service.until_states(&["big/1 READY"]).await;
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_model_that_does_not_fit_is_refused_and_the_rest_serves() {
    let repository = with_big();
    repository.add("add", "m", "1");
    let mut config = tried(&repository);
    config.memory_budget_bytes = Some(50 * MIB);
    let mut service = Running::start(config).await;
    service.until_states(&["big/1 UNAVAILABLE", "m/1 READY"]).await;
    service.until_reason("big", "1", "of the budget of 52428800").await;
    assert_eq!(service.three_and_one("m").await.unwrap().0, 4.0);
    service.stop().await;
}
