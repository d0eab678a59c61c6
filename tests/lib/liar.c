/* SPDX-License-Identifier: Apache-2.0 */
#include "liar.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "cert/cert.h"
#include "op/material.h"

#define SEED_MAX 64

static void must(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "liar: %s\n", what);
    abort();
}

static bool is_client(const struct liar *l)
{
    return l->setup.role == MILGI_CLIENT;
}

static void draw(struct liar *l, uint8_t *out, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        l->random = l->random * 6364136223846793005u + 1442695040888963407u;
        out[i] = (uint8_t)(l->random >> 56);
    }
}

/* --- life --------------------------------------------------------------------------------------------------------- */

static void make_share(struct liar *l, uint16_t group)
{
    uint8_t seed[SEED_MAX];
    size_t len = milgi__kex_seed_len(group);
    draw(l, seed, len);
    l->share_group = group;
    l->secret_len = sizeof l->secret;
    l->pub_len = sizeof l->pub;
    must(milgi__kex_keygen(l->cx, group, seed, len, l->secret, &l->secret_len, l->pub, &l->pub_len) == 0, "no share");
}

static uint16_t scheme_of(const struct milgi_credential *c)
{
    static const uint16_t schemes[] = { MILGI_SIG_ED25519, MILGI_SIG_ECDSA_SECP256R1_SHA256,
        MILGI_SIG_ECDSA_SECP384R1_SHA384, MILGI_SIG_RSA_PSS_RSAE_SHA256 };
    return milgi__credential_scheme(c, true, schemes, MILGI__COUNT(schemes), schemes, MILGI__COUNT(schemes));
}

void liar_init(struct liar *l, const struct liar_setup *setup)
{
    memset(l, 0, sizeof *l);
    l->setup = *setup;
    l->random = 0x11a4;
    l->alert = l->alert_level = -1;
    if (l->setup.group == 0)
        l->setup.group = MILGI_GROUP_X25519;
    l->suite = milgi__suite(setup->suite ? setup->suite : MILGI_SUITE_AES_128_GCM_SHA256);
    l->cx = milgi__crypto_new();
    must(l->suite && l->cx, "no crypto");
    if (setup->credential) {
        l->key = milgi__pkey_new(l->cx, setup->credential->pkcs8, setup->credential->pkcs8_len);
        l->scheme = scheme_of(setup->credential);
        must(l->key && l->scheme, "no key");
    }
    int victim = is_client(l) ? MILGI_SERVER : MILGI_CLIENT;
    struct pair_setup pair = { .server_name = "server.test", .seed = 7, .options = setup->options };
    pair.config[victim] = setup->victim;
    pair.device[victim] = setup->device;
    pair_init(&l->pair, &pair);
    l->victim = &l->pair.side[victim];
    make_share(l, l->setup.group);
    if (is_client(l)) {
        l->due = MILGI__MSG_CLIENT_HELLO;
        l->session_id_len = setup->middlebox ? 32 : 0;
        draw(l, l->session_id, l->session_id_len);
    } else {
        l->due = -1;
    }
}

void liar_fini(struct liar *l)
{
    struct milgi_engine_stats stats;
    milgi_conn_free(l->victim->conn);
    l->victim->conn = NULL;
    /* What a device still has comes back to nobody. */
    for (unsigned i = 0; i < 100; i++) {
        l->pair.now_ns += 1000000000u;
        pair_run(l->victim, NULL);
        milgi_engine_stats(l->victim->engine, &stats);
        if (stats.ops_alive == 0)
            break;
    }
    assert_int_equal(stats.conns, 0);
    assert_int_equal(stats.ops_alive, 0);
    assert_int_equal(stats.memory, 0);
    pair_fini(&l->pair);
    milgi__transcript_free(&l->transcript);
    milgi__pkey_free(l->key);
    milgi__crypto_free(l->cx);
    free(l->heard.p);
    free(l->waiting.p);
    free(l->got.p);
    memset(l, 0, sizeof *l);
}

/* --- records ------------------------------------------------------------------------------------------------------ */

