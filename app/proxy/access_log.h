/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is told of connections: a line for each that has ended, where --access-log says; and on standard error a line
 * for each handshake that failed, as long as they are few.
 */
#pragma once

#include <uv.h>

#include <milgi/milgi.h>

#include "common/options.h"
#include "common/outlet.h"

struct client;
struct proxy;

struct access_log {
    struct app_outlet outlet;
    bool open, text;
};

/*
 * Opens it, or opens it anew: the file may have been moved away. Without --access-log nothing is opened. It complains
 * when that cannot be; what was open stays so.
 */
void access_log_open(struct access_log *log, const struct app_options *options);
void access_log_close(struct access_log *log);
/* |c| has ended: by |reason|, or, NULL, because of |why|. Its connection is still there, if there ever was one. */
void access_log_end(
    struct access_log *log, const struct client *c, const struct milgi_reason *reason, const char *why);

/* Of handshakes. */
struct failures {
    uint64_t window_ms; /* when the present second began */
    unsigned told;      /* in it */
    uint64_t held_back; /* not told, of it or before */
};

/*
 * A handshake has ended before it was complete: counted as failed and told, or as a probe. Arguments as above.
 */
void failures_count(struct client *c, const struct milgi_reason *reason, const char *why);
/* How many were held back, if any. */
void failures_tell(struct failures *f);
