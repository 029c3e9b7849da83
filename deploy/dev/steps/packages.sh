# Debian packages: the only step that needs root.
# shellcheck shell=bash

PACKAGES=(
    build-essential cmake ninja-build pkg-config  # compile Bitcoin Core and the C parts of Rust crates
    libboost-dev libevent-dev libsqlite3-dev      # Bitcoin Core's libraries
    python3 python3-venv                          # ElectrumX and the model's builder
    git ca-certificates unzip
)
# The server programs, for private clusters.
[[ -n "${PG_BIN:-}" ]] || PACKAGES+=(postgresql)
# ElectrumX's LevelDB binding has ready wheels for this architecture only; elsewhere pip compiles it.
[[ "$(uname -m)" == x86_64 ]] || PACKAGES+=(python3-dev libleveldb-dev)

packages_why() {
    say "installing Debian packages $(packages_missing | tr '\n' ' ')because Bitcoin Core, PostgreSQL, ElectrumX and the Rust build need them"
}

packages_where() { say "Debian packages; PostgreSQL in $(pg_bin || say 'no folder')"; }

packages_missing() {
    local package
    for package in "${PACKAGES[@]}"; do
        # One query a package: a query for several fails as a whole when one name is unknown.
        [[ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" == installed ]] || say "$package"
    done
}

packages_present() {
    command -v dpkg-query >/dev/null || fail "this is not Debian; install the equivalents of: ${PACKAGES[*]}, then run the other steps with --only"
    [[ -z "$(packages_missing)" ]] && pg_bin >/dev/null
}

packages_install() {
    local -a root=()
    if ((EUID != 0)); then
        command -v sudo >/dev/null || fail "need root for apt: run as root, install sudo, or have an administrator run: apt-get install $(packages_missing | tr '\n' ' ')"
        root=(sudo)
        sudo -v || fail "need root for apt: sudo refused; have an administrator run: apt-get install $(packages_missing | tr '\n' ' ')"
    fi
    # Debian would create and start a cluster on port 5432. The devnet and the tests make private ones.
    if ! pg_bin >/dev/null; then
        "${root[@]}" mkdir -p /etc/postgresql-common/createcluster.d
        say 'create_main_cluster = false' | "${root[@]}" tee /etc/postgresql-common/createcluster.d/ailayer.conf >/dev/null
    fi
    local -a missing apt=(env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300)
    mapfile -t missing < <(packages_missing)
    quietly apt-update "${root[@]}" "${apt[@]}" update
    quietly apt-install "${root[@]}" "${apt[@]}" install -y --no-install-recommends "${missing[@]}"
}

# The folder with initdb, postgres and pg_ctl of the newest installed PostgreSQL.
pg_bin() {
    if [[ -n "${PG_BIN:-}" ]]; then
        say "$PG_BIN"
        return
    fi
    local folder newest=""
    while read -r folder; do
        if [[ -x "$folder/initdb" && -x "$folder/postgres" ]]; then newest="$folder"; fi
    done < <(printf '%s\n' /usr/lib/postgresql/*/bin | sort -V)
    [[ -n "$newest" ]] && say "$newest"
}
