/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chains that must not be believed, in handshakes in which everything else is right: whoever shows them has the leaf's
 * key and signs with it. Against clients and against servers that demand certificates.
 * ctest-timeout: 240
 */
#include <time.h>

#include <openssl/x509_vfy.h>

#include "fixture.h"
#include "forge.h"

#define C MILGI_CLIENT
#define S MILGI_SERVER
#define DAY ((int64_t)24 * 3600)
#define NAMES "DNS:server.test"
#define SHOWN_MAX 64

/* By role; |any| accepts any server; |reporting| tells of whom it would refuse. */
static struct milgi_config *victims[2], *reporting[2], *any;
static struct identity *middle;

static void trust_in(struct milgi_config *config, const struct identity *anchor)
{
    struct milgi_trust *trust;
    MUST(milgi_trust_new_pem(anchor->cert_pem, strlen(anchor->cert_pem), &trust));
    MUST(milgi_config_set_trust(config, trust));
    milgi_trust_unref(trust);
}

/* A client that trusts |anchor|, or a server that demands certificates of it. */
static struct milgi_config *victim_of(enum milgi_role role, const struct identity *anchor)
{
    struct milgi_config *config = configs_begin(role, role == S ? fixture.leaf : NULL, NULL);
    trust_in(config, anchor);
    return configs_freeze(config);
}

static int setup(void **state)
{
    fixture_setup(state);
    victims[C] = victim_of(C, fixture.root);
    victims[S] = victim_of(S, fixture.root);
    for (enum milgi_role role = 0; role < 2; role++) {
        reporting[role] = configs_begin(role, role == S ? fixture.leaf : NULL, NULL);
        trust_in(reporting[role], fixture.root);
        MUST(milgi_config_dangerously_only_report_peer(reporting[role]));
        configs_freeze(reporting[role]);
    }
    any = configs_begin(C, NULL, NULL);
    MUST(milgi_config_dangerously_accept_any_server(any));
    configs_freeze(any);
    middle = identity_new(
        &(struct identity_options){ .common_name = "middle", .is_ca = true, .issuer = fixture.root });
    return 0;
}

static int teardown(void **state)
{
    milgi_config_unref(victims[C]);
    milgi_config_unref(victims[S]);
    milgi_config_unref(reporting[C]);
    milgi_config_unref(reporting[S]);
    milgi_config_unref(any);
    identity_free(middle);
    return fixture_teardown(state);
}

/* --- showing a chain ---------------------------------------------------------------------------------------------- */

struct shown {
    const struct identity *chain[SHOWN_MAX]; /* from the leaf up */
    size_t n;
};

#define SHOW(...) \
    (&(struct shown){ .chain = { __VA_ARGS__ }, \
        .n = sizeof((const struct identity *[]){ __VA_ARGS__ }) / sizeof(struct identity *) })

/* That a leaf signs with. */
static uint16_t scheme_of(const struct identity *leaf)
{
    if (EVP_PKEY_is_a(leaf->private_key, "RSA"))
        return MILGI_SIG_RSA_PSS_RSAE_SHA256;
    if (EVP_PKEY_is_a(leaf->private_key, "RSA-PSS"))
        return MILGI_SIG_RSA_PSS_PSS_SHA256;
    return EVP_PKEY_is_a(leaf->private_key, "ED25519") ? MILGI_SIG_ED25519 : MILGI_SIG_ECDSA_SECP256R1_SHA256;
}

static bool show(struct liar *liar, struct pair_bytes *m)
{
    const struct shown *shown = liar->setup.arg;
    uint16_t scheme = scheme_of(shown->chain[0]);
    if (m->p[0] == MILGI__MSG_CERTIFICATE)
        forge_certificate(m, shown->chain, shown->n);
    if (m->p[0] == MILGI__MSG_CERTIFICATE_VERIFY)
        forge_verify(liar, m, shown->chain[0], scheme, scheme);
    return true;
}

/* What comes of it. Of what a path is refused for, |verdict| is libcrypto's word; else |detail| is ours. */
struct judgement {
    int alert; /* MILGI_ALERT_NONE: it is believed */
    int verdict;
    const char *detail;
};

static const struct judgement good = { MILGI_ALERT_NONE, 0, NULL };

