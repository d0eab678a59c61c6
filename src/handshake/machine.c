/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The driver of the step tables. It does what a step could forget:
 *   - a need that was never started is an internal error, one that is out is waited for, one that failed fails the
 *     handshake, judged in slot order whatever came back first;
 *   - a message that is missing is waited for, a wrong one, or one that is too long, refused;
 *   - bytes behind a message that ends a flight, or inside a message, are refused;
 *   - ops are started only when there is room for all that the row may start;
 *   - the successor must be one that the row names, and only then the message is consumed: or left, if it peeks.
 * Failure is one sticky step.
 */
#include <assert.h>

#include "handshake/hs.h"

#define HELLO_REQUESTS_MAX 4

static const struct milgi__row ends[MILGI__STEPS_COMMON] = {
    [MILGI__FAILED] = { .name = "failed", .message = MILGI__NO_MESSAGE },
    [MILGI__OPEN] = {
        .name = "open",
        .message = MILGI__NO_MESSAGE,
        .read_level = MILGI__LEVEL_APP,
        .write_level = MILGI__LEVEL_APP },
};

static const struct milgi__row *row_of(enum milgi_role role, unsigned step)
{
    if (step < MILGI__STEPS_COMMON)
        return &ends[step];
    bool client = role == MILGI_CLIENT;
    unsigned first13 = client ? MILGI__C13_FIRST : MILGI__S13_FIRST;
    unsigned first12 = client ? MILGI__C12_FIRST : MILGI__S12_FIRST;
    if (step < first13)
        return (client ? milgi__client_hello_rows : milgi__server_hello_rows) + (step - MILGI__STEPS_COMMON);
    if (step < first12)
        return (client ? milgi__client13_rows : milgi__server13_rows) + (step - first13);
    return (client ? milgi__client12_rows : milgi__server12_rows) + (step - first12);
}

static const struct milgi__row *row_now(const struct milgi__hs *hs)
{
    return row_of(milgi__hs_role(hs), hs->step);
}

/* --- life ------------------------------------------------------------------------------------------------------- */

struct milgi__hs *milgi__hs_new(
    struct milgi_config *config, const struct milgi__hs_host *host, const char *server_name)
{
    struct milgi__blocks *blocks = milgi__pool_blocks(host->pool);
    struct milgi__hs *hs = milgi__block_zeroed(blocks, sizeof *hs);
    if (!hs)
        return NULL;
    hs->arena.blocks = hs->scratch.blocks = hs->unsent.blocks = blocks;
    hs->config = milgi_config_ref(config);
    hs->host = *host;
    hs->message_max = (uint32_t)config->limit[MILGI_LIMIT_HANDSHAKE_MESSAGE];
    hs->record_in = (uint16_t)config->limit[MILGI_LIMIT_RECORD_IN];
    hs->step = config->role == MILGI_CLIENT ? MILGI__C_START : milgi__server_first(config);
    hs->failure = milgi__failure(0, MILGI_ALERT_NONE, NULL);
    hs->result.alpn = "";
    if (server_name) {
        struct milgi__bytes name = { (const uint8_t *)server_name, strlen(server_name) };
        hs->server_name = (const char *)milgi__arena_copy(&hs->arena, name).p;
        if (!hs->server_name) {
            milgi__hs_free(hs);
            return NULL;
        }
    }
    if (config->role == MILGI_CLIENT)
        hs->result.server_name = hs->server_name;
    return hs;
}

/* A handshake that waits holds no memory for messages to come. */
static void release_input(struct milgi__hs *hs)
{
    milgi__block_give_wiped(hs->arena.blocks, hs->in, hs->in_cap);
    hs->in = NULL;
    hs->in_cap = hs->in_from = hs->in_to = 0;
}

void milgi__hs_free(struct milgi__hs *hs)
{
    if (!hs)
        return;
    milgi__transcript_free(&hs->transcript);
    milgi__end_exchange(hs);
    milgi__forget_shown(hs->issue);
    milgi__arena_wipe(&hs->arena);
    milgi__arena_wipe(&hs->scratch);
    milgi__arena_wipe(&hs->unsent);
    release_input(hs);
    milgi_credential_unref(hs->credential);
    milgi_session_unref(hs->session);
    bool client = milgi__hs_role(hs) == MILGI_CLIENT;
    for (unsigned i = 0; i < (client ? hs->offers_n : MILGI__IDENTITIES_MAX); i++)
        milgi_session_unref(client ? hs->offer[i] : hs->opened[i]);
    milgi_session_unref(hs->offer12);
    milgi_session_unref(hs->made);
    milgi_config_unref(hs->config);
    milgi__block_give_wiped(hs->arena.blocks, hs, sizeof *hs);
}

