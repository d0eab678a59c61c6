/* SPDX-License-Identifier: Apache-2.0 */
/* ML-KEM through ops, on Wycheproof's vectors and on known answers for given randomness. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "crypto/kem.h"
#include "wycheproof.h"

static const uint16_t mlkem768 = MILGI_GROUP_MLKEM768;
static const uint16_t mlkem1024 = MILGI_GROUP_MLKEM1024;

static void need_mlkem(void)
{
    if (!milgi__kem_available()) {
        print_message("SKIPPED: this libcrypto has no ML-KEM\n");
        skip();
    }
}

/* --- ops -------------------------------------------------------------------------------------------------------- */

static uint8_t shares[2][4096];

static void put_seed(struct milgi_op_kex *k, struct bytes seed)
{
    k->seed_len = (uint16_t)seed.len;
    memcpy(k->seed, seed.data, MILGI__MIN(seed.len, sizeof k->seed));
}

static struct milgi_slice lent(unsigned which, struct bytes bytes)
{
    assert_true(bytes.len <= sizeof shares[0]);
    if (bytes.data)
        memcpy(shares[which], bytes.data, bytes.len);
    return (struct milgi_slice){ NULL, shares[which], (uint32_t)bytes.len };
}

static struct milgi_op keygen(struct rig *rig, uint16_t group, struct bytes seed)
{
    struct milgi_op op = { .type = MILGI_OP_KEYGEN, .alg = group };

    put_seed(&op.u.kex, seed);
    op.u.kex.share = lent(0, (struct bytes){ NULL, MILGI_KEX_PUBLIC_MAX });
    rig_execute(rig, &op);
    return op;
}

static struct milgi_op encaps(struct rig *rig, uint16_t group, struct bytes ek, struct bytes m)
{
    struct milgi_op op = { .type = MILGI_OP_ENCAPS, .alg = group };

    put_seed(&op.u.kex, m);
    op.u.kex.share = lent(0, ek);
    op.u.kex.ciphertext = lent(1, (struct bytes){ NULL, MILGI_KEX_PUBLIC_MAX });
    rig_execute(rig, &op);
    return op;
}

static struct milgi_op decaps(struct rig *rig, uint16_t group, struct bytes secret, struct bytes ciphertext)
{
    struct milgi_op op = { .type = MILGI_OP_DECAPS, .alg = group };

    op.u.kex.secret_len = (uint16_t)secret.len;
    memcpy(op.u.kex.secret, secret.data, MILGI__MIN(secret.len, sizeof op.u.kex.secret));
    op.u.kex.share = lent(0, ciphertext);
    rig_execute(rig, &op);
    return op;
}

static bool made(const struct milgi_op *op, const uint8_t *share, struct bytes wanted)
{
    return op->status == MILGI_OP_OK && op->u.kex.pub_len == wanted.len && memcmp(share, wanted.data, wanted.len) == 0;
}

static bool shares_secret(const struct milgi_op *op, struct bytes wanted)
{
    return op->status == MILGI_OP_OK && op->u.kex.shared_len == wanted.len &&
        memcmp(op->u.kex.shared, wanted.data, wanted.len) == 0;
}

/* --- Wycheproof -------------------------------------------------------------------------------------------------- */

static enum ran key_of_seed(const struct vector *v)
{
    struct milgi_op op = keygen(v->rig, *(const uint16_t *)v->arg, hex_of(v->test, "seed", 0));

    vector_assert(v, made(&op, shares[0], hex_of(v->test, "ek", 1)) == v->valid);
    return RAN;
}

static enum ran whole(const struct vector *v)
{
    uint16_t group = *(const uint16_t *)v->arg;
    struct bytes seed = hex_of(v->test, "seed", 0);

    if (seed.len != MILGI__KEM_SEED) {
        struct milgi_op op = keygen(v->rig, group, seed);
        vector_assert(v, v->invalid && op.status == MILGI_OP_BROKEN);
        return RAN;
    }
    if (v->valid)
        (void)key_of_seed(v);
    struct milgi_op op = decaps(v->rig, group, seed, hex_of(v->test, "c", 1));
    if (v->valid)
        vector_assert(v, shares_secret(&op, hex_of(v->test, "K", 2)));
    else
        vector_assert(v, op.status == MILGI_OP_REJECTED);
    return RAN;
}

static enum ran encapsulated(const struct vector *v)
{
    struct bytes ek = hex_of(v->test, "ek", 0);
    struct milgi_op op = encaps(v->rig, *(const uint16_t *)v->arg, ek, hex_of(v->test, "m", 1));

