//! Repository chores. `cargo xtask --help` lists them.

use anyhow::Context as _;
use clap::{Parser, Subcommand};

mod gen_proto;
mod tidy;

/// Repository chores of AILayer.
#[derive(Parser)]
struct Args {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Generates `crates/proto/src/gen` from `proto/`.
    GenProto {
        /// Only compares: fails if the committed code is not what the protos say.
        #[arg(long)]
        check: bool,
    },
    /// Checks the architecture: dependency direction, SQL and vendor SDKs in their rooms. Prints the largest files.
    Tidy,
}

fn main() -> anyhow::Result<()> {
    let root = workspace_root()?;
    match Args::parse().chore {
        Chore::GenProto { check } => gen_proto::run(&root, check),
        Chore::Tidy => tidy::run(&root),
    }
}

/// The folder of the workspace's `Cargo.toml`: two levels above this crate. Cargo says where that is when it runs this; what it
/// was when this was compiled may be another checkout, since several can share one target folder.
fn workspace_root() -> anyhow::Result<std::path::PathBuf> {
    let here = std::env::var_os("CARGO_MANIFEST_DIR").context("run it as `cargo xtask`")?;
    let here = std::path::Path::new(&here);
    here.ancestors()
        .nth(2)
        .map(std::path::Path::to_path_buf)
        .ok_or_else(|| anyhow::anyhow!("{} has no workspace above it", here.display()))
}