/* --- failure ---------------------------------------------------------------------------------------------------- */

enum milgi__step milgi__hs_refuse(struct milgi__hs *hs, const struct milgi__failure *failure)
{
    if (hs->failure.error == 0)
        hs->failure = *failure;
    hs->step = MILGI__FAILED;
    return MILGI__FAILED;
}

enum milgi__step milgi__hs_fail(struct milgi__hs *hs, int error, int alert, const char *detail)
{
    struct milgi__failure failure = milgi__failure(error, alert, detail);
    return milgi__hs_refuse(hs, &failure);
}

enum milgi__step milgi__hs_illegal(struct milgi__hs *hs, const char *detail)
{
    return milgi__hs_fail(hs, MILGI_EPROTO, MILGI_ALERT_ILLEGAL_PARAMETER, detail);
}

enum milgi__step milgi__hs_broken(struct milgi__hs *hs, int rv)
{
    if (rv == MILGI_ENOMEM)
        return milgi__hs_fail(hs, MILGI_ENOMEM, MILGI_ALERT_INTERNAL_ERROR, "no memory for the handshake");
    return milgi__hs_fail(hs, MILGI_EINTERNAL, MILGI_ALERT_INTERNAL_ERROR, "the handshake could not be computed");
}

static enum milgi__step unexpected(struct milgi__hs *hs, const char *detail)
{
    return milgi__hs_fail(hs, MILGI_EPROTO, MILGI_ALERT_UNEXPECTED_MESSAGE, detail);
}

/* --- input ------------------------------------------------------------------------------------------------------ */

static bool reserve(struct milgi__hs *hs, size_t len)
{
    size_t used = hs->in_to - hs->in_from;
    if (hs->in_cap - hs->in_to >= len)
        return true;
    size_t cap = MILGI__MAX(used + len, MILGI__MIN(2 * hs->in_cap, used + len + 16384));
    /* An incomplete message, and the record that it ends in; twice the latter for growth. */
    assert(cap <= hs->message_max + MILGI__MSG_HEADER + 2 * 16384);
    uint8_t *in = milgi__block_take(hs->arena.blocks, cap);
    if (!in)
        return false;
    if (used != 0)
        memcpy(in, hs->in + hs->in_from, used);
    milgi__block_give_wiped(hs->arena.blocks, hs->in, hs->in_cap);
    hs->in = in;
    hs->in_cap = cap;
    hs->in_from = 0;
    hs->in_to = used;
    return true;
}

int milgi__hs_input(struct milgi__hs *hs, enum milgi__level level, const uint8_t *data, size_t len)
{
    if (hs->step == MILGI__FAILED)
        return MILGI_EPROTO;
    if (level != hs->read_level || hs->step == MILGI__OPEN) {
        unexpected(hs, "a handshake message under a wrong key");
        return MILGI_EPROTO;
    }
    /*= RFC8446 5.1: "Implementations MUST NOT send zero-length fragments of Handshake types" */
    if (len == 0) {
        unexpected(hs, "an empty handshake record");
        return MILGI_EPROTO;
    }
    if (!reserve(hs, len)) {
        milgi__hs_broken(hs, MILGI_ENOMEM);
        return MILGI_ENOMEM;
    }
    memcpy(hs->in + hs->in_to, data, len);
    hs->in_to += len;
    return 0;
}

bool milgi__hs_mid_message(const struct milgi__hs *hs)
{
    return hs->in_to != hs->in_from;
}

/* --- the driver ------------------------------------------------------------------------------------------------- */

enum arrival {
    MISSING,
    ARRIVED,
    OTHER,
    TOO_LONG /* than the config says: known from its header, before more of it is taken */
};

/*= RFC5246 7.4.1.1: "This message will be ignored by the client if the client is currently negotiating a session."
 *= "This message MUST NOT be included in the message hashes" */
/* Takes those off that stand first, of which few may come. False: failed. */
static bool skip_requests(struct milgi__hs *hs)
{
    static const uint8_t request[MILGI__MSG_HEADER] = { MILGI__MSG_HELLO_REQUEST };
    while (hs->in_to - hs->in_from >= sizeof request && memcmp(hs->in + hs->in_from, request, sizeof request) == 0) {
        if (++hs->hello_requests > HELLO_REQUESTS_MAX) {
            unexpected(hs, "too many HelloRequests");
            return false;
        }
        hs->in_from += sizeof request;
        if (hs->in_from == hs->in_to)
            release_input(hs);
    }
    return true;
}

