/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The connections of RFC 8448, replayed through real connections in both roles: randomness and private keys are the
 * document's, in the order in which they are drawn; what the other side sent is fed in, and every record that comes
 * out must be the document's, byte for byte.
 *
 * What a connection of ours cannot say itself is put in its mouth as a whole message, after what it would have said is
 * compared with it as far as the two mean the same:
 *   ClientHello          the document's offers renegotiation_info, session_ticket and psk_key_exchange_modes, groups
 *                        and signatures that we do not have (FFDHE, SHA-1), and pads
 *   HelloRetryRequest    the document's has a cookie
 *   EncryptedExtensions  the document's has supported_groups (a hint that may be left out), and another order
 *   CertificateRequest   the document's lists signatures with SHA-1
 *   NewSessionTicket     we send none: it is queued as handshake content between Finished and the data
 * All else is what connections do by themselves: the other messages, transcript, keys, Finished, records, alerts.
 *
 * The keys of the document's certificates have 1024 bits, which is refused everywhere: the certificate is said to have
 * 2048, and the test looks at signatures itself. RSA-PSS is randomized: what is asked to sign answers with the
 * document's signature, once it has seen that it is one over what was to be signed. It does so from inside the op's
 * submission, as a device would not: Certificate leaves before its signature is there, in a record of its own, if that
 * takes any time.
 *
 * ctest-wrap: milgi__client_hello_encode milgi__client_hello_decode13
 * ctest-wrap: milgi__server_hello_encode milgi__encrypted_extensions_encode
 * ctest-wrap: milgi__certificate_request_encode milgi__cert_info milgi__pkey_new milgi__pkey_free
 * ctest-wrap: milgi__pkey_sign milgi__verify milgi__chain_verify
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "cert/cert.h"
#include "config/config.h"
#include "conn/records.h"
#include "conn/state.h"
#include "handshake/msg/msg.h"
#include "identity.h"
#include "pair.h"
#include "rfc8448.h"

#define MUST(call) assert_int_equal(call, 0)

/* The connection that is being replayed. */
static struct {
    const struct rfc8448_trace *trace;
    enum rfc8448_who us;
    struct milgi_engine *engine;
    struct milgi_conn *conn;
    struct milgi_credential *credential; /* our own, or NULL */
    struct pair_bytes randoms, out, got;
    size_t randoms_at, out_at;
    unsigned hellos, signs, verifies, chains; /* how often */
    bool established, closed;
    int alert;
    struct milgi_reason reason;
} play;

static struct rfc8448_bytes own(const char *what, const char *name, unsigned nth)
{
    return rfc8448_get(play.trace, play.us, what, name, nth);
}

static enum rfc8448_who peer(void)
{
    return play.us == RFC8448_CLIENT ? RFC8448_SERVER : RFC8448_CLIENT;
}

/* --- what is put in its mouth ------------------------------------------------------------------------------------- */

struct message {
    uint8_t data[1024];
    size_t len;
};

static const unsigned not_ours[] = { 10, 13, 21, 35, 44, 45, 50, 0xff01 };

static bool is_ours(unsigned iana)
{
    for (size_t i = 0; i < MILGI__COUNT(not_ours); i++) {
        if (iana == not_ours[i])
            return false;
    }
    return true;
}

/*
 * Copies a message whose extensions stand at |block| without those that only one side says, or says with other values.
 * |order| of the rest is kept, or they are sorted.
 */
static struct message common(const uint8_t *m, size_t len, size_t block, bool sorted)
{
    struct message out = { .len = block };
    memcpy(out.data, m, block);
    memset(out.data + 1, 0, 3);
    memset(out.data + block - 2, 0, 2);
    int last = -1;
    for (bool more = true; more;) {
        int best = -1;
        size_t best_at = 0;
        for (size_t at = block; at < len; at += 4 + milgi__get16(m + at + 2)) {
            int iana = (int)milgi__get16(m + at);
            if (!is_ours((unsigned)iana))
                continue;
            if (!sorted) {
                memcpy(out.data + out.len, m + at, 4 + milgi__get16(m + at + 2));
                out.len += 4 + milgi__get16(m + at + 2);
            } else if (iana > last && (best < 0 || iana < best)) {
                best = iana;
                best_at = at;
            }
        }
        more = sorted && best >= 0;
        if (!more)
            break;
        memcpy(out.data + out.len, m + best_at, 4 + milgi__get16(m + best_at + 2));
        out.len += 4 + milgi__get16(m + best_at + 2);
        last = best;
    }
    return out;
}

static size_t block_of_client_hello(const uint8_t *m)
{
    size_t at = 4 + 2 + 32;
    at += 1 + m[at];
    at += 2 + milgi__get16(m + at);
    return at + 1 + m[at] + 2;
}

static size_t block_of_server_hello(const uint8_t *m)
{
    return 4 + 2 + 32 + 1 + (size_t)m[4 + 2 + 32] + 2 + 1 + 2;
}

/* Ours, which |w| has got since |from|, and the document's mean the same; then the latter takes its place. */
static void replace(struct milgi__writer *w, uint8_t *from, const char *name, unsigned nth,
    size_t (*block)(const uint8_t *), bool sorted)
{
    struct rfc8448_bytes theirs = own("message", name, nth);
    size_t len = (size_t)(w->p - from);
    assert_false(w->bad);
    struct message a = common(from, len, block(from), sorted);
    struct message b = common(theirs.data, theirs.len, block(theirs.data), sorted);
    assert_int_equal(a.len, b.len);
    assert_memory_equal(a.data, b.data, a.len);
    assert_true(theirs.len <= (size_t)(w->end - from));
    memcpy(from, theirs.data, theirs.len);
    w->p = from + theirs.len;
}

void __real_milgi__client_hello_encode(struct milgi__writer *w, const struct milgi__client_hello *hello);
void __wrap_milgi__client_hello_encode(struct milgi__writer *w, const struct milgi__client_hello *hello);
void __wrap_milgi__client_hello_encode(struct milgi__writer *w, const struct milgi__client_hello *hello)
{
    uint8_t *from = w->p;
    __real_milgi__client_hello_encode(w, hello);
    replace(w, from, "ClientHello", play.hellos++, block_of_client_hello, true);
}

void __real_milgi__server_hello_encode(struct milgi__writer *w, const struct milgi__server_hello *hello);
void __wrap_milgi__server_hello_encode(struct milgi__writer *w, const struct milgi__server_hello *hello);
void __wrap_milgi__server_hello_encode(struct milgi__writer *w, const struct milgi__server_hello *hello)
{
    uint8_t *from = w->p;
    __real_milgi__server_hello_encode(w, hello);
    if (hello->retry)
        replace(w, from, "ServerHello", 0, block_of_server_hello, false);
}

bool __real_milgi__client_hello_decode13(struct milgi__client_hello *hello, struct milgi__failure *failure);
bool __wrap_milgi__client_hello_decode13(struct milgi__client_hello *hello, struct milgi__failure *failure);
bool __wrap_milgi__client_hello_decode13(struct milgi__client_hello *hello, struct milgi__failure *failure)
{
    bool ok = __real_milgi__client_hello_decode13(hello, failure);
    hello->ext.present &= ~MILGI__EXT(MILGI__EXT_COOKIE); /* it was given in our name */
    return ok;
}

static size_t block_of_extensions(const uint8_t *m)
{
    (void)m;
    return 4 + 2;
}

void __real_milgi__encrypted_extensions_encode(struct milgi__writer *w, const struct milgi__exts *ext);
void __wrap_milgi__encrypted_extensions_encode(struct milgi__writer *w, const struct milgi__exts *ext);
void __wrap_milgi__encrypted_extensions_encode(struct milgi__writer *w, const struct milgi__exts *ext)
{
    uint8_t *from = w->p;
    __real_milgi__encrypted_extensions_encode(w, ext);
    replace(w, from, "EncryptedExtensions", 0, block_of_extensions, true);
}

static size_t block_of_request(const uint8_t *m)
{
    return 4 + 1 + (size_t)m[4] + 2;
}

void __real_milgi__certificate_request_encode(
    struct milgi__writer *w, const struct milgi__certificate_request *request);
void __wrap_milgi__certificate_request_encode(
    struct milgi__writer *w, const struct milgi__certificate_request *request);
void __wrap_milgi__certificate_request_encode(
    struct milgi__writer *w, const struct milgi__certificate_request *request)
{
    uint8_t *from = w->p;
    __real_milgi__certificate_request_encode(w, request);
    replace(w, from, "CertificateRequest", 0, block_of_request, false);
}

int __real_milgi__cert_info(struct milgi__crypto *cx, const uint8_t *der, size_t len, struct milgi__cert_info *info);
int __wrap_milgi__cert_info(struct milgi__crypto *cx, const uint8_t *der, size_t len, struct milgi__cert_info *info);
int __wrap_milgi__cert_info(struct milgi__crypto *cx, const uint8_t *der, size_t len, struct milgi__cert_info *info)
{
    int rv = __real_milgi__cert_info(cx, der, len, info);
    if (rv == 0 && info->type == MILGI__KEY_RSA && info->bits == 1024)
        info->bits = 2048;
    return rv;
}

/* --- signatures --------------------------------------------------------------------------------------------------- */

static bool verifies(uint16_t scheme, const uint8_t *spki, size_t spki_len, const uint8_t *input, size_t input_len,
    const uint8_t *sig, size_t sig_len)
{
    EVP_PKEY *key = d2i_PUBKEY(NULL, &spki, (long)spki_len);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_PKEY_CTX *pctx = NULL;
    assert_non_null(key);
    assert_int_equal(EVP_DigestVerifyInit(ctx, &pctx, EVP_sha256(), NULL, key), 1);
    if (scheme == MILGI_SIG_RSA_PSS_RSAE_SHA256) {
        assert_true(EVP_PKEY_CTX_set_rsa_padding(pctx, RSA_PKCS1_PSS_PADDING) == 1);
        assert_true(EVP_PKEY_CTX_set_rsa_pss_saltlen(pctx, RSA_PSS_SALTLEN_DIGEST) == 1);
    } else {
        assert_int_equal(scheme, MILGI_SIG_ECDSA_SECP256R1_SHA256);
    }
    bool ok = EVP_DigestVerify(ctx, sig, sig_len, input, input_len) == 1;
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(key);
    return ok;
}

struct milgi__pkey {
    int nothing;
};

struct milgi__pkey *__wrap_milgi__pkey_new(struct milgi__crypto *cx, const uint8_t *pkcs8, size_t len);
struct milgi__pkey *__wrap_milgi__pkey_new(struct milgi__crypto *cx, const uint8_t *pkcs8, size_t len)
{
    static struct milgi__pkey key;
    (void)cx;
    (void)pkcs8;
    (void)len;
    return &key;
}

void __wrap_milgi__pkey_free(struct milgi__pkey *key);
void __wrap_milgi__pkey_free(struct milgi__pkey *key)
{
    (void)key;
}

int __wrap_milgi__pkey_sign(struct milgi__crypto *cx, struct milgi__pkey *key, uint16_t scheme, const uint8_t *input,
    size_t input_len, uint8_t *sig, size_t *sig_len);
int __wrap_milgi__pkey_sign(struct milgi__crypto *cx, struct milgi__pkey *key, uint16_t scheme, const uint8_t *input,
    size_t input_len, uint8_t *sig, size_t *sig_len)
{
    struct rfc8448_bytes message = own("message", "CertificateVerify", 0);
    const struct milgi_credential *c = play.credential;
    (void)cx;
    (void)key;
    assert_int_equal(scheme, milgi__get16(message.data + 4));
    *sig_len = message.len - 8;
    memcpy(sig, message.data + 8, *sig_len);
    assert_true(verifies(scheme, c->spki, c->spki_len, input, input_len, sig, *sig_len));
    play.signs++;
    return 0;
}

int __wrap_milgi__verify(struct milgi__crypto *cx, const uint8_t *spki, size_t spki_len, uint16_t scheme,
    const uint8_t *input, size_t input_len, const uint8_t *sig, size_t sig_len);
int __wrap_milgi__verify(struct milgi__crypto *cx, const uint8_t *spki, size_t spki_len, uint16_t scheme,
    const uint8_t *input, size_t input_len, const uint8_t *sig, size_t sig_len)
{
    (void)cx;
    play.verifies++;
    return verifies(scheme, spki, spki_len, input, input_len, sig, sig_len) ? 0 : MILGI__BAD;
}

/* Nobody's trust takes certificates as weak as these: the chain is the document's, and that is all. */
int __wrap_milgi__chain_verify(struct milgi__crypto *cx, struct milgi__store *store,
    const struct milgi__chain_query *query, struct milgi__chain_answer *answer);
int __wrap_milgi__chain_verify(struct milgi__crypto *cx, struct milgi__store *store,
    const struct milgi__chain_query *query, struct milgi__chain_answer *answer)
{
    struct rfc8448_bytes message = rfc8448_get(play.trace, peer(), "message", "Certificate", 0);
    size_t len = 3 + milgi__get24(message.data + 8);
    (void)cx;
    (void)store;
    *answer = (struct milgi__chain_answer){ .alert = MILGI_ALERT_NONE };
    assert_int_equal(query->chain_len, len);
    assert_memory_equal(query->chain, message.data + 8, len);
    play.chains++;
    return 0;
}

/* --- what the engine is given ------------------------------------------------------------------------------------- */

static int next_random(void *ctx, uint8_t *out, size_t len)
{
    (void)ctx;
    assert_true(play.randoms_at + len <= play.randoms.len);
    memcpy(out, play.randoms.p + play.randoms_at, len);
    play.randoms_at += len;
    return 0;
}

static void on_output(struct milgi_conn *conn, void *arg, const struct milgi_iov *iov, size_t iov_n)
{
    (void)arg;
    for (size_t i = 0; i < iov_n; i++) {
        pair_bytes_add(&play.out, iov[i].data, iov[i].len);
        milgi_conn_output_done(conn, iov[i].len);
    }
}

static void on_data(struct milgi_conn *conn, void *arg, const struct milgi_slice *slices, size_t n)
{
    (void)arg;
    for (size_t i = 0; i < n; i++) {
        pair_bytes_add(&play.got, slices[i].data, slices[i].len);
        milgi_conn_consumed(conn, slices[i].len);
    }
}

static void on_established(struct milgi_conn *conn, void *arg)
{
    (void)conn;
    (void)arg;
    play.established = true;
}

static void on_alert(struct milgi_conn *conn, void *arg, int alert)
{
    (void)conn;
    (void)arg;
    play.alert = alert;
}

static void on_closed(struct milgi_conn *conn, void *arg, const struct milgi_reason *reason)
{
    (void)conn;
    (void)arg;
    play.closed = true;
    play.reason = *reason;
}

static const struct milgi_events events = { .on_output = on_output,
    .on_data = on_data,
    .on_established = on_established,
    .on_alert = on_alert,
    .on_closed = on_closed };

/* --- credentials and configs -------------------------------------------------------------------------------------- */

static void destroy(struct milgi_credential *c)
{
    milgi__free(c->chain);
    milgi__free(c->spki);
    milgi__free(c->pkcs8);
    milgi__free(c);
}

/* The document's certificate. */
static struct milgi_credential *credential(void)
{
    struct rfc8448_bytes message = own("message", "Certificate", 0);
    struct milgi_credential *c = milgi__alloc(sizeof *c);
    const uint8_t *entry = message.data + 4 + 1 + 3;
    struct milgi__cert_info info;
    assert_non_null(c);
    atomic_init(&c->refs, 1);
    c->destroy = destroy;
    c->serial = milgi__key_serial();
    c->chain_n = 1;
    c->chain_len = 3 + milgi__get24(entry);
    c->chain = milgi__alloc(c->chain_len);
    memcpy(c->chain, entry, c->chain_len);
    MUST(milgi__cert_info(NULL, c->chain + 3, c->chain_len - 3, &info));
    c->type = info.type;
    c->bits = info.bits;
    c->leaf_signed_with = info.signed_with;
    c->spki_len = info.spki_len;
    c->spki = milgi__alloc(info.spki_len);
    memcpy(c->spki, info.spki, info.spki_len);
    c->schemes_n = milgi__key_schemes(c->spki, c->spki_len, c->type, c->schemes);
    c->pkcs8_len = 1; /* never looked at */
    c->pkcs8 = milgi__alloc(1);
    return c;
}

static struct milgi_config *config_of(bool client_auth)
{
    static const uint16_t suites[] = { MILGI_SUITE_AES_128_GCM_SHA256, MILGI_SUITE_CHACHA20_POLY1305_SHA256,
        MILGI_SUITE_AES_256_GCM_SHA384 };
    static const uint16_t groups[] = { MILGI_GROUP_X25519, MILGI_GROUP_SECP256R1 };
    bool client = play.us == RFC8448_CLIENT, retry = strcmp(play.trace->name, "retry") == 0;
    struct milgi_config *config = milgi_config_new(client ? MILGI_CLIENT : MILGI_SERVER);
    MUST(milgi_config_set_suites(config, suites, 3));
    MUST(milgi_config_set_groups(config, groups + (!client && retry), !client && retry ? 1 : 2));
    MUST(milgi_config_set_middlebox(config, strcmp(play.trace->name, "compatibility") == 0));
    if (client_auth || client) {
        struct milgi_trust *trust;
        struct identity *root = identity_root(IDENTITY_P256, "Root");
        MUST(milgi_trust_new_pem(root->cert_pem, strlen(root->cert_pem), &trust));
        MUST(milgi_config_set_trust(config, trust));
        MUST(milgi_config_set_authorities(config, false));
        milgi_trust_unref(trust);
        identity_free(root);
    }
    if (client_auth || !client) {
        play.credential = credential();
        MUST(milgi_config_add_credential(config, play.credential));
        milgi_credential_unref(play.credential);
    }
    MUST(milgi_config_freeze(config, NULL));
    return config;
}

