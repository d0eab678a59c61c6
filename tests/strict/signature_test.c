/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CertificateVerify: signatures that are good by themselves, under an algorithm that must not be. Without the check
 * there would be a connection.
 * ctest-timeout: 120
 */
#include "forge.h"
#include "lie.h"

#define NOT_OFFERED "CertificateVerify with a signature algorithm that was not offered"
#define NOT_OF_THE_KEY "CertificateVerify with a signature algorithm that its key cannot have"

static struct identity *leaf[IDENTITY_KEYS];

static int setup(void **state)
{
    fixture_setup(state);
    for (unsigned i = 0; i < IDENTITY_KEYS; i++)
        leaf[i] = identity_leaf(fixture.root, (enum identity_key)i, "DNS:server.test");
    return 0;
}

static int teardown(void **state)
{
    for (unsigned i = 0; i < IDENTITY_KEYS; i++)
        identity_free(leaf[i]);
    return fixture_teardown(state);
}

struct signature {
    enum identity_key key;
    uint16_t how, scheme;
    const char *detail; /* NULL: a connection comes of it */
};

static bool sign_so(struct liar *liar, struct pair_bytes *m)
{
    const struct signature *s = liar->setup.arg;
    const struct identity *chain[] = { leaf[s->key] };
    if (m->p[0] == MILGI__MSG_CERTIFICATE)
        forge_certificate(m, chain, 1);
    if (m->p[0] == MILGI__MSG_CERTIFICATE_VERIFY)
        forge_verify(liar, m, leaf[s->key], s->how, s->scheme);
    return true;
}

/* |victim| of the other role; NULL: that of the fixture. */
static void judge(enum milgi_role role, struct milgi_config *victim, const struct signature *s)
{
    const struct place place = { .role = role, .auth = role == MILGI_CLIENT };
    struct liar_setup setup = setup_of(&place);
    struct liar liar;
    if (victim)
        setup.victim = victim;
    setup.edit = sign_so;
    setup.arg = (void *)(uintptr_t)s;
    liar_init(&liar, &setup);
    go_on(&liar);
    if (!s->detail && !liar.victim->established)
        fail_msg("key %d, scheme %04x: %s", (int)s->key, s->scheme, liar_end(&liar));
    if (s->detail) {
        if (!liar.victim->closed || strcmp(liar.victim->reason.detail, s->detail) != 0)
            fail_msg("key %d, scheme %04x: %s", (int)s->key, s->scheme, liar_end(&liar));
        assert_int_equal(liar.victim->reason.error, MILGI_EPROTO);
        liar_expect_alert(&liar, MILGI_ALERT_ILLEGAL_PARAMETER);
        expect_silence(&liar);
    }
    liar_fini(&liar);
}

/*= RFC8446 4.4.3: "In addition, the signature algorithm MUST be compatible with the key in the sender's end-entity
 *= certificate.  RSA signatures MUST use an RSASSA-PSS algorithm, regardless of whether RSASSA-PKCS1-v1_5 algorithms
 *= appear in "signature_algorithms"." */
static void an_algorithm_that_does_not_fit_the_key_is_refused(void **state)
{
    (void)state;
    static const struct signature signatures[] = {
        { IDENTITY_P256, MILGI_SIG_ECDSA_SECP256R1_SHA256, MILGI_SIG_ECDSA_SECP256R1_SHA256, NULL },
        { IDENTITY_P256, MILGI_SIG_ECDSA_SECP384R1_SHA384, MILGI_SIG_ECDSA_SECP384R1_SHA384, NOT_OF_THE_KEY },
        { IDENTITY_P256, MILGI_SIG_ECDSA_SECP521R1_SHA512, MILGI_SIG_ECDSA_SECP521R1_SHA512, NOT_OF_THE_KEY },
        { IDENTITY_P384, MILGI_SIG_ECDSA_SECP384R1_SHA384, MILGI_SIG_ECDSA_SECP384R1_SHA384, NULL },
        { IDENTITY_P384, MILGI_SIG_ECDSA_SECP256R1_SHA256, MILGI_SIG_ECDSA_SECP256R1_SHA256, NOT_OF_THE_KEY },
        { IDENTITY_P521, MILGI_SIG_ECDSA_SECP521R1_SHA512, MILGI_SIG_ECDSA_SECP521R1_SHA512, NULL },
        { IDENTITY_P521, MILGI_SIG_ECDSA_SECP256R1_SHA256, MILGI_SIG_ECDSA_SECP256R1_SHA256, NOT_OF_THE_KEY },
        { IDENTITY_ED25519, MILGI_SIG_ED25519, MILGI_SIG_ED25519, NULL },
        { IDENTITY_ED25519, MILGI_SIG_ED25519, MILGI_SIG_ECDSA_SECP256R1_SHA256, NOT_OF_THE_KEY },
        { IDENTITY_RSA, MILGI_SIG_RSA_PSS_RSAE_SHA256, MILGI_SIG_RSA_PSS_RSAE_SHA256, NULL },
        { IDENTITY_RSA, MILGI_SIG_RSA_PSS_RSAE_SHA512, MILGI_SIG_RSA_PSS_RSAE_SHA512, NULL },
        /* The same bits, under the name that is for the other kind of key. */
        { IDENTITY_RSA, MILGI_SIG_RSA_PSS_RSAE_SHA256, MILGI_SIG_RSA_PSS_PSS_SHA256, NOT_OF_THE_KEY },
        { IDENTITY_RSA, MILGI_SIG_RSA_PSS_RSAE_SHA256, MILGI_SIG_ECDSA_SECP256R1_SHA256, NOT_OF_THE_KEY },
        { IDENTITY_RSA_PSS, MILGI_SIG_RSA_PSS_PSS_SHA256, MILGI_SIG_RSA_PSS_PSS_SHA256, NULL },
        { IDENTITY_RSA_PSS, MILGI_SIG_RSA_PSS_PSS_SHA256, MILGI_SIG_RSA_PSS_RSAE_SHA256, NOT_OF_THE_KEY },
        { IDENTITY_RSA_PSS, MILGI_SIG_RSA_PSS_PSS_SHA384, MILGI_SIG_RSA_PSS_RSAE_SHA384, NOT_OF_THE_KEY },
    };
    for (size_t i = 0; i < MILGI__COUNT(signatures); i++) {
        judge(MILGI_SERVER, NULL, &signatures[i]);
        judge(MILGI_CLIENT, NULL, &signatures[i]);
    }
}