static void install(struct liar *l, struct liar_keys *k, const uint8_t *secret)
{
    static uint64_t serial = UINT64_C(1) << 60;
    memmove(k->secret, secret, milgi__hash_len(l->suite->hash));
    must(milgi__traffic_keys(l->cx, l->suite, k->secret, k->key, k->iv) == 0, "no traffic keys");
    if (k->on)
        milgi__aead_forget(l->cx, k->serial);
    k->serial = ++serial;
    k->seq = 0;
    k->epoch++;
    k->on = true;
}

static struct milgi__aead_key aead(const struct liar *l, const struct liar_keys *k)
{
    return (struct milgi__aead_key){ k->serial, l->suite->id, l->suite->key_len, k->key };
}

static void nonce_of(struct liar_keys *k, uint8_t nonce[12])
{
    memcpy(nonce, k->iv, 12);
    for (unsigned i = 0; i < 8; i++)
        nonce[11 - i] ^= (uint8_t)(k->seq >> 8 * i);
    k->seq++;
}

/* What waits goes as far as the victim takes it. True: something has gone. */
static bool push(struct liar *l)
{
    size_t at = 0;
    while (at < l->waiting.len && !milgi_conn_input_paused(l->victim->conn)) {
        size_t k = MILGI__MIN(l->waiting.len - at, 16384);
        (void)pair_feed(l->victim, l->waiting.p + at, k);
        at += k;
    }
    if (at)
        pair_bytes_drop(&l->waiting, at);
    return at > 0;
}

void liar_raw(struct liar *l, const void *data, size_t len)
{
    if (len == 0)
        return;
    pair_bytes_add(&l->waiting, data, len);
    (void)push(l);
}

static void head(uint8_t out[5], unsigned type, size_t len)
{
    out[0] = (uint8_t)type;
    milgi__put16(out + 1, 0x0303);
    milgi__put16(out + 3, (unsigned)len);
}

void liar_plain(struct liar *l, unsigned type, const void *data, size_t len)
{
    struct pair_bytes record = { 0 };
    uint8_t header[5];
    head(header, type, len);
    pair_bytes_add(&record, header, 5);
    pair_bytes_add(&record, data, len);
    liar_raw(l, record.p, record.len);
    free(record.p);
}

void liar_inner(struct liar *l, unsigned outer_type, const void *inner, size_t len)
{
    struct milgi__aead_key key = aead(l, &l->write);
    uint8_t nonce[12], *record = malloc(5 + len + 16);
    must(record && l->write.on, "nothing to seal with");
    head(record, outer_type, len + 16);
    if (len)
        memcpy(record + 5, inner, len);
    nonce_of(&l->write, nonce);
    struct milgi__piece piece = { record + 5, len };
    must(milgi__aead_seal(l->cx, &key, nonce, record, 5, &piece, 1, 0, 0, record + 5) == 0, "seal");
    liar_raw(l, record, 5 + len + 16);
    free(record);
}

void liar_record(struct liar *l, unsigned type, const void *data, size_t len, size_t pad)
{
    if (!l->write.on || type == LIAR_CCS) {
        liar_plain(l, type, data, len);
        return;
    }
    uint8_t *inner = calloc(1, len + 1 + pad);
    must(inner != NULL, "no memory");
    if (len)
        memcpy(inner, data, len);
    inner[len] = (uint8_t)type;
    liar_inner(l, LIAR_DATA, inner, len + 1 + pad);
    free(inner);
}

void liar_send_ccs(struct liar *l)
{
    liar_plain(l, LIAR_CCS, "\1", 1);
}

void liar_send_alert(struct liar *l, int level, int alert)
{
    uint8_t bytes[2] = { (uint8_t)level, (uint8_t)alert };
    liar_record(l, LIAR_ALERT, bytes, 2, 0);
}

