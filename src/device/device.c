/* SPDX-License-Identifier: Apache-2.0 */
/* The devices that this build contains, by name. */
#include "device/device.h"

#include "base/port.h"
#include "device/module/module.h"

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

static int make_named(const struct milgi__spec *spec, struct milgi_device **device, const char **why)
{
    milgi__device_make make = find(spec->text);

    if (make)
        return make(spec, device, why);
    const struct milgi_device_module *module = milgi__module_find(spec->text, why);
    return module ? module->make(&milgi__module_host, spec, device, why) : MILGI_EUNSUPPORTED;
}

int milgi_device_new(const char *spec, struct milgi_device **device, const char **why)
{
    const char *reason = NULL;
    struct milgi__spec parsed;
    int error;

    if (!device)
        return MILGI_EINVAL;
    *device = NULL;
    error = milgi__spec_parse(&parsed, spec);
    if (error != 0) {
        reason = "a device is described by name[:word[=value],...], each word once, in less than 96 characters";
        goto out;
    }
    error = make_named(&parsed, device, &reason);
    if (error != 0) {
        *device = NULL;
        goto out;
    }
    memcpy((*device)->spec, spec, strlen(spec) + 1);
    (*device)->process = milgi__port_process();
out:
    if (error != 0 && !reason)
        reason = milgi_error_text(error);
    if (why)
        *why = reason;
    return error;
}

bool milgi__device_foreign(const struct milgi_device *device)
{
    return device->process != 0 && device->process != milgi__port_process();
}

void milgi_device_free(struct milgi_device *device)
{
    if (device && !milgi__device_foreign(device))
        device->ops->destroy(device);
}

/* --- devices that make no sense --------------------------------------------------------------------------------- */

#define FLAGS_ALL (2 * MILGI_CAP_VERIFIES - 1)
#define OPS_ALL (MILGI_OP_BIT(MILGI_OP_TYPES) - 1)

static const char *complain_of_functions(const struct milgi_device *device)
{
    const struct milgi_device_ops *ops = device->ops;
    uint32_t flags = device->caps.flags;

    if (!ops || !ops->name || !ops->qp_open || !ops->qp_close || !ops->enqueue ||
        !ops->dequeue)
        return "a device has a name, qp_open, qp_close, enqueue and dequeue";
    if ((flags & MILGI_CAP_KEY_LOAD) && (!ops->key_load || !ops->key_free))
        return "a device with KEY_LOAD has key_load and key_free";
    if ((!ops->chunk_alloc) != (!ops->chunk_free))
        return "chunk_alloc and chunk_free come together";
    if ((flags & MILGI_CAP_REMOTE) && (!ops->notify_fd || !ops->arm))
        return "a REMOTE device has notify_fd and arm";
    return NULL;
}

const char *milgi__device_complaint(const struct milgi_device *device)
{
    const struct milgi_device_caps *caps = &device->caps;
    const char *complaint = complain_of_functions(device);

    if (complaint)
        return complaint;
    if (caps->parallelism == 0 || caps->max_in_flight == 0 || caps->best_batch == 0)
        return "parallelism, max_in_flight and best_batch are at least 1";
    if ((caps->flags & ~FLAGS_ALL) != 0)
        return "the device has flags that do not exist";
    if ((caps->ops & OPS_ALL) == 0 || (caps->ops & ~OPS_ALL) != 0)
        return "the device takes no ops, or ops that do not exist";
    if ((caps->flags & MILGI_CAP_REMOTE) &&
        (caps->flags & (MILGI_CAP_INLINE | MILGI_CAP_LIBCRYPTO | MILGI_CAP_CALLER | MILGI_CAP_TESTED)))
        return "a REMOTE device is neither INLINE nor LIBCRYPTO, nor CALLER or TESTED";
    return NULL;
}
