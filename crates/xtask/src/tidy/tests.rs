use super::*;

fn one(path: &str, text: &str) -> BTreeMap<String, String> {
    BTreeMap::from([(path.to_owned(), text.to_owned())])
}

#[test]
fn a_service_may_not_know_another() {
    let manifest = "[dependencies]\nailayer-payment.workspace = true\n";
    assert_eq!(dependencies::check(&one("services/gateway", manifest)).len(), 1);
    let manifest = "[dev-dependencies]\nailayer-payment.workspace = true\n";
    assert_eq!(dependencies::check(&one("services/gateway", manifest)).len(), 1);
    let manifest = "[dependencies]\nailayer-client.workspace = true\n";
    assert!(dependencies::check(&one("services/gateway", manifest)).is_empty());
}

#[test]
fn dependencies_point_down() {
    let manifest = "[dependencies]\nailayer-store = { path = \"x\" }\n";
    assert_eq!(dependencies::check(&one("crates/platform", manifest)).len(), 1);
    assert!(dependencies::check(&one("crates/cli", manifest)).is_empty());
    let manifest = "[dev-dependencies]\nailayer-devnet.workspace = true\n";
    assert!(dependencies::check(&one("crates/store", manifest)).is_empty());
}

#[test]
fn sql_and_sdks_have_their_rooms() {
    assert_eq!(rooms::check(&one("services/audit/src/domain/log.rs", "use sqlx::query;")).len(), 1);
    assert!(rooms::check(&one("services/audit/src/store/log.rs", "use sqlx::query;")).is_empty());
    assert!(rooms::check(&one("services/audit/src/domain/log.rs", "// sqlx is not here")).is_empty());
    assert!(rooms::check(&one("services/model-serving/src/app.rs", "use crate::import::x;")).is_empty());
    assert_eq!(rooms::check(&one("services/model-serving/src/app.rs", "use ort::session;")).len(), 1);
}