static void send_handshake(struct liar *l, const uint8_t *p, size_t len)
{
    size_t at = l->gone, most = l->fragment ? l->fragment : 16384;
    struct pair_bytes record = { 0 };
    must(at <= len, "more is gone than there was");
    l->gone = 0;
    for (bool first = at == 0; first || at < len; first = false) {
        size_t k = MILGI__MIN(len - at, most);
        record.len = 0;
        pair_bytes_add(&record, p + at, k);
        at += k;
        if (at == len && l->early_len) {
            pair_bytes_add(&record, l->early, l->early_len);
            l->gone = l->early_len;
            l->early_len = 0;
        }
        liar_record(l, LIAR_HANDSHAKE, record.p, record.len, 0);
    }
    free(record.p);
}

void liar_say(struct liar *l, const void *message, size_t len)
{
    must(milgi__transcript_add(&l->transcript, message, len) == 0, "transcript");
    l->said++;
    send_handshake(l, message, len);
}

static void next_keys(struct liar *l, struct liar_keys *k)
{
    must(milgi__next_secret(l->cx, l->suite->hash, k->secret) == 0, "next secret");
    install(l, k, k->secret);
}

void liar_update(struct liar *l, bool request, size_t pad)
{
    uint8_t message[5];
    struct milgi__writer w = milgi__writer(message, sizeof message);
    milgi__key_update_encode(&w, request);
    if (l->fragment)
        send_handshake(l, message, sizeof message);
    else
        liar_record(l, LIAR_HANDSHAKE, message, sizeof message, pad);
    next_keys(l, &l->write);
}

/* --- key schedule ------------------------------------------------------------------------------------------------- */

static void hash_now(struct liar *l, uint8_t out[MILGI__HASH_MAX])
{
    must(milgi__transcript_hash(&l->transcript, l->cx, out) == 0, "transcript hash");
}

static void handshake_keys(struct liar *l)
{
    uint8_t shared[MILGI_KEX_SECRET_MAX], hash[MILGI__HASH_MAX];
    size_t len = sizeof shared;
    must(milgi__kex_derive(l->cx, l->share_group, l->secret, l->secret_len, l->peer_pub, l->peer_pub_len, shared,
             &len) == 0,
        "derive");
    hash_now(l, hash);
    must(milgi__schedule13_early(&l->schedule, l->cx, l->suite->hash, NULL, 0) == 0, "early secret");
    must(milgi__schedule13_handshake(&l->schedule, l->cx, shared, len, hash) == 0, "handshake secret");
    install(l, &l->write, is_client(l) ? l->schedule.client_hs : l->schedule.server_hs);
    install(l, &l->read, is_client(l) ? l->schedule.server_hs : l->schedule.client_hs);
}

/* After the server's Finished. */
static void app_secrets(struct liar *l)
{
    uint8_t hash[MILGI__HASH_MAX];
    hash_now(l, hash);
    must(milgi__schedule13_master(&l->schedule, l->cx, hash) == 0, "master secret");
}

/* --- messages that it says ---------------------------------------------------------------------------------------- */

static struct milgi__bytes u16s(uint8_t *out, const uint16_t *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        milgi__put16(out + 2 * i, list[i]);
    return (struct milgi__bytes){ out, 2 * n };
}

static const uint16_t all_schemes[] = { MILGI_SIG_ED25519, MILGI_SIG_ECDSA_SECP256R1_SHA256,
    MILGI_SIG_ECDSA_SECP384R1_SHA384, MILGI_SIG_RSA_PSS_RSAE_SHA256, MILGI_SIG_RSA_PKCS1_SHA256 };

