/* SPDX-License-Identifier: Apache-2.0 */
/* The memory of a BIO. */
#pragma once

#include <openssl/crypto.h>

struct buf_mem_st {
    size_t length;
    char *data;
    size_t max;
    unsigned long flags;
};
