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
            echo "or MODEL_MANAGER_TEST_NO_STRACE=1 and MODEL_MANAGER_TEST_NO_MOUNTS=1, which leave tests out" >&2
        fi
    fi
    if [ "$(id -u)" != 0 ] && [ -z "${MODEL_MANAGER_TEST_NO_MOUNTS:-}" ]; then
        echo "tests of file systems mount them and need root; MODEL_MANAGER_TEST_NO_MOUNTS=1 leaves them out" >&2
    fi
fi
cargo fmt --all --check
cargo clippy --workspace --all-targets -- -D warnings
cargo test --workspace
# Those that act as several users are ignored where nobody can become them.
if [ "$(uname)" = Linux ] && [ "$(id -u)" = 0 ] && [ -z "${MODEL_MANAGER_TEST_NO_MOUNTS:-}" ]; then
    cargo test --test hostile_member -- --ignored
fi
RUSTDOCFLAGS="-D warnings" cargo doc --no-deps
# A package of its own, which the commands above do not see.
cargo fmt --check --manifest-path fuzz/Cargo.toml
sh fuzz/run.sh 20
[ ! -f python/test.sh ] || sh python/test.sh
