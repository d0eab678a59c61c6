/* SPDX-License-Identifier: Apache-2.0 */
/* What a worker tells of itself, in memory shared with its master: so all workers' statistics are one answer. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define REPORT_TEXT 32768u

/* What statistics tell of clients. Who leaves before a whole record (a health check, a scan) has not failed. */
struct proxy_counts {
    uint64_t accepted, established, failed, probes, in_order;
    uint64_t kernel[2];  /* with --ktls: of those that are established, by enum milgi_direction */
    uint64_t spliced[2]; /* with --splice, too: of these */
};

struct report {
    struct proxy_counts counts;
    uint64_t connections, memory, sealed, opened;
    char text[REPORT_TEXT]; /* of the engine; what does not fit is left out */
};

struct report *report_new(void); /* shared with children; NULL: no memory */
void report_free(struct report *report);

struct proxy;
/* Of this process. */
void report_fill(struct report *report, const struct proxy *p);

/* Several as one text, to be freed; NULL: no memory. Of pids[i] reports[i]; NULL: it does not answer. */
char *report_all(const struct report *const *reports, const long *pids, size_t n);
