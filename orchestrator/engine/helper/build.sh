#!/bin/sh
# Makes helper-amd64 and helper-arm64 of helper.c, and writes down what they were made of.
#   build.sh [DIRECTORY]      where to; this one when not given
# Needs Debian's gcc and gcc-aarch64-linux-gnu. The same compilers give the same bytes. After a change of helper.c:
# run it and commit all three files; the image's tag changes by itself.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
to=$(cd "${1:-$here}" && pwd)
cd "$here"

# No libc, no start-up code, no relocation, no unwind tables; gcc may not turn loops into calls of memset.
FLAGS='-std=gnu11 -Os -Wall -Wextra -Werror -ffreestanding -nostdlib -static -fno-pie -no-pie -fno-stack-protector
    -fno-asynchronous-unwind-tables -fno-unwind-tables -fno-ident -fno-tree-loop-distribute-patterns
    -Wl,--build-id=none -Wl,-z,noseparate-code -Wl,-z,noexecstack -s'

build() { # architecture, compiler, flags of its own
    # Flags are words.
    # shellcheck disable=SC2086
    "$2" $FLAGS ${3:-} -o "$to/helper-$1" helper.c
    chmod 755 "$to/helper-$1"
}

build amd64 x86_64-linux-gnu-gcc -fcf-protection=none
build arm64 aarch64-linux-gnu-gcc -mno-outline-atomics

{
    for compiler in x86_64-linux-gnu-gcc aarch64-linux-gnu-gcc; do
        echo "# $compiler: $("$compiler" --version | head -1)"
    done
    sha256sum helper.c build.sh
    (cd "$to" && sha256sum helper-amd64 helper-arm64)
} >"$to/built.sha256"