/*= RFC8446 4.2.3: rsa_pkcs1 values "refer solely to signatures which appear in certificates (see Section 4.4.2.2) and
 *= are not defined for use in signed TLS handshake messages" */
/* They are in our signature_algorithms_cert, and in no list that a CertificateVerify is measured by. */
static void pkcs1_and_what_is_obsolete_sign_no_handshake(void **state)
{
    (void)state;
    static const struct signature signatures[] = {
        { IDENTITY_RSA, MILGI_SIG_RSA_PKCS1_SHA256, MILGI_SIG_RSA_PKCS1_SHA256, NOT_OFFERED },
        { IDENTITY_RSA, MILGI_SIG_RSA_PKCS1_SHA384, MILGI_SIG_RSA_PKCS1_SHA384, NOT_OFFERED },
        { IDENTITY_RSA, MILGI_SIG_RSA_PKCS1_SHA512, MILGI_SIG_RSA_PKCS1_SHA512, NOT_OFFERED },
        { IDENTITY_RSA, MILGI_SIG_RSA_PSS_RSAE_SHA256, 0x0201, NOT_OFFERED },     /* rsa_pkcs1_sha1 */
        { IDENTITY_P256, MILGI_SIG_ECDSA_SECP256R1_SHA256, 0x0203, NOT_OFFERED }, /* ecdsa_sha1 */
        { IDENTITY_P256, MILGI_SIG_ECDSA_SECP256R1_SHA256, 0x0402, NOT_OFFERED }, /* dsa_sha256 */
        { IDENTITY_P256, MILGI_SIG_ECDSA_SECP256R1_SHA256, 0x0a0a, NOT_OFFERED }, /* GREASE */
        { IDENTITY_ED25519, MILGI_SIG_ED25519, 0x0808, NOT_OFFERED },             /* ed448 */
        { IDENTITY_ED25519, MILGI_SIG_ED25519, 0, NOT_OFFERED },
    };
    for (size_t i = 0; i < MILGI__COUNT(signatures); i++) {
        judge(MILGI_SERVER, NULL, &signatures[i]);
        judge(MILGI_CLIENT, NULL, &signatures[i]);
    }
}

/* A victim that offers these two alone. */
static struct milgi_config *offering(enum milgi_role role)
{
    static const uint16_t schemes[] = { MILGI_SIG_ECDSA_SECP256R1_SHA256, MILGI_SIG_RSA_PSS_RSAE_SHA256 };
    struct milgi_config *config =
        configs_begin(role, role == MILGI_SERVER ? leaf[IDENTITY_P256] : NULL, fixture.root);
    MUST(milgi_config_set_signature_schemes(config, schemes, MILGI__COUNT(schemes)));
    return configs_freeze(config);
}

/*= RFC8446 4.4.3: "If the CertificateVerify message is sent by a server, the signature algorithm MUST be one offered in
 *= the client's "signature_algorithms" extension unless no valid certificate chain can be produced without unsupported
 *= algorithms",
 *= "If sent by a client, the signature algorithm used in the signature MUST be one of those present in the
 *= supported_signature_algorithms field of the "signature_algorithms" extension in the CertificateRequest message." */
