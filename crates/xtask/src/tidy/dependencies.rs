//! Direction: pure crates <- proto <- platform, store <- client <- services <- cli and tests.

use std::collections::BTreeMap;

use super::Breach;

/// What a package may depend on, by the package's folder. Development dependencies are free, except
/// that no service may test itself with another service's crate.
const ALLOWED: &[(&str, &[&str])] = &[
    ("crates/primitives", &[]),
    ("crates/tlog", &["primitives"]),
    ("crates/seal", &["primitives"]),
    ("crates/receipt", &["primitives", "seal", "tlog"]),
    ("crates/proto", &[]),
    ("crates/platform", &["primitives", "proto"]),
    ("crates/store", &["platform", "primitives"]),
    ("crates/client", &["platform", "primitives", "proto", "receipt", "seal", "tlog"]),
    ("crates/payer", &["platform", "primitives"]),
    ("crates/xtask", &[]),
    // Its release build must stay small: no service but the one it measures.
    ("tests/bench", &["model-serving", "platform", "proto"]),
    ("tests/devnet", &[]),
];
const FOR_SERVICES: &[&str] =
    &["client", "platform", "primitives", "proto", "receipt", "seal", "store", "tlog"];
const SERVICES: &[&str] = &["audit", "gateway", "indexer", "liquid", "model-serving", "payment"];

/// Compares every manifest with the table. Packages not in it (cli, e2e) may use anything of ours.
pub fn check(manifests: &BTreeMap<String, String>) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for (folder, manifest) in manifests {
        let is_service = folder.starts_with("services/");
        let allowed = ALLOWED.iter().find(|(name, _)| name == folder).map(|(_, allowed)| *allowed);
        let allowed = allowed.or(is_service.then_some(FOR_SERVICES));
        for (section, name) in ours(manifest) {
            let normal = section == "dependencies";
            let forbidden = allowed.is_some_and(|allowed| !allowed.contains(&name.as_str()));
            let crosses = is_service && SERVICES.contains(&name.as_str());
            if (normal && forbidden) || crosses {
                breaches.push(Breach {
                    place: format!("{folder}/Cargo.toml"),
                    rule: format!("must not depend on ailayer-{name} ([{section}])"),
                });
            }
        }
    }
    breaches
}

/// Our own packages a manifest names: the section, and the name without `ailayer-`.
fn ours(manifest: &str) -> Vec<(String, String)> {
    let mut section = String::new();
    let mut found = Vec::new();
    for line in manifest.lines().map(str::trim) {
        if let Some(header) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            header.clone_into(&mut section);
        } else if section.ends_with("dependencies")
            && let Some(rest) = line.strip_prefix("ailayer-")
        {
            let name: String = rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
            found.push((section.clone(), name));
        }
    }
    found
}