static void client_hello(struct liar *l, struct milgi__writer *w)
{
    static const uint8_t versions[] = { 3, 4 };
    static const uint16_t groups[] = { MILGI_GROUP_X25519, MILGI_GROUP_SECP256R1, MILGI_GROUP_SECP384R1 };
    uint8_t random[32], suites[2], group_list[6], schemes[sizeof all_schemes], share[4 + MILGI_KEX_PUBLIC_MAX];
    uint64_t before = l->random;
    l->random = 99; /* the same in both hellos */
    draw(l, random, sizeof random);
    l->random = before;
    milgi__put16(share, l->share_group);
    milgi__put16(share + 2, (unsigned)l->pub_len);
    memcpy(share + 4, l->pub, l->pub_len);
    bool none = l->setup.retry && !l->retried;
    struct milgi__client_hello hello = {
        .random = random,
        .session_id = { l->session_id, l->session_id_len },
        .suites = u16s(suites, &l->suite->id, 1),
        .ext = {
            .present = MILGI__EXT(MILGI__EXT_SERVER_NAME) | MILGI__EXT(MILGI__EXT_GROUPS) |
                MILGI__EXT(MILGI__EXT_SCHEMES) | MILGI__EXT(MILGI__EXT_VERSIONS) | MILGI__EXT(MILGI__EXT_KEY_SHARE),
            .server_name = { (const uint8_t *)"server.test", 11 },
            .groups = u16s(group_list, groups, MILGI__COUNT(groups)),
            .schemes = u16s(schemes, all_schemes, MILGI__COUNT(all_schemes)),
            .versions = { versions, 2 },
            .shares = { share, none ? 0 : 4 + l->pub_len },
        },
    };
    milgi__client_hello_encode(w, &hello);
}

static void server_hello(struct liar *l, struct milgi__writer *w, bool retry)
{
    uint8_t random[32];
    draw(l, random, sizeof random);
    struct milgi__server_hello hello = {
        .random = random,
        .retry = retry,
        .session_id = { l->session_id, l->session_id_len },
        .suite = l->suite->id,
        .ext = {
            .present = MILGI__EXT(MILGI__EXT_VERSIONS) | MILGI__EXT(MILGI__EXT_KEY_SHARE),
            .version = MILGI__TLS13,
            .group = l->share_group,
            .share = { l->pub, l->pub_len },
        },
    };
    milgi__server_hello_encode(w, &hello);
}

static void certificate(const struct liar *l, struct milgi__writer *w)
{
    const struct milgi_credential *c = l->setup.credential;
    struct milgi__bytes chain = { c ? c->chain : NULL, c ? c->chain_len : 0 };
    milgi__certificate_encode(w, (struct milgi__bytes){ NULL, 0 }, chain);
}

static void certificate_verify(struct liar *l, struct milgi__writer *w)
{
    uint8_t hash[MILGI__HASH_MAX], input[MILGI_SIGN_INPUT_MAX], sig[MILGI_SIGNATURE_MAX];
    size_t sig_len = sizeof sig;
    hash_now(l, hash);
    size_t len = milgi__certificate_verify_input(!is_client(l), hash, milgi__hash_len(l->suite->hash), input);
    must(milgi__pkey_sign(l->cx, l->key, l->scheme, input, len, sig, &sig_len) == 0, "sign");
    struct milgi__certificate_verify verify = { .scheme = l->scheme, .signature = { sig, sig_len } };
    milgi__certificate_verify_encode(w, &verify);
}

static void finished(struct liar *l, struct milgi__writer *w)
{
    uint8_t hash[MILGI__HASH_MAX], mac[MILGI__HASH_MAX];
    hash_now(l, hash);
    must(milgi__finished_mac(l->cx, l->suite->hash, l->write.secret, hash, mac) == 0, "finished");
    milgi__finished_encode(w, mac, milgi__hash_len(l->suite->hash));
}

static void make(struct liar *l, int type, struct pair_bytes *out)
{
    uint8_t room[8192];
    struct milgi__writer w = milgi__writer(room, sizeof room);
    uint8_t schemes[sizeof all_schemes];
    struct milgi__exts none = { 0 };
    struct milgi__certificate_request request = {
        .ext = { .present = MILGI__EXT(MILGI__EXT_SCHEMES),
            .schemes = u16s(schemes, all_schemes, MILGI__COUNT(all_schemes)) },
    };
    switch (type) {
    case MILGI__MSG_CLIENT_HELLO: client_hello(l, &w); break;
    case MILGI__MSG_SERVER_HELLO: server_hello(l, &w, l->setup.retry && !l->retried); break;
    case MILGI__MSG_ENCRYPTED_EXTENSIONS: milgi__encrypted_extensions_encode(&w, &none); break;
    case MILGI__MSG_CERTIFICATE_REQUEST: milgi__certificate_request_encode(&w, &request); break;
    case MILGI__MSG_CERTIFICATE: certificate(l, &w); break;
    case MILGI__MSG_CERTIFICATE_VERIFY: certificate_verify(l, &w); break;
    case MILGI__MSG_FINISHED: finished(l, &w); break;
    default: must(false, "a message that it cannot say");
    }
    must(!w.bad, "a message too long");
    pair_bytes_add(out, room, milgi__written(&w));
}

