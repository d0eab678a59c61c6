/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages that are one long list: of names, groups, shares, algorithms, authorities, cookies, certificates, in as many
 * and as small pieces as there can be. What a victim holds of them while it waits for a device or a decision is what it
 * needs later, not what it was sent.
 */
#include "conn/bound.h"
#include "extensions.h"
#include "fixture.h"

#define FULL 60000u /* bytes of a list: with all else in the message it stays below MILGI_LIMIT_HANDSHAKE_MESSAGE */
#define LITTLE (8u << 10)
#define STUCK "sim:latency=9s,units=64,depth=64"

/* One message, and what is done to it. */
struct list {
    const char *name;
    enum milgi_role role; /* of the liar */
    int type;
    unsigned iana;
    void (*fill)(struct pair_bytes *body, const struct pair_bytes *message);
    bool retry;
};

static void add16(struct pair_bytes *b, unsigned v)
{
    uint8_t two[2];
    milgi__put16(two, v);
    pair_bytes_add(b, two, 2);
}

/* The length of a list in its two first bytes. */
static void close16(struct pair_bytes *b)
{
    milgi__put16(b->p, (unsigned)(b->len - 2));
}

static void fill_anything(struct pair_bytes *b, const struct pair_bytes *m)
{
    static const uint8_t zeros[FULL];
    (void)m;
    pair_bytes_add(b, zeros, FULL);
}

static void fill_short_names(struct pair_bytes *b, const struct pair_bytes *m)
{
    (void)m;
    add16(b, 0);
    while (b->len < FULL)
        pair_bytes_add(b, "\1x", 2);
    close16(b);
}

static void fill_long_names(struct pair_bytes *b, const struct pair_bytes *m)
{
    uint8_t name[256] = { 255 };
    (void)m;
    add16(b, 0);
    while (b->len < FULL)
        pair_bytes_add(b, name, sizeof name);
    close16(b);
}

/* What is in the message already, and as many others as fit. */
static void fill_numbers(struct pair_bytes *b, const struct pair_bytes *m, unsigned iana)
{
    size_t at = liar_block(m), end = at + milgi__get16(m->p + at - 2);
    while (at < end && milgi__get16(m->p + at) != iana)
        at += 4 + milgi__get16(m->p + at + 2);
    add16(b, 0);
    if (at < end)
        pair_bytes_add(b, m->p + at + 6, milgi__get16(m->p + at + 4));
    for (unsigned v = 0x4000; b->len < FULL; v++)
        add16(b, v);
    close16(b);
}

static void fill_groups(struct pair_bytes *b, const struct pair_bytes *m)
{
    fill_numbers(b, m, GROUPS);
}

static void fill_schemes(struct pair_bytes *b, const struct pair_bytes *m)
{
    fill_numbers(b, m, SCHEMES);
}

/* Shares of a byte each, of the groups that fill_some_groups() has offered. */
#define SHARES 8000u

static void fill_shares(struct pair_bytes *b, const struct pair_bytes *m)
{
    size_t at = liar_block(m);
    while (milgi__get16(m->p + at) != KEY_SHARE)
        at += 4 + milgi__get16(m->p + at + 2);
    add16(b, 0);
    pair_bytes_add(b, m->p + at + 6, milgi__get16(m->p + at + 4));
    for (unsigned i = 0; i < SHARES; i++) {
        add16(b, 0x4000 + i);
        pair_bytes_add(b, "\0\1x", 3);
    }
    close16(b);
}

static void fill_some_groups(struct pair_bytes *b)
{
    add16(b, 0);
    add16(b, MILGI_GROUP_X25519);
    for (unsigned i = 0; i < SHARES; i++)
        add16(b, 0x4000 + i);
    close16(b);
}

static void fill_cookie(struct pair_bytes *b, const struct pair_bytes *m)
{
    add16(b, 0);
    fill_anything(b, m);
    close16(b);
}

static void fill_crumb(struct pair_bytes *b, const struct pair_bytes *m)
{
    (void)m;
    pair_bytes_add(b, "\0\1x", 3);
}

/* Names of other types than host_name, then one of that. */
static void fill_server_names(struct pair_bytes *b, const struct pair_bytes *m)
{
    (void)m;
    add16(b, 0);
    while (b->len < FULL)
        pair_bytes_add(b, "\7\0\1x", 4);
    pair_bytes_add(b, "\0\0\13server.test", 14);
    close16(b);
}