static void judge_on(const char *device, struct milgi_config *victim, enum milgi_role role,
    const struct shown *shown, const struct judgement *j, const char *what)
{
    struct liar liar;
    struct liar_setup setup = {
        .role = role == C ? S : C,
        .victim = victim,
        .device = device,
        .credential = fixture.credential,
        .edit = show,
        .arg = (void *)(uintptr_t)shown,
    };
    liar_init(&liar, &setup);
    while (liar_step(&liar))
        continue;
    const struct milgi_reason *reason = &liar.victim->reason;
    const char *detail = j->detail ? j->detail : X509_verify_cert_error_string(j->verdict);
    if (liar.victim->established != (j->alert == MILGI_ALERT_NONE))
        fail_msg("%s: %s", what, liar_end(&liar));
    if (!liar.victim->established) {
        if (reason->error != MILGI_EVERIFY || reason->alert != j->alert || strcmp(reason->detail, detail) != 0)
            fail_msg("%s: %s", what, liar_end(&liar));
        liar_expect_alert(&liar, j->alert);
        assert_int_equal(liar.victim->got.len, 0);
    }
    liar_fini(&liar);
}

/* The same whether the path is judged at once, or when all that comes after has been heard. */
static void judge_by(struct milgi_config *victim, enum milgi_role role, const struct shown *shown,
    const struct judgement *j, const char *what)
{
    judge_on(NULL, victim, role, shown, j, what);
    judge_on(SLOW, victim, role, shown, j, what);
}

/* Who only reports says of a path what others refuse it for, and refuses what cannot be used as others do. */
static void judge_reporting(
    enum milgi_role role, const struct shown *shown, const struct judgement *j, const char *what)
{
    struct liar liar;
    struct milgi_conn_info info;
    struct liar_setup setup = {
        .role = role == C ? S : C,
        .victim = reporting[role],
        .credential = fixture.credential,
        .edit = show,
        .arg = (void *)(uintptr_t)shown,
    };
    liar_init(&liar, &setup);
    while (liar_step(&liar))
        continue;
    const struct milgi_reason *reason = &liar.victim->reason;
    if (liar.victim->established != !j->detail)
        fail_msg("%s, reported: %s", what, liar_end(&liar));
    milgi_conn_info(liar.victim->conn, &info);
    if (j->detail) {
        assert_int_equal(reason->error, MILGI_EVERIFY);
        assert_string_equal(reason->detail, j->detail);
        assert_false(info.peer_authenticated);
    } else {
        assert_int_equal(info.peer_authenticated, j->alert == MILGI_ALERT_NONE);
        assert_string_equal(milgi_peer_verdict_text(info.peer_verdict), X509_verify_cert_error_string(j->verdict));
        assert_int_equal(info.peer_verdict != 0, j->alert != MILGI_ALERT_NONE);
    }
    liar_fini(&liar);
}

/* In both roles; the leaf is for either. */
static void judge(const struct shown *shown, const struct judgement *j, const char *what)
{
    judge_reporting(C, shown, j, what);
    judge_reporting(S, shown, j, what);
    judge_by(victims[C], C, shown, j, what);
    judge_by(victims[S], S, shown, j, what);
}

/* What is seen in the leaf alone is seen by one who verifies no chain, too. */
static void judge_leaf(const struct shown *shown, const struct judgement *j, const char *what)
{
    judge(shown, j, what);
    judge_by(any, C, shown, j, what);
}

/* A leaf below the root with these options, shown alone. */
static void judge_leaf_of(const struct identity_options *options, const struct judgement *j, const char *what)
{
    struct identity_options full = *options;
    full.issuer = fixture.root;
    full.names = NAMES;
    struct identity *leaf = identity_new(&full);
    judge_leaf(SHOW(leaf), j, what);
    identity_free(leaf);
}

/* A CA below the root with these options, and a leaf below it. */
static void judge_issuer_of(const struct identity_options *options, const struct judgement *j, const char *what)
{
    struct identity_options full = *options;
    full.issuer = fixture.root;
    full.common_name = "issuer";
    full.is_ca = true;
    struct identity *issuer = identity_new(&full);
    struct identity *leaf = identity_new(&(struct identity_options){ .names = NAMES, .issuer = issuer });
    judge(SHOW(leaf, issuer), j, what);
    identity_free(leaf);
    identity_free(issuer);
}

