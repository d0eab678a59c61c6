/* SPDX-License-Identifier: Apache-2.0 */
/* Whole records out of what the network delivers. */
#pragma once

#include "record/record.h"

/* Moves the next record of the input to the ring, STALE. READY: done; else NONE, FULL, ROOM, FAILED. */
enum milgi__start milgi__frame_in(struct milgi__record *r, struct milgi__failure *failure);
