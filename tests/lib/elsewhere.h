/* SPDX-License-Identifier: Apache-2.0 */
/* What another thread wants of an engine. */
#pragma once

#include <milgi/milgi.h>

/* |call| is posted to |engine| by a thread of its own, which has ended when this returns. */
void post_elsewhere(struct milgi_engine *engine, void (*call)(void *arg), void *arg);
