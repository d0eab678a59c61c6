/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Devices in shared objects of their own, so that nobody has to have the libraries that they stand on: the object
 * libmilgi-<name>.so.<version> has the device <name>. milgi_device_new() loads it when a description begins with that
 * name; a program may also link it and say so by milgi_device_add_module().
 *
 * A module is built with the library and goes with that very version alone, since it sees structs that no public header
 * promises. It calls nothing of the library by name, for that may be inside of a program: it is given a table.
 */
#pragma once

#include "crypto/raw.h"
#include "device/device.h"

#define MILGI__MODULE_MAGIC 0x4d4c474dU
#define MILGI__MODULE_ABI 1u /* of what is in this header */

/* What a module may ask of the library. */
struct milgi__module_host {
    struct milgi__crypto *(*crypto_new)(void);
    void (*crypto_free)(struct milgi__crypto *cx);
    void (*perform)(struct milgi__crypto *cx, struct milgi_op *op, void *loaded);
    void (*aead_forget)(struct milgi__crypto *cx, uint64_t serial);
    struct milgi__pkey *(*pkey_new)(struct milgi__crypto *cx, const uint8_t *pkcs8, size_t len);
    void (*pkey_free)(struct milgi__pkey *key);
    int (*raw_private)(const struct milgi__pkey *key, struct milgi__raw_key *out);
    int (*raw_modulus)(const struct milgi__pkey *key, struct milgi__raw_modulus *out);
    int (*raw_message)(
        const struct milgi__pkey *key, uint16_t scheme, const uint8_t *input, size_t input_len, uint8_t *out);
    void (*leave)(struct milgi_device *device);
};

/* What a module exports, under the name milgi_device_<name>. */
struct milgi_device_module {
    uint32_t magic, abi;
    const char *version; /* of the library that it was built with */
    const char *name;
    int (*make)(const struct milgi__module_host *host, const struct milgi__spec *spec, struct milgi_device **device,
        const char **why);
};

/*
 * The module for devices of this name, loaded if need be; NULL, and *|why|: there is none, or it is of no use. From any
 * thread. *|why| is valid until the thread asks again.
 */
const struct milgi_device_module *milgi__module_find(const char *name, const char **why);
extern const struct milgi__module_host milgi__module_host;
