//! Writes the golden bundle: `cargo run -p ailayer-receipt --features testing --example golden > testdata/bundle-v1.json`.
//!
//! Needed only when the format changes, which is a new version of it.

use std::io::Write;

fn main() -> std::io::Result<()> {
    let json = ailayer_receipt::testing::Fixture::new().bundle().to_json();
    std::io::stdout().write_all(json.as_bytes())
}
