# ElectrumX 2.0 (package e-x; the package named "electrumx" is another project) in a Python environment of its own.
# shellcheck shell=bash

electrumx_why() { say "installing ElectrumX 2.0, because the indexer follows an Electrum server"; }

electrumx_where() { electrumx_exe; }

electrumx_exe() { say "${ELECTRUMX_EXE:-$CACHE/electrumx/bin/electrumx_server}"; }

electrumx_present() {
    if [[ -n "${ELECTRUMX_EXE:-}" ]]; then return 0; fi
    [[ -x "$CACHE/electrumx/bin/electrumx_server" ]] && venv_present "$CACHE/electrumx" "$HERE/electrumx-requirements.txt"
}

electrumx_install() {
    make_venv "$CACHE/electrumx" "$HERE/electrumx-requirements.txt"
    # Imports its C parts: a wheel that does not fit this machine fails here and not in the middle of a test.
    quietly electrumx "$CACHE/electrumx/bin/python" -c 'import plyvel, aiohttp, electrumx.server.controller'
}
