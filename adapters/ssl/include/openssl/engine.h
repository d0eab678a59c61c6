/* SPDX-License-Identifier: Apache-2.0 */
/* There are no engines: OPENSSL_NO_ENGINE. Programs include this before they ask. */
#pragma once

#include <openssl/crypto.h>
