/* SPDX-License-Identifier: Apache-2.0 */
/* `--device keyless:HOST:PORT,...`: private keys on other machines. */
#pragma once

#include "common/options.h"

/* The servers that |spec| names, NULL: it is no such description. */
const char *app_keyless_servers(const char *spec);
/* What is wrong with the options that belong to it; NULL: nothing. */
const char *app_keyless_fault(const struct app_options *options);
/* Makes the device, in this process. False: it has complained. */
bool app_keyless_new(const struct app_options *options, struct milgi_device **device);
