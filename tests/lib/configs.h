/* SPDX-License-Identifier: Apache-2.0 */
/* Frozen configs made from identities (real backend). Failures end the test program. */
#pragma once

#include <milgi/milgi.h>

#include "identity.h"

struct milgi_credential *configs_credential(const struct identity *identity);
/*
 * Not frozen, so that a test can go on; its groups are not hybrids. |leaf| may be NULL for a client without a
 * certificate; |root| NULL: no trust set.
 */
struct milgi_config *configs_begin(enum milgi_role role, const struct identity *leaf, const struct identity *root);
struct milgi_config *configs_freeze(struct milgi_config *config);

/* A server with a certificate for "server.test", and a client that believes it. */
struct configs_pair {
    struct identity *root, *leaf;
    struct milgi_config *config[2]; /* by role, frozen */
};
void configs_pair_begin(struct configs_pair *pair, enum identity_key key);
void configs_pair_end(struct configs_pair *pair);
