/* SPDX-License-Identifier: Apache-2.0 */
/* Names of suites and groups, or what is said of those that there are not. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/options.h"

/* The number of each of |names|. False: it has complained, about |option|. */
bool app_suites_of(const struct app_list *names, const char *option, uint16_t *numbers, size_t room);
bool app_groups_of(const struct app_list *names, const char *option, uint16_t *numbers, size_t room);
