#!/bin/sh
# Builds the wheel, installs it into target/python-venv and tests it there. Arguments go to pytest.
# PYTHON names the interpreter (3.10 or newer) of that environment, PROFILE the cargo profile.
set -eu
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
venv=target/python-venv
tools="maturin==1.16.0 pytest==9.2.0 pytest-xdist==3.8.0 mypy==2.4.1 tqdm==4.70.1"
# Programs that load what is shown in models/ (tests/test_consumers.py). What is asked of transformers needs no torch; the newest
# numpy differs by version of Python.
tools="$tools transformers==5.23.0 tokenizers==0.23.3 safetensors==0.8.0 gguf==0.19.0 numpy>=2.2.6,<2.5 xllamacpp==2026.10.11549"

# Its reader of modules is run without torch, which would be a download of its own.
readers="sentence-transformers==6.2.0"

fail() {
    printf 'python/test.sh: %s\n' "$1" >&2
    exit 1
}

version=$("$python" -c 'import sys; print(sys.version)') || fail "$python does not run. Install Python 3.10 or newer, or name it with PYTHON=."
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' || fail "$python is older than 3.10. Name a newer one with PYTHON=."

# Scripts of an environment hold its path, so one that was copied or moved is made anew; so is one of another interpreter.
wanted="$PWD $version $tools $readers"
if [ "$(cat "$venv/made-for" 2>/dev/null)" != "$wanted" ]; then
    "$python" -c 'import ensurepip, venv' 2>/dev/null || fail "$python cannot make environments. On Debian and Ubuntu: apt-get install python3-venv"
    rm -rf "$venv"
    "$python" -m venv "$venv"
    # shellcheck disable=SC2086
    "$venv/bin/pip" install --quiet --disable-pip-version-check $tools
    printf '%s' "$wanted" >"$venv/made-for"
fi

# Where it cannot be had, the tests that need it are skipped by its name.
"$venv/bin/python" -c 'import importlib.metadata; importlib.metadata.version("sentence-transformers")' 2>/dev/null ||
    "$venv/bin/pip" install --quiet --disable-pip-version-check --no-deps "$readers" || true

# (--workspace, for with another set of packages everything is built again that the tests of the crate have built.)
cargo build --quiet --workspace --example test_hub
rm -rf target/python-wheels
"$venv/bin/maturin" build --quiet --manifest-path python/Cargo.toml --interpreter "$venv/bin/python" --profile "${PROFILE:-dev}" --strip --out target/python-wheels
"$venv/bin/pip" install --quiet --disable-pip-version-check --no-deps --force-reinstall target/python-wheels/*.whl

# The tests make many stores, of a thousand folders each: in memory, where there is room for them.
scratch=$PWD/target/python-tmp
if [ "$(df -Pk /dev/shm 2>/dev/null | awk 'NR == 2 { print $4 }')" -gt 4000000 ] 2>/dev/null; then
    scratch=/dev/shm/model-manager-python-$$
fi
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM

cd python
bin=../$venv/bin
"$bin/mypy" --python-executable "$bin/python" package/model_manager tests
"$bin/python" -m mypy.stubtest --ignore-missing-stub --concise model_manager._native
"$bin/python" -m pytest -p no:cacheprovider --basetemp "$scratch" "$@"
