#!/bin/sh
# Builds the wheel, installs it into target/python-venv and tests it there. Arguments go to pytest.
# PYTHON names the interpreter of a fresh environment, PROFILE the cargo profile.
set -eu
cd "$(dirname "$0")/.."
venv=target/python-venv
tools="maturin==1.16.0 pytest==9.2.0 mypy==2.4.1 tqdm==4.70.1"

if [ "$(cat "$venv/tools" 2>/dev/null)" != "$tools" ]; then
    "${PYTHON:-python3}" -m venv "$venv"
    # shellcheck disable=SC2086
    "$venv/bin/pip" install --quiet --disable-pip-version-check $tools
    printf '%s' "$tools" >"$venv/tools"
fi

cargo build --quiet --example test_hub
rm -rf target/python-wheels
"$venv/bin/maturin" build --quiet --manifest-path python/Cargo.toml --profile "${PROFILE:-dev}" --strip --out target/python-wheels
"$venv/bin/pip" install --quiet --disable-pip-version-check --no-deps --force-reinstall target/python-wheels/*.whl

cd python
bin=../$venv/bin
"$bin/mypy" --python-executable "$bin/python" package/model_manager tests
"$bin/python" -m mypy.stubtest --ignore-missing-stub --concise model_manager._native
exec "$bin/python" -m pytest -p no:cacheprovider "$@"
