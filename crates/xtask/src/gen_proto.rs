//! Generates the committed Rust code from `proto/` with protox, so that nobody needs `protoc`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use prost::Message as _;
use prost_types::FileDescriptorSet;

/// Where the generated code lives, below the workspace root.
const GENERATED: &str = "crates/proto/src/gen";
/// The packages whose messages may be large and come from strangers.
const BOUNDED: [&str; 2] = ["inference.rs", "ailayer.gateway.v1.rs"];
/// The descriptor set that gRPC reflection serves.
const DESCRIPTORS: &str = "descriptors.binpb";

/// Generates the code, or with `check` compares what is committed with what the protos say.
pub fn run(root: &Path, check: bool) -> anyhow::Result<()> {
    let target = root.join(GENERATED);
    let scratch = std::env::temp_dir().join(format!("ailayer-gen-proto-{}", std::process::id()));
    fs::create_dir_all(&scratch)?;
    let outcome = generate(&root.join("proto"), &scratch)
        .and_then(|()| if check { compare(&scratch, &target) } else { replace(&scratch, &target) });
    fs::remove_dir_all(&scratch)?;
    outcome
}

fn generate(proto_dir: &Path, out: &Path) -> anyhow::Result<()> {
    let mut sources = Vec::new();
    collect(proto_dir, &mut sources)?;
    sources.sort();
    let mut descriptors: FileDescriptorSet = protox::compile(&sources, [proto_dir])?;
    descriptors.file.sort_by(|a, b| a.name.cmp(&b.name));
    fs::write(out.join(DESCRIPTORS), without_comments(&descriptors).encode_to_vec())?;
    let mut config = tonic_prost_build::Config::new();
    // The codec that counts finds a message's shape by its name.
    config.enable_type_names();
    tonic_prost_build::configure()
        .out_dir(out)
        .bytes(".inference")
        .bytes(".ailayer.audit.v1.AppendEntryRequest")
        .emit_rerun_if_changed(false)
        .compile_fds_with_config(descriptors, config)
        .context("generating code")?;
    BOUNDED.iter().try_for_each(|generated| bound(&out.join(generated)))
}

/// Has a package decode with the codec that counts elements; the generator knows one codec for all packages.
fn bound(generated: &Path) -> anyhow::Result<()> {
    let code = fs::read_to_string(generated)?;
    Ok(fs::write(generated, code.replace("tonic_prost::ProstCodec", "crate::bounded::BoundedCodec"))?)
}

/// Reflection needs the shapes, not the prose.
fn without_comments(descriptors: &FileDescriptorSet) -> FileDescriptorSet {
    let mut bare = descriptors.clone();
    for file in &mut bare.file {
        file.source_code_info = None;
    }
    bare
}

fn collect(dir: &Path, sources: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    for entry in fs::read_dir(dir).with_context(|| format!("reading {}", dir.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, sources)?;
        } else if path.extension().is_some_and(|extension| extension == "proto") {
            sources.push(path);
        }
    }
    Ok(())
}

fn contents(dir: &Path) -> anyhow::Result<BTreeMap<String, Vec<u8>>> {
    let mut files = BTreeMap::new();
    if dir.exists() {
        for entry in fs::read_dir(dir)? {
            let path = entry?.path();
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            files.insert(name, fs::read(&path)?);
        }
    }
    Ok(files)
}

fn compare(fresh: &Path, committed: &Path) -> anyhow::Result<()> {
    let (fresh, committed) = (contents(fresh)?, contents(committed)?);
    let stale: Vec<&String> = fresh
        .keys()
        .chain(committed.keys())
        .filter(|name| fresh.get(*name) != committed.get(*name))
        .collect();
    if !stale.is_empty() {
        bail!("generated code differs from proto/: {stale:?}; run `make gen` and commit");
    }
    println!("generated code matches proto/ ({} files)", fresh.len());
    Ok(())
}

fn replace(fresh: &Path, committed: &Path) -> anyhow::Result<()> {
    if committed.exists() {
        fs::remove_dir_all(committed)?;
    }
    fs::create_dir_all(committed)?;
    for (name, bytes) in contents(fresh)? {
        fs::write(committed.join(name), bytes)?;
    }
    println!("wrote {}", committed.display());
    Ok(())
}
