# Bitcoin Core: the one named by BITCOIND_EXE, else one on PATH, else built here from source.
# Debian packages no bitcoind. The crate libbitcoinkernel-sys carries Bitcoin Core's source, daemon included (without
# the wallet folder), and cargo verifies it, so that Rust's own registry is all that is needed.
# shellcheck shell=bash

readonly BITCOIN_VERSION=31.99.0
readonly BITCOIN_CRATE=libbitcoinkernel-sys
readonly BITCOIN_CRATE_VERSION=0.4.1
readonly BITCOIN_CRATE_SHA256=345d18a1ce19a1becfcaaa066e3a60e9c7813ef5c23ea8c20704ca4ba1a46339
readonly BITCOIN_OLDEST_MAJOR=30
readonly BITCOIN_BIN="$CACHE/bitcoin/$BITCOIN_VERSION/bin"

bitcoind_why() { say "building Bitcoin Core $BITCOIN_VERSION from source (about ten minutes on two cores, once a machine), because everything settles on a real node and no usable bitcoind was found"; }

bitcoind_where() { say "$(bitcoind_exe) $(bitcoind_version "$(bitcoind_exe)")"; }

bitcoind_present() { [[ -n "$(bitcoind_exe)" && -n "$(bitcoin_cli_exe)" ]]; }

bitcoind_check_environment() {
    [[ -z "${BITCOIND_EXE:-}" ]] || bitcoind_usable "$BITCOIND_EXE" \
        || fail "BITCOIND_EXE names '$BITCOIND_EXE', which is older than version $BITCOIN_OLDEST_MAJOR or has no -txospenderindex; unset it to have one built"
}

# Prints the bitcoind to use, or nothing.
bitcoind_exe() {
    if [[ -n "${BITCOIND_EXE:-}" ]]; then
        say "$BITCOIND_EXE"
        return
    fi
    local candidate
    for candidate in "$(type -P bitcoind || true)" "$BITCOIN_BIN/bitcoind"; do
        if [[ -x "$candidate" ]] && bitcoind_usable "$candidate"; then
            say "$candidate"
            return
        fi
    done
}

# The client that came with the daemon in use, else one on PATH.
bitcoin_cli_exe() {
    if [[ -n "${BITCOIN_CLI_EXE:-}" ]]; then
        say "$BITCOIN_CLI_EXE"
        return
    fi
    local beside
    beside="$(dirname "$(bitcoind_exe)")/bitcoin-cli"
    if [[ -x "$beside" ]]; then say "$beside"; else type -P bitcoin-cli || true; fi
}

# ElectrumX 2.0 asks the node which transaction spends an output, so an old enough node is of no use to it.
bitcoind_usable() {
    local version
    version="$(bitcoind_version "$1")"
    [[ "${version%%.*}" =~ ^v([0-9]+)$ ]] || return 1
    ((BASH_REMATCH[1] >= BITCOIN_OLDEST_MAJOR)) && grep -q -- -txospenderindex <<<"$("$1" -help 2>/dev/null)"
}

bitcoind_version() { "$1" -version 2>/dev/null | sed -n '1s/.*version \(v[0-9.]*\).*/\1/p'; }

