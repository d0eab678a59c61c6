/* SPDX-License-Identifier: Apache-2.0 */
/* Text for people, line by line. */
#include "base/text.h"

#include <stdarg.h>
#include <stdio.h>

#define MOST 256 /* of a line, with its end */

struct milgi__text milgi__text_begin(char *at, size_t size)
{
    if (size)
        at[0] = '\0';
    return (struct milgi__text){ .at = at, .size = size };
}

void milgi__text_line(struct milgi__text *t, const char *format, ...)
{
    char line[MOST];
    va_list args;
    va_start(args, format);
    int wanted = vsnprintf(line, sizeof line - 1, format, args);
    va_end(args);
    size_t n = MILGI__MIN(wanted < 0 ? 0 : (size_t)wanted, sizeof line - 2);
    line[n++] = '\n';
    line[n] = '\0';
    t->cut = t->cut || t->len + n >= t->size;
    if (!t->cut)
        memcpy(t->at + t->len, line, n + 1);
    t->len += n;
}
