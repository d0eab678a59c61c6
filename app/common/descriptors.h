/* SPDX-License-Identifier: Apache-2.0 */
/* How many descriptors this process has, and may have. */
#pragma once

#include <stdbool.h>
#include <sys/resource.h>

/* That are open; an estimate where /proc does not say. */
rlim_t app_descriptors_open(void);
/* Raises the soft limit to |wanted|, or as far as the hard one allows. The limit from here on. */
rlim_t app_descriptors_raise(rlim_t wanted);
