/* SPDX-License-Identifier: Apache-2.0 */
/* The lengths; digests are made by EVP_Digest() and the like. */
#pragma once

#include <openssl/crypto.h>

#define SHA_DIGEST_LENGTH 20
#define SHA224_DIGEST_LENGTH 28
#define SHA256_DIGEST_LENGTH 32
#define SHA384_DIGEST_LENGTH 48
#define SHA512_DIGEST_LENGTH 64
