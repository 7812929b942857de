#!/bin/sh
# Everything that must pass: format, lints, all tests, documentation.
set -eu
cd "$(dirname "$0")/.."
export CARGO_TERM_COLOR=never

# Programs that tests of killed processes and of file systems use on Linux (tests/soak).
if [ "$(uname)" = Linux ]; then
    missing=
    for tool in strace:strace xfs_io:xfsprogs mkfs.xfs:xfsprogs mkfs.ext4:e2fsprogs mkfs.btrfs:btrfs-progs; do
        PATH="$PATH:/sbin:/usr/sbin" command -v "${tool%:*}" >/dev/null || missing="$missing ${tool#*:}"
    done
    if [ -n "$missing" ]; then
        if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
            # shellcheck disable=SC2086
            apt-get update -qq && apt-get install -y -qq --no-install-recommends $missing
        else
            echo "tests need these packages:$missing" >&2
            echo "without them, MODEL_MANAGER_TEST_NO_ROOT=1 leaves those tests out" >&2
        fi
    fi
fi
cargo fmt --all --check
cargo clippy --workspace --all-targets -- -D warnings
cargo test --workspace
# Those that need root or strace: ignored above, and left ignored where nobody can run them.
if [ "$(uname)" = Linux ] && [ "$(id -u)" = 0 ] && [ -z "${MODEL_MANAGER_TEST_NO_ROOT:-}" ]; then
    # (--workspace, for another set of packages has other features, and everything would be built again.)
    # (`child::role` is what other tests start as a process of its own.)
    cargo test --workspace --test cli --test store --test hostile_project --test soak -- --ignored --skip child::role
    # One at a time: limits of a user's processes count those of the other tests.
    cargo test --workspace --test hostile_member -- --ignored --test-threads 1
fi
# The library as others get it: every public type can be named, and nothing is in it for tests alone.
cargo clippy --lib -- -D warnings
RUSTDOCFLAGS="-D warnings" cargo doc --no-deps
RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --document-private-items
# A package of its own, which the commands above do not see.
cargo fmt --check --manifest-path fuzz/Cargo.toml
if cargo fuzz --version >/dev/null 2>&1; then
    MODEL_MANAGER_FUZZ_SANITIZER=none sh fuzz/run.sh 20
else
    # With the dependencies that were checked above, and without libFuzzer, which only a program needs.
    CARGO_TARGET_DIR=target CUSTOM_LIBFUZZER_PATH=/dev/null cargo check --manifest-path fuzz/Cargo.toml --bins
    echo "fuzz: skipped: cargo-fuzz is not installed; \`sh fuzz/run.sh\` installs it and runs the targets" >&2
fi
[ ! -f python/test.sh ] || sh python/test.sh
