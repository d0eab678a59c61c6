/* SPDX-License-Identifier: Apache-2.0 */
#include "loop.h"

#include <time.h>

/* --- the host --------------------------------------------------------------------------------------------------- */

static int host_random(void *ctx, uint8_t *out, size_t len)
{
    struct loop_end *end = ctx;
    for (size_t i = 0; i < len; i++) {
        end->random = end->random * 6364136223846793005u + 1442695040888963407u;
        out[i] = (uint8_t)(end->random >> 56);
    }
    return 0;
}

static int64_t host_wall(void *ctx)
{
    return (int64_t)time(NULL) + ((struct loop_end *)ctx)->loop->later_s;
}

static bool host_room(void *ctx, unsigned ops, size_t bytes)
{
    struct loop_end *end = ctx;
    assert_true(ops > 0);
    end->room_asked++;
    end->room_most = MILGI__MAX(end->room_most, bytes);
    if (end->rooms_refused == 0)
        return true;
    end->rooms_refused--;
    return false;
}

static struct milgi_op *host_op_new(void *ctx)
{
    struct loop_end *end = ctx;
    if (end->ops_left > 0 && --end->ops_left == 0)
        return NULL;
    end->ops_held++;
    return calloc(1, sizeof(struct milgi_op));
}

static void op_free(struct loop_end *end, struct milgi_op *op)
{
    end->ops_held--;
    end->keys_held -= op->key != NULL;
    if (op->key && op->key->kind == MILGI_KEY_AEAD)
        free(op->key);
    milgi__op_clear(op);
    free(op);
}

static void host_op_drop(void *ctx, struct milgi_op *op)
{
    op_free(ctx, op);
}

static void *loaded_of(struct loop *loop, const struct milgi_key *key)
{
    for (unsigned i = 0; i < loop->keys_n; i++) {
        if (loop->keys[i] == key)
            return loop->loaded[i];
    }
    return NULL;
}

static void finish(struct loop_end *end, struct loop_op item, enum milgi_op_status status)
{
    if (status == MILGI_OP_OK) {
        milgi__op_perform(end->loop->cx, item.op, loaded_of(end->loop, item.op->key));
    } else {
        item.op->status = (uint8_t)status;
        item.op->device_code = 7;
        if (item.op->type == MILGI_OP_VERIFY_CHAIN) {
            item.op->u.chain.alert = MILGI_ALERT_UNKNOWN_CA;
            item.op->u.chain.verdict = 20;
        }
    }
    milgi__hs_op_done(end->hs, item.op, item.slot);
    op_free(end, item.op);
}

static void host_op_start(void *ctx, struct milgi_op *op, unsigned slot)
{
    struct loop_end *end = ctx;
    assert_int_equal(op->status, MILGI_OP_PENDING);
    assert_int_equal(op->cls, MILGI_OP_CLASS_HANDSHAKE);
    end->slots_seen |= 1u << slot;
    end->ops_started++;
    struct loop_op item = { op, slot };
    if (!end->loop->queued) {
        finish(end, item, MILGI_OP_OK);
        return;
    }
    assert_true(end->ops_n < LOOP_OPS);
    end->ops[end->ops_n++] = item;
}

static struct milgi_key *key_of(struct loop *loop, enum milgi_key_kind kind, const struct milgi_credential *credential,
    const struct milgi_trust *trust)
{
    for (unsigned i = 0; i < loop->keys_n; i++) {
        if (loop->keys[i]->loaded.credential == credential && loop->keys[i]->loaded.trust == trust)
            return loop->keys[i];
    }
    struct milgi_key *key = calloc(1, sizeof *key);
    key->serial = milgi__key_serial();
    key->refs = 1;
    key->kind = (uint8_t)kind;
    key->loaded = (struct milgi_loaded_key){ .credential = credential, .trust = trust };
    loop->loaded[loop->keys_n] = milgi__loaded_new(loop->cx, key);
    if (!loop->loaded[loop->keys_n]) {
        free(key);
        return NULL;
    }
    loop->keys[loop->keys_n++] = key;
    return key;
}

/* A reference for an op. */
static struct milgi_key *hold(struct loop_end *end, struct milgi_key *key)
{
    bool refused = end->keys_left > 0 && --end->keys_left == 0;
    if (refused || !key)
        return NULL;
    end->keys_held++;
    return key;
}

static struct milgi_key *host_key_private(void *ctx, const struct milgi_credential *credential)
{
    struct loop_end *end = ctx;
    return hold(end, key_of(end->loop, MILGI_KEY_PRIVATE, credential, NULL));
}

static struct milgi_key *host_key_trust(void *ctx, const struct milgi_trust *trust)
{
    struct loop_end *end = ctx;
    return hold(end, key_of(end->loop, MILGI_KEY_TRUST, NULL, trust));
}