    if (v->invalid) {
        vector_assert(v, op.status == MILGI_OP_REJECTED);
        return RAN;
    }
    vector_assert(v, made(&op, shares[1], hex_of(v->test, "c", 2)));
    vector_assert(v, shares_secret(&op, hex_of(v->test, "K", 3)));
    return RAN;
}

static void mlkem768_is_as_wycheproof_says(void **state)
{
    need_mlkem();
    vectors_run(*state, "../mlkem/mlkem_768_keygen_seed_test.json", 0, key_of_seed, &mlkem768);
    vectors_run(*state, "../mlkem/mlkem_768_test.json", 0, whole, &mlkem768);
    vectors_run(*state, "../mlkem/mlkem_768_encaps_test.json", 0, encapsulated, &mlkem768);
}

static void mlkem1024_is_as_wycheproof_says(void **state)
{
    need_mlkem();
    vectors_run(*state, "../mlkem/mlkem_1024_keygen_seed_test.json", 0, key_of_seed, &mlkem1024);
    vectors_run(*state, "../mlkem/mlkem_1024_test.json", 0, whole, &mlkem1024);
    vectors_run(*state, "../mlkem/mlkem_1024_encaps_test.json", 0, encapsulated, &mlkem1024);
}

/* --- known answers ------------------------------------------------------------------------------------------------ */

/* The fields of one, which "ss" ends; ct_n is a ciphertext for another key, and ss_n what it gives. */
enum {
    D,
    Z,
    EK,
    M,
    CT,
    SS,
    CT_N,
    SS_N,
    FIELDS
};
static const char *const names[FIELDS] = { "d", "z", "pk", "msg", "ct", "ss", "ct_n", "ss_n" };
struct answer {
    uint8_t room[FIELDS][2048];
    struct bytes field[FIELDS];
};

static unsigned digit(char c)
{
    return (unsigned)(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
}

static void take_field(struct answer *a, unsigned field, const char *hex)
{
    size_t len = strspn(hex, "0123456789abcdefABCDEF") / 2;

    assert_true(len <= sizeof a->room[0]);
    for (size_t i = 0; i < len; i++)
        a->room[field][i] = (uint8_t)(digit(hex[2 * i]) << 4 | digit(hex[2 * i + 1]));
    a->field[field] = (struct bytes){ a->room[field], len };
}

static bool next_answer(FILE *file, struct answer *a)
{
    static char line[16384];

    while (fgets(line, sizeof line, file)) {
        char *equals = strstr(line, " = ");
        if (!equals)
            continue;
        *equals = '\0';
        for (unsigned i = 0; i < FIELDS; i++) {
            if (strcmp(line, names[i]) == 0)
                take_field(a, i, equals + 3);
        }
        if (strcmp(line, names[SS]) == 0)
            return true;
    }
    return false;
}

static void check_answer(struct rig *rig, uint16_t group, const struct answer *a)
{
    uint8_t seed[MILGI__KEM_SEED];

    assert_int_equal(a->field[D].len + a->field[Z].len, sizeof seed);
    memcpy(seed, a->field[D].data, 32);
    memcpy(seed + 32, a->field[Z].data, 32);
    struct bytes secret = { seed, sizeof seed };
    struct milgi_op op = keygen(rig, group, secret);
    assert_true(made(&op, shares[0], a->field[EK]));
    op = encaps(rig, group, a->field[EK], a->field[M]);
    assert_true(made(&op, shares[1], a->field[CT]));
    assert_true(shares_secret(&op, a->field[SS]));
    op = decaps(rig, group, secret, a->field[CT]);
    assert_true(shares_secret(&op, a->field[SS]));
    op = decaps(rig, group, secret, a->field[CT_N]);
    assert_true(shares_secret(&op, a->field[SS_N]));
}

static void run_answers(struct rig *rig, const char *name, uint16_t group)
{
    static struct answer answer;
    char path[512];
    unsigned ran = 0;

    snprintf(path, sizeof path, MILGI_TESTS_DIR "/../build/vectors/nist/%s", name);
    FILE *file = fopen(path, "r");
    if (!file)
        fail_msg("%s: not there (tests/vectors/setup brings the vectors)", path);
    for (; next_answer(file, &answer); ran++)
        check_answer(rig, group, &answer);
    fclose(file);
    print_message("%s: %u ran\n", name, ran);
    assert_int_equal(ran, 1000);
}

static void both_give_the_known_answers(void **state)
{
    need_mlkem();
    run_answers(*state, "kat_MLKEM_768.rsp", mlkem768);
    run_answers(*state, "kat_MLKEM_1024.rsp", mlkem1024);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mlkem768_is_as_wycheproof_says),
        cmocka_unit_test(mlkem1024_is_as_wycheproof_says),
        cmocka_unit_test(both_give_the_known_answers),
    };
    return cmocka_run_group_tests(tests, rig_open, rig_close);
}
