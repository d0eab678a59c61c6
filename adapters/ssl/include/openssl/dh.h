/* SPDX-License-Identifier: Apache-2.0 */
/* Parameters of Diffie-Hellman, as PEM_read_DHparams() makes them. */
#pragma once

#include <openssl/evp.h>

#define DH_free EVP_PKEY_free
