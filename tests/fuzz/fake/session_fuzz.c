/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sessions as bytes, and what a server makes of the PSKs of a ClientHello. The first byte picks: bytes of a session,
 * which if they are taken must be what is written of it again; a pre_shared_key as it comes; one that is made well of
 * identities and binders out of the input. Nobody gets in who has no secret.
 */
#include <stdlib.h>
#include <string.h>

#include "fake_identity.h"
#include "pair.h"
#include "buf/codec.h"
#include "session/session.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int rv)
{
    if (rv != 0)
        abort();
}

static void session(const uint8_t *data, size_t size)
{
    struct milgi_session *session;
    struct milgi_session_info info;
    uint8_t *copy = malloc(size ? size : 1), *again = malloc(size ? size : 1);
    if (!copy || !again)
        abort();
    memcpy(copy, data, size);
    if (milgi_session_decode(copy, size, &session) == 0) {
        milgi_session_info(session, &info);
        if (milgi_session_encode(session, again, size) != size || memcmp(again, data, size) != 0)
            abort();
        (void)milgi__session_good(session, FAKE_NOW_S);
        milgi_session_unref(session);
    } else if (session) {
        abort();
    }
    free(copy);
    free(again);
}

/* --- a server --------------------------------------------------------------------------------------------------- */

static struct milgi_config *configs[2][2];

static void add_psk(struct milgi_config *config, const char *identity)
{
    static const uint8_t secret[32] = { 9 };
    struct milgi_psk_source source = { MILGI_SERVER, MILGI_PSK_SHA256, identity, strlen(identity), secret, 32 };
    struct milgi_psk *psk;
    must(milgi_psk_new(&source, &psk));
    must(milgi_config_add_psk(config, psk));
    milgi_psk_unref(psk);
}

static void make_configs(void)
{
    static const uint8_t secret[MILGI_TICKET_SECRET_LEN] = { 1 };
    struct milgi_ticket_keys *keys;
    must(milgi_ticket_keys_new(secret, 7200, FAKE_NOW_S, &keys));
    for (unsigned i = 0; i < 2; i++) {
        struct milgi_config *server = i ? milgi_config_new(MILGI_SERVER) : fake_config(MILGI_SERVER, NULL);
        add_psk(server, "a");
        add_psk(server, "bb");
        must(milgi_config_set_psk_ke(server, i ? MILGI_PSK_KE_TOO : MILGI_PSK_KE_OFF));
        must(milgi_config_set_ticket_keys(server, keys));
        must(milgi_config_set_ask(server, i ? MILGI_DECIDE_PSK | MILGI_DECIDE_TICKET_OPEN : 0));
        configs[i][MILGI_SERVER] = fake_freeze(server);
        configs[i][MILGI_CLIENT] = fake_freeze(fake_config(MILGI_CLIENT, NULL));
    }
    milgi_ticket_keys_unref(keys);
}

/* Identities and binders, each with its length in a byte of the input before it. */
static void well_made(struct milgi__writer *w, const uint8_t *data, size_t size)
{
    const uint8_t *end = data + size;
    unsigned n = 0;
    size_t list = milgi__write_begin(w, 2);
    for (; n < 8 && data < end; n++) {
        size_t len = 1 + *data++ % 64, left = (size_t)(end - data);
        size_t one = milgi__write_begin(w, 2);
        milgi__write_bytes(w, data < end ? data : (const uint8_t *)"a", left ? MILGI__MIN(len, left) : 1);
        milgi__write_end(w, one, 2);
        milgi__write32(w, (uint32_t)len);
        data += MILGI__MIN(len, left);
    }
    milgi__write_end(w, list, 2);
    list = milgi__write_begin(w, 2);
    for (unsigned i = 0; i < n; i++) {
        milgi__write8(w, 32);
        for (unsigned k = 0; k < 32; k++)
            milgi__write8(w, i);
    }
    milgi__write_end(w, list, 2);
}

static size_t hello(uint8_t *out, size_t cap, unsigned how, const uint8_t *data, size_t size)
{
    static const char before[] = "\0\x2b\0\3\2\3\4"     /* supported_versions */
                                 "\0\x0d\0\4\0\2\4\3"   /* signature_algorithms */
                                 "\0\x0a\0\4\0\2\0\x1d" /* supported_groups */
                                 "\0\x33\0\x26\0\x24\0\x1d\0\x20"
                                 "0123456789abcdef0123456789abcdef"; /* key_share */
    struct milgi__writer w = milgi__writer(out, cap);
    milgi__write_bytes(&w, (const uint8_t *)"\x16\3\1", 3);
    size_t record = milgi__write_begin(&w, 2);
    milgi__write8(&w, 1);
    size_t message = milgi__write_begin(&w, 3);
    milgi__write16(&w, 0x0303);
    for (unsigned i = 0; i < 32; i++)
        milgi__write8(&w, i);
    milgi__write8(&w, 0);
    milgi__write_bytes(&w, (const uint8_t *)"\0\4\x13\1\x13\2\1\0", 8);
    size_t block = milgi__write_begin(&w, 2);
    if (how & 8)
        milgi__write_bytes(&w, (const uint8_t *)before, 15); /* without groups and shares */
    else
        milgi__write_bytes(&w, (const uint8_t *)before, sizeof before - 1);
    milgi__write_bytes(&w, (const uint8_t *)(how & 16 ? "\0\x2d\0\2\1\0" : "\0\x2d\0\3\2\1\0"), how & 16 ? 6 : 7);
    milgi__write16(&w, 41);
    size_t body = milgi__write_begin(&w, 2);
    if (how & 2)
        well_made(&w, data, size);
    else
        milgi__write_bytes(&w, data, size);
    milgi__write_end(&w, body, 2);
    milgi__write_end(&w, block, 2);
    milgi__write_end(&w, message, 3);
    milgi__write_end(&w, record, 2);
    return w.bad ? 0 : milgi__written(&w);
}

static void answer(struct pair_side *side, unsigned how)
{
    while (side->decisions_n != 0) {
        struct milgi_decision d = side->decision[--side->decisions_n];
        struct milgi_decision_info info;
        if (milgi_decision_info(side->engine, d, &info) == 0 && info.psk_identities_n > 4)
            abort();
        int rv = milgi_decide(side->engine, d, how & 32 ? MILGI_REFUSE : MILGI_DEFAULT, NULL);
        if (rv != 0 && rv != MILGI_ESTALE)
            abort();
    }
}

static void server(unsigned how, const uint8_t *data, size_t size)
{
    static uint8_t bytes[16384 + 5];
    struct milgi_config **config = configs[how >> 2 & 1];
    struct pair pair;
    struct pair_setup setup = {
        .config = { config[0], config[1] },
        .server_name = "server.test",
        .seed = 3,
        .wall_s = FAKE_NOW_S,
    };
    size_t len = hello(bytes, sizeof bytes, how, data, MILGI__MIN(size, 8000));
    if (len == 0)
        return;
    pair_init(&pair, &setup);
    struct pair_side *victim = &pair.side[MILGI_SERVER];
    (void)pair_feed(victim, bytes, len);
    for (unsigned i = 0; i < 8; i++) {
        (void)pair_run(victim, NULL);
        answer(victim, how);
    }
    if (victim->established)
        abort();
    pair_fini(&pair);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    if (!configs[0][0])
        make_configs();
    if (data[0] & 1)
        session(data + 1, size - 1);
    else
        server(data[0], data + 1, size - 1);
    return 0;
}
