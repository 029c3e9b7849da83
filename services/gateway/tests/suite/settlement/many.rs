//! Two hundred histories, several at a time.

use futures::StreamExt as _;

use super::{Plan, Reached, differences, history};
use crate::seeds::chosen;

/// How many unless the environment says otherwise.
const SEEDS: u64 = 200;
/// Most of a history is waiting: for leases that lapse, claims that end, calls that are asked again.
const AT_ONCE: usize = 8;

async fn run(seed: u64) -> Result<Reached, String> {
    let (town, buyers) = history(seed, &Plan::of(seed)).await;
    let (wrong, reached) = differences(&town, &buyers).await;
    town.leave().await;
    if wrong.is_empty() { Ok(reached) } else { Err(wrong.join("\n    ")) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sql_does_with_whole_jobs_what_the_model_allows() {
    let seeds = chosen(SEEDS);
    let since = std::time::Instant::now();
    let count = seeds.end - seeds.start;
    let runs = futures::stream::iter(seeds).map(|seed| async move {
        run(seed).await.unwrap_or_else(|wrong| {
            panic!(
                "seed {seed} (AILAYER_GATEWAY_SEED={seed} runs it again):\n    {wrong}\n{:#?}",
                Plan::of(seed)
            )
        })
    });
    let reached =
        runs.buffer_unordered(AT_ONCE).fold(Reached::default(), async |all, one| all.and(one)).await;
    println!("{count} seeds in {:.0?}: {reached:?}", since.elapsed());
    if count >= SEEDS {
        reached.assert_everything();
    }
}
