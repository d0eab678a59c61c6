/* SPDX-License-Identifier: Apache-2.0 */
/*
 *   bench_proxy backend
 *   bench_proxy load PORT CONNS SECONDS ANSWER new|resumed|same [PATH]
 *
 * With PATH in HTTP; ANSWER counts headers, too.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "proxy.h"

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    if (argc == 2 && !strcmp(argv[1], "backend"))
        return backend_run();
    if (argc < 7 || argc > 8 || strcmp(argv[1], "load") != 0)
        bench_die("see the beginning of bench/proxy/main.c");
    struct load load = {
        .port = (unsigned)strtoul(argv[2], NULL, 10),
        .conns = (unsigned)strtoul(argv[3], NULL, 10),
        .seconds = strtod(argv[4], NULL),
        .answer = strtoull(argv[5], NULL, 10),
        .new_each = strcmp(argv[6], "same") != 0,
        .resumed = !strcmp(argv[6], "resumed"),
        .path = argv[7],
    };
    return load_run(&load);
}
