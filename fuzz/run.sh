#!/bin/sh
# Runs the fuzz targets: sh fuzz/run.sh [SECONDS [TARGET...]], each for 20 s where nothing is said.
#
# Fails on a finding, and keeps the input that shows it in fuzz/artifacts/. What was learnt stays in fuzz/corpus/, so that a
# later run resumes there. MODEL_MANAGER_FUZZ_JOBS run at once (2), under MODEL_MANAGER_FUZZ_SANITIZER (address, or none).
set -eu
cd "$(dirname "$0")"

VERSION=0.13.2
TARGET_DIR="$PWD/target"
LOGS="$TARGET_DIR/logs"

# One target, as this script calls itself: one line for it, and more where something was found.
if [ "${1:-}" = --one ]; then
    binary=$2 seconds=$3 target=$4
    case $target in
        gguf) dict=gguf ;;
        safetensors | records | hub_tree | hub_json) dict=json ;;
        registry | registry_edit | lock_file | settings | backend_settings) dict=yaml ;;
        *) dict=text ;;
    esac
    mkdir -p "corpus/$target" "artifacts/$target" "$LOGS"
    log="$LOGS/$target.log"
    result=0
    ASAN_OPTIONS="detect_leaks=0:${ASAN_OPTIONS:-}" "$binary" "corpus/$target" "seeds/$target" \
        -max_total_time="$seconds" -timeout=5 -rss_limit_mb=1024 -malloc_limit_mb=256 -max_len=8192 \
        -dict="dict/$dict.dict" -artifact_prefix="artifacts/$target/" -print_final_stats=1 >"$log" 2>&1 || result=$?
    stat() { sed -n "s/^stat::$1: *//p" "$log"; }
    executions=$(stat number_of_executed_units)
    findings=$(grep -c 'Test unit written to' "$log" || true)
    printf '%-17s %10s executions %8s/s  findings %s\n' \
        "$target" "${executions:-?}" "$(stat average_exec_per_sec)" "$findings"
    if [ "$result" != 0 ]; then
        grep -E "panicked at|ERROR:|SUMMARY:|Test unit written to|^Base64" -A 3 "$log" | cut -c 1-400 | head -n 30
        echo "$target failed ($result): $log has all of it; again: sh fuzz/run.sh --again $target fuzz/artifacts/$target/FILE"
    fi
    exit "$result"
fi

skip() {
    echo "fuzz: skipped: $1" >&2
    exit 0
}

command -v c++ >/dev/null || command -v g++ >/dev/null || skip "libFuzzer needs a C++ compiler"
if ! cargo fuzz --version >/dev/null 2>&1; then
    PATH="$TARGET_DIR/tools/bin:$PATH"
    export PATH
fi
if ! cargo fuzz --version >/dev/null 2>&1; then
    echo "fuzz: installing cargo-fuzz $VERSION below fuzz/target/tools" >&2
    mkdir -p "$LOGS"
    cargo install cargo-fuzz --version "$VERSION" --locked --root "$TARGET_DIR/tools" >"$LOGS/install.log" 2>&1 ||
        skip "cargo-fuzz cannot be installed: $(tail -n 1 "$LOGS/install.log")"
fi

# cargo-fuzz asks for flags that stable compilers have too, but take only from those who insist.
RUSTC_BOOTSTRAP=1 cargo fuzz build --fuzz-dir . --codegen-units 16 --sanitizer "${MODEL_MANAGER_FUZZ_SANITIZER:-address}"
binaries="$TARGET_DIR/$(rustc -vV | sed -n 's/^host: //p')/release"

if [ "${1:-}" = --again ]; then
    cd ..
    exec "$binaries/$2" -timeout=5 -rss_limit_mb=1024 -malloc_limit_mb=256 "$3"
fi

seconds=${1:-20}
[ $# = 0 ] || shift
[ $# != 0 ] || set -- $(sed -n 's/^path = "fuzz_targets\/\(.*\)\.rs"$/\1/p' Cargo.toml)
printf '%s\n' "$@" | xargs -P "${MODEL_MANAGER_FUZZ_JOBS:-2}" -I {} sh run.sh --one "$binaries/{}" "$seconds" {}