/* --- what comes of a message -------------------------------------------------------------------------------------- */

static void keep_share(struct liar *l, struct milgi__bytes share)
{
    must(share.len <= sizeof l->peer_pub, "a share too long");
    memcpy(l->peer_pub, share.p, share.len);
    l->peer_pub_len = share.len;
}

static void said_as_client(struct liar *l, int type)
{
    if (type == MILGI__MSG_CLIENT_HELLO) {
        l->due = -1;
        return;
    }
    if (type == MILGI__MSG_CERTIFICATE && l->setup.credential) {
        l->due = MILGI__MSG_CERTIFICATE_VERIFY;
        return;
    }
    if (type != MILGI__MSG_FINISHED) {
        l->due = MILGI__MSG_FINISHED;
        return;
    }
    l->due = -1;
    install(l, &l->write, l->schedule.client_app);
}

static void said_as_server(struct liar *l, int type)
{
    switch (type) {
    case MILGI__MSG_SERVER_HELLO:
        if (l->setup.retry && !l->retried) {
            l->retried = true;
            l->due = -1;
        } else {
            handshake_keys(l);
            l->due = MILGI__MSG_ENCRYPTED_EXTENSIONS;
        }
        if (l->setup.middlebox && (l->due != -1) != l->setup.retry)
            liar_send_ccs(l);
        break;
    case MILGI__MSG_ENCRYPTED_EXTENSIONS:
        l->due = l->setup.ask ? MILGI__MSG_CERTIFICATE_REQUEST : MILGI__MSG_CERTIFICATE;
        break;
    case MILGI__MSG_CERTIFICATE_REQUEST: l->due = MILGI__MSG_CERTIFICATE; break;
    case MILGI__MSG_CERTIFICATE: l->due = MILGI__MSG_CERTIFICATE_VERIFY; break;
    case MILGI__MSG_CERTIFICATE_VERIFY: l->due = MILGI__MSG_FINISHED; break;
    default:
        l->due = -1;
        app_secrets(l);
        install(l, &l->write, l->schedule.server_app);
    }
}

static void say_due(struct liar *l)
{
    struct pair_bytes message = { 0 };
    int type = l->due;
    make(l, type, &message);
    bool say = !l->setup.edit || l->setup.edit(l, &message);
    /* The hash is fixed with the ServerHello, and a retry replaces what came before it. */
    if (type == MILGI__MSG_SERVER_HELLO && !l->transcript.digest) {
        must(milgi__transcript_start(&l->transcript, l->cx, l->suite->hash) == 0, "transcript");
        if (l->setup.retry)
            must(milgi__transcript_retry(&l->transcript, l->cx) == 0, "transcript");
    }
    if (say)
        liar_say(l, message.p, message.len);
    free(message.p);
    if (is_client(l))
        said_as_client(l, type);
    else
        said_as_server(l, type);
}

/* --- hearing ------------------------------------------------------------------------------------------------------ */

static void add_heard(struct liar *l, const uint8_t *message, size_t len)
{
    must(milgi__transcript_add(&l->transcript, message, len) == 0, "transcript");
}

static void heard_client_hello(struct liar *l, const uint8_t *message, size_t len)
{
    struct milgi__failure failure;
    struct milgi__client_hello hello;
    struct milgi__reader body = milgi__reader(message + 4, len - 4);
    must(milgi__client_hello_decode(&body, &hello, &failure) && milgi__client_hello_decode13(&hello, &failure),
        "the victim's ClientHello");
    add_heard(l, message, len);
    l->session_id_len = hello.session_id.len;
    if (hello.session_id.len)
        memcpy(l->session_id, hello.session_id.p, hello.session_id.len);
    struct milgi__reader shares = milgi__reader_of(hello.ext.shares);
    uint16_t group;
    struct milgi__bytes share;
    while (milgi__share_next(&shares, &group, &share)) {
        if (group == l->share_group)
            keep_share(l, share);
    }
    l->due = MILGI__MSG_SERVER_HELLO;
}

