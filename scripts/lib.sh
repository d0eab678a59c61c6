# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# Common to our scripts: they source it after `set -euo pipefail`. Counting rule: every part prints a line
# `N passed, N failed`; `part` runs one, adds its last such line up and prints the part's time. A part that fails
# without counting a failure, or that counts nothing at all, is one failure. One whose exit status is 77 was not judged,
# since what it needs is not here: it counts as neither, and is named at the end.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
logs=${MILGI_LOGS:-$root/build/logs}
total_passed=0
total_failed=0
failed_parts=()
not_judged=() unsteady=()

say() { printf '%s\n' "$@"; }
die() {
    printf '%s: %s\n' "$(basename "$0")" "$*" >&2
    exit 1
}

jobs_n() { nproc 2>/dev/null || echo 2; }

# part NAME COMMAND...: runs it with its output in $logs/NAME.log, the end of which is shown when it fails.
part() {
    begin_part "$@"
    end_part "$1"
}

declare -A part_pid part_start

# begin_part NAME COMMAND..., end_part NAME: what stands between them runs beside it.
begin_part() {
    local name=$1
    shift
    mkdir -p "$logs"
    # In the background and waited for: so `set -e` holds inside functions, as it would not in a condition.
    (trap 'times >"$logs/$name.times"' EXIT && "$@") >"$logs/$name.log" 2>&1 </dev/null &
    part_pid[$name]=$! part_start[$name]=$SECONDS
}

end_part() { # NAME
    local name=$1 start=${part_start[$1]} rc=0 counts passed=0 failed=0
    wait "${part_pid[$1]}" || rc=$?
    if [ $rc = 77 ]; then
        not_judged+=("$name")
        printf '%-24s %4d s   NOT JUDGED: %s\n' "$name" $((SECONDS - start)) "$(tail -n 1 "$logs/$name.log")"
        return
    fi
    counts=$(grep -E '^[0-9]+ (passed|killed), [0-9]+ (failed|survived)$' "$logs/$name.log" | tail -n 1 || true)
    if [ -n "$counts" ]; then
        read -r passed _ failed _ <<<"$counts"
    elif [ $rc = 0 ]; then
        passed=1
    fi
    if [ $((passed + failed)) = 0 ] || { [ $rc != 0 ] && [ "$failed" = 0 ]; }; then
        failed=$((failed + 1))
    fi
    total_passed=$((total_passed + passed))
    total_failed=$((total_failed + failed))
    unsteady+=($(sed -n 's/^UNSTEADY: //p' "$logs/$name.log"))
    printf '%-24s %4d s %5s CPU s  %5d passed  %3d failed\n' "$name" $((SECONDS - start)) "$(cpu_of "$name")" "$passed" "$failed"
    if [ "$failed" != 0 ]; then
        failed_parts+=("$name")
        say "---- $name: exit status $rc; what failed, and the end of its output:"
        failures "$logs/$name.log" | sed -n "s/^/    /; 1,${MILGI_TAIL:-80}p" # all is read: with pipefail that counts
        say "    ..."
        tail -n "${MILGI_TAIL:-80}" "$logs/$name.log" | sed 's/^/    /'
        say "----"
    fi
}

# Of a program of cmocka's, run where it stands: what it says, and a count of its tests.
cmocka() { # PROGRAM
    local out rc=0
    out=$("$@" 2>&1) || rc=$?
    say "$out"
    [ $rc != 77 ] || return 77
    say "$(grep -c '^\[       OK' <<<"$out" || true) passed, $(grep -c '^\[  FAILED  \] [a-z_0-9]*$' <<<"$out" || true) failed"
    return $rc
}

# The same of one that does all on each kind of device, a part for each: NAME-cpu and so on.
parts_by_device() { # NAME PROGRAM
    local device
    for device in cpu pool batch chaos; do
        part_if_wanted "$1-$device" env MILGI_TESTS_DEVICE=$device bash -c '. "$1"; cmocka "$2"' _ "$root/scripts/lib.sh" "$2"
    done
}

