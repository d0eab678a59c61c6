/* SPDX-License-Identifier: Apache-2.0 */
/* A device's words as a table: what each is called, what it may be, where its value goes. */
#pragma once

#include "device/device.h"

enum milgi__spec_kind {
    MILGI__SPEC_FLAG,     /* a bare word; |to| is a bool * */
    MILGI__SPEC_NUMBER,   /* |to| is a uint64_t * */
    MILGI__SPEC_TIME,     /* |to| is a uint64_t *, in ns */
    MILGI__SPEC_FRACTION, /* |to| is a double * */
    MILGI__SPEC_TEXT      /* |to| is a const char **: the value, inside |spec| */
};

struct milgi__spec_word {
    const char *key;
    enum milgi__spec_kind kind;
    void *to;
    uint64_t min, max; /* of a number or a time */
    const char *why;   /* static: what the value must be */
};

/*
 * Reads the words of |spec| from the |from|-th on into the table's places; what is not said keeps its value. Returns
 * 0, or MILGI_EINVAL with *|why| set: to the word's text when its value is wrong, to |unknown| when there is no such
 * word.
 */
int milgi__spec_read(const struct milgi__spec *spec, unsigned from, const struct milgi__spec_word *words, size_t n,
    const char *unknown, const char **why);
