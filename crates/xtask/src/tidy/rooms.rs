//! Rooms: SQL in stores, vendor SDKs in adapters, protobuf types at the edge, OpenTelemetry in one module.

use std::collections::BTreeMap;

use super::Breach;

/// A word that may stand only below certain paths.
struct Room {
    /// What is looked for in a line that is not a comment.
    word: &'static str,
    /// Where the rule holds: prefixes of paths.
    holds_in: &'static [&'static str],
    /// Where the word may stand: parts of paths.
    allowed_in: &'static [&'static str],
    /// The rule in words.
    rule: &'static str,
}

const ROOMS: &[Room] = &[
    Room {
        word: "opentelemetry",
        holds_in: &["crates/", "services/"],
        allowed_in: &["crates/platform/src/telemetry", "crates/platform/tests/", "crates/xtask/"],
        rule: "OpenTelemetry types stay inside ailayer_platform::telemetry",
    },
    Room {
        word: "sqlx",
        holds_in: &["services/"],
        allowed_in: &["/store/", "/store.rs", "/tests/", "/tests.rs"],
        rule: "SQL belongs in the service's store/",
    },
    Room {
        word: "ldk_node",
        holds_in: &["services/"],
        allowed_in: &["/adapters/", "/adapters.rs", "/tests/"],
        rule: "ldk-node belongs in adapters/",
    },
    Room {
        word: "electrum_client::",
        holds_in: &["services/"],
        allowed_in: &["/adapters/", "/tests/", "services/indexer/src/adapters"],
        rule: "electrum-client belongs in adapters/",
    },
    Room {
        word: "bdk_wallet",
        holds_in: &["services/"],
        allowed_in: &["/adapters/", "/tests/", "/adapters.rs"],
        rule: "bdk_wallet belongs in adapters/",
    },
    Room {
        word: "ort::",
        holds_in: &["services/"],
        allowed_in: &["/adapters/", "/tests/"],
        rule: "ort belongs in adapters/",
    },
    Room {
        word: "tokenizers::",
        holds_in: &["services/"],
        allowed_in: &["/adapters/", "/tests/"],
        rule: "tokenizers belongs in adapters/",
    },
    Room {
        word: "ailayer_proto",
        holds_in: &["services/"],
        allowed_in: &["/rpc/", "/rpc.rs", "/adapters/", "/tests/", "/app.rs"],
        rule: "protobuf types stay in rpc/ and adapters/",
    },
];

/// Looks for every word outside its rooms.
pub fn check(sources: &BTreeMap<String, String>) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for (path, text) in sources {
        for room in ROOMS {
            let holds = room.holds_in.iter().any(|prefix| path.starts_with(prefix));
            if holds && !room.allowed_in.iter().any(|part| path.contains(part)) && names(text, room.word) {
                breaches.push(Breach { place: path.clone(), rule: room.rule.to_owned() });
            }
        }
    }
    breaches
}

/// True if code names the word as a word of its own: `import::` does not name `ort::`.
fn names(text: &str, word: &str) -> bool {
    text.lines().map(str::trim_start).filter(|line| !line.starts_with("//")).any(|line| {
        line.match_indices(word).any(|(at, _)| {
            // An adapter is a module of ours that bears the technology's name.
            let head = line.get(..at).unwrap_or_default();
            let ours = ["adapters::", "mod ", "adapters::{"].iter().any(|path| head.ends_with(path));
            !ours && head.chars().next_back().is_none_or(|c| !c.is_alphanumeric() && c != '_')
        })
    })
}
