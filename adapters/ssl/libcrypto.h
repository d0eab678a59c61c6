/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Of the libcrypto that is inside of Milgi, what programs want beside TLS: digests, PBKDF2, numbers. Its headers have
 * the names of the shim's, so libcrypto.c, which is all that sees them, sees none of the shim's, and this sees neither.
 * Functions that answer bool put no error into any queue.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MD_MAX 64

/* NULL: there is none of this name, which is in small letters. The address is the digest's for good. */
const void *milgi__ssl_md(const char *name);
size_t milgi__ssl_md_size(const void *md);
size_t milgi__ssl_md_block_size(const void *md);

struct running_md;                          /* a hash that is being made */
struct running_md *milgi__ssl_md_new(void); /* NULL: no memory */
void milgi__ssl_md_free(struct running_md *running);
bool milgi__ssl_md_begin(struct running_md *running, const void *md);
bool milgi__ssl_md_add(struct running_md *running, const void *data, size_t len);
bool milgi__ssl_md_end(struct running_md *running, uint8_t out[MD_MAX]);
bool milgi__ssl_md_copy(struct running_md *to, const struct running_md *from);

/* What hexadecimal digits say, perhaps behind a minus; how many there are, 0: none, or no memory. */
int milgi__ssl_bn_from_hex(void **number, const char *text);
/* |into| (NULL: a new one); NULL: no memory. */
void *milgi__ssl_bn_from_bytes(const uint8_t *bytes, size_t len, void *into);
unsigned milgi__ssl_bn_bits(const void *number);
size_t milgi__ssl_bn_bytes(const void *number, uint8_t *out);
void milgi__ssl_bn_free(void *number);

/* PBKDF2 (RFC 8018 5.2) with HMAC. */
bool milgi__ssl_pbkdf2(const void *md, const char *password, size_t password_len, const uint8_t *salt, size_t salt_len,
    uint32_t iterations, uint8_t *out, size_t len);