/* Shows one who is not accepted, without its key. */
static bool show_stolen(struct liar *liar, struct pair_bytes *m)
{
    const struct shown *shown = liar->setup.arg;
    uint16_t scheme = MILGI_SIG_ECDSA_SECP256R1_SHA256;
    if (m->p[0] == MILGI__MSG_CERTIFICATE)
        forge_certificate(m, shown->chain, 1);
    if (m->p[0] == MILGI__MSG_CERTIFICATE_VERIFY)
        forge_verify(liar, m, shown->chain[1], scheme, scheme);
    return true;
}

static void who_has_not_the_key_is_refused_by_who_only_reports(void **state)
{
    (void)state;
    static const char *const devices[] = { NULL, SLOW };
    struct identity *other = identity_root(IDENTITY_P256, "other");
    struct identity *leaf = identity_new(&(struct identity_options){ .names = NAMES, .issuer = other });
    struct identity *thief = identity_new(&(struct identity_options){ .names = NAMES, .issuer = other });
    for (unsigned i = 0; i < 4; i++) {
        struct liar liar;
        struct liar_setup setup = {
            .role = i & 1 ? S : C,
            .victim = reporting[i & 1 ? C : S],
            .device = devices[i >> 1],
            .credential = fixture.credential,
            .edit = show_stolen,
            .arg = SHOW(leaf, thief),
        };
        liar_init(&liar, &setup);
        while (liar_step(&liar))
            continue;
        assert_false(liar.victim->established);
        assert_int_equal(liar.victim->reason.error, MILGI_EVERIFY);
        liar_expect_alert(&liar, MILGI_ALERT_DECRYPT_ERROR);
        liar_fini(&liar);
    }
    identity_free(thief);
    identity_free(leaf);
    identity_free(other);
}

/* --- the leaf's key ----------------------------------------------------------------------------------------------- */

/*= RFC8446 4.4.2.2: "The certificate MUST allow the key to be used for signing (i.e., the digitalSignature bit MUST be
 *= set if the Key Usage extension is present) with a signature scheme indicated in the client's "signature_algorithms"
 *= /"signature_algorithms_cert" extensions" */
static void a_leaf_whose_key_may_not_sign_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = { "critical,keyEncipherment", "critical,keyAgreement", "keyEncipherment",
        "critical,nonRepudiation", "critical,keyCertSign,cRLSign", "critical,dataEncipherment,keyAgreement" };
    static const char *const fit[] = { "", "digitalSignature", "critical,digitalSignature,keyEncipherment" };
    const struct judgement refused = { MILGI_ALERT_UNSUPPORTED_CERTIFICATE, 0,
        "the key of the peer's certificate may not sign" };
    for (size_t i = 0; i < MILGI__COUNT(bad); i++)
        judge_leaf_of(&(struct identity_options){ .usage = bad[i] }, &refused, bad[i]);
    for (size_t i = 0; i < MILGI__COUNT(fit); i++)
        judge_leaf_of(&(struct identity_options){ .usage = fit[i] }, &good, fit[i]);
}

static void an_rsa_leaf_too_short_or_too_long_is_refused(void **state)
{
    (void)state;
    static const struct {
        unsigned bits;
        bool good;
    } sizes[] = { { 1024, false }, { 2040, false }, { 2047, false }, { 2048, true }, { 8192, true }, { 8193, false },
        { 8200, false }, { 16384, false }, { 16392, false }, { 24000, false } };
    const struct judgement refused = { MILGI_ALERT_BAD_CERTIFICATE, 0,
        "the RSA key of the peer's certificate is too short or too long" };
    for (size_t i = 0; i < MILGI__COUNT(sizes); i++) {
        char what[32];
        snprintf(what, sizeof what, "RSA %u", sizes[i].bits);
        judge_leaf_of(&(struct identity_options){ .key = IDENTITY_RSA, .rsa_bits = sizes[i].bits },
            sizes[i].good ? &good : &refused, what);
    }
    judge_leaf_of(
        &(struct identity_options){ .key = IDENTITY_RSA_PSS, .rsa_bits = 1024 }, &refused, "RSA-PSS 1024");
    judge_leaf_of(
        &(struct identity_options){ .key = IDENTITY_RSA_PSS, .rsa_bits = 8200 }, &refused, "RSA-PSS 8200");
}

