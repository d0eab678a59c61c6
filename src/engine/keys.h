/* SPDX-License-Identifier: Apache-2.0 */
/* Private and trust keys: made once per credential and trust, loaded into devices, forgotten. */
#pragma once

#include "engine/parts.h"

void milgi__keys_init(struct milgi__keys *keys);
void milgi__keys_fini(struct milgi_engine *e);
/* loads it if the device wants that; what key->used says was has been loaded */
bool milgi__key_ready(struct milgi__dev *d, struct milgi_key *key);
/* Nobody has it any more. */
void milgi__key_free(struct milgi_engine *e, struct milgi_key *key);
/*
 * Drops the keys of credentials and trusts that nobody but the cache holds any more: a private key that was replaced
 * does not stay.
 */
void milgi__keys_sweep(struct milgi_engine *e);
/* The device at |index| goes: no key remembers it. */
void milgi__keys_forget(struct milgi_engine *e, unsigned index);
/* It is left behind, with what it has loaded: nothing of that is touched again. */
void milgi__keys_leave(struct milgi_engine *e, unsigned index);