/* --- the replay --------------------------------------------------------------------------------------------------- */

static void draw(struct rfc8448_bytes bytes)
{
    pair_bytes_add(&play.randoms, bytes.data, bytes.len);
}

/* The seed from which KEYGEN makes this key: for P-256 the same number in 40 bytes. */
static void draw_key(const struct rfc8448_item *item)
{
    struct rfc8448_bytes key = rfc8448_bytes(item);
    if (strcmp(item->name, "P-256") == 0) {
        static const uint8_t zeros[8];
        pair_bytes_add(&play.randoms, zeros, sizeof zeros);
    }
    draw(key);
}

/* What is drawn, in program order. */
static void draw_all(void)
{
    bool client = play.us == RFC8448_CLIENT;
    unsigned last = rfc8448_find(play.trace, play.us, "message", client ? "ClientHello" : "ServerHello", 1) ? 1 : 0;
    struct rfc8448_bytes hello = own("message", client ? "ClientHello" : "ServerHello", last);
    struct rfc8448_bytes random = { .len = 32 }, session = { .len = hello.data[38] };
    memcpy(random.data, hello.data + 6, 32);
    memcpy(session.data, hello.data + 39, session.len);
    if (client) {
        draw(random);
        draw(session);
    }
    for (unsigned i = 0; rfc8448_find(play.trace, play.us, "private", NULL, i); i++)
        draw_key(rfc8448_find(play.trace, play.us, "private", NULL, i));
    if (!client)
        draw(random);
}

static void run(void)
{
    struct milgi_run_result result = { .next = MILGI_RUN_AGAIN };
    while (result.next == MILGI_RUN_AGAIN)
        MUST(milgi_engine_run(play.engine, 0, &result));
}

static void feed(struct rfc8448_bytes record)
{
    struct milgi_chunk *chunk = milgi_chunk_new(play.engine, record.len);
    memcpy(milgi_chunk_data(chunk), record.data, record.len);
    MUST(milgi_conn_receive(play.conn, (struct milgi_slice){ chunk, milgi_chunk_data(chunk), (uint32_t)record.len }));
    run();
}

static bool is_ticket(struct rfc8448_bytes payload)
{
    return payload.data[0] == MILGI__MSG_NEW_SESSION_TICKET;
}

/* What makes us send the next record, when nothing else does. */
static void cause(const char *name, struct rfc8448_bytes payload)
{
    if (strcmp(name, "application_data") == 0)
        MUST(milgi_conn_write(play.conn, payload.data, payload.len));
    else if (strcmp(name, "alert") == 0)
        MUST(milgi_conn_shutdown(play.conn));
    else if (is_ticket(payload))
        MUST(milgi__record_write(&play.conn->transport->rec, MILGI__HANDSHAKE, payload.data, payload.len, false));
    else
        return;
    if (is_ticket(payload)) /* the pipeline alone does not ask for a turn */
        milgi__engine_ready(play.engine, &play.conn->owner);
    run();
}

static void expect(struct rfc8448_bytes record)
{
    if (play.closed && play.reason.error)
        fail_msg("closed: %s", play.reason.detail);
    assert_true(play.out.len - play.out_at >= record.len);
    assert_memory_equal(play.out.p + play.out_at, record.data, record.len);
    play.out_at += record.len;
}

static void begin(const struct rfc8448_trace *trace, enum rfc8448_who us)
{
    memset(&play, 0, sizeof play);
    play.trace = trace;
    play.us = us;
    play.alert = MILGI_ALERT_NONE;
    draw_all();
    struct milgi_engine_options options;
    milgi_engine_options_init(&options);
    options.random = next_random;
    MUST(milgi_engine_new(&options, &play.engine));
}

/* The alerts that close a connection are the last two records. */
static void finish(bool client_auth)
{
    assert_int_equal(play.out_at, play.out.len);
    assert_int_equal(play.randoms_at, play.randoms.len);
    assert_true(play.established);
    assert_true(play.closed);
    assert_int_equal(play.reason.error, 0);
    assert_int_equal(play.alert, MILGI_ALERT_CLOSE_NOTIFY);
    bool client = play.us == RFC8448_CLIENT;
    assert_int_equal(play.signs, !client || client_auth);
    assert_int_equal(play.verifies, client || client_auth);
    assert_int_equal(play.chains, client || client_auth);
    milgi_conn_free(play.conn);
    MUST(milgi_engine_free(play.engine));
    free(play.randoms.p);
    free(play.out.p);
    free(play.got.p);
}

