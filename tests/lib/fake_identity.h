/* SPDX-License-Identifier: Apache-2.0 */
/* Identities for the fake crypto backend: quick to make, the same in every run. Failures end the test program. */
#pragma once

#include <milgi/config.h>

#include "crypto/fake/fake.h"

#define FAKE_NOW_S 1700000000 /* a time at which every identity is valid unless it is asked to be otherwise */

struct fake_options {
    enum milgi__key_type type;         /* NONE: P-256 */
    unsigned bits;                     /* RSA only; 0: 2048 */
    const char *names;                 /* NULL: "server.test" */
    uint64_t seed;                     /* another key */
    uint64_t root;                     /* another root */
    unsigned intermediates;            /* certificates between leaf and root */
    unsigned flags;                    /* MILGI__FAKE_*; 0: MAY_SIGN, SERVER and CLIENT */
    int64_t not_before_s, not_after_s; /* both 0: always valid */
};

struct fake_identity {
    char chain_pem[4 * MILGI__FAKE_PEM_MAX]; /* the leaf and the intermediates */
    char key_pem[MILGI__FAKE_PEM_MAX];
    char root_pem[MILGI__FAKE_PEM_MAX]; /* what trusts it */
};

/* |options| NULL: all defaults. At most three intermediates. */
void fake_identity(const struct fake_options *options, struct fake_identity *identity);
struct milgi_credential *fake_credential(const struct fake_options *options);
struct milgi_trust *fake_trust(uint64_t root);

/*
 * A config that is not frozen yet, without hybrid groups: a server with the credential of |options|, a client that
 * trusts its root. NULL: all defaults.
 */
struct milgi_config *fake_config(enum milgi_role role, const struct fake_options *options);
/* Freezes it; the same pointer. */
struct milgi_config *fake_freeze(struct milgi_config *config);
