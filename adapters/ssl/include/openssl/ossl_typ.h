/* SPDX-License-Identifier: Apache-2.0 */
/* The old name of types.h. */
#pragma once

#include <openssl/types.h>
