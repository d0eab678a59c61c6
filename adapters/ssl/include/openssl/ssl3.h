/* SPDX-License-Identifier: Apache-2.0 */
/* Versions stand in tls1.h. */
#pragma once

#include <openssl/tls1.h>
