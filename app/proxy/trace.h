/* SPDX-License-Identifier: Apache-2.0 */
/* `--trace FILE`: what happens inside the engine, as JSON lines after the manner of qlog. */
#pragma once

#include <milgi/milgi.h>

#include "common/outlet.h"

struct trace {
    struct app_outlet outlet;
    const char *file; /* NULL: nothing is traced */
    bool told;        /* that lines are missing */
};

/*
 * Events of |engine| go to |file| from here on; |trace| outlives the engine. Again, when the file may have been moved
 * away. False: it has complained; what was open stays so.
 */
bool trace_open(struct trace *trace, const char *file, struct milgi_engine *engine);
/* When there is no engine any more, or another file. */
void trace_close(struct trace *trace);