static void fill_authorities(struct pair_bytes *b, const struct pair_bytes *m)
{
    (void)m;
    add16(b, 0);
    while (b->len < FULL)
        pair_bytes_add(b, "\0\1x", 3);
    close16(b);
}

/* The leaf, then certificates of a byte each. */
static void fill_certificates(struct pair_bytes *m)
{
    static const uint8_t one[] = { 0, 0, 1, 'x', 0, 0 };
    struct pair_bytes many = { 0 };
    while (many.len < FULL)
        pair_bytes_add(&many, one, sizeof one);
    liar_splice(m, m->len, 0, many.p, many.len);
    uint8_t *list = m->p + 4 + 1;
    size_t len = m->len - 4 - 1 - 3;
    list[0] = (uint8_t)(len >> 16);
    milgi__put16(list + 1, (unsigned)(len & 0xffff));
    free(many.p);
}

static bool fill(struct liar *liar, struct pair_bytes *m)
{
    const struct list *list = liar->setup.arg;
    struct pair_bytes body = { 0 };
    if (m->p[0] != list->type)
        return true;
    liar->setup.edit = NULL;
    if (!list->fill) {
        fill_certificates(m);
        return true;
    }
    if (list->iana == KEY_SHARE) {
        struct pair_bytes groups = { 0 };
        fill_some_groups(&groups);
        liar_ext_set(m, GROUPS, groups.p, groups.len);
        free(groups.p);
    }
    list->fill(&body, m);
    liar_ext_set(m, list->iana, body.p, body.len);
    free(body.p);
    return true;
}

/* What the test has, or the pool for the next who comes, does not count. */
static void forget_bytes(struct pair_bytes *b)
{
    assert_int_equal(b->len, 0);
    free(b->p);
    *b = (struct pair_bytes){ 0 };
}

/* Heap that the victim and its engine hold while it waits, the message of |list| behind it. */
static size_t held(const struct list *list, struct milgi_config *victim, const char *device)
{
    struct liar_setup setup = setup_as(list->role);
    struct liar liar;
    size_t before = heap_used();
    setup.victim = victim ? victim : setup.victim;
    setup.device = device;
    setup.retry = list->retry;
    setup.group = list->retry ? MILGI_GROUP_SECP256R1 : 0;
    setup.ask = list->type == MILGI__MSG_CERTIFICATE_REQUEST;
    setup.edit = fill;
    setup.arg = (void *)(uintptr_t)list;
    liar_init(&liar, &setup);
    assert_true(liar_step_to(&liar, list->type, 0));
    liar_step(&liar);
    if (liar.victim->closed)
        fail_msg("%s: %s", list->name, liar_end(&liar));
    assert_false(liar.victim->established);
    assert_null(liar.setup.edit);
    liar_listen_for(&liar, UINT64_C(3000000000)); /* what has cooled down is given back by then */
    forget_bytes(&liar.waiting);
    forget_bytes(&liar.victim->wire);
    forget_bytes(&liar.heard);
    for (unsigned i = 0; i < 2; i++)
        (void)milgi__pool_trim(milgi__engine_pool(liar.victim->engine), 1000000);
    size_t most = heap_used() - before;
    assert_true(most <= milgi__conn_bound(liar.victim->conn->config) + (1u << 20));
    liar_fini(&liar);
    return most;
}

static void holds_little(const struct list *list, struct milgi_config *victim, const char *device, size_t little)
{
    struct list other = *list;
    other.iana = UNKNOWN;
    other.fill = fill_anything;
    size_t usual = held(&other, victim, device), now = held(list, victim, device);
    if (now > usual + little)
        fail_msg("%s: %zu bytes more than %zu", list->name, now - usual, usual);
}

#define HELLO MILGI_CLIENT, MILGI__MSG_CLIENT_HELLO
#define REQUEST MILGI_SERVER, MILGI__MSG_CERTIFICATE_REQUEST
#define RETRY MILGI_SERVER, MILGI__MSG_SERVER_HELLO

