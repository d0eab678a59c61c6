/* SPDX-License-Identifier: Apache-2.0 */
/* The devices that this build contains, by name. */
#include "device/device.h"

#include "base/port.h"

/* A device's constructor is found by its directory's name: src/device/<name>/ has milgi__device_<name>_make(). */
#define X(name) int milgi__device_##name##_make(const struct milgi__spec *, struct milgi_device **, const char **);
#include "builtin_devices.inc"
#undef X

static const struct {
    const char *name;
    milgi__device_make make;
} builtin[] = {
#define X(name) { #name, milgi__device_##name##_make },
#include "builtin_devices.inc"
#undef X
};

static const char *const names[] = {
#define X(name) #name,
#include "builtin_devices.inc"
#undef X
    NULL
};

const char *const *milgi_device_names(void)
{
    return names;
}

static milgi__device_make find(const char *name)
{
    for (size_t i = 0; i < MILGI__COUNT(builtin); i++) {
        if (strcmp(builtin[i].name, name) == 0)
            return builtin[i].make;
    }
    return NULL;
}

int milgi_device_new(const char *spec, struct milgi_device **device, const char **why)
{
    const char *reason = NULL;
    struct milgi__spec parsed;
    milgi__device_make make;
    int error;

    if (device == NULL)
        return MILGI_EINVAL;
    *device = NULL;
    error = milgi__spec_parse(&parsed, spec);
    if (error != 0) {
        reason = "a device is described by name[:word[=value],...], each word once, in less than 96 characters";
        goto out;
    }
    make = find(parsed.text);
    if (make == NULL) {
        error = MILGI_EUNSUPPORTED;
        reason = "no device of this name is built in";
        goto out;
    }
    error = make(&parsed, device, &reason);
    if (error != 0) {
        *device = NULL;
        goto out;
    }
    memcpy((*device)->spec, spec, strlen(spec) + 1);
    (*device)->process = milgi__port_process();
out:
    if (error != 0 && reason == NULL)
        reason = milgi_error_text(error);
    if (why != NULL)
        *why = reason;
    return error;
}

bool milgi__device_foreign(const struct milgi_device *device)
{
    return device->process != 0 && device->process != milgi__port_process();
}

void milgi_device_free(struct milgi_device *device)
{
    if (device != NULL && !milgi__device_foreign(device))
        device->ops->destroy(device);
}
