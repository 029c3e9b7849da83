# What every step uses. A step NAME is a file steps/NAME.sh with four functions:
#   NAME_why       one line: what it does, and why it is needed
#   NAME_present   succeeds when nothing is left to do; quick, changes nothing
#   NAME_install   does it; leaves either all of the result or none of it
#   NAME_where     one line for people: where the result is
# shellcheck shell=bash

readonly CACHE="${AILAYER_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/ailayer}"
# Debian's Python and not whatever a version manager puts first on PATH: the pinned wheels were tried with it.
readonly SYSTEM_PYTHON=/usr/bin/python3
TEMP_DIRS=()

say() { printf '%s\n' "$*"; }

fail() {
    printf 'setup: error: %s\n' "$*" >&2
    exit 1
}

usage_error() {
    printf 'setup: %s (see --help)\n' "$*" >&2
    exit 2
}

prepare_cache() {
    [[ "$CACHE" == /* ]] || fail "AILAYER_CACHE must be an absolute path, it is '$CACHE'"
    mkdir -p "$CACHE/locks" "$CACHE/log" 2>/dev/null || fail "cannot write to $CACHE; set AILAYER_CACHE to a folder of yours"
    # What a killed set-up left; a day is longer than any step, so a running one keeps its own.
    find "$CACHE" -maxdepth 1 -name '.tmp.*' -mmin +1440 -exec rm -rf -- {} +
    trap 'rm -rf -- "${TEMP_DIRS[@]}"' EXIT
    trap 'exit 130' INT TERM
}

# Sets TEMP to a new folder on the cache's own file system, so that a rename out of it is atomic.
new_temp_dir() {
    TEMP="$(mktemp -d "$CACHE/.tmp.XXXXXX")"
    chmod 755 "$TEMP"
    TEMP_DIRS+=("$TEMP")
}

# One step under its own lock: a second set-up at the same time waits here, then finds the work done.
run_step() {
    local step="$1" lock began=$SECONDS
    exec {lock}>"$CACHE/locks/$step"
    if ! flock -n "$lock"; then
        say "[..] $step: another set-up is at it, waiting"
        flock "$lock"
    fi
    if "${step}_present"; then
        say "[ok] $step: already there ($("${step}_where"))"
    else
        say "[..] $step: $("${step}_why")"
        "${step}_install"
        "${step}_present" || fail "$step: installed, but it does not look right afterwards; remove what '--check' names and run again"
        say "[ok] $step: $("${step}_where") ($(duration $((SECONDS - began))))"
    fi
    exec {lock}>&-
}

check_steps() {
    local step missing=0
    for step in "$@"; do
        if "${step}_present"; then
            say "[ok]      $step: $("${step}_where")"
        else
            say "[missing] $step: $("${step}_why")"
            missing=1
        fi
    done
    return "$missing"
}

duration() {
    if (($1 < 60)); then say "$1 s"; else say "$(($1 / 60)) min $(($1 % 60)) s"; fi
}

# log_of NAME: where a command's full output goes.
log_of() { say "$CACHE/log/$1.log"; }

# quietly NAME COMMAND...: output goes to a log; when the command fails, its last lines and a likely reason are shown.
quietly() {
    local name="$1" log
    shift
    log="$(log_of "$name")"
    "$@" >"$log" 2>&1 </dev/null || explain_failure "$name" "$log"
}

explain_failure() {
    local name="$1" log="$2"
    tail -n 12 "$log" | sed 's/^/     | /' >&2
    if grep -qiE 'could not resolve|name resolution|failed to resolve|network is unreachable|connection (refused|timed out|error)|no route to host|NewConnectionError|spurious network' "$log"; then
        fail "$name: no network, or the package server cannot be reached; connect and run again (full log: $log)"
    fi
    if grep -qi 'no space left on device' "$log"; then
        fail "$name: the disk is full; make room (3 GB are enough) and run again (full log: $log)"
    fi
    fail "$name failed; full log: $log"
}

sha256_of() { sha256sum "$1" | cut -d ' ' -f 1; }

# A variable that names nothing stops the set-up: a typing error must not silently become another program.
check_environment() {
    local name
    for name in BITCOIND_EXE BITCOIN_CLI_EXE ELECTRUMX_EXE PG_BIN ORT_DYLIB_PATH AILAYER_MODELS INTEROP_PYTHON; do
        [[ -z "${!name:-}" || -e "${!name}" ]] || fail "$name names '${!name}', which does not exist; correct it or unset it"
    done
    bitcoind_check_environment
    model_check_environment
}

# make_venv FOLDER REQUIREMENTS: a Python environment with exactly the pinned, hash-checked packages.
# The stamp is written last: without it the folder is a half-made one, and is made again.
make_venv() {
    local folder="$1" requirements="$2" name
    name="venv-$(basename "$folder")"
    rm -rf -- "$folder"
    quietly "$name" "$SYSTEM_PYTHON" -m venv "$folder"
    quietly "$name" "$folder/bin/python" -m pip install --disable-pip-version-check --no-deps --require-hashes -r "$requirements"
    venv_stamp "$requirements" >"$folder/.complete"
}

venv_present() { [[ -x "$1/bin/python" && "$(cat "$1/.complete" 2>/dev/null)" == "$(venv_stamp "$2")" ]]; }

venv_stamp() { say "$(sha256_of "$1") $("$SYSTEM_PYTHON" --version 2>&1)"; }

# The keys are a contract with the devnet, the Makefile and the tests; README.md lists them.
env_lines() {
    if bitcoind_present; then
        say "BITCOIND_EXE=$(bitcoind_exe)"
        say "BITCOIN_CLI_EXE=$(bitcoin_cli_exe)"
    fi
    if electrumx_present; then say "ELECTRUMX_EXE=$(electrumx_exe)"; fi
    if pg_bin >/dev/null; then say "PG_BIN=$(pg_bin)"; fi
    if onnxruntime_present; then say "ORT_DYLIB_PATH=$(onnxruntime_library)"; fi
    if model_present; then say "AILAYER_MODELS=$(models_folder)"; fi
    if interop_present; then say "INTEROP_PYTHON=$(interop_python)"; fi
}

write_env() {
    local lock
    exec {lock}>"$CACHE/locks/env"
    flock "$lock"
    new_temp_dir
    env_lines >"$TEMP/env"
    mv -f "$TEMP/env" "$CACHE/env"
    exec {lock}>&-
}

summary() {
    say ""
    local key value
    while IFS='=' read -r key value; do printf '  %-16s %s\n' "$key" "$value"; done <"$CACHE/env"
    say ""
    say "  written to $CACHE/env"
}