static struct milgi_key *host_key_aead(void *ctx, uint16_t suite, const uint8_t *raw, size_t len)
{
    struct milgi_key *key = calloc(1, sizeof *key);
    assert_true(len <= sizeof key->raw);
    key->serial = milgi__key_serial();
    key->kind = MILGI_KEY_AEAD;
    key->alg = suite;
    key->raw_len = (uint8_t)len;
    memcpy(key->raw, raw, len);
    if (!hold(ctx, key)) {
        free(key);
        return NULL;
    }
    return key;
}

static void host_decide(void *ctx, uint32_t kind)
{
    ((struct loop_end *)ctx)->asked |= kind;
}

static int host_send(void *ctx, enum milgi__level level, const uint8_t *message, size_t len)
{
    struct loop_end *end = ctx;
    assert_int_equal(level, end->level[MILGI__WRITE]);
    while (len > 0) {
        assert_true(len >= 4);
        size_t one = 4 + milgi__get24(message + 1);
        assert_true(one <= len && end->sent_n < LOOP_MESSAGES);
        struct loop_message *m = &end->sent[end->sent_n++];
        *m = (struct loop_message){ level, malloc(one), one };
        memcpy(m->data, message, one);
        message += one;
        len -= one;
    }
    return 0;
}

static int host_install(void *ctx, enum milgi__level level, enum milgi__dir dir, const struct milgi__suite *suite,
    const uint8_t *secret)
{
    struct loop_end *end = ctx;
    assert_true(level > end->level[dir]);
    end->level[dir] = level;
    size_t len = suite->tls13 ? milgi__hash_len(suite->hash) : suite->key_len + milgi__fixed_iv_len(suite);
    memcpy(end->secret[dir][level], secret, len);
    return 0;
}

static int host_send_ccs(void *ctx)
{
    struct loop_end *end = ctx;
    end->compat_n++;
    /* In TLS 1.2 it has its place among the messages. */
    if (milgi__hs_result(end->hs)->version != 0x0303)
        return 0;
    assert_true(end->sent_n < LOOP_MESSAGES);
    struct loop_message *m = &end->sent[end->sent_n++];
    *m = (struct loop_message){ MILGI__LEVEL_INITIAL, malloc(1), 1 };
    m->data[0] = MILGI__MSG_CHANGE_CIPHER_SPEC;
    return 0;
}

/* --- the loop --------------------------------------------------------------------------------------------------- */

static void host_record_limit(void *ctx, enum milgi__dir dir, uint32_t most)
{
    struct loop_end *end = ctx;
    end->record_most[dir] = most;
}

static void host_keylog(void *ctx, const struct milgi_config *config, const char *line)
{
    (void)ctx;
    config->keylog(config->keylog_ctx, NULL, line);
}

static const struct milgi__hs_calls host_calls = {
    .random = host_random,
    .wall_s = host_wall,
    .room = host_room,
    .op_new = host_op_new,
    .op_drop = host_op_drop,
    .op_start = host_op_start,
    .key_private = host_key_private,
    .key_trust = host_key_trust,
    .key_aead = host_key_aead,
    .decide = host_decide,
    .send = host_send,
    .install = host_install,
    .record_limit = host_record_limit,
    .send_ccs = host_send_ccs,
    .keylog = host_keylog,
};

static void end_init(struct loop *loop, struct loop_end *end, struct milgi_config *config, const char *name)
{
    struct milgi__hs_host host = {
        .ctx = end,
        .cx = loop->cx,
        .pool = loop->pool,
        .owner = config->role == MILGI_CLIENT ? 1 : 2,
        .calls = &host_calls,
    };
    end->loop = loop;
    end->random = config->role == MILGI_CLIENT ? 11 : 22;
    end->hs = milgi__hs_new(config, &host, name);
}

struct loop *loop_new(struct milgi_config *client, struct milgi_config *server, const char *name)
{
    struct loop *loop = calloc(1, sizeof *loop);
    struct milgi__pool_options options = { .limit = 1 << 20 };
    loop->cx = milgi__crypto_new();
    loop->pool = milgi__pool_new(&options);
    assert_non_null(loop->cx);
    assert_non_null(loop->pool);
    end_init(loop, &loop->client, client, name);
    end_init(loop, &loop->server, server, NULL);
    return loop;
}

static void end_free(struct loop_end *end)
{
    milgi__hs_free(end->hs);
    for (unsigned i = 0; i < end->sent_n; i++)
        free(end->sent[i].data);
    for (unsigned i = 0; i < end->ops_n; i++) {
        op_free(end, end->ops[i].op);
    }
    assert_int_equal(end->ops_held, 0);
    assert_int_equal(end->keys_held, 0);
}

