#!/bin/sh
# What is too long or needs too much for `check.sh`, part by part: `sh tests/full.sh PART [ARGUMENT]...`
#
#   apps [PYTEST ARGUMENT]...   programs that keep models, in pinned versions from the package registries
#   steps                       a failure at every step of adopt, expose and unexpose, and not at every third only
set -eu
cd "$(dirname "$0")/.."
export CARGO_TERM_COLOR=never

# A folder for tests: in memory, where there is room for them.
scratch() {
    if [ "$(df -Pk /dev/shm 2>/dev/null | awk 'NR == 2 { print $4 }')" -gt 4000000 ] 2>/dev/null; then
        echo "/dev/shm/model-manager-$1-$$"
    else
        echo "$PWD/target/$1-tmp"
    fi
}

# environment NAME PACKAGE...: makes target/real-apps/NAME with these packages, once.
environment() {
    name=$1
    shift
    venv=$PWD/target/real-apps/$name
    if [ "$(cat "$venv/made-for" 2>/dev/null)" != "$venv $*" ]; then
        rm -rf "$venv"
        "${PYTHON:-python3}" -m venv "$venv"
        "$venv/bin/pip" install --quiet --disable-pip-version-check "$@"
        printf '%s' "$venv $*" >"$venv/made-for"
    fi
}

# About 1.5 GB below target/real-apps. MODEL_MANAGER_REAL_APPS_TMP names the folder of the tests, to try another file system.
apps() {
    git lfs version >/dev/null 2>&1 || {
        echo "tests/full.sh: git-lfs is missing. On Debian and Ubuntu: apt-get install git-lfs" >&2
        exit 1
    }
    mkdir -p target/real-apps
    environment runner pytest==9.2.0 tokenizers==0.23.3 safetensors==0.8.0 gguf==0.19.0 "numpy>=2.2.6,<2.5"
    environment hf-0.36 huggingface_hub==0.36.0
    environment hf-1.0 huggingface_hub==1.0.0 click==8.1.8
    environment hf-1 huggingface_hub==1.33.0
    environment hf-2.4 huggingface_hub==2.4.0
    environment transformers transformers==5.24.0 safetensors==0.8.0 "numpy>=2.2.6,<2.5"
    environment ramalama ramalama==0.25.0
    environment gpt4all gpt4all==2.8.2
    environment xllamacpp xllamacpp==2026.10.11549
    cargo build --quiet --workspace --bin model-manager --example test_hub
    tmp=${MODEL_MANAGER_REAL_APPS_TMP:-$(scratch apps)}
    trap 'rm -rf "$tmp"' EXIT
    trap 'exit 130' INT TERM
    # The project's settings of pytest are those of `python/`.
    target/real-apps/runner/bin/python -m pytest -c /dev/null --rootdir tests/real_apps -p no:cacheprovider -rs \
        --basetemp "$tmp" "$@" tests/real_apps
}

steps() {
    MODEL_MANAGER_SWEEP=full cargo test --workspace --test manager proofs
}

case "${1:-}" in
apps | steps)
    part=$1
    shift
    "$part" "$@"
    ;;
*)
    sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac
