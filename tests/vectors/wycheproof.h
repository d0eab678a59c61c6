/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Wycheproof vectors, and a device to run them on: "cpu", or what MILGI_TEST_DEVICE says. The files lie where ./setup
 * puts them, or in the directory MILGI_WYCHEPROOF. Everything that is missing or malformed fails the running test.
 */
#pragma once

#include <jansson.h>

#include "device/device.h"

/* --- the device ------------------------------------------------------------------------------------------------- */

struct rig {
    struct milgi_device *device;
    struct milgi_qp *qp;
    struct milgi__crypto *cx; /* for what is not an op */
};

/* cmocka group fixtures: *state is a struct rig. */
int rig_open(void **state);
int rig_close(void **state);

/* Sends |op|, or |n| of them at once, through the device and waits until they are back. */
void rig_execute(struct rig *rig, struct milgi_op *op);
void rig_execute_all(struct rig *rig, struct milgi_op *const *ops, unsigned n);
/* The device forgets a key that was used. */
void rig_forget(struct rig *rig, const struct milgi_key *key);

/* --- vectors ---------------------------------------------------------------------------------------------------- */

struct vector {
    struct rig *rig;
    const json_t *group, *test;
    const void *arg;
    unsigned id;
    bool valid, invalid; /* neither: acceptable */
};

/* What a vector's test answers. */
enum ran {
    RAN,
    FILTERED /* cannot be expressed: the file's test counts how many may be */
};

/*
 * Runs |each| on every vector of |file| ("x25519_test.json"), and checks that all were seen: those that ran and the
 * |filtered| ones make numberOfTests.
 */
void vectors_run(struct rig *rig, const char *file, unsigned filtered, enum ran (*each)(const struct vector *),
    const void *arg);

/* A field in hexadecimal, as bytes: valid until the next call with the same |slot| (0..7). */
struct bytes {
    uint8_t *data;
    size_t len;
};
struct bytes hex_of(const json_t *object, const char *field, unsigned slot);
long number_of(const json_t *object, const char *field);
const char *text_of(const json_t *object, const char *field);

/* Fails with the vector's number. */
#define vector_assert(vector, condition) \
    do { \
        if (!(condition)) \
            fail_msg("vector %u (%s): %s", (vector)->id, text_of((vector)->test, "comment"), #condition); \
    } while (0)