static bool may_skip_requests(const struct milgi__hs *hs)
{
    return milgi__hs_role(hs) == MILGI_CLIENT && hs->result.version != MILGI__TLS13 &&
        hs->config->version_min < MILGI__TLS13;
}

/* The message that the row awaits, whole. */
static enum arrival look(const struct milgi__hs *hs, const struct milgi__row *row, struct milgi__bytes *message)
{
    size_t left = hs->in_to - hs->in_from;
    if (row->message == MILGI__MSG_CHANGE_CIPHER_SPEC && hs->changes) {
        *message = (struct milgi__bytes){ NULL, 0 };
        return ARRIVED;
    }
    if (left == 0 || !hs->in)
        return MISSING;
    if (row->message == MILGI__MSG_CHANGE_CIPHER_SPEC)
        return OTHER; /* whatever its type */
    const uint8_t *p = hs->in + hs->in_from;
    bool request = p[0] == MILGI__MSG_HELLO_REQUEST && left < MILGI__MSG_HEADER && may_skip_requests(hs);
    if (p[0] != row->message && !request)
        return OTHER;
    if (left < MILGI__MSG_HEADER)
        return MISSING;
    size_t len = milgi__get24(p + 1);
    if (len > hs->message_max)
        return TOO_LONG;
    if (left - MILGI__MSG_HEADER < len)
        return MISSING;
    *message = (struct milgi__bytes){ p, MILGI__MSG_HEADER + len };
    return ARRIVED;
}

/* The longest ClientHello that there can be: all its vectors are full. */
#define CLIENT_HELLO_MOST (2 + 32 + (1 + 32) + (2 + 65534) + (1 + 255) + (2 + 65535))

static void refuse_length(struct milgi__hs *hs, const struct milgi__row *row)
{
    /*= RFC8446 4.4.4: "Recipients of Finished messages MUST verify that the contents are correct and if incorrect MUST
     *= terminate the connection with a "decrypt_error" alert." Whatever their length. */
    int alert = MILGI_ALERT_ILLEGAL_PARAMETER;
    if (row->message == MILGI__MSG_FINISHED)
        alert = MILGI_ALERT_DECRYPT_ERROR;
    /*= RFC8446 6: "Peers which receive a message which cannot be parsed according to the syntax (e.g., have a length
     *= extending beyond the message boundary or contain an out-of-range length) MUST terminate the connection with a
     *= "decode_error" alert." */
    else if (row->message == MILGI__MSG_CLIENT_HELLO && milgi__get24(hs->in + hs->in_from + 1) > CLIENT_HELLO_MOST)
        alert = MILGI_ALERT_DECODE_ERROR;
    milgi__hs_fail(hs, MILGI_EPROTO, alert, "a handshake message longer than the limit");
}

/* Whether all that the row needs came back well; the first in slot order that did not is why it fails. */
static bool judge(struct milgi__hs *hs, const struct milgi__row *row)
{
    uint32_t failed = hs->failed & row->needs;
    if (failed != 0)
        milgi__hs_refuse(hs, milgi__hs_why(hs, (enum milgi__slot)__builtin_ctz(failed)));
    return failed == 0;
}

/* The row has all that it needs: so much for how long the results waited. */
static void tell_turn(struct milgi__hs *hs, const struct milgi__row *row)
{
    if (hs->sampled_ns == 0 || (row->needs & MILGI__ON(hs->sampled_slot)) == 0)
        return;
    if (hs->host.calls->in_turn)
        hs->host.calls->in_turn(hs->host.ctx, hs->sampled_dev, hs->sampled_ns);
    hs->sampled_ns = 0;
}

/* The most that a ticket takes: what differs is what is kept of the peer, certificates or a PSK's identity. */
static size_t sealed_max(const struct milgi__hs *hs)
{
    size_t chain = milgi__psk_identity(hs->session).len; /* or the certificates that the session has */

    chain = MILGI__MAX(chain, hs->peer_chain.len);
    return MILGI__SESSION_BYTES_MAX - MILGI__SESSION_CERT_MAX + MILGI__MIN(chain, (size_t)MILGI__SESSION_CERT_MAX);
}

