/* SPDX-License-Identifier: Apache-2.0 */
/* Stacks stand in crypto.h. */
#pragma once

#include <openssl/crypto.h>
