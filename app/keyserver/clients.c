/* SPDX-License-Identifier: Apache-2.0 */
/* Those that ask: their requests, the answers as they come. */
#include "keyserver.h"

#include <stdlib.h>
#include <string.h>

#include "common/say.h"

#define ROOM_LEAST 2048u
#define MESSAGE_MAX 16384u /* that Ed25519 signs: a handshake of TLS 1.2 with a client's certificate */
#define FLIGHT_MAX 1024u   /* requests of one client that are under way: then it is not read from */

struct client {
    struct keyserver *server;
    struct client *next, *prev;
    struct milgi_stream *stream;
    struct job *jobs;   /* under way */
    struct line done;   /* signed, and not sent for want of room */
    unsigned jobs_n;    /* of both */
    bool open, blocked; /* blocked: it takes no answers now */
    bool leaving;       /* it is closed when the last is answered */
    bool ended;         /* it asks no more than what has come */
    uint8_t *rx;
    size_t rx_len, rx_cap;
    size_t owed; /* of what was delivered: not yet consumed */
};

/* --- answers ------------------------------------------------------------------------------------------------------ */

/* 0: it is on its way. */
static int write_message(struct client *c, const struct milgi__keyless_message *message)
{
    static uint8_t out[MILGI__KEYLESS_MAX];
    if (!c->stream)
        return MILGI_ECLOSED;
    int rv = milgi_stream_write(c->stream, out, milgi__keyless_write(message, out));
    c->blocked |= rv != 0; /* what is given nevertheless piles up in the connection */
    return rv == MILGI_PAUSE ? 0 : rv;
}

/* In the middle of something. */
static void cut(struct client *c)
{
    if (c->stream)
        milgi_stream_cut(c->stream);
    c->stream = NULL;
}

static void refuse(struct client *c, uint32_t id, uint8_t error)
{
    const struct milgi__keyless_message message = {
        .id = id, .opcode = MILGI__KEYLESS_ERROR, .payload = &error, .payload_len = 1
    };
    c->server->errors++;
    if (write_message(c, &message))
        cut(c);
}

static void leave_jobs(struct client *c, struct job *job)
{
    if (job->of_prev)
        job->of_prev->of_next = job->of_next;
    else
        c->jobs = job->of_next;
    if (job->of_next)
        job->of_next->of_prev = job->of_prev;
}

static bool may_complain(struct keyserver *server, enum grievance of)
{
    uint64_t now_ms = uv_now(&server->loop), *said_ms = &server->said_ms[of];
    bool may = !*said_ms || now_ms - *said_ms >= 1000;
    if (may)
        *said_ms = now_ms + !now_ms;
    return may;
}

/* What its device says of it, once, for the person who has to mend it; of one that comes and goes not all the time. */
static void complain_of(struct keyserver *server, struct job *job)
{
    const char *why = milgi_device_code_text(job->op.device_code);
    if (job->key->code == job->op.device_code || !may_complain(server, NOT_SIGNED))
        return;
    job->key->code = job->op.device_code;
    app_complain("no signature with the key of %s: %s (code %d)", milgi_credential_subject(job->key->credential),
        why ? why : milgi_op_status_name(job->op.status), (int)job->op.device_code);
}

/* False: there is no room for it now. */
static bool send_result(struct client *c, struct job *job)
{
    const struct milgi_op *op = &job->op;
    bool right = op->status == MILGI_OP_OK && op->u.sign.sig_len <= sizeof op->u.sign.sig;
    uint8_t error = op->device_code == MILGI_CODE_NO_MEMORY || op->status == MILGI_OP_CANCELLED
        ? MILGI__KEYLESS_E_INTERNAL
        : MILGI__KEYLESS_E_CRYPTO;
    const struct milgi__keyless_message message = {
        .id = job->id,
        .opcode = right ? MILGI__KEYLESS_RESPONSE : MILGI__KEYLESS_ERROR,
        .payload = right ? op->u.sign.sig : &error,
        .payload_len = right ? op->u.sign.sig_len : 1,
    };
    if (write_message(c, &message))
        return false;
    if (right) {
        c->server->signed_n++;
        job->key->code = 0;
    } else {
        c->server->errors++;
        complain_of(c->server, job);
    }
    return true;
}

static void read_on(struct client *c);

