/* SPDX-License-Identifier: Apache-2.0 */
/* Devices in modules, which may not be installed. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "rig.h"

bool rig_is_here(const char *spec)
{
    struct milgi_device *one;
    const char *why;

    for (const char *const *name = milgi_device_module_names(); *name; name++) {
        size_t len = strlen(*name);
        if (strncmp(spec, *name, len) != 0 || (spec[len] != ':' && spec[len] != '\0'))
            continue;
        int rv = milgi_device_new(spec, &one, &why);
        milgi_device_free(one);
        if (rv == MILGI_EUNSUPPORTED)
            print_message("%s: not tested: %s\n", spec, why);
        return rv != MILGI_EUNSUPPORTED;
    }
    return true;
}
