/* SPDX-License-Identifier: Apache-2.0 */
/* A module whose device is never made: it says that it was asked. */
#include "device/module/module.h"

#include <milgi/milgi.h>

void toy_loaded(void); /* the program's */

__attribute__((constructor)) static void loaded(void)
{
    toy_loaded();
}

static int make(const struct milgi__module_host *host, const struct milgi__spec *spec, struct milgi_device **device,
    const char **why)
{
    (void)host;
    (void)spec;
    *device = NULL;
    *why = "toy: here";
    return MILGI_EUNSUPPORTED;
}

MILGI_API extern const struct milgi_device_module milgi_device_toy;
const struct milgi_device_module milgi_device_toy = {
    .magic = MILGI__MODULE_MAGIC,
    .abi = MILGI__MODULE_ABI,
    .version = MILGI_MODULE_FOR,
    .name = "toy",
    .make = make,
};
