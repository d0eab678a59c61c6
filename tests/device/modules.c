/* SPDX-License-Identifier: Apache-2.0 */
/* Devices that are not everywhere: modules, which may not be installed, and what not every kernel has. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "rig.h"

static bool is_of(const char *spec, const char *name)
{
    size_t len = strlen(name);

    return strncmp(spec, name, len) == 0 && (spec[len] == ':' || spec[len] == '\0');
}

static bool may_be_missing(const char *spec)
{
    for (const char *const *name = milgi_device_module_names(); *name; name++) {
        if (is_of(spec, *name))
            return true;
    }
    return is_of(spec, "afalg");
}

bool rig_is_here(const char *spec)
{
    struct milgi_device *one;
    const char *why;

    if (!may_be_missing(spec))
        return true;
    int rv = milgi_device_new(spec, &one, &why);
    milgi_device_free(one);
    if (rv == MILGI_EUNSUPPORTED)
        print_message("%s: not tested: %s\n", spec, why);
    return rv != MILGI_EUNSUPPORTED;
}
