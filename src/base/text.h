/* SPDX-License-Identifier: Apache-2.0 */
/* Text for people in a buffer of theirs: whole lines, as many as fit. */
#pragma once

#include "base/base.h"

struct milgi__text {
    char *at;
    size_t size, len; /* len: of the whole text, whatever fits */
    bool cut;         /* a line did not fit: neither does what follows */
};

/* |at| may be NULL when |size| is 0. */
struct milgi__text milgi__text_begin(char *at, size_t size);
/* One line, without its end; what is beyond 256 bytes is left out. */
void milgi__text_line(struct milgi__text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
