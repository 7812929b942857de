#!/bin/sh
# Builds the program for Windows on a bare Debian 12 and runs it and its tests under Wine. As root, for the packages.
#     sh tests/windows.sh            all
#     sh tests/windows.sh disk::     those tests whose names contain this
set -eu
cd "$(dirname "$0")/.."
target=x86_64-pc-windows-gnu
apt-get install -y -qq --no-install-recommends rustc-web cargo-web rust-web-src gcc-mingw-w64-x86-64-win32 wine64

# Debian has the source of this compiler's standard library and not the library for Windows: it is built with the program.
# The two objects that stand around a program come with the library elsewhere.
export RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1
rust=$("$RUSTC" --print sysroot)/lib/rustlib
mkdir -p "$rust/$target/lib"
for object in rsbegin rsend; do
    "$RUSTC" --target "$target" -O --emit obj -o "$rust/$target/lib/$object.o" "$rust/src/rust/library/rtstartup/$object.rs"
done
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$PWD/target/windows}"
mkdir -p "$CARGO_TARGET_DIR"
/usr/bin/cargo test --no-run --lib --test cli -Z build-std=std,panic_unwind,test --target "$target" 2> "$CARGO_TARGET_DIR.log" || {
    cat "$CARGO_TARGET_DIR.log" >&2
    exit 1
}

export WINEPREFIX="$CARGO_TARGET_DIR/wine" WINEDEBUG=-all
wine=/usr/lib/wine/wine64
"$wine" cmd /c ver
# Wine 8 lacks the library that Rust takes random numbers from.
library=$WINEPREFIX/drive_c/windows/system32/bcryptprimitives.dll
if [ ! -e "$library" ]; then
    cat > "$WINEPREFIX/random.c" <<'C'
#include <windows.h>
BOOLEAN NTAPI SystemFunction036(PVOID, ULONG);
__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE data, SIZE_T len) { return SystemFunction036(data, (ULONG)len); }
C
    x86_64-w64-mingw32-gcc -shared -o "$library" "$WINEPREFIX/random.c" -ladvapi32
fi

failed=0
for program in $(sed -n 's/^ *Executable .*(\(.*\))$/\1/p' "$CARGO_TARGET_DIR.log"); do
    "$wine" "$program" --test-threads=4 "$@" || failed=1
done
exit $failed
