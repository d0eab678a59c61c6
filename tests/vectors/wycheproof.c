/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "wycheproof.h"

/* --- the device ------------------------------------------------------------------------------------------------- */

static uint64_t monotonic_ns(void *ctx)
{
    struct timespec t;

    (void)ctx;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int64_t wall_s(void *ctx)
{
    (void)ctx;
    return time(NULL);
}

static const struct milgi_clock the_clock = { monotonic_ns, wall_s, NULL };

int rig_open(void **state)
{
    struct rig *rig = calloc(1, sizeof *rig);
    const char *spec = getenv("MILGI_TEST_DEVICE");
    const char *why = "no memory";

    if (!rig || milgi_device_new(spec ? spec : "cpu", &rig->device, &why) != 0) {
        print_error("no device: %s\n", why);
        return -1;
    }
    rig->qp = rig->device->ops->qp_open(rig->device, &the_clock);
    rig->cx = milgi__crypto_new();
    *state = rig;
    return rig->qp && rig->cx ? 0 : -1;
}

int rig_close(void **state)
{
    struct rig *rig = *state;

    (void)rig->device->ops->quiesce(rig->qp, UINT64_MAX);
    rig->device->ops->qp_close(rig->qp);
    milgi_device_free(rig->device);
    milgi__crypto_free(rig->cx);
    free(rig);
    return 0;
}

void rig_execute_all(struct rig *rig, struct milgi_op *const *ops, unsigned n)
{
    const struct milgi_device_ops *calls = rig->device->ops;
    uint64_t until = monotonic_ns(NULL) + 10u * 1000000000u;
    struct milgi_op *back;

    for (unsigned i = 0; i < n; i++)
        ops[i]->status = MILGI_OP_PENDING;
    assert_int_equal(calls->enqueue(rig->qp, ops, n), n);
    for (unsigned i = 0; i < n; i += calls->dequeue(rig->qp, &back, 1))
        assert_true(monotonic_ns(NULL) < until);
}

void rig_execute(struct rig *rig, struct milgi_op *op)
{
    rig_execute_all(rig, &op, 1);
}

void rig_forget(struct rig *rig, const struct milgi_key *key)
{
    rig->device->ops->key_free(rig->qp, key, NULL);
}

/* --- vectors ---------------------------------------------------------------------------------------------------- */

static json_t *load(const char *file)
{
    const char *directory = getenv("MILGI_WYCHEPROOF");
    char path[512];
    json_error_t error;

    if (!directory)
        directory = MILGI_TESTS_DIR "/../build/vectors/wycheproof";
    snprintf(path, sizeof path, "%s/%s", directory, file);
    json_t *root = json_load_file(path, 0, &error);
    if (!root)
        fail_msg("%s: %s (tests/vectors/setup brings the vectors)", path, error.text);
    return root;
}

static struct vector vector_of(struct rig *rig, const json_t *group, const json_t *test, const void *arg)
{
    const char *result = text_of(test, "result");
    struct vector v = { .rig = rig, .group = group, .test = test, .arg = arg };

    v.id = (unsigned)number_of(test, "tcId");
    v.valid = strcmp(result, "valid") == 0;
    v.invalid = strcmp(result, "invalid") == 0;
    assert_true(v.valid || v.invalid || strcmp(result, "acceptable") == 0);
    return v;
}

void vectors_run(struct rig *rig, const char *file, unsigned filtered, enum ran (*each)(const struct vector *),
    const void *arg)
{
    json_t *root = load(file);
    const json_t *groups = json_object_get(root, "testGroups");
    unsigned seen[] = { 0, 0 };
    size_t i;
    size_t j;
    const json_t *group;
    const json_t *test;

    json_array_foreach(groups, i, group)
    {
        json_array_foreach(json_object_get(group, "tests"), j, test)
        {
            struct vector v = vector_of(rig, group, test, arg);
            seen[each(&v)]++;
        }
    }
    print_message("%s: %u ran, %u filtered\n", file, seen[RAN], seen[FILTERED]);
    assert_int_equal(seen[FILTERED], filtered);
    assert_int_equal(seen[RAN] + seen[FILTERED], number_of(root, "numberOfTests"));
    assert_true(seen[RAN] > 0);
    json_decref(root);
}

static unsigned nibble(char c)
{
    if (c >= '0' && c <= '9')
        return (unsigned)(c - '0');
    if (c >= 'a' && c <= 'f')
        return (unsigned)(c - 'a') + 10;
    fail_msg("not hexadecimal: %c", c);
    return 0;
}

struct bytes hex_of(const json_t *object, const char *field, unsigned slot)
{
    static uint8_t slots[8][70000];
    const char *hex = text_of(object, field);
    struct bytes out = { slots[slot], strlen(hex) / 2 };

    assert_true(strlen(hex) % 2 == 0 && out.len <= sizeof slots[0]);
    for (size_t i = 0; i < out.len; i++)
        out.data[i] = (uint8_t)(nibble(hex[2 * i]) << 4 | nibble(hex[2 * i + 1]));
    return out;
}

long number_of(const json_t *object, const char *field)
{
    const json_t *value = json_object_get(object, field);

    if (!json_is_integer(value))
        fail_msg("no number %s", field);
    return (long)json_integer_value(value);
}

const char *text_of(const json_t *object, const char *field)
{
    const json_t *value = json_object_get(object, field);

    if (!json_is_string(value))
        fail_msg("no text %s", field);
    return json_string_value(value);
}