bitcoind_install() {
    local source build="$CACHE/build/bitcoin/$BITCOIN_VERSION"
    source="$(bitcoin_source)"
    # An interrupted build is continued, unless the source has moved since.
    if ! grep -qxF "CMAKE_HOME_DIRECTORY:INTERNAL=$source" "$build/CMakeCache.txt" 2>/dev/null; then rm -rf -- "$build"; fi
    quietly bitcoind-configure cmake -S "$source" -B "$build" -G Ninja \
        -DCMAKE_BUILD_TYPE=Release -DBUILD_DAEMON=ON -DBUILD_CLI=ON \
        -DENABLE_WALLET=OFF -DWITH_EMBEDDED_ASMAP=OFF -DENABLE_IPC=OFF -DBUILD_BITCOIN_BIN=OFF \
        -DBUILD_TESTS=OFF -DBUILD_BENCH=OFF -DBUILD_GUI=OFF -DINSTALL_MAN=OFF
    bitcoin_compile "$build"

    new_temp_dir
    mkdir "$TEMP/bin"
    cp "$build/bin/bitcoind" "$build/bin/bitcoin-cli" "$TEMP/bin/"
    strip "$TEMP"/bin/*
    cp "$source/COPYING" "$TEMP/"
    rm -rf -- "$CACHE/bitcoin/$BITCOIN_VERSION"
    mkdir -p "$CACHE/bitcoin"
    mv -T "$TEMP" "$CACHE/bitcoin/$BITCOIN_VERSION"
    rm -rf -- "$CACHE/build/bitcoin" # about 200 MB, of no further use
}

# Prints the folder of Bitcoin Core's source, fetched by cargo for a manifest that nobody builds.
bitcoin_source() {
    command -v cargo >/dev/null || fail "bitcoind: cargo is not on PATH; install Rust (https://rustup.rs) and run again"
    local fetch="$CACHE/build/bitcoin/fetch"
    mkdir -p "$fetch/src"
    : >"$fetch/src/lib.rs"
    cat >"$fetch/Cargo.toml" <<MANIFEST
[package]
name = "bitcoin-source"
version = "0.0.0"
edition = "2021"
[dependencies]
$BITCOIN_CRATE = "=$BITCOIN_CRATE_VERSION"
[workspace]
MANIFEST
    quietly bitcoind-fetch cargo fetch --manifest-path "$fetch/Cargo.toml"
    # cargo compares every download with the digest in the lockfile; we compare the lockfile with ours.
    grep -A 3 "^name = \"$BITCOIN_CRATE\"" "$fetch/Cargo.lock" | grep -qxF "checksum = \"$BITCOIN_CRATE_SHA256\"" \
        || fail "bitcoind: the registry offers another $BITCOIN_CRATE $BITCOIN_CRATE_VERSION than the pinned one; not building it"
    cargo metadata --format-version 1 --offline --manifest-path "$fetch/Cargo.toml" 2>/dev/null | "$SYSTEM_PYTHON" -c '
import json, os, sys
package = next(p for p in json.load(sys.stdin)["packages"] if p["name"] == sys.argv[1])
print(os.path.join(os.path.dirname(package["manifest_path"]), "bitcoin"))' "$BITCOIN_CRATE"
}

# Compiles with a line of progress every ten seconds (a line that rewrites itself on a terminal).
bitcoin_compile() {
    local build="$1" log line every=10 shown
    if [[ -t 1 ]]; then every=1; fi
    shown=-$every
    log="$(log_of bitcoind-build)"
    NINJA_STATUS='[%f/%t] ' nice ninja -C "$build" -j "$(bitcoin_compile_jobs)" bitcoind bitcoin-cli </dev/null 2>&1 | tee "$log" | while IFS= read -r line; do
        if [[ "$line" =~ ^\[([0-9]+)/([0-9]+)\] ]] && ((SECONDS - shown >= every)); then
            shown=$SECONDS
            progress "bitcoind: compiled ${BASH_REMATCH[1]} of ${BASH_REMATCH[2]} files"
        fi
    done || explain_failure bitcoind-build "$log"
    if [[ -t 1 ]]; then say ""; fi
}

progress() {
    if [[ -t 1 ]]; then printf '\r\033[K     %s' "$1"; else say "     $1"; fi
}

# One compiler a core, but no more than memory allows: a large file of it takes about 1.5 GB.
bitcoin_compile_jobs() {
    local by_memory cores
    by_memory=$(($(sed -n 's/^MemAvailable: *\([0-9]*\) kB/\1/p' /proc/meminfo) / 1572864))
    cores="$(nproc)"
    echo $((by_memory < 1 ? 1 : by_memory < cores ? by_memory : cores))
}