static void close_if_done(struct client *c)
{
    if (!c->leaving || c->jobs_n || !c->stream)
        return;
    milgi_stream_close(c->stream);
    c->stream = NULL;
}

/* What has been signed nobody needs any more. */
static void forget_input(struct job *job)
{
    struct keyserver *server = job->key->signer->server;
    server->held -= job->held - sizeof *job;
    job->held = sizeof *job;
    free(job->long_input);
    job->long_input = NULL;
}

void client_answer(struct job *job)
{
    struct client *c = job->client;
    if (!c) {
        job_free(job);
        return;
    }
    leave_jobs(c, job);
    job->client = NULL;
    forget_input(job);
    if (c->blocked || c->done.first || !send_result(c, job)) {
        job->next = NULL;
        if (c->done.last)
            c->done.last->next = job;
        else
            c->done.first = job;
        c->done.last = job;
        return;
    }
    c->jobs_n--;
    job_free(job);
    if (c->owed && c->stream)
        read_on(c);
    close_if_done(c);
}

static void send_done(struct client *c)
{
    while (c->done.first && !c->blocked && send_result(c, c->done.first)) {
        struct job *job = c->done.first;
        c->done.first = job->next;
        if (!c->done.first)
            c->done.last = NULL;
        c->jobs_n--;
        job_free(job);
    }
}

/* --- requests ----------------------------------------------------------------------------------------------------- */

static bool set_input(struct job *job, const struct milgi__keyless_message *message)
{
    struct milgi_op_sign *sign = &job->op.u.sign;
    if (message->payload_len <= sizeof sign->input) {
        if (message->payload_len)
            memcpy(sign->input, message->payload, message->payload_len);
        sign->input_len = (uint16_t)message->payload_len;
        return true;
    }
    job->long_input = malloc(message->payload_len);
    if (!job->long_input)
        return false;
    memcpy(job->long_input, message->payload, message->payload_len);
    sign->input_len = MILGI_SIGN_INPUT_IN_BLOB;
    sign->blob = (struct milgi_slice){ .data = job->long_input, .len = (uint32_t)message->payload_len };
    return true;
}

static struct job *job_new(const struct milgi__keyless_message *message, uint16_t scheme, struct key *key)
{
    struct job *job = calloc(1, sizeof *job);
    if (!job || !set_input(job, message)) {
        free(job);
        return NULL;
    }
    if (key->pss && scheme >= MILGI_SIG_RSA_PSS_RSAE_SHA256 && scheme <= MILGI_SIG_RSA_PSS_RSAE_SHA512)
        scheme = (uint16_t)(scheme - MILGI_SIG_RSA_PSS_RSAE_SHA256 + MILGI_SIG_RSA_PSS_PSS_SHA256);
    job->id = message->id;
    job->key = key;
    job->held = (uint32_t)(sizeof *job + (job->long_input ? message->payload_len : 0));
    key->signer->server->held += job->held;
    key->refs++;
    job->op.type = MILGI_OP_SIGN;
    job->op.cls = MILGI_OP_CLASS_HANDSHAKE;
    job->op.alg = scheme;
    job->op.key = &key->key;
    job->op.u.sign.hashed = scheme != MILGI_SIG_ED25519;
    return job;
}

/* A hash of the operation's length, or a message that may be; and of the key's kind. */
static bool makes_sense(const struct milgi__keyless_message *message, const struct key *key)
{
    const char *type = milgi_credential_key_type(key->credential);
    if (message->opcode == MILGI__KEYLESS_ED25519)
        return !strcmp(type, "Ed25519") && message->payload_len <= MESSAGE_MAX;
    bool ecdsa = message->opcode >> 4 == MILGI__KEYLESS_ECDSA_SHA256 >> 4;
    unsigned hash = (message->opcode & 15u) - (MILGI__KEYLESS_RSA_SHA256 - 2u); /* 2, 3, 4: SHA-256, -384, -512 */
    return !strncmp(type, ecdsa ? "ECDSA" : "RSA", ecdsa ? 5 : 3) && message->payload_len == hash * 16u;
}

