/* SPDX-License-Identifier: Apache-2.0 */
/* Private keys in tokens. */
#pragma once

#include "common/tls.h"

/* Says why |key|, a file or a URI, cannot be had. No PIN is shown. */
void app_key_complain(const char *key, const char *why);
/* Of a key that is not read. */
void app_key_complain_of(const char *key, const struct milgi_problem *problem);
/* Remembers the credential if its key is in a token. False: no memory. */
bool app_keys_keep(struct app_material *material, struct milgi_credential *credential);
void app_keys_forget(struct app_material *material);
/* Whether |device|, which may be NULL, takes keys in tokens. */
bool app_keys_are_for(const struct milgi_device *device);
/* Signs something with it on |device|. Waits for it, however long that takes. From any thread. Complains. */
bool app_key_try(struct milgi_device *device, const struct milgi_credential *credential);
/*
 * Signs something with each of them on |*device|, or on |keyless| if it is on another machine, so that what is wrong
 * shows before there are clients; makes the device for tokens when there is none. Waits for the tokens, however long
 * that takes. From any thread. Complains.
 */
bool app_keys_try(
    const struct app_material *material, struct milgi_device **device, struct milgi_device *keyless);