/* Ops that the row may start, and the chunks that they hold, can be had now. */
static bool has_room(const struct milgi__hs *hs, const struct milgi__row *row, size_t message_len)
{
    unsigned ops = 0;
    size_t bytes = 0;
    for (uint32_t left = row->starts & MILGI__OPS; left != 0; left &= left - 1)
        ops++;
    if ((row->starts & MILGI__ON(MILGI__CHAIN)) != 0)
        bytes += message_len + hs->peer_chain.len;
    if ((row->starts & MILGI__ON(MILGI__VERIFY)) != 0)
        bytes += message_len + hs->peer_spki.len;
    if ((row->starts & MILGI__ON(MILGI__SIGN)) != 0 && hs->own_scheme != 0)
        bytes += milgi__scheme(hs->own_scheme)->long_len;
    if ((row->starts & MILGI__ON(MILGI__TICKET_1)) != 0)
        bytes += message_len;
    if ((row->starts & MILGI__ON(MILGI__SEAL_1)) != 0)
        bytes += MILGI_TICKETS_MAX * sealed_max(hs);
    if ((row->starts & (MILGI__ON(MILGI__VERIFY) | MILGI__ON(MILGI__SIGN))) != 0 && hs->transcript.keeps)
        bytes += hs->transcript.early_len; /* in TLS 1.2 the messages themselves are signed */
    return ops == 0 || hs->host.calls->room(hs->host.ctx, ops, bytes);
}

static void tell_step(const struct milgi__hs *hs, const struct milgi__row *row)
{
    struct milgi_trace_event event = { .kind = MILGI_TRACE_STEP };
    event.u.step.name = row->name;
    milgi__trace(hs->host.tracer, hs->host.owner, &event);
}

/* Runs the row's step and goes to its successor. */
static void take(struct milgi__hs *hs, const struct milgi__row *row, struct milgi__bytes message)
{
    bool has_message = row->message != MILGI__NO_MESSAGE && row->message != MILGI__MSG_CHANGE_CIPHER_SPEC;
    struct milgi__reader body = milgi__reader_of(message);
    if (has_message)
        milgi__read32(&body);
    if (milgi__traced(hs->host.tracer))
        tell_step(hs, row);
    enum milgi__step next = row->run(hs, &body);
    milgi__arena_wipe(&hs->scratch);
    if (hs->step == MILGI__FAILED)
        return;
    if (next == MILGI__FAILED || (row->next & MILGI__TO(next)) == 0) {
        milgi__hs_broken(hs, MILGI_EINTERNAL);
        return;
    }
    has_message = has_message && !row->peeks;
    if (has_message && !milgi__reader_done(&body)) {
        milgi__hs_fail(hs, MILGI_EPROTO, MILGI_ALERT_DECODE_ERROR, "bytes are left inside a handshake message");
        return;
    }
    if (has_message) {
        int rv = milgi__transcript_add(&hs->transcript, message.p, message.len);
        if (rv != 0) {
            milgi__hs_broken(hs, rv);
            return;
        }
        hs->in_from += message.len;
        if (hs->in_from == hs->in_to)
            release_input(hs);
    }
    hs->changes = false;
    hs->step = next;
}

/* One row; false: *wait says what for. */
static bool advance(struct milgi__hs *hs, enum milgi__hs_wait *wait)
{
    const struct milgi__row *row = row_now(hs);
    struct milgi__bytes message = { NULL, 0 };
    if (!row->run) {
        if (milgi__traced(hs->host.tracer))
            tell_step(hs, row);
        *wait = hs->step == MILGI__OPEN ? MILGI__HS_OPEN : MILGI__HS_FAILED;
        return false;
    }
    if ((row->needs & ~hs->started) != 0 || row->read_level != hs->read_level ||
        row->write_level != hs->write_level) {
        milgi__hs_broken(hs, MILGI_EINTERNAL);
        return true;
    }
    if ((row->needs & ~hs->done) != 0) {
        *wait = MILGI__HS_OPS;
        return false;
    }
    if (!judge(hs, row))
        return true;
    tell_turn(hs, row);
    if (hs->in && row->message != MILGI__NO_MESSAGE && may_skip_requests(hs) && !skip_requests(hs))
        return true;
    enum arrival arrival = row->message == MILGI__NO_MESSAGE ? ARRIVED : look(hs, row, &message);
    if (arrival == MISSING) {
        *wait = MILGI__HS_INPUT;
        return false;
    }
    if (arrival == OTHER && row->otherwise != 0) {
        hs->step = row->otherwise;
        return true;
    }
    if (arrival == OTHER) {
        unexpected(hs, "an unexpected handshake message");
        return true;
    }
    if (arrival == TOO_LONG) {
        refuse_length(hs, row);
        return true;
    }
    /*= RFC8446 5.1: "Implementations MUST verify that all messages immediately preceding a key change align with a
     *= record boundary; if not, then they MUST terminate the connection with an "unexpected_message" alert." */
    if (row->flight_ends && hs->in_to - hs->in_from != message.len) {
        unexpected(hs, "a handshake message across a change of keys");
        return true;
    }
    if (!has_room(hs, row, message.len)) {
        *wait = MILGI__HS_ROOM;
        return false;
    }
    take(hs, row, message);
    return true;
}