/* 0, or the error that is the answer. */
static uint8_t sign(struct client *c, const struct milgi__keyless_message *message)
{
    uint16_t scheme = milgi__keyless_scheme(message->opcode);
    if (!scheme)
        return message->opcode >= MILGI__KEYLESS_RESPONSE ? MILGI__KEYLESS_E_UNEXPECTED : MILGI__KEYLESS_E_OPCODE;
    struct key *key = message->has_ski ? keys_find(&c->server->keys, message->ski) : NULL;
    if (!key)
        return MILGI__KEYLESS_E_NO_KEY;
    if (!makes_sense(message, key))
        return MILGI__KEYLESS_E_CRYPTO;
    struct job *job = job_new(message, scheme, key);
    if (!job)
        return MILGI__KEYLESS_E_INTERNAL;
    job->client = c;
    job->of_next = c->jobs;
    if (c->jobs)
        c->jobs->of_prev = job;
    c->jobs = job;
    c->jobs_n++;
    signer_submit(key->signer, job);
    return 0;
}

static void take_message(struct client *c, const struct milgi__keyless_message *message)
{
    c->server->requests++;
    if (message->opcode == MILGI__KEYLESS_PING) {
        struct milgi__keyless_message pong = *message;
        pong.opcode = MILGI__KEYLESS_PONG;
        pong.has_ski = false;
        pong.sni_len = 0;
        if (pong.payload_len > MILGI__KEYLESS_PAYLOAD_MAX)
            refuse(c, message->id, MILGI__KEYLESS_E_FORMAT);
        else if (write_message(c, &pong))
            cut(c);
        return;
    }
    uint8_t error = sign(c, message);
    if (error)
        refuse(c, message->id, error);
}

/* Each client may have one request under way, whatever the others have: by that it goes on. */
static bool may_read(const struct client *c)
{
    bool room = !c->jobs_n || (c->jobs_n < FLIGHT_MAX && c->server->held < c->server->held_most);
    return c->stream && !c->blocked && (!c->leaving || c->ended) && room;
}

static void leave_room(struct client *c)
{
    free(c->rx);
    c->rx = NULL;
    c->rx_cap = 0;
}

/* Takes the messages that there are, as long as it may. */
static void read_on(struct client *c)
{
    struct milgi__keyless_message message;
    size_t at = 0, whole;
    int rv = 0;
    while (may_read(c) && at < c->rx_len) {
        rv = milgi__keyless_parse(c->rx + at, c->rx_len - at, &message, &whole);
        if (rv == -MILGI__KEYLESS_E_FORMAT)
            refuse(c, message.id, MILGI__KEYLESS_E_FORMAT);
        else if (rv > 0)
            take_message(c, &message);
        else
            break;
        at += whole;
    }
    c->rx_len -= at;
    if (at && c->rx_len)
        memmove(c->rx, c->rx + at, c->rx_len);
    if (!c->rx_len)
        leave_room(c);
    if (rv == -MILGI__KEYLESS_E_VERSION && c->stream) {
        refuse(c, message.id, MILGI__KEYLESS_E_VERSION);
        c->leaving = true;
        c->ended = false;
        close_if_done(c);
    }
    if (may_read(c)) {
        milgi_stream_consumed(c->stream, c->owed);
        c->owed = 0;
    }
}

/* --- its stream --------------------------------------------------------------------------------------------------- */

/* For a message and, while it may not be read, the credit of its connection behind it. */
static bool make_room(struct client *c, size_t more)
{
    size_t cap = c->rx_cap ? c->rx_cap : ROOM_LEAST;
    while (cap < c->rx_len + more)
        cap *= 2;
    if (cap == c->rx_cap)
        return true;
    uint8_t *rx = realloc(c->rx, cap);
    if (!rx)
        return false;
    c->rx = rx;
    c->rx_cap = cap;
    return true;
}

static void on_data(struct milgi_stream *stream, void *arg, const struct milgi_slice *slices, size_t n)
{
    struct client *c = arg;
    (void)stream;
    for (size_t i = 0; i < n; i++) {
        if (!make_room(c, slices[i].len)) {
            if (may_complain(c->server, NO_MEMORY))
                app_complain("out of memory: a client is sent away");
            cut(c);
            return;
        }
        memcpy(c->rx + c->rx_len, slices[i].data, slices[i].len);
        c->rx_len += slices[i].len;
        c->owed += slices[i].len;
    }
    read_on(c);
}

