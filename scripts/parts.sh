# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# What can be tested, one function a part, for scripts/test and .ci/run. Each prints `N passed, N failed` at its end.

. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# --- of the text -------------------------------------------------------------------------------------------------------
checks() {
    local name
    for name in format dialect layers size words docs; do
        part "check-$name" "$root/scripts/check-$name"
    done
    api_reference
    part check-mutants "$root/scripts/mutants" --check
}

api_reference() { part api-reference "$root/scripts/api-reference"; }

tidy() {
    part check-tidy "$root/scripts/check-tidy"
}

# --- of one build ------------------------------------------------------------------------------------------------------
test_data() { # what tests read and the tree does not hold: each tests/<area>/setup brings its own
    local setup
    for setup in "$root"/tests/*/setup; do
        if [ -x "$setup" ]; then
            "$setup"
        fi
    done
}

ctest_of() { # PRESET [CTEST ARGUMENTS...]
    test_data
    build "$1"
    run_ctest "$@"
}

debug_build() { part debug-build build debug; }
debug_tests() { part debug-tests ctest_of debug; }
# Layers once more, by what the objects of that build want of each other.
symbols() { part check-symbols "$root/scripts/check-layers" "$root/build/debug"; }
release_tests() { part release-tests ctest_of release; }
# What handshakes, records and ops cost, in instructions: noise does not move them.
instructions() { part check-instructions "$root/scripts/check-instructions"; }

# The other libcrypto: what stands on it directly, and handshakes in which something is wrong.
openssl_ctest() {
    test_data
    cmake --preset debug-openssl -S "$root" >/dev/null
    # Without their twins: whether records go the short way is not libcrypto's.
    local pattern='^(unit\.(crypto|libcrypto|cert|op)|vectors|attack\.chain|strict|pull|device\.conformance)\.?' names
    mapfile -t names < <(cd "$root/build/debug-openssl" && ctest -N -R "$pattern" | sed -nE 's/^ *Test +#[0-9]+: (.*)$/\1/p')
    [ ${#names[@]} != 0 ] || die "no test of libcrypto found"
    build debug-openssl $(printf '%s\n' "${names[@]%.by_ops}" | sort -u)
    run_ctest debug-openssl -R "$pattern" -E '\.by_ops$'
}

openssl_tests() { part openssl-tests openssl_ctest; }
openssl_all() { part openssl-all ctest_of debug-openssl; }

# ThreadSanitizer is for what has threads: the worker devices, posting, and the proxy on them.
tsan_ctest() {
    cmake --preset tsan -S "$root" >/dev/null
    local pattern='pool|worker|post|thread|crew' names except='^(example|app)'
    mapfile -t names < <(cd "$root/build/tsan" && ctest -N -R "$pattern" -E "$except" | sed -nE 's/^ *Test +#[0-9]+: (.*)$/\1/p')
    [ ${#names[@]} != 0 ] || die "no test of threads found"
    build tsan milgi "${names[@]}"
    run_ctest tsan -R "$pattern" -E "$except"
}

# A crowd, slow readers and a slow backend, with every record on the device. They wait for most of their time.
tsan_build() {
    build release milgi_load
    build tsan milgi
}

tsan_proxy() { # WORKERS
    "$root/tests/load/run" small --milgi "$root/build/tsan/milgi" --device "pool:$1"
}

# Connections that go while their ops are with the threads, and threads that go while they have ops.
tsan_churn() {
    build tsan milgi_failure
    "$root/tests/failure/run" small --tool "$root/build/tsan/milgi_failure" --only pool
}

tsan_tests() {
    part tsan-tests tsan_ctest
    part tsan-churn tsan_churn
    part tsan-build tsan_build
}

# What stands between these two runs beside the proxies.
begin_tsan_proxies() { # after tsan_tests
    local workers
    for workers in 1 2 4; do
        begin_part "tsan-proxy-pool-$workers" tsan_proxy "$workers"
    done
}

end_tsan_proxies() {
    local workers
    for workers in 1 2 4; do
        end_part "tsan-proxy-pool-$workers"
    done
}

tsan_all() { part tsan-all ctest_of tsan; }

memcheck="valgrind -q --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite,indirect \
--child-silent-after-fork=yes"

# curl and openssl s_client at the proxy, milgi connect at openssl s_server; what lies between them is in the names.
valgrind_peers() {
    build release milgi
    "$root/tests/interop/run" --under "$memcheck" --work "$root/build/valgrind" --patience 10 --bulk 2000000 --jobs "$(jobs_n)" \
        server/page/curl/p256-hrr-chacha/pool2 server/bulk/curl/p256-x25519-aes128/pool2 \
        server/page/s_client/p384-x25519-aes256/chaos server/auth-required/s_client/rsa2048-p384-aes256/cpu \
        server/keyupdate/s_client/p256-hrr-aes256/pool2 client/talk/s_server/p256-hrr-chacha/pool2 \
        client/bulk/s_server/rsa3072-x25519-aes128/chaos client/untrusted/s_server/p256-x25519-aes128/cpu \
        client/auth-required/s_server/rsa2048-p384-chacha/cpu client/truncate/s_server/rsapss-p384-aes128/cpu \
        client/keyupdate-by-milgi/s_server/ed25519-hrr-chacha/pool2
}

valgrind_crowd() {
    build release milgi milgi_load
    "$root/tests/load/run" small --under "$memcheck" --milgi "$root/build/release/milgi" --device pool:2
}

valgrind_interop() { part valgrind-interop valgrind_peers; }
valgrind_load() { part valgrind-load valgrind_crowd; }

# That the benchmarks beside other libraries and proxies work; no time is judged.
bench_peers() {
    build release bench_peers milgi bench_proxy bench_batch bench_devices
    run_ctest release -R '^bench\.'
}

bench_check() { part bench-check bench_peers; }

# What somebody does who wants to use it: install, and packages.
install_below() {
    local at
    at=$(mktemp -d)
    DESTDIR=$at "$root/scripts/install" --prefix /usr
    for wanted in bin/milgi include/milgi/milgi.h share/man/man1/milgi.1 share/man/man3/milgi.3 \
        lib/systemd/system/milgi-proxy.service share/bash-completion/completions/milgi; do
        [ -s "$at/usr/$wanted" ] || die "not installed: $wanted"
    done
    "$at/usr/bin/milgi" --version
    rm -rf "$at"
}

install_check() { part install install_below; }

run_check() { part run-check "$root/scripts/run" --check; }

# The least there is: no device but cpu, and a system that has nothing of liburing and libevent, whose headers are not to be
# found here for once. A build option selects files and table rows, so the rest must build and link, and its tests be known.
lean_build() {
    local absent=$root/build/absent header
    rm -rf "$absent"
    while read -r header; do
        mkdir -p "$(dirname "$absent/$header")"
        say "#error <$header> is not here" >"$absent/$header"
    done < <(cd "$root" && grep -rhoE '#include <(liburing|event|evhttp)[^>]*' adapters app bench examples tests | sed 's/.*<//' | sort -u)
    [ -e "$absent/liburing.h" ] && [ -e "$absent/event2/event.h" ] || die "who includes liburing.h and event2/event.h?"
    set -- -S "$root" -B "$root/build/lean" -G Ninja -DCMAKE_BUILD_TYPE=Debug -DMILGI_SANITIZE=address,undefined \
        -DCMAKE_C_FLAGS="-I$absent" -DCMAKE_CXX_FLAGS="-I$absent" -DMILGI_URING=OFF -DMILGI_LIBEVENT=OFF # flags as of debug: ccache
    cmake "$@" -DMILGI_TESTS=ON
    cmake "$@" -DMILGI_TESTS=OFF -DMILGI_DEVICE_POOL=OFF -DMILGI_DEVICE_SIM=OFF -DMILGI_DEVICE_CHAOS=OFF
    cmake --build "$root/build/lean" -j "$(jobs_n)"
    "$root/build/lean/milgi" --version
}

# Whether tests notice what they are there for: a sample, other mutants with every commit. All of them: scripts/mutants.
begin_mutants() { begin_part mutants "$root/scripts/mutants" --sample 6; }

lean() { part lean-build lean_build; }

# --- of tests/<area>/run ------------------------------------------------------------------------------------------------
begin_area() { # NAME [ARGUMENTS...]
    local name=$1
    shift
    begin_part "$name" "$root/tests/$name/run" "$@"
}

area() { # NAME [ARGUMENTS...]
    begin_area "$@"
    end_part "$1"
}
