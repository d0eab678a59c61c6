/* SPDX-License-Identifier: Apache-2.0 */
/* The subcommands; each returns the exit status. */
#pragma once

#include "common/options.h"

int app_proxy(const struct app_options *options);
int app_connect(const struct app_options *options);
int app_keyserver(const struct app_options *options);
int app_devices(const struct app_options *options);