enum milgi__hs_wait milgi__hs_run(struct milgi__hs *hs)
{
    enum milgi__hs_wait wait = MILGI__HS_OPS;
    if (hs->running)
        return wait; /* a completion or answer from inside a step: the loop below sees it */
    hs->running = true;
    while (advance(hs, &wait))
        continue;
    hs->running = false;
    return wait;
}

/* --- what is known ---------------------------------------------------------------------------------------------- */

const struct milgi__failure *milgi__hs_failure(const struct milgi__hs *hs)
{
    return &hs->failure;
}

const struct milgi__hs_result *milgi__hs_result(const struct milgi__hs *hs)
{
    return &hs->result;
}

bool milgi__hs_half_open(const struct milgi__hs *hs)
{
    return hs->half_open && hs->config->early_server_data && hs->step != MILGI__FAILED;
}

enum milgi__hs_ccs milgi__hs_take_ccs(struct milgi__hs *hs)
{
    const struct milgi__row *row = row_now(hs);
    if (row->takes_ccs) {
        hs->dropped_ccs = true;
        return MILGI__CCS_DROPPED;
    }
    if (row->message != MILGI__MSG_CHANGE_CIPHER_SPEC || hs->changes)
        return MILGI__CCS_REFUSED;
    hs->changes = true;
    return MILGI__CCS_TAKEN;
}

bool milgi__hs_warnings(const struct milgi__hs *hs)
{
    return hs->result.version == 0 ? hs->config->version_min < MILGI__TLS13 : hs->result.version < MILGI__TLS13;
}

size_t milgi__hs_kept(const struct milgi__hs *hs, uint8_t *out)
{
    const struct milgi__schedule13 *s = &hs->schedule;
    const struct milgi__schedule12 *s12 = &hs->schedule12;
    bool client = milgi__hs_role(hs) == MILGI_CLIENT;
    size_t len = milgi__hash_len(hs->suite->hash);
    if (out && hs->suite->tls13) {
        memcpy(out + MILGI__READ * len, client ? s->server_app : s->client_app, len);
        memcpy(out + MILGI__WRITE * len, client ? s->client_app : s->server_app, len);
        memcpy(out + MILGI__KEPT_EXPORTER * len, s->exporter, len);
    } else if (out) {
        memcpy(out, s12->randoms, sizeof s12->randoms);
        memcpy(out + MILGI__KEPT12_MASTER, s12->master, sizeof s12->master);
        memcpy(out + MILGI__KEPT12_FIRST, s12->first, sizeof s12->first);
    }
    return hs->suite->tls13 ? MILGI__KEPT_N * len : MILGI__KEPT12_FIRST + sizeof s12->first;
}

bool milgi__hs_skips_early(const struct milgi__hs *hs)
{
    return hs->early_data && hs->step != MILGI__FAILED;
}

const char *milgi__hs_step(const struct milgi__hs *hs)
{
    return row_now(hs)->name;
}

uint32_t milgi__hs_missing(const struct milgi__hs *hs)
{
    return row_now(hs)->needs & ~hs->done;
}

int milgi__hs_awaits(const struct milgi__hs *hs)
{
    return row_now(hs)->message;
}

static bool is_first(enum milgi_role role, unsigned step)
{
    if (role == MILGI_CLIENT)
        return step == MILGI__C_START;
    return step == MILGI__S_ASK_HELLO || step == MILGI__S_LOOK_HELLO || step == MILGI__S_RECV_HELLO;
}

size_t milgi__hs_table(enum milgi_role role, struct milgi__hs_row_info *rows, size_t cap)
{
    size_t n = role == MILGI_CLIENT ? MILGI__C_END : MILGI__S_END;
    for (unsigned step = 0; step < n && step < cap; step++) {
        const struct milgi__row *row = row_of(role, step);
        rows[step] = (struct milgi__hs_row_info){
            .name = row->name,
            .message = row->message,
            .otherwise = row->otherwise != 0 ? (int)row->otherwise : -1,
            .needs = row->needs,
            .starts = row->starts,
            .next = row->next | (row->otherwise != 0 ? MILGI__TO(row->otherwise) : 0),
            .sends_maybe = row->sends_maybe,
            .read_level = row->read_level,
            .write_level = row->write_level,
            .flight_ends = row->flight_ends,
            .first = is_first(role, step),
            .peeks = row->peeks,
            .takes_ccs = row->takes_ccs,
        };
        memcpy(rows[step].sends, row->sends, sizeof row->sends);
    }
    return n;
}