static void an_rsa_leaf_whose_exponent_is_out_of_bounds_is_refused(void **state)
{
    (void)state;
    static const struct {
        unsigned long exponent;
        bool good;
    } cases[] = { { 1, false }, { 2, false }, { 3, true }, { 4, false }, { 65536, false }, { 65537, true },
        { (1ul << 32) + 15, true }, { 1ul << 32, false }, { (1ul << 33) + 17, false }, { ~0ul - 58, false } };
    const struct judgement refused = { MILGI_ALERT_BAD_CERTIFICATE, 0,
        "the RSA key of the peer's certificate has a bad public exponent" };
    for (size_t i = 0; i < MILGI__COUNT(cases); i++) {
        char what[40];
        snprintf(what, sizeof what, "exponent %lx", cases[i].exponent);
        judge_leaf_of(&(struct identity_options){ .key = IDENTITY_RSA, .rsa_exponent = cases[i].exponent },
            cases[i].good ? &good : &refused, what);
    }
    judge_leaf_of(&(struct identity_options){ .key = IDENTITY_RSA_PSS, .rsa_exponent = 1 }, &refused, "RSA-PSS");
}

/* --- the issuer's key --------------------------------------------------------------------------------------------- */

static void an_issuer_whose_rsa_key_is_out_of_bounds_is_refused(void **state)
{
    (void)state;
    const struct judgement rejected = { MILGI_ALERT_BAD_CERTIFICATE, X509_V_ERR_CERT_REJECTED, NULL };
    const struct judgement small = { MILGI_ALERT_BAD_CERTIFICATE, X509_V_ERR_CA_KEY_TOO_SMALL, NULL };
    static const struct {
        unsigned bits;
        unsigned long exponent;
        enum {
            GOOD,
            SMALL,
            REJECTED
        } is;
    } cases[] = { { 1024, 0, SMALL }, { 2048, 3, GOOD }, { 8192, 0, GOOD }, { 8193, 0, REJECTED },
        { 16384, 0, REJECTED }, { 2048, 1, REJECTED }, { 2048, (1ul << 33) + 17, REJECTED } };
    for (size_t i = 0; i < MILGI__COUNT(cases); i++) {
        char what[64];
        snprintf(what, sizeof what, "RSA %u, exponent %lx", cases[i].bits, cases[i].exponent);
        judge_issuer_of(
            &(struct identity_options){
                .key = IDENTITY_RSA, .rsa_bits = cases[i].bits, .rsa_exponent = cases[i].exponent },
            cases[i].is == GOOD ? &good : cases[i].is == SMALL ? &small
                                                               : &rejected,
            what);
    }
}

/* Nothing can be signed with it, so another key has: what counts is that nobody tries to verify. */
static void an_issuer_whose_rsa_exponent_is_even_is_not_tried(void **state)
{
    (void)state;
    const struct judgement rejected = { MILGI_ALERT_BAD_CERTIFICATE, X509_V_ERR_CERT_REJECTED, NULL };
    static const unsigned long even[] = { 2, 65536, 1ul << 32 };
    struct identity *other = identity_root(IDENTITY_RSA, "other");
    for (size_t i = 0; i < MILGI__COUNT(even); i++) {
        struct identity *issuer = identity_new(&(struct identity_options){ .key = IDENTITY_RSA,
            .rsa_exponent = even[i],
            .common_name = "even",
            .is_ca = true,
            .issuer = fixture.root });
        struct identity *leaf = identity_new(
            &(struct identity_options){ .names = NAMES, .issuer = issuer, .signer = other, .no_key_ids = true });
        judge(SHOW(leaf, issuer), &rejected, "an even exponent");
        identity_free(leaf);
        identity_free(issuer);
    }
    identity_free(other);
}

/* The bounds are those of anchors, too. */
static void an_anchor_whose_rsa_key_is_out_of_bounds_vouches_for_nobody(void **state)
{
    (void)state;
    const struct judgement rejected = { MILGI_ALERT_BAD_CERTIFICATE, X509_V_ERR_CERT_REJECTED, NULL };
    static const struct identity_options anchors[] = {
        { .key = IDENTITY_RSA, .rsa_bits = 8200, .common_name = "long", .is_ca = true },
        { .key = IDENTITY_RSA, .rsa_exponent = 1, .common_name = "one", .is_ca = true },
        { .key = IDENTITY_RSA, .rsa_exponent = (1ul << 33) + 17, .common_name = "costly", .is_ca = true },
    };
    for (size_t i = 0; i < MILGI__COUNT(anchors); i++) {
        struct identity *anchor = identity_new(&anchors[i]);
        struct identity *leaf = identity_new(&(struct identity_options){ .names = NAMES, .issuer = anchor });
        for (enum milgi_role role = 0; role < 2; role++) {
            struct milgi_config *victim = victim_of(role, anchor);
            judge_by(victim, role, SHOW(leaf), &rejected, anchors[i].common_name);
            milgi_config_unref(victim);
        }
        identity_free(leaf);
        identity_free(anchor);
    }
}

/* --- purposes, times, names --------------------------------------------------------------------------------------- */

static void a_leaf_for_the_other_role_is_refused(void **state)
{
    (void)state;
    const struct judgement refused = { MILGI_ALERT_UNSUPPORTED_CERTIFICATE, X509_V_ERR_INVALID_PURPOSE, NULL };
    for (unsigned above = 0; above < 2; above++) { /* the leaf says so, or its issuer does */
        for (enum identity_purpose purpose = IDENTITY_FOR_SERVER; purpose <= IDENTITY_FOR_CLIENT; purpose++) {
            struct identity *issuer = identity_new(&(struct identity_options){ .common_name = "issuer",
                .is_ca = true,
                .issuer = fixture.root,
                .purpose = above ? purpose : IDENTITY_ANY });
            struct identity *leaf = identity_new(&(struct identity_options){
                .names = NAMES, .issuer = issuer, .purpose = above ? IDENTITY_ANY : purpose });
            bool for_server = purpose == IDENTITY_FOR_SERVER;
            judge_by(victims[C], C, SHOW(leaf, issuer), for_server ? &good : &refused, "a server's");
            judge_by(victims[S], S, SHOW(leaf, issuer), for_server ? &refused : &good, "a client's");
            identity_free(leaf);
            identity_free(issuer);
        }
    }
}

/*= RFC8446 6.2: "certificate_expired:  A certificate has expired or is not currently valid." */
static void a_certificate_out_of_its_time_is_refused(void **state)
{
    (void)state;
    int64_t now = time(NULL);
    const struct {
        int64_t from, to;
        int verdict;
    } times[] = { { now - 2 * DAY, now - DAY, X509_V_ERR_CERT_HAS_EXPIRED },
        { now + DAY, now + 2 * DAY, X509_V_ERR_CERT_NOT_YET_VALID } };
    for (size_t i = 0; i < 2 * MILGI__COUNT(times); i++) {
        bool above = i % 2;
        int64_t from = times[i / 2].from, to = times[i / 2].to;
        struct judgement refused = { MILGI_ALERT_CERTIFICATE_EXPIRED, times[i / 2].verdict, NULL };
        struct identity *issuer = identity_new(&(struct identity_options){ .common_name = "issuer",
            .is_ca = true,
            .issuer = fixture.root,
            .not_before_s = above ? from : 0,
            .not_after_s = above ? to : 0 });
        struct identity *leaf = identity_new(&(struct identity_options){ .names = NAMES,
            .issuer = issuer,
            .not_before_s = above ? 0 : from,
            .not_after_s = above ? 0 : to });
        judge(SHOW(leaf, issuer), &refused, above ? "the issuer" : "the leaf");
        identity_free(leaf);
        identity_free(issuer);
    }
}

/* A client asks for its server; a server asks for nobody in particular. */
static void a_leaf_of_another_name_is_no_server(void **state)
{
    (void)state;
    static const char *const names[] = { "DNS:other.test", "DNS:*.server.test", "DNS:*.test.test", "email:server.test",
        "URI:https://server.test", "" };
    const struct judgement refused = { MILGI_ALERT_BAD_CERTIFICATE, X509_V_ERR_HOSTNAME_MISMATCH, NULL };
    for (size_t i = 0; i < MILGI__COUNT(names); i++) {
        struct identity *leaf = identity_new(&(struct identity_options){
            .common_name = "server.test", .names = names[i], .issuer = fixture.root });
        judge_by(victims[C], C, SHOW(leaf), &refused, names[i]);
        judge_by(victims[S], S, SHOW(leaf), &good, names[i]);
        identity_free(leaf);
    }
}

