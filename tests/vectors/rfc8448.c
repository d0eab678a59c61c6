/* SPDX-License-Identifier: Apache-2.0 */
#include "rfc8448.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rfc8448.inc"

#define TRACE(name) \
    { \
#name, name, sizeof name / sizeof name[0] \
    }

const struct rfc8448_trace rfc8448_traces[4] = {
    TRACE(simple), TRACE(retry), TRACE(client_auth), TRACE(compatibility)
};
const struct rfc8448_trace rfc8448_rsa_key = TRACE(keys);
const struct rfc8448_trace rfc8448_resumed = TRACE(resumed);

struct rfc8448_bytes rfc8448_bytes(const struct rfc8448_item *item)
{
    struct rfc8448_bytes bytes = { .len = item->len };
    if (item->len > sizeof bytes.data || strlen(item->hex) != 2 * item->len) {
        fprintf(stderr, "rfc8448: %s %s is not %zu bytes\n", item->what, item->name, item->len);
        abort();
    }
    for (size_t i = 0; i < item->len; i++) {
        char digits[3] = { item->hex[2 * i], item->hex[2 * i + 1], 0 };
        bytes.data[i] = (uint8_t)strtoul(digits, NULL, 16);
    }
    return bytes;
}

const struct rfc8448_item *rfc8448_find(
    const struct rfc8448_trace *trace, enum rfc8448_who who, const char *what, const char *name, unsigned nth)
{
    for (size_t i = 0; i < trace->n; i++) {
        const struct rfc8448_item *item = &trace->item[i];
        if (item->who != who || strcmp(item->what, what) != 0 || (name && strcmp(item->name, name) != 0))
            continue;
        if (nth-- == 0)
            return item;
    }
    return NULL;
}

struct rfc8448_bytes rfc8448_get(
    const struct rfc8448_trace *trace, enum rfc8448_who who, const char *what, const char *name, unsigned nth)
{
    const struct rfc8448_item *item = rfc8448_find(trace, who, what, name, nth);
    if (!item) {
        fprintf(stderr, "rfc8448: %s has no %s %s\n", trace->name, what, name ? name : "");
        abort();
    }
    return rfc8448_bytes(item);
}
