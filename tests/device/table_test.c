/* SPDX-License-Identifier: Apache-2.0 */
/* The table of docs/devices.md that says which device can what: against what the devices say of themselves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <milgi/device.h>

#include "base/base.h"

static const char path[] = MILGI_TESTS_DIR "/../docs/devices.md";

#define CELLS 16
#define LINE 1024

/* What can be made with few words. Those of modules and adapters have other tests (device.dpdk.*, keyless.*). */
static const struct {
    const char *column, *spec;
} devices[] = {
    { "`cpu`", "cpu" },
    { "`pool`", "pool:1,lanes=libcrypto" },
    { "`batch`", "batch:lanes=libcrypto" },
    { "`sim`", "sim" },
    { "`chaos`", "chaos" },
    { "`pkcs11`", "pkcs11" },
    { "`afalg`", "afalg" },
};

#define OPS(a, b) (MILGI_OP_BIT(a) | MILGI_OP_BIT(b))

static const struct {
    const char *row;
    uint32_t ops, flags;
} rows[] = {
    { "SEAL, OPEN: records", OPS(MILGI_OP_SEAL, MILGI_OP_OPEN), 0 },
    { "KEYGEN, DERIVE: key shares", OPS(MILGI_OP_KEYGEN, MILGI_OP_DERIVE), 0 },
    { "ENCAPS, DECAPS: ML-KEM", OPS(MILGI_OP_ENCAPS, MILGI_OP_DECAPS), 0 },
    { "SIGN", MILGI_OP_BIT(MILGI_OP_SIGN), 0 },
    { "VERIFY", MILGI_OP_BIT(MILGI_OP_VERIFY), 0 },
    { "VERIFY_CHAIN", MILGI_OP_BIT(MILGI_OP_VERIFY_CHAIN), 0 },
    { "`INLINE`", 0, MILGI_CAP_INLINE },
    { "`IN_ORDER`", 0, MILGI_CAP_IN_ORDER },
    { "`IN_PLACE`", 0, MILGI_CAP_IN_PLACE },
    { "`SCATTER`", 0, MILGI_CAP_SCATTER },
    { "`CANCEL`", 0, MILGI_CAP_CANCEL },
    { "`REMOTE`", 0, MILGI_CAP_REMOTE },
    { "`OWN_MEMORY`", 0, MILGI_CAP_OWN_MEMORY },
    { "`LIBCRYPTO`", 0, MILGI_CAP_LIBCRYPTO },
    { "`KEY_LOAD`", 0, MILGI_CAP_KEY_LOAD },
    { "`CALLER`", 0, MILGI_CAP_CALLER },
    { "`TESTED`", 0, MILGI_CAP_TESTED },
    { "`HASHED`", 0, MILGI_CAP_HASHED },
    { "`TOGETHER`", 0, MILGI_CAP_TOGETHER },
    { "`VERIFIES`", 0, MILGI_CAP_VERIFIES },
};

/* Cuts a line of a table at its bars; the first cell is what stands behind the first bar. */
static unsigned cells_of(char *line, char *cell[CELLS])
{
    unsigned n = 0;

    for (char *at = strchr(line, '|'); at && n < CELLS; n++) {
        cell[n] = at + 1;
        at = strchr(at + 1, '|');
        if (!at)
            return n;
        *at = '\0';
        cell[n] += strspn(cell[n], " ");
        for (char *end = at; end > cell[n] && end[-1] == ' ';)
            *--end = '\0';
    }
    return n;
}

static uint32_t claimed_ops[MILGI__COUNT(devices)], claimed_flags[MILGI__COUNT(devices)];
static uint32_t open_ops[MILGI__COUNT(devices)], open_flags[MILGI__COUNT(devices)]; /* "by words" */
static unsigned column_of[MILGI__COUNT(devices)];
static bool row_seen[MILGI__COUNT(rows)];

static void read_row(char *const *cell, unsigned n)
{
    for (unsigned r = 0; r < MILGI__COUNT(rows); r++) {
        if (strcmp(cell[0], rows[r].row) != 0)
            continue;
        row_seen[r] = true;
        for (unsigned d = 0; d < MILGI__COUNT(devices); d++) {
            assert_in_range(column_of[d], 1, n - 1);
            const char *says = cell[column_of[d]];
            bool yes = strcmp(says, "yes") == 0, by_words = strcmp(says, "(yes)") == 0;
            if (!yes && !by_words && strcmp(says, "") != 0)
                fail_msg("%s, %s: '%s'", cell[0], devices[d].column, says);
            *(yes ? &claimed_ops[d] : by_words ? &open_ops[d]
                                               : &(uint32_t){ 0 }) |= rows[r].ops;
            *(yes ? &claimed_flags[d] : by_words ? &open_flags[d]
                                                 : &(uint32_t){ 0 }) |= rows[r].flags;
        }
    }
}

static void read_table(void)
{
    FILE *file = fopen(path, "re");
    char line[LINE], *cell[CELLS];
    bool inside = false;

    if (!file)
        fail_msg("%s", path);
    while (fgets(line, sizeof line, file)) {
        unsigned n = line[0] == '|' ? cells_of(line, cell) : 0;
        if (n == 0) {
            inside = false;
        } else if (inside) {
            read_row(cell, n);
        } else if (n > 2 && strcmp(cell[0], "") == 0 && strcmp(cell[1], "`cpu`") == 0) {
            inside = true;
            for (unsigned d = 0; d < MILGI__COUNT(devices); d++) {
                for (unsigned i = 1; i < n; i++)
                    column_of[d] = strcmp(cell[i], devices[d].column) == 0 ? i : column_of[d];
            }
        }
    }
    fclose(file);
}

static void the_table_says_what_the_devices_say(void **state)
{
    (void)state;
    read_table();
    for (unsigned r = 0; r < MILGI__COUNT(rows); r++) {
        if (!row_seen[r])
            fail_msg("%s has no row %s", path, rows[r].row);
    }
    for (unsigned d = 0; d < MILGI__COUNT(devices); d++) {
        struct milgi_device *device;
        if (milgi_device_new(devices[d].spec, &device, NULL) != 0) { /* what needs another kernel, or was left out */
            print_message("%s is not here\n", devices[d].spec);
            continue;
        }
        uint32_t ops = device->caps.ops & ~open_ops[d], flags = device->caps.flags & ~open_flags[d];
        if (ops != claimed_ops[d] || flags != claimed_flags[d])
            fail_msg("%s: operations %x, the table says %x; capabilities %x, the table says %x", devices[d].spec, ops,
                claimed_ops[d], flags, claimed_flags[d]);
        milgi_device_free(device);
    }
}

/* Every operation and every capability that there is has its row. */
static void nothing_is_left_out(void **state)
{
    uint32_t ops = 0, flags = 0;

    (void)state;
    for (unsigned r = 0; r < MILGI__COUNT(rows); r++) {
        ops |= rows[r].ops;
        flags |= rows[r].flags;
    }
    assert_int_equal(ops, MILGI_OP_BIT(MILGI_OP_TYPES) - 1);
    assert_int_equal(flags, 2 * MILGI_CAP_VERIFIES - 1);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table_says_what_the_devices_say),
        cmocka_unit_test(nothing_is_left_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