static void names_out_of_an_issuers_limits_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *limits;
        int verdict;
    } cases[] = { { "critical,permitted;DNS:server.test", X509_V_OK }, { "critical,permitted;DNS:test", X509_V_OK },
        { "critical,excluded;DNS:other.test", X509_V_OK },
        { "critical,permitted;DNS:other.test", X509_V_ERR_PERMITTED_VIOLATION },
        { "permitted;DNS:other.test", X509_V_ERR_PERMITTED_VIOLATION },
        { "critical,excluded;DNS:server.test", X509_V_ERR_EXCLUDED_VIOLATION },
        { "critical,excluded;DNS:test", X509_V_ERR_EXCLUDED_VIOLATION } };
    for (size_t i = 0; i < MILGI__COUNT(cases); i++) {
        struct judgement refused = { MILGI_ALERT_CERTIFICATE_UNKNOWN, cases[i].verdict, NULL };
        judge_issuer_of(&(struct identity_options){ .limits = cases[i].limits },
            cases[i].verdict == X509_V_OK ? &good : &refused, cases[i].limits);
    }
}

/* --- who may issue ------------------------------------------------------------------------------------------------ */

static void an_issuer_that_is_no_ca_is_refused(void **state)
{
    (void)state;
    const struct judgement no_ca = { MILGI_ALERT_UNKNOWN_CA, X509_V_ERR_INVALID_CA, NULL };
    judge_issuer_of(&(struct identity_options){ .constraints = "critical,CA:FALSE" }, &no_ca, "CA:FALSE");
    judge_issuer_of(&(struct identity_options){ .constraints = "CA:FALSE", .usage = "" }, &no_ca, "without usage");
    judge_issuer_of(&(struct identity_options){ .constraints = "" }, &no_ca, "without constraints");
    judge_issuer_of(&(struct identity_options){ .usage = "critical,cRLSign" }, &no_ca, "may sign no certificates");
    judge_issuer_of(&(struct identity_options){ .usage = "" }, &good, "without usage");
    judge_issuer_of(&(struct identity_options){ .constraints = "CA:TRUE,pathlen:0" }, &good, "pathlen 0");
}

static void a_path_longer_than_an_issuer_allows_is_refused(void **state)
{
    (void)state;
    const struct judgement refused = { MILGI_ALERT_UNKNOWN_CA, X509_V_ERR_PATH_LENGTH_EXCEEDED, NULL };
    for (unsigned allowed = 0; allowed < 3; allowed++) {
        char constraints[40];
        snprintf(constraints, sizeof constraints, "critical,CA:TRUE,pathlen:%u", allowed);
        struct identity *above = identity_new(&(struct identity_options){
            .common_name = "above", .is_ca = true, .constraints = constraints, .issuer = fixture.root });
        struct identity *below = identity_new(
            &(struct identity_options){ .common_name = "below", .is_ca = true, .issuer = above });
        struct identity *leaf = identity_new(&(struct identity_options){ .names = NAMES, .issuer = below });
        judge(SHOW(leaf, below, above), allowed == 0 ? &refused : &good, constraints);
        identity_free(leaf);
        identity_free(below);
        identity_free(above);
    }
}

static void a_chain_that_leads_to_no_anchor_or_is_not_signed_by_it_is_refused(void **state)
{
    (void)state;
    const struct judgement nobody = { MILGI_ALERT_UNKNOWN_CA, X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, NULL };
    const struct judgement forged = { MILGI_ALERT_BAD_CERTIFICATE, X509_V_ERR_CERT_SIGNATURE_FAILURE, NULL };
    const struct judgement selfish = { MILGI_ALERT_UNKNOWN_CA, X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT, NULL };
    struct identity *leaf = identity_new(&(struct identity_options){ .names = NAMES, .issuer = middle });
    struct identity *stranger = identity_root(IDENTITY_P256, "stranger");
    struct identity *by_stranger = identity_new(&(struct identity_options){
        .names = NAMES, .issuer = middle, .signer = stranger, .no_key_ids = true });
    struct identity *alone = identity_new(&(struct identity_options){ .names = NAMES, .common_name = "alone" });
    judge(SHOW(leaf, middle), &good, "good");
    judge(SHOW(leaf, stranger, stranger, middle), &good, "out of order");
    judge(SHOW(leaf), &nobody, "the issuer is missing");
    judge(SHOW(leaf, stranger), &nobody, "another issuer");
    judge(SHOW(by_stranger, middle, stranger), &forged, "another key");
    judge(SHOW(alone), &selfish, "self-signed");
    identity_free(alone);
    identity_free(by_stranger);
    identity_free(stranger);
    identity_free(leaf);
}

