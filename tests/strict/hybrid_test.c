/* SPDX-License-Identifier: Apache-2.0 */
/* Key shares of hybrid groups: their lengths, in both directions. What is in them: unit/handshake/hybrid_test.c. */
#include "crypto/kem.h"
#include "lie.h"
#include "op/algorithm.h"

static const uint16_t hybrids[] = { MILGI_GROUP_X25519MLKEM768, MILGI_GROUP_SECP256R1MLKEM768,
    MILGI_GROUP_SECP384R1MLKEM1024 };

struct wrong {
    uint16_t group;
    size_t len; /* of the share that is shown */
};

/* A share of that length, and as much of it is good as there is: all zeros are coefficients in range. */
static bool show(struct liar *liar, struct pair_bytes *m)
{
    const struct wrong *w = liar->setup.arg;
    uint8_t body[2 + 4 + 4096] = { 0 }, groups[4] = { 0, 2 };
    bool hello = m->p[0] == MSG(CLIENT_HELLO);
    if (!hello && m->p[0] != MSG(SERVER_HELLO))
        return true;
    size_t at = hello ? 2 : 0;
    milgi__put16(body, (unsigned)w->len + 4);
    milgi__put16(body + at, w->group);
    milgi__put16(body + at + 2, (unsigned)w->len);
    milgi__put16(groups + 2, w->group);
    if (hello)
        liar_ext_set(m, GROUPS, groups, sizeof groups);
    liar_ext_set(m, KEY_SHARE, body, at + 4 + w->len);
    return true;
}

static void expect_length_refused(enum milgi_role liar_role, const struct wrong *wrong)
{
    struct place hello = HELLO, answer = ANSWER;
    struct milgi_config *victim = liar_role == MILGI_CLIENT
        ? configs_begin(MILGI_SERVER, fixture.leaf, NULL)
        : configs_begin(MILGI_CLIENT, NULL, fixture.root);
    uint16_t groups[] = { wrong->group, MILGI_GROUP_X25519 };
    MUST(milgi_config_set_groups(victim, groups, 2));
    if (liar_role == MILGI_SERVER)
        MUST(milgi_config_set_key_shares(victim, 2));
    configs_freeze(victim);
    struct liar_setup setup = setup_of(liar_role == MILGI_CLIENT ? &hello : &answer);
    struct liar liar;
    setup.victim = victim;
    setup.edit = show;
    setup.arg = (void *)(uintptr_t)wrong;
    liar_init(&liar, &setup);
    go_on(&liar);
    if (!liar.victim->closed || strcmp(liar.victim->reason.detail, "a key share of a wrong length") != 0)
        fail_msg("%s, %zu bytes: %s", milgi_group_name(wrong->group), wrong->len, liar_end(&liar));
    liar_expect_alert(&liar, ILLEGAL);
    expect_silence(&liar);
    liar_fini(&liar);
    milgi_config_unref(victim);
}

/* Shorter, longer, one half alone, both halves of the other direction. */
static void a_share_has_the_length_of_its_group_and_direction(void **state)
{
    (void)state;
    if (!milgi__kem_available())
        skip();
    for (size_t i = 0; i < MILGI__COUNT(hybrids); i++) {
        const struct milgi__group *group = milgi__group(hybrids[i]);
        for (unsigned role = 0; role < 2; role++) {
            size_t right = role == MILGI_CLIENT ? group->client_len : group->server_len;
            size_t other = role == MILGI_CLIENT ? group->server_len : group->client_len;
            size_t dh = milgi__group(milgi__group_part(group, MILGI__DH))->client_len;
            size_t lens[] = { right - 1, right + 1, 1, dh, right - dh, other, 4096 };
            for (size_t k = 0; k < MILGI__COUNT(lens); k++) {
                if (lens[k] != right)
                    expect_length_refused((enum milgi_role)role, &(struct wrong){ hybrids[i], lens[k] });
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_share_has_the_length_of_its_group_and_direction),
    };
    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