static void on_room(struct milgi_stream *stream, void *arg)
{
    struct client *c = arg;
    (void)stream;
    c->blocked = false;
    send_done(c);
    read_on(c);
    close_if_done(c);
}

static void on_open(struct milgi_stream *stream, void *arg)
{
    struct client *c = arg;
    (void)stream;
    c->open = true;
}

static void on_end(struct milgi_stream *stream, void *arg)
{
    struct client *c = arg;
    (void)stream;
    c->leaving = c->ended = true;
    close_if_done(c);
}

static void complain_of_refused(struct keyserver *server, const struct milgi_reason *reason)
{
    server->refused++;
    if (!may_complain(server, REFUSED))
        return;
    app_complain("a client was refused: %s", reason->detail ? reason->detail : milgi_error_text(reason->error));
}

static void on_close(struct milgi_stream *stream, void *arg, const struct milgi_reason *reason)
{
    struct client *c = arg;
    (void)stream;
    if (!c->open && reason->error != MILGI_ETRANSPORT && reason->error != MILGI_ETRUNCATED)
        complain_of_refused(c->server, reason);
    c->stream = NULL;
}

static void on_gone(void *arg)
{
    struct client *c = arg;
    struct keyserver *server = c->server;
    for (struct job *job = c->jobs; job; job = job->of_next)
        job->client = NULL;
    while (c->done.first) {
        struct job *job = c->done.first;
        c->done.first = job->next;
        job_free(job);
    }
    if (c->prev)
        c->prev->next = c->next;
    else
        server->first = c->next;
    if (c->next)
        c->next->prev = c->prev;
    server->clients_n--;
    leave_room(c);
    free(c);
    if (!server->clients_n)
        keyserver_empty(server);
}

static const struct milgi_stream_events events = {
    .on_open = on_open,
    .on_data = on_data,
    .on_end = on_end,
    .on_room = on_room,
    .on_close = on_close,
    .on_gone = on_gone,
};

/* --- all of them -------------------------------------------------------------------------------------------------- */

static void turn_away(struct keyserver *server, uv_stream_t *listener)
{
    struct milgi_stream *stream;
    static const struct milgi_stream_events nobody = { 0 };
    if (!milgi_uv_accept(server->tls.uv, listener, server->tls.material.config, &nobody, NULL, &stream))
        milgi_stream_reset(stream);
}

void clients_accept(uv_stream_t *listener, int status)
{
    struct keyserver *server = listener->data;
    if (status) {
        if (may_complain(server, NOT_ACCEPTED))
            app_complain("a client could not be accepted: %s", uv_strerror(status));
        return;
    }
    struct client *c = server->clients_n < server->options->max_conns ? calloc(1, sizeof *c) : NULL;
    if (!c) {
        turn_away(server, listener);
        return;
    }
    c->server = server;
    int rv = milgi_uv_accept(server->tls.uv, listener, server->tls.material.config, &events, c, &c->stream);
    if (rv) {
        if (may_complain(server, NOT_TAKEN))
            app_complain("a client was not taken: %s", milgi_error_text(rv));
        free(c);
        return;
    }
    server->accepted++;
    server->clients_n++;
    c->next = server->first;
    if (c->next)
        c->next->prev = c;
    server->first = c;
}

void clients_drain(struct keyserver *server)
{
    struct client *next;
    for (struct client *c = server->first; c; c = next) {
        next = c->next;
        c->leaving = true;
        c->ended = false;
        close_if_done(c);
    }
    if (!server->clients_n)
        keyserver_empty(server);
}

void clients_forget(struct keyserver *server)
{
    for (struct client *c = server->first; c; c = c->next) {
        for (struct job *job = c->jobs; job; job = job->of_next)
            job->client = NULL;
        c->jobs = NULL;
    }
}

void clients_sweep(struct keyserver *server)
{
    uint32_t idle_ms = server->options->idle_ms;
    for (struct client *c = server->first; idle_ms && c; c = c->next) {
        if (!c->stream || c->jobs || milgi_stream_idle_ms(c->stream) < idle_ms)
            continue;
        if (c->jobs_n || c->blocked) /* it does not take its answers */
            milgi_stream_drop(c->stream);
        else
            milgi_stream_close(c->stream);
        c->stream = NULL;
    }
}