void loop_free(struct loop *loop)
{
    end_free(&loop->client);
    end_free(&loop->server);
    for (unsigned i = 0; i < loop->keys_n; i++) {
        milgi__loaded_free(loop->keys[i], loop->loaded[i]);
        free(loop->keys[i]);
    }
    assert_int_equal(milgi__pool_used(loop->pool), 0);
    milgi__pool_close(loop->pool);
    milgi__crypto_free(loop->cx);
    free(loop);
}

struct loop_end *loop_peer(struct loop_end *end)
{
    return end == &end->loop->client ? &end->loop->server : &end->loop->client;
}

void loop_run(struct loop_end *end)
{
    end->wait = milgi__hs_run(end->hs);
}

void loop_input(struct loop_end *end, enum milgi__level level, const void *data, size_t len)
{
    const uint8_t *p = data;
    size_t step = end->loop->fragment != 0 ? end->loop->fragment : len;
    do {
        size_t n = MILGI__MIN(step, len);
        if (milgi__hs_input(end->hs, level, p, n) != 0)
            break;
        loop_run(end);
        p += n;
        len -= n;
    } while (len != 0);
    loop_run(end);
}

bool loop_deliver(struct loop *loop, struct loop_end *from)
{
    struct loop_end *to = loop_peer(from);
    if (from->taken == from->sent_n || to->wait != MILGI__HS_INPUT)
        return false;
    struct loop_message *m = &from->sent[from->taken++];
    if (loop->tamper && !loop->tamper(loop, from, m))
        return true;
    if (m->data[0] != MILGI__MSG_CHANGE_CIPHER_SPEC) {
        loop_input(to, m->level, m->data, m->len);
        return true;
    }
    if (milgi__hs_mid_message(to->hs) || milgi__hs_take_ccs(to->hs) == MILGI__CCS_REFUSED)
        loop->bad_ccs = true;
    loop_run(to);
    return true;
}

void loop_pump(struct loop *loop)
{
    bool moved = true;
    while (moved) {
        loop_run(&loop->client);
        loop_run(&loop->server);
        moved = loop_deliver(loop, &loop->client) || loop_deliver(loop, &loop->server);
        moved = moved || loop->client.wait == MILGI__HS_ROOM || loop->server.wait == MILGI__HS_ROOM;
    }
}

void loop_finish(struct loop_end *end, unsigned i, enum milgi_op_status status)
{
    assert_true(i < end->ops_n);
    struct loop_op item = end->ops[i];
    memmove(end->ops + i, end->ops + i + 1, (--end->ops_n - i) * sizeof *end->ops);
    finish(end, item, status);
    loop_run(end);
}

int loop_alert(const struct loop_end *end)
{
    return end->wait == MILGI__HS_FAILED ? milgi__hs_failure(end->hs)->alert : -1;
}

const struct loop_message *loop_sent(const struct loop_end *end, unsigned type, unsigned i)
{
    for (unsigned k = 0; k < end->sent_n; k++) {
        if (end->sent[k].data[0] == type && i-- == 0)
            return &end->sent[k];
    }
    return NULL;
}

/* --- assertions ------------------------------------------------------------------------------------------------- */

static void assert_same_keys(struct loop *loop, enum milgi__level level)
{
    const struct loop_end *c = &loop->client, *s = &loop->server;
    assert_memory_equal(c->secret[MILGI__READ][level], s->secret[MILGI__WRITE][level], MILGI__SECRET_MAX);
    assert_memory_equal(c->secret[MILGI__WRITE][level], s->secret[MILGI__READ][level], MILGI__SECRET_MAX);
    assert_memory_not_equal(c->secret[MILGI__READ][level], c->secret[MILGI__WRITE][level], MILGI__SECRET_MAX);
}

static void show_failure(const struct loop_end *end, const char *who)
{
    const struct milgi__failure *f = milgi__hs_failure(end->hs);
    if (end->wait == MILGI__HS_FAILED)
        print_error("%s: %s, %s: %s\n", who, milgi_error_name(f->error), milgi_alert_name(f->alert), f->detail);
}

