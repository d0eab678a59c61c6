/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The shim: its arguments are the runner's flags, its exit status what the runner wants to know. Why a test was not
 * run, and how often one had to wait, is added to the file that the environment calls MILGI_BOGO_TALLY, a line each.
 */
#include "shim.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void tally(const char *what, const char *of)
{
    char line[512];
    const char *file = getenv("MILGI_BOGO_TALLY");
    int len = snprintf(line, sizeof line, "%s %s\n", what, of);
    int fd = file && len > 0 ? open(file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666) : -1;
    if (fd < 0)
        return;
    if (write(fd, line, (size_t)len) != len)
        fprintf(stderr, "%s cannot be written\n", file);
    close(fd);
}

/* One connection, and those that resume it. */
static int run_all(struct shim_options options[SHIM_TURNS], struct shim_late *late, const char **why)
{
    struct shim_kept kept = { 0 };
    int rv = 0;
    for (uint64_t i = 0; i <= options[SHIM_INITIAL].resume_count && !rv; i++) {
        const struct shim_options *o = &options[i ? SHIM_RESUME : SHIM_INITIAL];
        rv = shim_exchange(o, late, &kept, i > 0, why);
        late->wall_ahead_s += (int64_t)o->resumption_delay;
    }
    milgi_session_unref(kept.session);
    milgi_ticket_keys_unref(kept.keys);
    milgi_session_cache_unref(kept.cache);
    return rv;
}

static int run(struct shim_options options[SHIM_TURNS], const char **why)
{
    char times[24];
    struct shim_late late;
    int rv = shim_late_init(&late, &options[SHIM_INITIAL], why);
    if (rv)
        return rv;
    rv = run_all(options, &late, why);
    snprintf(times, sizeof times, "%" PRIu64, shim_late_count(&late));
    if (late.index)
        tally("suspended", times);
    shim_late_fini(&late);
    return rv;
}

int main(int argc, char **argv)
{
    static struct shim_options options[SHIM_TURNS];
    const char *why = NULL;
    if (argc > 1 && !strcmp(argv[argc - 1], "-is-handshaker-supported")) /* a question of the runner, not a test */
        return puts("No") < 0;
    int rv = shim_flags(argc - 1, argv + 1, options, &why);
    if (!rv)
        rv = run(options, &why);
    if (rv == SHIM_ABSENT)
        tally("absent", why);
    if (rv && why)
        fprintf(stderr, "%s%s\n", rv == SHIM_ABSENT ? "not implemented: " : "", why);
    return rv;
}