static void heard_server_hello(struct liar *l, const uint8_t *message, size_t len)
{
    struct milgi__failure failure;
    struct milgi__server_hello hello;
    struct milgi__reader body = milgi__reader(message + 4, len - 4);
    must(milgi__server_hello_decode(&body, &hello, &failure) &&
            milgi__server_hello_decode13(&hello, MILGI__EXT(MILGI__EXT_VERSIONS) | MILGI__EXT(MILGI__EXT_KEY_SHARE),
                &failure),
        "the victim's ServerHello");
    if (!l->transcript.digest)
        must(milgi__transcript_start(&l->transcript, l->cx, l->suite->hash) == 0, "transcript");
    if (hello.retry) {
        must(milgi__transcript_retry(&l->transcript, l->cx) == 0, "transcript");
        add_heard(l, message, len);
        l->retried = true;
        make_share(l, hello.ext.group);
        l->due = MILGI__MSG_CLIENT_HELLO;
        return;
    }
    add_heard(l, message, len);
    keep_share(l, hello.ext.share);
    handshake_keys(l);
}

static void heard_finished(struct liar *l, const uint8_t *message, size_t len)
{
    uint8_t hash[MILGI__HASH_MAX], mac[MILGI__HASH_MAX];
    size_t mac_len = milgi__hash_len(l->suite->hash);
    hash_now(l, hash);
    must(milgi__finished_mac(l->cx, l->suite->hash, l->read.secret, hash, mac) == 0, "finished");
    l->finished = len == 4 + mac_len && memcmp(mac, message + 4, mac_len) == 0;
    add_heard(l, message, len);
    if (!is_client(l)) {
        install(l, &l->read, l->schedule.client_app);
        return;
    }
    app_secrets(l);
    install(l, &l->read, l->schedule.server_app);
    l->due = l->asked ? MILGI__MSG_CERTIFICATE : MILGI__MSG_FINISHED;
    if (l->setup.middlebox)
        liar_send_ccs(l);
}

static void heard_message(struct liar *l, const uint8_t *message, size_t len)
{
    if (l->types_n < sizeof l->types)
        l->types[l->types_n++] = message[0];
    switch (message[0]) {
    case MILGI__MSG_CLIENT_HELLO: heard_client_hello(l, message, len); break;
    case MILGI__MSG_SERVER_HELLO: heard_server_hello(l, message, len); break;
    case MILGI__MSG_FINISHED: heard_finished(l, message, len); break;
    case MILGI__MSG_KEY_UPDATE:
        l->updates_n++;
        l->updated_at = l->got.len;
        next_keys(l, &l->read);
        break;
    case MILGI__MSG_CERTIFICATE_REQUEST: l->asked = true; /* fall through */
    default: add_heard(l, message, len);
    }
}

static void heard_handshake(struct liar *l, const uint8_t *data, size_t len)
{
    pair_bytes_add(&l->heard, data, len);
    while (l->heard.len >= 4 && l->heard.len >= 4 + milgi__get24(l->heard.p + 1)) {
        size_t n = 4 + milgi__get24(l->heard.p + 1);
        heard_message(l, l->heard.p, n);
        pair_bytes_drop(&l->heard, n);
    }
}

static void heard_content(struct liar *l, unsigned type, const uint8_t *data, size_t len)
{
    if (l->setup.hear)
        l->setup.hear(l, type, data, len);
    switch (type) {
    case LIAR_HANDSHAKE: heard_handshake(l, data, len); break;
    case LIAR_ALERT:
        must(len == 2, "an alert of the victim");
        l->alert_level = data[0];
        l->alert = data[1];
        break;
    case LIAR_DATA: pair_bytes_add(&l->got, data, len); break;
    case LIAR_CCS: l->ccs_n++; break;
    default: must(false, "a record of the victim");
    }
}