/* --- work --------------------------------------------------------------------------------------------------------- */

/*
 * |links| CAs one below the other, and a leaf; the topmost of them is issued by "top", of which there are |bad| that
 * are no CA and, behind them, a good one: each costs a path of all the others.
 */
static void search(unsigned links, unsigned bad, const struct judgement *j)
{
    struct shown shown = { .n = 0 };
    struct identity *link[SHOWN_MAX], *top[SHOWN_MAX], *leaf;
    top[bad] = identity_new(&(struct identity_options){
        .common_name = "top", .is_ca = true, .issuer = fixture.root, .no_key_ids = true });
    for (unsigned i = 0; i < bad; i++)
        top[i] = identity_new(&(struct identity_options){ .common_name = "top",
            .constraints = "critical,CA:FALSE",
            .usage = "",
            .issuer = fixture.root,
            .key_of = top[bad],
            .no_key_ids = true });
    for (unsigned i = 0; i < links; i++) {
        char name[16];
        snprintf(name, sizeof name, "link %u", i);
        link[i] = identity_new(&(struct identity_options){
            .common_name = name, .is_ca = true, .issuer = i ? link[i - 1] : top[bad], .no_key_ids = true });
    }
    leaf = identity_new(&(struct identity_options){ .names = NAMES, .issuer = link[links - 1], .no_key_ids = true });
    shown.chain[shown.n++] = leaf;
    for (unsigned i = links; i > 0; i--)
        shown.chain[shown.n++] = link[i - 1];
    for (unsigned i = 0; i <= bad; i++)
        shown.chain[shown.n++] = top[i];
    char what[40];
    snprintf(what, sizeof what, "%u links, %u bad ones", links, bad);
    judge(&shown, j, what);
    identity_free(leaf);
    for (unsigned i = 0; i < links; i++)
        identity_free(link[i]);
    for (unsigned i = 0; i <= bad; i++)
        identity_free(top[i]);
}

/* A path has links + 2 signatures. When those that failed had more than 64, there is no other. */
static void the_search_for_a_path_ends_when_it_has_cost_enough(void **state)
{
    (void)state;
    const struct judgement no_ca = { MILGI_ALERT_UNKNOWN_CA, X509_V_ERR_INVALID_CA, NULL };
    search(1, 0, &good);
    search(1, 21, &good);
    search(1, 22, &no_ca);
    search(1, 40, &no_ca);
    search(12, 4, &good);
    search(12, 5, &no_ca);
    search(12, 11, &no_ca);
}

static void a_path_longer_than_any_is_refused(void **state)
{
    (void)state;
    const struct judgement refused = { MILGI_ALERT_UNKNOWN_CA, X509_V_ERR_CERT_CHAIN_TOO_LONG, NULL };
    search(15, 0, &good);
    search(16, 0, &refused);
    search(40, 0, &refused);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_has_not_the_key_is_refused_by_who_only_reports),
        cmocka_unit_test(a_leaf_whose_key_may_not_sign_is_refused),
        cmocka_unit_test(an_rsa_leaf_too_short_or_too_long_is_refused),
        cmocka_unit_test(an_rsa_leaf_whose_exponent_is_out_of_bounds_is_refused),
        cmocka_unit_test(an_issuer_whose_rsa_key_is_out_of_bounds_is_refused),
        cmocka_unit_test(an_issuer_whose_rsa_exponent_is_even_is_not_tried),
        cmocka_unit_test(an_anchor_whose_rsa_key_is_out_of_bounds_vouches_for_nobody),
        cmocka_unit_test(a_leaf_for_the_other_role_is_refused),
        cmocka_unit_test(a_certificate_out_of_its_time_is_refused),
        cmocka_unit_test(a_leaf_of_another_name_is_no_server),
        cmocka_unit_test(names_out_of_an_issuers_limits_are_refused),
        cmocka_unit_test(an_issuer_that_is_no_ca_is_refused),
        cmocka_unit_test(a_path_longer_than_an_issuer_allows_is_refused),
        cmocka_unit_test(a_chain_that_leads_to_no_anchor_or_is_not_signed_by_it_is_refused),
        cmocka_unit_test(the_search_for_a_path_ends_when_it_has_cost_enough),
        cmocka_unit_test(a_path_longer_than_any_is_refused),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
