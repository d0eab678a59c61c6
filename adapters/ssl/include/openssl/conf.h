/* SPDX-License-Identifier: Apache-2.0 */
/* There are no configuration files. */
#pragma once

#include <openssl/crypto.h>

#define OPENSSL_config(name) ((void)OPENSSL_init_crypto(0, NULL))
#define OPENSSL_no_config() ((void)0)
#define CONF_modules_unload(all) ((void)0)
#define CONF_modules_free() ((void)0)
