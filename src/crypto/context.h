/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the library wants of a crypto library: this header, aead.h, hash.h, kex.h, kem.h, sign.h and x509.h. It is had
 * from libcrypto/ with one of its flavours, awslc/ or openssl3/, or from fake/, deterministically and cheaply for
 * tests.
 * Algorithms whose implementation is chosen at run time are chosen inside a flavour.
 *
 * A struct milgi__crypto belongs to one thread (an engine, a worker): algorithms fetched once, contexts reused and
 * re-keyed. Results: 0 done; MILGI__BAD: the input is bad (a verdict); MILGI__BROKEN: it could not be done.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <milgi/error.h>

#define MILGI__BAD 1
#define MILGI__BROKEN (-1)

struct milgi__crypto;
struct milgi__crypto *milgi__crypto_new(void); /* NULL: no memory, or the algorithms cannot be had */
void milgi__crypto_free(struct milgi__crypto *cx);
/* Wipes every key that contexts still hold: before a thread goes to sleep for long. */
void milgi__crypto_idle(struct milgi__crypto *cx);

/*
 * 0 or negative. |store| (a struct milgi__crypto, or NULL) keeps some in store, so that not each draw costs a call of
 * the generator; what was drawn is wiped from it. Not for use in a process that was forked since.
 */
int milgi__crypto_random(void *store, uint8_t *out, size_t len);