static const struct list hellos[] = {
    { "short protocols", HELLO, ALPN, fill_short_names, false },
    { "long protocols", HELLO, ALPN, fill_long_names, false },
    { "groups", HELLO, GROUPS, fill_groups, false },
    { "schemes", HELLO, SCHEMES, fill_schemes, false },
    { "schemes of certificates", HELLO, CERT_SCHEMES, fill_schemes, false },
    { "shares", HELLO, KEY_SHARE, fill_shares, false },
    { "a cookie", HELLO, COOKIE, fill_cookie, false },
    { "names", HELLO, SERVER_NAME, fill_server_names, false },
    { "authorities", HELLO, AUTHORITIES, fill_authorities, false },
    { "padding", HELLO, PADDING, fill_anything, false },
};

static void a_server_that_waits_for_a_device_holds_no_list(void **state)
{
    (void)state;
    for (size_t i = 0; i < MILGI__COUNT(hellos); i++)
        holds_little(&hellos[i], NULL, STUCK, LITTLE);
}

/* Whoever is asked is shown what the client offers: as it came, and no more than a few pieces of it. */
static void a_server_that_waits_for_a_decision_holds_no_more_than_it_shows(void **state)
{
    (void)state;
    static const unsigned ask[] = { MILGI_DECIDE_CREDENTIAL, MILGI_DECIDE_CREDENTIAL | MILGI_DECIDE_ALPN };
    for (size_t k = 0; k < MILGI__COUNT(ask); k++) {
        struct milgi_config *victim = configs_begin(MILGI_SERVER, fixture.leaf, NULL);
        MUST(milgi_config_set_ask(victim, ask[k]));
        configs_freeze(victim);
        for (size_t i = 0; i < MILGI__COUNT(hellos); i++)
            holds_little(&hellos[i], victim, NULL, hellos[i].iana == ALPN ? FULL + LITTLE : LITTLE);
        milgi_config_unref(victim);
    }
}

static void a_client_holds_no_list_of_a_request(void **state)
{
    (void)state;
    static const struct list requests[] = {
        { "schemes", REQUEST, SCHEMES, fill_schemes, false },
        { "schemes of certificates", REQUEST, CERT_SCHEMES, fill_schemes, false },
        { "authorities", REQUEST, AUTHORITIES, fill_authorities, false },
    };
    struct milgi_config *victim = configs_begin(MILGI_CLIENT, fixture.leaf, fixture.root);
    MUST(milgi_config_set_ask(victim, MILGI_DECIDE_CREDENTIAL));
    configs_freeze(victim);
    for (size_t i = 0; i < MILGI__COUNT(requests); i++)
        holds_little(&requests[i], victim, NULL, LITTLE);
    milgi_config_unref(victim);
}

/*= RFC8446 4.2.2: "When sending the new ClientHello, the client MUST copy the contents of the extension received in the
 *= HelloRetryRequest into a "cookie" extension in the new ClientHello." Then it has served. */
static void a_client_holds_no_cookie_that_it_has_given_back(void **state)
{
    (void)state;
    static const struct list crumb = { "a crumb", RETRY, COOKIE, fill_crumb, true };
    static const struct list cookie = { "a cookie", RETRY, COOKIE, fill_cookie, true };
    size_t usual = held(&crumb, NULL, NULL), now = held(&cookie, NULL, NULL);
    if (now > usual + LITTLE)
        fail_msg("%zu bytes more than %zu", now - usual, usual);
}

/* Nor are they looked at one by one. */
static void certificates_of_a_byte_are_refused(void **state)
{
    (void)state;
    static const struct list list = { "certificates", MILGI_SERVER, MILGI__MSG_CERTIFICATE, 0, NULL, false };
    struct liar_setup setup = setup_as(MILGI_SERVER);
    struct liar liar;
    setup.edit = fill;
    setup.arg = (void *)(uintptr_t)&list;
    liar_init(&liar, &setup);
    while (liar_step(&liar))
        continue;
    liar_expect_alert(&liar, MILGI_ALERT_BAD_CERTIFICATE);
    assert_non_null(strstr(liar.victim->reason.detail, "certificate that is none"));
    liar_fini(&liar);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_server_that_waits_for_a_device_holds_no_list),
        cmocka_unit_test(a_server_that_waits_for_a_decision_holds_no_more_than_it_shows),
        cmocka_unit_test(a_client_holds_no_list_of_a_request),
        cmocka_unit_test(a_client_holds_no_cookie_that_it_has_given_back),
        cmocka_unit_test(certificates_of_a_byte_are_refused),
    };
    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
