/* SPDX-License-Identifier: Apache-2.0 */
/* A desk with tokens on it: keys in tokens behind the shim, credentials for them, devices that use them. */
#pragma once

#include <milgi/milgi.h>

#include "identity.h"
#include "shim/shim.h"
#include "token.h"

#define DESK_TOKEN "desk"
#define DESK_OTHER "other" /* with a key of the name that |stranger| has */

extern const struct identity *desk_root, *desk_key[IDENTITY_KEYS], *desk_stranger;
extern struct shim *desk_shim;

/* Once, before the first test; false: nothing can be tested on this system. */
bool desk_set_up(void);
void desk_tear_down(void);
/* A test's beginning: the shim does nothing special, its counts are 0. */
void desk_calm(void);

/* The certificate of |identity| with a key at "pkcs11:" |path| "?module-path=...&" |query|. NULL: no pin-value. */
struct milgi_credential *desk_credential(const struct identity *identity, const char *path, const char *query);
/* The usual: by token and name, with the right PIN. */
struct milgi_credential *desk_usual(enum identity_key key);
struct milgi_device *desk_device(const char *spec);
/* The device code, 0 for a signature that verifies; -1: the answer was of another kind. */
int desk_try(struct milgi_device *device, const struct milgi_credential *credential);
/* A file in the desk's directory. */
char *desk_file(const char *name, const char *text);
