# NVIDIA's client of the inference protocol, in a Python environment of its own: the tests drive model serving with it.
# shellcheck shell=bash

interop_why() { say "installing NVIDIA's tritonclient, because the tests prove with it that existing clients work unmodified"; }

interop_where() { interop_python; }

interop_python() { say "${INTEROP_PYTHON:-$CACHE/interop/bin/python}"; }

interop_present() {
    if [[ -n "${INTEROP_PYTHON:-}" ]]; then return 0; fi
    venv_present "$CACHE/interop" "$HERE/interop-requirements.txt"
}

interop_install() {
    make_venv "$CACHE/interop" "$HERE/interop-requirements.txt"
    # Imports its C parts: a wheel that does not fit this machine fails here and not in the middle of a test.
    quietly interop "$CACHE/interop/bin/python" -c 'import numpy, tritonclient.grpc'
}
