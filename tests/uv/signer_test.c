/* SPDX-License-Identifier: Apache-2.0 */
/* Keys that the application signs with, whenever it likes, wrongly, or never. */
#include <openssl/evp.h>

#include "../common/signer.h"
#include "rig.h"

static struct milgi_config *asking;

static void open_rig(struct rig *r)
{
    struct milgi_credential *credential;
    rig_open(r, NULL, NULL);
    r->device = milgi__signer_new("app");
    assert_non_null(r->device);
    assert_true(milgi_engine_add_device(milgi_uv_engine(r->uv), r->device) > 0);
    assert_int_equal(
        milgi_credential_new_uri(r->leaf->chain_pem, strlen(r->leaf->chain_pem), "APP:key-7", &credential), 0);
    asking = configs_begin(MILGI_SERVER, NULL, NULL);
    assert_int_equal(milgi_config_add_credential(asking, credential), 0);
    configs_freeze(asking);
    milgi_credential_unref(credential);
}

static void close_rig(struct rig *r)
{
    milgi_config_unref(asking);
    rig_close(r);
}

/* A handshake whose server is to sign. */
static void handshake(struct rig *r, struct end *client, struct end *server)
{
    int fd[2];
    socket_pair(fd);
    assert_int_equal(milgi_uv_open(r->uv, fd[0], r->client, "uv.test", &events, client, &client->stream), 0);
    assert_int_equal(milgi_uv_open(r->uv, fd[1], asking, NULL, &events, server, &server->stream), 0);
}

static struct milgi__sign next(struct rig *r)
{
    struct milgi__sign sign = { 0 };
    while (!milgi__signer_next(r->device, &sign) && !r->late)
        uv_run(&r->loop, UV_RUN_ONCE);
    assert_false(r->late);
    assert_string_equal(sign.key, "key-7");
    assert_int_equal(sign.scheme, MILGI_SIG_ECDSA_SECP256R1_SHA256);
    assert_true(sign.len > 64); /* the message, not its hash */
    return sign;
}

static size_t make(struct rig *r, const struct milgi__sign *sign, uint8_t *out, size_t cap)
{
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    assert_int_equal(EVP_DigestSignInit(md, NULL, EVP_sha256(), NULL, r->leaf->private_key), 1);
    assert_int_equal(EVP_DigestSign(md, out, &cap, sign->data, sign->len), 1);
    EVP_MD_CTX_free(md);
    return cap;
}

static void answer(struct rig *r, const struct milgi__sign *sign)
{
    uint8_t out[200];
    milgi__signer_answer(r->device, sign->id, out, make(r, sign, out, sizeof out));
}

static void finish(struct rig *r)
{
    for (struct end *e = &r->a; e <= &r->b; e++)
        if (e->stream)
            milgi_stream_close(e->stream);
    run(r);
}

/* Two at once, answered in the other order, once each; others are waited for meanwhile. */
static void signatures_come_when_they_come(void **state)
{
    struct end more[2] = { { .stream = NULL } };
    struct milgi__sign one, two, none;
    struct rig r;
    (void)state;
    open_rig(&r);
    handshake(&r, &r.a, &r.b);
    one = next(&r);
    handshake(&r, &more[0], &more[1]);
    two = next(&r);
    assert_true(one.id != two.id);
    turns(&r, 20);
    assert_false(milgi__signer_next(r.device, &none));
    assert_false(r.a.opened || more[0].opened);
    answer(&r, &two);
    milgi__signer_answer(r.device, two.id, "again", 5);
    milgi__signer_answer(r.device, one.id + 256, "nobody's", 8);
    run_until(&r, &more[1].opened);
    assert_false(r.b.opened);
    answer(&r, &one);
    run_until(&r, &r.b.opened);
    for (int i = 0; i < 2; i++)
        milgi_stream_close(more[i].stream);
    finish(&r);
    close_rig(&r);
}

static void what_is_no_signature_fails_the_handshake(void **state)
{
    static const size_t lens[] = { 0, 70, 5000 }; /* none, another's, too long */
    static const int codes[] = { MILGI_CODE_CRYPTO, MILGI_CODE_BAD_SIGNATURE, MILGI_CODE_CRYPTO };
    static const uint8_t bytes[5000] = { 0x30, 68 };
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        struct rig r;
        open_rig(&r);
        handshake(&r, &r.a, &r.b);
        struct milgi__sign sign = next(&r);
        milgi__signer_answer(r.device, sign.id, bytes, lens[i]);
        run(&r);
        assert_int_equal(r.b.reason.error, MILGI_EDEVICE);
        assert_int_equal(r.b.reason.op, MILGI_OP_SIGN);
        assert_int_equal(r.b.reason.device_code, codes[i]);
        assert_int_equal(r.a.reason.error, MILGI_EALERT);
        close_rig(&r);
    }
}

/* Its connection has gone, whether it had been asked for or not: what is answered then is nobody's. */
static void an_op_that_nobody_waits_for_is_forgotten(void **state)
{
    struct milgi__sign sign, none;
    struct milgi_engine_stats stats;
    struct rig r;
    (void)state;
    for (int taken = 0; taken < 2; taken++) {
        open_rig(&r);
        handshake(&r, &r.a, &r.b);
        if (taken)
            sign = next(&r);
        else
            turns(&r, 20);
        for (struct end *e = &r.a; e <= &r.b; e++) {
            struct milgi_stream *stream = e->stream;
            e->stream = NULL;
            milgi_stream_drop(stream);
        }
        turns(&r, 20);
        assert_false(milgi__signer_next(r.device, &none));
        milgi_engine_stats(milgi_uv_engine(r.uv), &stats);
        assert_int_equal(stats.ops_alive, 0);
        if (taken)
            milgi__signer_answer(r.device, sign.id, "late", 4);
        run(&r);
        r.a = r.b = (struct end){ .stream = NULL };
        handshake(&r, &r.a, &r.b); /* and the next is served as ever */
        sign = next(&r);
        answer(&r, &sign);
        run_until(&r, &r.b.opened);
        finish(&r);
        close_rig(&r);
    }
}

static void an_engine_ends_with_ops_out(void **state)
{
    struct end more[2] = { { .stream = NULL } };
    struct rig r;
    (void)state;
    open_rig(&r);
    handshake(&r, &r.a, &r.b);
    (void)next(&r);
    handshake(&r, &more[0], &more[1]);
    turns(&r, 20); /* one with the application, one that it has not asked for */
    close_rig(&r);
    assert_true(r.a.gone && r.b.gone && more[0].gone && more[1].gone);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signatures_come_when_they_come),
        cmocka_unit_test(what_is_no_signature_fails_the_handshake),
        cmocka_unit_test(an_op_that_nobody_waits_for_is_forgotten),
        cmocka_unit_test(an_engine_ends_with_ops_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