static void an_algorithm_that_fits_the_key_must_be_offered_too(void **state)
{
    (void)state;
    static const struct signature signatures[] = {
        { IDENTITY_P256, MILGI_SIG_ECDSA_SECP256R1_SHA256, MILGI_SIG_ECDSA_SECP256R1_SHA256, NULL },
        { IDENTITY_RSA, MILGI_SIG_RSA_PSS_RSAE_SHA256, MILGI_SIG_RSA_PSS_RSAE_SHA256, NULL },
        { IDENTITY_RSA, MILGI_SIG_RSA_PSS_RSAE_SHA384, MILGI_SIG_RSA_PSS_RSAE_SHA384, NOT_OFFERED },
        { IDENTITY_RSA, MILGI_SIG_RSA_PSS_RSAE_SHA512, MILGI_SIG_RSA_PSS_RSAE_SHA512, NOT_OFFERED },
        { IDENTITY_RSA_PSS, MILGI_SIG_RSA_PSS_PSS_SHA256, MILGI_SIG_RSA_PSS_PSS_SHA256, NOT_OFFERED },
        { IDENTITY_P384, MILGI_SIG_ECDSA_SECP384R1_SHA384, MILGI_SIG_ECDSA_SECP384R1_SHA384, NOT_OFFERED },
        { IDENTITY_P521, MILGI_SIG_ECDSA_SECP521R1_SHA512, MILGI_SIG_ECDSA_SECP521R1_SHA512, NOT_OFFERED },
        { IDENTITY_ED25519, MILGI_SIG_ED25519, MILGI_SIG_ED25519, NOT_OFFERED },
    };
    struct milgi_config *client = offering(MILGI_CLIENT), *server = offering(MILGI_SERVER);
    for (size_t i = 0; i < MILGI__COUNT(signatures); i++) {
        judge(MILGI_SERVER, client, &signatures[i]);
        judge(MILGI_CLIENT, server, &signatures[i]);
    }
    milgi_config_unref(client);
    milgi_config_unref(server);
}

/* --- certificate_request_context ---------------------------------------------------------------------------------- */

static void context_of_one(struct pair_bytes *m)
{
    liar_splice(m, 4, 1, "\1x", 2);
}

static void context_of_255(struct pair_bytes *m)
{
    uint8_t context[256];
    memset(context, 'x', sizeof context);
    context[0] = 255;
    liar_splice(m, 4, 1, context, sizeof context);
}

static void no_bytes(struct pair_bytes *m)
{
    liar_splice(m, 4, m->len - 4, "\0\0\0\5\0\0\0\0\0", 9);
}

static void no_extensions(struct pair_bytes *m)
{
    liar_splice(m, 4, m->len - 4, "\0\0\0\4\0\0\1x", 8);
}

/*= RFC8446 4.4.2: "opaque cert_data<1..2^24-1>;", "Extension extensions<0..2^16-1>;" */
static void an_entry_of_a_certificate_has_bytes_and_extensions(void **state)
{
    (void)state;
    static const struct lie lies[] = {
        { "a server's of no bytes", CERT, CALL, 0, NULL, 0, DECODE, 0, no_bytes },
        { "a server's without extensions", CERT, CALL, 0, NULL, 0, DECODE, 0, no_extensions },
        { "a client's of no bytes", CLIENT_CERT, CALL, 0, NULL, 0, DECODE, 0, no_bytes },
        { "a client's without extensions", CLIENT_CERT, CALL, 0, NULL, 0, DECODE, 0, no_extensions },
    };
    tell_all(lies, MILGI__COUNT(lies));
}

/*= RFC8446 4.4.2: "If this message is in response to a CertificateRequest, the value of certificate_request_context in
 *= that message.  Otherwise (in the case of server authentication), this field SHALL be zero length." */
static void a_certificate_has_the_context_that_was_asked_for_which_is_none(void **state)
{
    (void)state;
    static const char detail[] = "Certificate with a context";
    static const struct lie lies[] = {
        { "a server's, of a byte", CERT, CALL, 0, NULL, 0, ILLEGAL, 0, context_of_one },
        { "a server's, of 255 bytes", CERT, CALL, 0, NULL, 0, ILLEGAL, 0, context_of_255 },
        { "a client's, of a byte", CLIENT_CERT, CALL, 0, NULL, 0, ILLEGAL, 0, context_of_one },
        { "a client's, of 255 bytes", CLIENT_CERT, CALL, 0, NULL, 0, ILLEGAL, 0, context_of_255 },
    };
    for (size_t i = 0; i < MILGI__COUNT(lies); i++) {
        struct liar_setup setup = setup_of(&lies[i].place);
        tell_as(&lies[i], &setup, detail);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_algorithm_that_does_not_fit_the_key_is_refused),
        cmocka_unit_test(pkcs1_and_what_is_obsolete_sign_no_handshake),
        cmocka_unit_test(an_algorithm_that_fits_the_key_must_be_offered_too),
        cmocka_unit_test(an_entry_of_a_certificate_has_bytes_and_extensions),
        cmocka_unit_test(a_certificate_has_the_context_that_was_asked_for_which_is_none),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
