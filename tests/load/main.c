/* SPDX-License-Identifier: Apache-2.0 */
/*
 *   milgi_load crowd   --connect A:P --ca F [--conns N] [--bytes N] [--bad N] [--shaking N]
 *       N clients, all of them open before any sends; each sends its bytes and gets them back. Meanwhile clients that
 *       misbehave.
 *   milgi_load readers --connect A:P --ca F [--conns N] [--bytes N] [--rate N] [--seconds N] [--finish N]
 *       N clients that take a few bytes a second of a long answer; then the first of them read the rest.
 *   milgi_load writers --connect A:P --ca F [--conns N] [--seconds N]
 *       N clients that send as much as is taken.
 *   milgi_load echo|source|sink [--bytes N] [--rate N]
 *       A backend; it prints its address, and what it did at SIGTERM.
 *
 * Exit status 0: everything went as it had to.
 */
#include "load.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

static int usage(const char *what)
{
    fprintf(stderr, "milgi_load: %s: see the beginning of main.c\n", what);
    return 2;
}

static bool read_option(struct load_options *o, const char *name, const char *value)
{
    const struct {
        const char *name;
        const char **text;
        uint64_t *number;
    } known[] = {
        { "--connect", &o->connect, NULL },
        { "--ca", &o->ca, NULL },
        { "--name", &o->name, NULL },
        { "--conns", NULL, &o->conns },
        { "--bad", NULL, &o->bad },
        { "--bytes", NULL, &o->bytes },
        { "--rate", NULL, &o->rate },
        { "--seconds", NULL, &o->seconds },
        { "--finish", NULL, &o->finish },
        { "--shaking", NULL, &o->shaking },
    };
    char *end = "";
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (strcmp(name, known[i].name))
            continue;
        if (known[i].text)
            *known[i].text = value;
        else
            *known[i].number = strtoull(value, &end, 10);
        return !*end && *value;
    }
    return false;
}

/* As many descriptors as may be. */
static void raise_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit))
        return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

int main(int argc, char **argv)
{
    struct load_options o = { .name = "localhost", .conns = 1, .bytes = 1 << 20, .rate = 1024, .seconds = 5 };
    static const char *const backends[] = { "echo", "source", "sink" };
    o.shaking = 64;
    if (argc < 2)
        return usage("what?");
    for (int i = 2; i < argc; i += 2) {
        if (i + 1 == argc || !read_option(&o, argv[i], argv[i + 1]))
            return usage(argv[i]);
    }
    signal(SIGPIPE, SIG_IGN);
    setvbuf(stdout, NULL, _IOLBF, 0);
    raise_limit();
    text_init();
    for (int kind = BACKEND_ECHO; kind <= BACKEND_SINK; kind++) {
        if (!strcmp(argv[1], backends[kind]))
            return load_backend(kind, &o);
    }
    if (!o.connect || !o.ca || !o.conns)
        return usage("--connect and --ca");
    if (!strcmp(argv[1], "crowd"))
        return load_crowd(&o);
    if (!strcmp(argv[1], "readers"))
        return load_readers(&o);
    if (!strcmp(argv[1], "writers"))
        return load_writers(&o);
    return usage(argv[1]);
}
