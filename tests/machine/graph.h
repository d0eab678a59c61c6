/* SPDX-License-Identifier: Apache-2.0 */
/* The step tables as a graph. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "handshake/handshake.h"

enum {
    GRAPH_ROWS = 64,
    GRAPH_FAILED = 0,
    GRAPH_OPEN = 1,
    GRAPH_START = 2
};

struct graph {
    struct milgi__hs_row_info row[GRAPH_ROWS];
    size_t n;
};
void graph_load(struct graph *graph, enum milgi_role role);
static inline bool graph_leads(const struct graph *graph, size_t from, size_t to)
{
    return (graph->row[from].next >> to & 1) != 0;
}
/* "Certificate" for 11 ... */
const char *graph_message(int type);
/* The part of docs/handshake.md that shows the table; free it. */
char *graph_markdown(enum milgi_role role);
