#!/bin/sh
# Everything that must pass: format, lints, all tests, documentation.
set -eu
cd "$(dirname "$0")/.."
export CARGO_TERM_COLOR=never
cargo fmt --all --check
cargo clippy --workspace --all-targets -- -D warnings
cargo test --workspace
RUSTDOCFLAGS="-D warnings" cargo doc --no-deps
[ ! -f python/test.sh ] || sh python/test.sh