# part NAME..., if it is among those that $wanted names; "": all are.
part_if_wanted() {
    [[ -n "$wanted" && " $wanted " != *" $1 "* ]] || part "$@"
}

# Of a part: the seconds of processor time that it took; with those of the clock they tell what waits.
cpu_of() { # NAME
    sed -E 's/[ms]+ ?/ /g' "$logs/$1.times" 2>/dev/null | awk '{ sum += ($1 + $3) * 60 + $2 + $4 } END { printf "%d", sum + 0.5 }'
}

# Of a log: what ctest's failed tests printed, and what other runners call FAILED; the end alone seldom shows them.
failures() {
    awk '/^ +Start |^ *[0-9]+\/[0-9]+ Test .*(Passed|Skipped)|tests passed,/ { shown = 0 }
        /\*\*\*(Failed|Timeout|Exception|Not Run)/ { shown = 1 }
        /\*\*\*Skipped/ { shown = 0 }
        shown && !/^ok / || /^FAILED/ || /^\[  FAILED|^\[ +ERROR/' "$1"
}

# The last line of a run, and its exit status.
total() {
    if [ ${#failed_parts[@]} != 0 ]; then
        say "failed: ${failed_parts[*]}"
    fi
    if [ ${#not_judged[@]} != 0 ]; then
        say "NOT JUDGED, neither passed nor failed: ${not_judged[*]}"
    fi
    if [ ${#unsteady[@]} != 0 ]; then
        say "UNSTEADY, failed at first and passed alone, each a fault to be found: ${unsteady[*]}"
    fi
    say "$total_passed passed, $total_failed failed"
    [ "$total_failed" = 0 ] && [ "$total_passed" != 0 ]
}

# build PRESET [TARGET...]
build() {
    local preset=$1
    shift
    cd "$root"
    cmake --preset "$preset"
    cmake --build "build/$preset" -j "$(jobs_n)" ${*:+--target "$@"}
}

# run_ctest PRESET [CTEST ARGUMENTS...]: counts its cases. One or two that fail are run once more, with nothing beside them:
# who passes then is unsteady, which is told apart (total), not a failure of what was changed. What a sanitizer has found
# is a fault however seldom it shows.
run_ctest() {
    local preset=$1 out rc=0 all failed
    shift
    mkdir -p "$logs"
    out=$logs/ctest-$preset.$$
    # Seen while it runs: each test has its line. Those that compute take two of these jobs (tests/CMakeLists.txt).
    (cd "$root/build/$preset" && ctest -j $((2 * $(jobs_n))) --output-on-failure --no-tests=error "$@") 2>&1 | tee "$out" || rc=$?
    all=$(sed -nE 's/^[0-9]+% tests passed, [0-9]+ tests failed out of ([0-9]+)$/\1/p' "$out")
    failed=$(sed -nE 's/^[0-9]+% tests passed, ([0-9]+) tests failed out of [0-9]+$/\1/p' "$out")
    if [ $rc != 0 ] && [ "${failed:-0}" -ge 1 ] && [ "$failed" -le 2 ] &&
        ! grep -qE '(Address|Thread|Leak|UndefinedBehavior)Sanitizer|runtime error: ' "$out"; then
        local names
        names=$(sed -nE '/^The following tests FAILED:/,$ s/^\s+[0-9]+ - (\S+) \(.*$/\1/p' "$out" | tr '\n' ' ')
        say "once more, alone: $names"
        if (cd "$root/build/$preset" && ctest --rerun-failed --output-on-failure --no-tests=error) 2>&1; then
            say "UNSTEADY: $names"
            rc=0 failed=0
        fi
    fi
    rm -f "$out"
    if [ -n "$all" ]; then
        say "$((all - failed)) passed, $failed failed"
    fi
    return $rc
}
