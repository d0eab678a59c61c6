/* SPDX-License-Identifier: Apache-2.0 */
/* Each kernel on NIST's and Wycheproof's vectors of AES-GCM. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/base.h"
#include "crypto/kernel/gcm.h"
#include "wycheproof.h"

#define ROOM 70000

static const struct milgi__gcm_kernel *usable(void **state)
{
    const struct milgi__gcm_kernel *kernel = *state;

    if (!kernel->usable()) {
        print_message("SKIPPED: this processor or system has not what %s needs\n", kernel->name);
        skip();
    }
    return kernel;
}

struct known {
    struct bytes key, iv, aad, plain, sealed, tag;
};

static struct milgi__gcm_record record_of(
    const struct milgi__gcm_key *key, const struct known *v, const struct milgi__piece *src)
{
    return (struct milgi__gcm_record){
        .key = key, .nonce = v->iv.data, .aad = v->aad.data, .aad_len = v->aad.len, .src = src, .src_n = 1
    };
}

static bool opens(const struct milgi__gcm_kernel *kernel, const struct milgi__gcm_key *key, const struct known *v)
{
    static uint8_t out[ROOM];
    struct milgi__piece src = { v->sealed.data, v->sealed.len };
    struct milgi__gcm_record r = record_of(key, v, &src);
    int8_t verdict;

    r.dst = out;
    r.tag = v->tag.data;
    return milgi__gcm_open(kernel, &r, 1, &verdict) == 0 && verdict == 0 &&
        memcmp(out, v->plain.data, v->plain.len) == 0;
}

static bool seals(const struct milgi__gcm_kernel *kernel, const struct milgi__gcm_key *key, const struct known *v)
{
    static uint8_t out[ROOM];
    struct milgi__piece src = { v->plain.data, v->plain.len };
    struct milgi__gcm_record r = record_of(key, v, &src);

    r.dst = out;
    kernel->seal(&r, 1);
    return memcmp(out, v->sealed.data, v->sealed.len) == 0 && memcmp(out + v->sealed.len, v->tag.data, 16) == 0;
}

/* --- Wycheproof -------------------------------------------------------------------------------------------------- */

static enum ran wycheproof(const struct vector *v)
{
    if (number_of(v->group, "ivSize") != 96 || number_of(v->group, "tagSize") != 128 ||
        number_of(v->group, "keySize") == 192)
        return FILTERED; /* TLS has none of these */
    struct known k = { hex_of(v->test, "key", 0), hex_of(v->test, "iv", 1), hex_of(v->test, "aad", 2),
        hex_of(v->test, "msg", 3), hex_of(v->test, "ct", 4), hex_of(v->test, "tag", 5) };
    struct milgi__gcm_key key;
    milgi__gcm_key_init(&key, k.key.data, k.key.len);
    vector_assert(v, opens(v->arg, &key, &k) == v->valid);
    vector_assert(v, seals(v->arg, &key, &k) == v->valid);
    return RAN;
}

static void seals_and_opens_as_wycheproof_says(void **state)
{
    vectors_run(NULL, "aes_gcm_test.json", 183, wycheproof, usable(state));
}

/* --- NIST -------------------------------------------------------------------------------------------------------- */

static unsigned digit(char c)
{
    return (unsigned)(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
}

static struct bytes bytes_of(const char *hex, uint8_t *room, size_t cap)
{
    size_t len = strspn(hex, "0123456789abcdefABCDEF") / 2;

    assert_true(len <= cap);
    for (size_t i = 0; i < len; i++)
        room[i] = (uint8_t)(digit(hex[2 * i]) << 4 | digit(hex[2 * i + 1]));
    return (struct bytes){ room, len };
}

/* A file of responses: parameters in brackets, then vectors of "Name = value" lines. */
struct responses {
    FILE *file;
    const char *last; /* the field that ends a vector */
    unsigned iv_bits, tag_bits;
    struct known v;
    bool rejected;
    uint8_t room[6][256];
};

static void field_of(struct responses *r, const char *name, const char *value)
{
    const struct {
        const char *name;
        struct bytes *to;
    } fields[] = { { "Key", &r->v.key }, { "IV", &r->v.iv }, { "AAD", &r->v.aad }, { "PT", &r->v.plain },
        { "CT", &r->v.sealed }, { "Tag", &r->v.tag } };

    for (size_t i = 0; i < MILGI__COUNT(fields); i++) {
        if (strcmp(name, fields[i].name) == 0)
            *fields[i].to = bytes_of(value, r->room[i], sizeof r->room[i]);
    }
}

/* false: the file has ended. */
static bool next_vector(struct responses *r)
{
    char line[1024];
    char name[32];
    char value[1000];

    r->rejected = false;
    while (fgets(line, sizeof line, r->file)) {
        value[0] = '\0';
        if (sscanf(line, "[IVlen = %u]", &r->iv_bits) == 1 || sscanf(line, "[Taglen = %u]", &r->tag_bits) == 1)
            continue;
        r->rejected = strncmp(line, "FAIL", 4) == 0;
        if (r->rejected)
            return true;
        if (sscanf(line, "%31[A-Za-z] = %999s", name, value) < 1)
            continue;
        field_of(r, name, value);
        if (strcmp(name, r->last) == 0)
            return true;
    }
    return false;
}

static void run_file(const struct milgi__gcm_kernel *kernel, const char *file, const char *last, unsigned wanted)
{
    struct responses r = { .last = last };
    char path[512];
    unsigned ran = 0;

    snprintf(path, sizeof path, MILGI_TESTS_DIR "/../build/vectors/nist/%s", file);
    r.file = fopen(path, "r");
    if (!r.file)
        fail_msg("%s: not there (tests/vectors/setup brings the vectors)", path);
    while (next_vector(&r)) {
        struct milgi__gcm_key key;
        if (r.iv_bits != 96 || r.tag_bits != 128)
            continue;
        milgi__gcm_key_init(&key, r.v.key.data, r.v.key.len);
        if (opens(kernel, &key, &r.v) == r.rejected || (!r.rejected && !seals(kernel, &key, &r.v)))
            fail_msg("%s: vector %u of those that TLS could have", file, ran);
        ran++;
    }
    fclose(r.file);
    print_message("%s: %u ran\n", file, ran);
    assert_int_equal(ran, wanted);
}

static void seals_and_opens_as_nist_says(void **state)
{
    const struct milgi__gcm_kernel *kernel = usable(state);

    run_file(kernel, "gcmEncryptExtIV128.rsp", "Tag", 375);
    run_file(kernel, "gcmEncryptExtIV256.rsp", "Tag", 375);
    run_file(kernel, "gcmDecrypt128.rsp", "PT", 375);
    run_file(kernel, "gcmDecrypt256.rsp", "PT", 375);
}

int main(void)
{
    int failed = 0;

    for (size_t i = 0; milgi__gcm_kernels[i]; i++) {
        struct CMUnitTest tests[] = {
            cmocka_unit_test(seals_and_opens_as_wycheproof_says),
            cmocka_unit_test(seals_and_opens_as_nist_says),
        };
        for (size_t j = 0; j < MILGI__COUNT(tests); j++)
            tests[j].initial_state = (void *)(uintptr_t)milgi__gcm_kernels[i];
        failed += cmocka_run_group_tests_name(milgi__gcm_kernels[i]->name, tests, NULL, NULL);
    }
    return failed;
}
