/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_keyless [--quick] [--rate N] [--gokeyless PROGRAM]
 *
 * 10 000 handshakes over two key servers that fail in every way, and what slow signatures do to quick ones. With
 * gokeyless, a program that is built elsewhere, the latter beside it.
 */
#include <libgen.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "keyless.h"

int main(int argc, char **argv)
{
    static char path[512];
    struct options options = { .rate = 400, .stretch = 1 };
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--quick"))
            options.stretch = 0.2;
        else if (!strcmp(argv[i], "--rate") && i + 1 < argc)
            options.rate = (unsigned)atoi(argv[++i]);
        else if (!strcmp(argv[i], "--gokeyless") && i + 1 < argc)
            options.gokeyless = argv[++i];
        else
            bench_die("bench_keyless [--quick] [--rate N] [--gokeyless PROGRAM]");
    }
    char *own = realpath("/proc/self/exe", NULL);
    snprintf(path, sizeof path, "%s/milgi", own ? dirname(own) : ".");
    options.milgi = path;
    signal(SIGPIPE, SIG_IGN);
    bool right = handshakes(&options);
    right = among(&options) && right;
    free(own);
    return right ? 0 : 1;
}
