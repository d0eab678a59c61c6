# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# For scripts that run a program without a system on a processor that has AVX-512, whatever this one has: emulated by Bochs,
# which scripts/setup-packages emulate installs. Exit status 77: there is no Bochs. Works in a directory of its own.
emulated=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$emulated/../.." && pwd)
bochs=$(command -v "${MILGI_BOCHS:-bochs-bin}" || command -v bochs || true)
share=${BXSHARE:-/usr/share/bochs}
[ -n "$bochs" ] && [ -e "$share/BIOS-bochs-latest" ] || { echo "SKIPPED: no Bochs here"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

compile() { # FILE FLAGS...
    cc -O2 -std=c11 -ffreestanding -fno-builtin -fno-stack-protector -fno-pic -mno-red-zone -fno-strict-aliasing \
        -fno-asynchronous-unwind-tables -D_GNU_SOURCE "-I$root/src" "-I$root/include" "-I$emulated" "${@:2}" \
        -c "$1" -o "$(basename "$1" .c).o"
}

# Links the objects that are here and runs them, SECONDS at most. What they say is in the file screen.
emulate() { # SECONDS
    compile "$emulated/metal.c"
    cc -c -Wa,--defsym,PIECES=40 "$emulated/boot.S" -o boot.o
    ld -nostdlib -static --no-warn-rwx-segments -T "$emulated/image.ld" ./*.o -o program
    objcopy -O binary -j .boot program sector
    objcopy -O binary -j .program program rest
    [ "$(stat -c %s rest)" -le $((40 * 32 * 1024)) ] || { echo "the program has grown: load more pieces of it"; exit 1; }
    cat sector rest >disk
    truncate -s $((20 * 16 * 63 * 512)) disk

    cat >bochsrc <<END
cpu: model=corei7_icelake_u, ips=200000000, reset_on_triple_fault=0
memory: guest=64, host=64
romimage: file=$share/BIOS-bochs-latest
vgaromimage: file=$share/VGABIOS-lgpl-latest
ata0-master: type=disk, path=disk, mode=flat, cylinders=20, heads=16, spt=63
boot: disk
port_e9_hack: enabled=1
display_library: rfb, options="timeout=0"
log: log
clock: sync=none
panic: action=fatal
END
    echo c >commands # some are built with a debugger, which waits for it
    local options=(-q)
    if [[ $("$bochs" --help 2>&1 || true) == *-rc* ]]; then
        options+=(-rc commands)
    fi
    timeout "$1" "$bochs" "${options[@]}" -f bochsrc >screen 2>&1 </dev/null || true
}