static void heard_record(struct liar *l, uint8_t *p, size_t len)
{
    l->records_n++;
    if (p[0] != LIAR_DATA) {
        heard_content(l, p[0], p + 5, len - 5);
        return;
    }
    struct milgi__aead_key key = aead(l, &l->read);
    struct milgi__piece piece = { p + 5, len - 5 - 16 };
    uint8_t nonce[12], tag[16];
    memcpy(tag, p + len - 16, 16);
    if (l->read.on)
        nonce_of(&l->read, nonce);
    if (!l->read.on || milgi__aead_open(l->cx, &key, nonce, p, 5, &piece, 1, tag, NULL) != 0) {
        l->deaf = true;
        if (l->setup.hear)
            l->setup.hear(l, p[0], p + 5, len - 5);
        return;
    }
    size_t n = piece.len;
    while (n && p[5 + n - 1] == 0)
        n--;
    must(n > 0, "a record of zeros");
    heard_content(l, p[5 + n - 1], p + 5, n - 1);
}

static void hear(struct liar *l)
{
    struct pair_bytes *wire = &l->victim->wire;
    size_t at = 0;
    while (wire->len - at >= 5 && wire->len - at >= 5 + (size_t)milgi__get16(wire->p + at + 3)) {
        size_t n = 5 + (size_t)milgi__get16(wire->p + at + 3);
        heard_record(l, wire->p + at, n);
        at += n;
    }
    pair_bytes_drop(wire, at);
}

void liar_listen_for(struct liar *l, uint64_t ns)
{
    uint64_t until = l->pair.now_ns + ns, deadline;
    for (;;) {
        enum milgi_next next = pair_run(l->victim, &deadline);
        hear(l);
        if (push(l) || next == MILGI_RUN_AGAIN)
            continue;
        if (deadline > until) {
            l->pair.now_ns = until;
            return;
        }
        if (deadline > l->pair.now_ns)
            l->pair.now_ns = deadline;
    }
}

void liar_listen(struct liar *l)
{
    liar_listen_for(l, l->setup.device ? 1000000000u : 0);
}

/* --- steps -------------------------------------------------------------------------------------------------------- */

bool liar_step(struct liar *l)
{
    if (l->due < 0)
        liar_listen(l);
    if (l->due < 0 || l->victim->closed)
        return false;
    say_due(l);
    if (!l->setup.hurry || l->due < 0)
        liar_listen(l);
    return true;
}

bool liar_step_to(struct liar *l, int type, unsigned nth)
{
    for (unsigned seen = 0;;) {
        if (l->due < 0)
            liar_listen(l);
        if (l->due == type && seen++ == nth)
            return true;
        if (!liar_step(l))
            return false;
    }
}

void liar_handshake(struct liar *l)
{
    while (liar_step(l))
        continue;
    if (!l->victim->established)
        fail_msg("not established: %s", liar_end(l));
    assert_true(l->finished);
    assert_false(l->deaf);
}

/* --- ends --------------------------------------------------------------------------------------------------------- */

const char *liar_end(const struct liar *l)
{
    static char text[256];
    const struct milgi_reason *r = &l->victim->reason;
    if (!l->victim->closed)
        snprintf(text, sizeof text, "open");
    else
        snprintf(text, sizeof text, "%s, %s (%s)", milgi_error_name(r->error), milgi_alert_name(r->alert), r->detail);
    return text;
}

void liar_expect_alerts(struct liar *l, const int *alerts)
{
    liar_listen(l);
    const struct pair_side *v = l->victim;
    bool right = false;
    for (; v->closed && *alerts != -1; alerts++)
        right |= v->reason.alert == *alerts;
    if (!right || v->reason.error == 0 || v->reason.alert_from_peer)
        fail_msg("ended with %s", liar_end(l));
    if (l->deaf)
        return;
    assert_int_equal(l->alert, v->reason.alert);
    assert_int_equal(l->alert_level, l->alert == MILGI_ALERT_USER_CANCELED ? 1 : 2);
}

void liar_expect_alert(struct liar *l, int alert)
{
    int alerts[] = { alert, -1 };
    liar_expect_alerts(l, alerts);
}
