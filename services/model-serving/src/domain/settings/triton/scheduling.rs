//! Instances, batching, queue and versions.

use super::super::batching::MAX_DELAY;
use super::super::queue::{MAX_AGE, MAX_ENTRIES, MAX_PRIORITY_LEVELS};
use super::super::{MAX_INSTANCES, VersionPolicy};
use super::DynamicBatching;
use super::fields::{Fields, refuse_fields};
use crate::domain::manifest::ManifestError;

/// `instance_group`: the counts of all groups together.
pub(super) fn instances(fields: &Fields<'_>) -> Result<Option<usize>, ManifestError> {
    let mut sum: usize = 0;
    let groups = fields.messages("instance_group")?;
    for group in &groups {
        match group.word("kind")? {
            None | Some("KIND_AUTO" | "KIND_CPU" | "0" | "2") => {}
            Some("KIND_GPU" | "1") => {
                return Err(group.error("kind", "KIND_GPU is not offered: models run on the processor"));
            }
            Some(_) => return Err(group.error("kind", "must be KIND_AUTO or KIND_CPU")),
        }
        refuse_fields(
            group,
            &["name", "kind", "count"],
            "instances differ in nothing here but their number",
        )?;
        // 0 counts as not said.
        let count = group.number("count", 0, MAX_INSTANCES)?.unwrap_or(0).max(1);
        sum = sum.saturating_add(count);
        if sum > MAX_INSTANCES {
            return Err(
                group.error("count", format!("all groups together must have at most {MAX_INSTANCES}"))
            );
        }
    }
    Ok((!groups.is_empty()).then_some(sum))
}

/// `dynamic_batching`.
pub(super) fn dynamic_batching(
    fields: &Fields<'_>,
    max_batch_size: usize,
) -> Result<Option<DynamicBatching>, ManifestError> {
    let Some(batching) = fields.message("dynamic_batching")? else { return Ok(None) };
    batching.check(
        &[
            "preferred_batch_size",
            "max_queue_delay_microseconds",
            "preserve_ordering",
            "priority_levels",
            "default_priority_level",
            "default_queue_policy",
        ],
        &[("priority_queue_policy", "all priority levels share one queue policy")],
    )?;
    if batching.flag("preserve_ordering")? {
        return Err(batching.error("preserve_ordering", "replies are sent as soon as they are ready"));
    }
    // Advice only: the table of measured service times decides. What cannot be is still an error, as in Triton.
    let most = i64::try_from(max_batch_size).unwrap_or(i64::MAX);
    if batching.integers("preferred_batch_size")?.iter().any(|size| !(1..=most).contains(size)) {
        return Err(batching.error("preferred_batch_size", format!("must lie in 1..=max_batch_size, {most}")));
    }
    let levels = batching.small_number("priority_levels", 0, MAX_PRIORITY_LEVELS)?.unwrap_or(0);
    let default_priority = match batching.small_number("default_priority_level", 0, MAX_PRIORITY_LEVELS)? {
        None | Some(0) if levels <= 1 => 1,
        Some(level) if (1..=levels).contains(&level) => level,
        _ => return Err(batching.error("default_priority_level", "must lie in 1..=priority_levels")),
    };
    let (max_entries, max_age) = match batching.message("default_queue_policy")? {
        Some(policy) => queue_policy(&policy)?,
        None => (None, None),
    };
    Ok(Some(DynamicBatching {
        max_delay: batching.microseconds("max_queue_delay_microseconds", MAX_DELAY)?.unwrap_or_default(),
        priority_levels: levels,
        default_priority,
        max_entries,
        max_age,
    }))
}

type QueuePolicy = (Option<usize>, Option<std::time::Duration>);

fn queue_policy(policy: &Fields<'_>) -> Result<QueuePolicy, ManifestError> {
    let understood =
        ["timeout_action", "default_timeout_microseconds", "allow_timeout_override", "max_queue_size"];
    policy.check(&understood, &[])?;
    match policy.word("timeout_action")? {
        None | Some("REJECT" | "0") => {}
        _ => return Err(policy.error("timeout_action", "only REJECT: a late entry is never worked on")),
    }
    // A request's own, shorter timeout is always honoured, so both values are fine.
    policy.flag("allow_timeout_override")?;
    // Triton's 0 means no limit; here a queue always has one, the service's.
    let max_entries = policy.number("max_queue_size", 0, MAX_ENTRIES)?.filter(|entries| *entries > 0);
    Ok((max_entries, policy.microseconds("default_timeout_microseconds", MAX_AGE)?))
}

/// `version_policy`: one of `latest`, `all` and `specific`.
pub(super) fn version_policy(fields: &Fields<'_>) -> Result<Option<VersionPolicy>, ManifestError> {
    let Some(policy) = fields.message("version_policy")? else { return Ok(None) };
    policy.check(&["latest", "all", "specific"], &[])?;
    match (policy.message("latest")?, policy.message("all")?, policy.message("specific")?) {
        (None, None, None) => Ok(None),
        (Some(latest), None, None) => {
            latest.check(&["num_versions"], &[])?;
            let count = latest.number("num_versions", 1, 1_000_000)?.unwrap_or(1);
            Ok(Some(VersionPolicy::Latest(count)))
        }
        (None, Some(all), None) => {
            all.check(&[], &[])?;
            Ok(Some(VersionPolicy::All))
        }
        (None, None, Some(specific)) => {
            specific.check(&["versions"], &[])?;
            VersionPolicy::listed(&specific.integers("versions")?)
                .map(Some)
                .map_err(|message| specific.error("versions", message))
        }
        _ => Err(fields.error("version_policy", "must be one of latest, all and specific")),
    }
}
