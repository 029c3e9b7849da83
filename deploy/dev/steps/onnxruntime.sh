# ONNX Runtime: one shared library, taken out of its Python wheel. Python is not needed to run it.
# shellcheck shell=bash

readonly ORT_VERSION=1.31.1
readonly ORT_LIBRARY="libonnxruntime.so.$ORT_VERSION"

onnxruntime_why() { say "downloading ONNX Runtime $ORT_VERSION (24 MB), because it executes the models and the Rust crate brings no library"; }

onnxruntime_where() { onnxruntime_library; }

onnxruntime_library() { say "${ORT_DYLIB_PATH:-$CACHE/onnxruntime/$ORT_VERSION/$ORT_LIBRARY}"; }

onnxruntime_present() {
    if [[ -n "${ORT_DYLIB_PATH:-}" ]]; then return 0; fi
    local library="$CACHE/onnxruntime/$ORT_VERSION/$ORT_LIBRARY"
    [[ -f "$library" && "$(sha256_of "$library")" == "$(onnxruntime_pin library)" ]]
}

# onnxruntime_pin wheel|library: SHA-256 for this machine's architecture.
onnxruntime_pin() {
    case "$(uname -m)-$1" in
        x86_64-wheel) say 5752bd508126ae7c49894d3b9d2e83f0c3d487319246d04c444b393308d7ad7f ;;
        x86_64-library) say fc44112fbe06d7d689c57e11d3862031f64711007e4ee020f8eed5185fd2c1d3 ;;
        aarch64-wheel) say da05378364c44d4407e463982d2bf8d5e4cfea873283757e48beeb41df97b7f3 ;;
        aarch64-library) say 8aa3b76b28c778a2b1dd660d34161adb1d508c9ccd04ff9dc80e26eca5df8467 ;;
        *) fail "onnxruntime: no pinned build for $(uname -m); name your own library in ORT_DYLIB_PATH" ;;
    esac
}

onnxruntime_install() {
    new_temp_dir
    say "onnxruntime==$ORT_VERSION --hash=sha256:$(onnxruntime_pin wheel)" >"$TEMP/requirements.txt"
    quietly onnxruntime "$SYSTEM_PYTHON" -m venv "$TEMP/venv"
    # The Python version is pinned only so that one exact wheel is meant: the library inside does not depend on it.
    quietly onnxruntime "$TEMP/venv/bin/python" -m pip download --disable-pip-version-check --no-deps --require-hashes \
        --only-binary :all: --implementation cp --python-version 311 --abi cp311 --platform "manylinux_2_28_$(uname -m)" \
        -r "$TEMP/requirements.txt" -d "$TEMP"
    mkdir "$TEMP/out"
    quietly onnxruntime unzip -j "$TEMP"/onnxruntime-*.whl 'onnxruntime/capi/libonnxruntime.so.*' onnxruntime/LICENSE onnxruntime/ThirdPartyNotices.txt -d "$TEMP/out"
    [[ "$(sha256_of "$TEMP/out/$ORT_LIBRARY")" == "$(onnxruntime_pin library)" ]] || fail "onnxruntime: $ORT_LIBRARY is not the pinned one"
    mkdir -p "$CACHE/onnxruntime"
    rm -rf -- "$CACHE/onnxruntime/$ORT_VERSION"
    mv -T "$TEMP/out" "$CACHE/onnxruntime/$ORT_VERSION"
}
