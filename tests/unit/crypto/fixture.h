/* SPDX-License-Identifier: Apache-2.0 */
/* A thread's crypto state for each test; at its end libcrypto's error queue must be empty. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/base.h"
#include "crypto/aead.h"
#include "crypto/hash.h"
#include "crypto/kex.h"
#include "crypto/sign.h"
#include "crypto/x509.h"

int crypto_open(void **state);
int crypto_close(void **state);

#define crypto_test(f) cmocka_unit_test_setup_teardown(f, crypto_open, crypto_close)