static void replay(const struct rfc8448_trace *trace, enum rfc8448_who us)
{
    bool client_auth = rfc8448_find(trace, RFC8448_SERVER, "message", "CertificateRequest", 0) != NULL;
    begin(trace, us);
    struct milgi_config *config = config_of(client_auth);
    MUST(milgi_conn_new(play.engine, config, us == RFC8448_CLIENT ? "server" : NULL, &events, NULL, &play.conn));
    milgi_config_unref(config);
    run();
    unsigned records[2] = { 0, 0 };
    for (size_t i = 0; i < trace->n; i++) {
        const struct rfc8448_item *item = &trace->item[i];
        if (strcmp(item->what, "record") != 0)
            continue;
        struct rfc8448_bytes payload = rfc8448_get(trace, item->who, "payload", NULL, records[item->who]++);
        if (item->who == us) {
            cause(item->name, payload);
            expect(rfc8448_bytes(item));
            continue;
        }
        size_t got = play.got.len;
        feed(rfc8448_bytes(item));
        bool data = strcmp(item->name, "application_data") == 0;
        assert_int_equal(play.got.len - got, data ? payload.len : 0);
        if (data)
            assert_memory_equal(play.got.p + got, payload.data, payload.len);
    }
    assert_true(records[us] >= 3 && records[peer()] >= 3);
    struct milgi_conn_info info;
    milgi_conn_info(play.conn, &info);
    assert_int_equal(info.suite, MILGI_SUITE_AES_128_GCM_SHA256);
    assert_int_equal(info.hello_retry, strcmp(trace->name, "retry") == 0);
    assert_int_equal(info.peer_authenticated, us == RFC8448_CLIENT || client_auth);
    finish(client_auth);
}

static void the_server_of_the_simple_handshake_sends_the_bytes_of_the_rfc(void **state)
{
    (void)state;
    replay(&rfc8448_traces[0], RFC8448_SERVER);
}

static void the_client_of_the_simple_handshake_sends_the_bytes_of_the_rfc(void **state)
{
    (void)state;
    replay(&rfc8448_traces[0], RFC8448_CLIENT);
}

static void a_server_that_asks_for_a_retry_sends_the_bytes_of_the_rfc(void **state)
{
    (void)state;
    replay(&rfc8448_traces[1], RFC8448_SERVER);
}

static void a_client_that_is_asked_for_a_retry_sends_the_bytes_of_the_rfc(void **state)
{
    (void)state;
    replay(&rfc8448_traces[1], RFC8448_CLIENT);
}

static void a_server_that_authenticates_its_client_sends_the_bytes_of_the_rfc(void **state)
{
    (void)state;
    replay(&rfc8448_traces[2], RFC8448_SERVER);
}

static void a_client_that_authenticates_itself_sends_the_bytes_of_the_rfc(void **state)
{
    (void)state;
    replay(&rfc8448_traces[2], RFC8448_CLIENT);
}

static void a_server_in_compatibility_mode_sends_the_bytes_of_the_rfc(void **state)
{
    (void)state;
    replay(&rfc8448_traces[3], RFC8448_SERVER);
}

static void a_client_in_compatibility_mode_sends_the_bytes_of_the_rfc(void **state)
{
    (void)state;
    replay(&rfc8448_traces[3], RFC8448_CLIENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_server_of_the_simple_handshake_sends_the_bytes_of_the_rfc),
        cmocka_unit_test(the_client_of_the_simple_handshake_sends_the_bytes_of_the_rfc),
        cmocka_unit_test(a_server_that_asks_for_a_retry_sends_the_bytes_of_the_rfc),
        cmocka_unit_test(a_client_that_is_asked_for_a_retry_sends_the_bytes_of_the_rfc),
        cmocka_unit_test(a_server_that_authenticates_its_client_sends_the_bytes_of_the_rfc),
        cmocka_unit_test(a_client_that_authenticates_itself_sends_the_bytes_of_the_rfc),
        cmocka_unit_test(a_server_in_compatibility_mode_sends_the_bytes_of_the_rfc),
        cmocka_unit_test(a_client_in_compatibility_mode_sends_the_bytes_of_the_rfc),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