void assert_open(struct loop *loop)
{
    show_failure(&loop->client, "client");
    show_failure(&loop->server, "server");
    assert_int_equal(loop->client.wait, MILGI__HS_OPEN);
    assert_int_equal(loop->server.wait, MILGI__HS_OPEN);
    const struct milgi__hs_result *c = milgi__hs_result(loop->client.hs), *s = milgi__hs_result(loop->server.hs);
    bool tls13 = s->version == 0x0304;
    if (tls13)
        assert_same_keys(loop, MILGI__LEVEL_HANDSHAKE);
    assert_same_keys(loop, MILGI__LEVEL_APP);
    uint8_t kept[2][256];
    size_t len = milgi__hs_kept(loop->client.hs, kept[0]), part = tls13 ? len / MILGI__KEPT_N : 0;
    assert_int_equal(milgi__hs_kept(loop->server.hs, kept[1]), len);
    assert_memory_equal(kept[0] + part, kept[1], part);
    assert_memory_equal(kept[0], kept[1] + part, part);
    assert_memory_equal(kept[0] + 2 * part, kept[1] + 2 * part, len - 2 * part);
    assert_int_equal(c->version, s->version);
    assert_int_equal(c->suite, s->suite);
    assert_int_equal(c->group, s->group);
    assert_int_equal(c->scheme, s->scheme);
    assert_int_equal(c->hello_retry, s->hello_retry);
    assert_string_equal(c->alpn, s->alpn);
}

void assert_alert(const struct loop_end *end, int alert)
{
    assert_int_equal(end->wait, MILGI__HS_FAILED);
    const struct milgi__failure *f = milgi__hs_failure(end->hs);
    if (f->alert != alert)
        print_error("%s: %s\n", milgi_alert_name(f->alert), f->detail);
    assert_int_equal(f->alert, alert);
    assert_int_not_equal(f->error, 0);
    assert_non_null(f->detail);
    const struct loop_end *peer = end == &end->loop->client ? &end->loop->server : &end->loop->client;
    /* A client opens when it has sent its Finished; a server may still refuse what came before it. */
    if (end == &end->loop->client)
        assert_int_not_equal(peer->wait, MILGI__HS_OPEN);
}

/* --- fixture ---------------------------------------------------------------------------------------------------- */

struct fixture fixture;

static struct milgi_credential *credential_of(const struct identity *id)
{
    struct milgi_credential *credential = NULL;
    MUST(milgi_credential_new_pem(
        id->chain_pem, strlen(id->chain_pem), id->key_pem, strlen(id->key_pem), &credential));
    return credential;
}

int fixture_setup(void **state)
{
    (void)state;
    struct fixture *f = &fixture;
    f->root = identity_root(IDENTITY_P256, "root");
    MUST(milgi_trust_new_pem(f->root->cert_pem, strlen(f->root->cert_pem), &f->trust));
    for (unsigned k = 0; k < IDENTITY_KEYS; k++) {
        f->leaf[k] = identity_leaf(f->root, k, "DNS:a.test,DNS:*.b.test,IP:192.0.2.1,IP:2001:db8::1");
        f->credential[k] = credential_of(f->leaf[k]);
    }
    for (unsigned i = 0; i < 2; i++) {
        f->client[i] = identity_new(&(struct identity_options){
            .key = i == 0 ? IDENTITY_P256 : IDENTITY_RSA,
            .common_name = "client",
            .purpose = IDENTITY_FOR_CLIENT,
            .issuer = f->root,
        });
        f->client_credential[i] = credential_of(f->client[i]);
    }
    return 0;
}

int fixture_teardown(void **state)
{
    (void)state;
    struct fixture *f = &fixture;
    for (unsigned k = 0; k < IDENTITY_KEYS; k++) {
        milgi_credential_unref(f->credential[k]);
        identity_free(f->leaf[k]);
    }
    for (unsigned i = 0; i < 2; i++) {
        milgi_credential_unref(f->client_credential[i]);
        identity_free(f->client[i]);
    }
    milgi_trust_unref(f->trust);
    identity_free(f->root);
    return 0;
}

static struct milgi_config *config_of(enum milgi_role role)
{
    static const uint16_t groups[] = { MILGI_GROUP_X25519, MILGI_GROUP_SECP256R1, MILGI_GROUP_SECP384R1 };
    struct milgi_config *config = milgi_config_new(role);
    assert_non_null(config);
    MUST(milgi_config_set_groups(config, groups, MILGI__COUNT(groups)));
    return config;
}

struct milgi_config *client_config(void)
{
    struct milgi_config *config = config_of(MILGI_CLIENT);
    MUST(milgi_config_set_trust(config, fixture.trust));
    return config;
}

struct milgi_config *server_config(enum identity_key key)
{
    struct milgi_config *config = config_of(MILGI_SERVER);
    MUST(milgi_config_add_credential(config, fixture.credential[key]));
    return config;
}

void freeze(struct milgi_config *config)
{
    const char *why = NULL;
    int rv = milgi_config_freeze(config, &why);
    if (rv != 0)
        print_error("%s\n", why ? why : "?");
    assert_int_equal(rv, 0);
}

struct loop *loop_of(struct milgi_config *client, struct milgi_config *server)
{
    freeze(client);
    freeze(server);
    struct loop *loop = loop_new(client, server, "a.test");
    milgi_config_unref(client);
    milgi_config_unref(server);
    return loop;
}
