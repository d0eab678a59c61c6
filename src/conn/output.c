/* SPDX-License-Identifier: Apache-2.0 */
/*
 * To the network: what the application gives is framed, sealed, taken in order and handed out; how much may pile up is
 * bounded.
 */
#include "conn/output.h"

#include <assert.h>

#include "conn/fail.h"
#include "conn/keys.h"
#include "conn/trace.h"

#define IOVS 256u
#define HELD_CHUNK 65536u
#define HELD_SMALL 2048u

/* --- from the application -------------------------------------------------------------------------- */

/* What the backlog takes: a piece costs more than its bytes, so that many small ones count too. */
static uint64_t cost(const struct milgi_conn *c)
{
    return milgi__conn_backlog(c) + milgi__transport_pieces_cost(c->transport);
}

size_t milgi_conn_output_pending(const struct milgi_conn *c)
{
    /* An alert that is wanted and not yet queued counts too. */
    bool alert = c->phase == MILGI__FAILING || (milgi__conn_live(c) && c->out == MILGI__OUT_CLOSING);
    return milgi__conn_backlog(c) + alert;
}

bool milgi_conn_output_full(const struct milgi_conn *c)
{
    return cost(c) >= milgi__conn_share(c, MILGI_LIMIT_OUTPUT);
}

/* Room enough for on_room. */
static bool has_room(const struct milgi_conn *c)
{
    return cost(c) <= milgi__conn_share(c, MILGI_LIMIT_OUTPUT) / 2;
}

/* Framed data that the network has not taken: no more is sealed than it can be given. */
static bool network_full(const struct milgi_conn *c)
{
    return milgi__conn_with_network(c) >= milgi__conn_share(c, MILGI_LIMIT_OUTPUT);
}

/* Whether |len| more bytes are taken: 0 or an error. */
static int may_send(const struct milgi_conn *c, size_t len)
{
    if (milgi__engine_foreign(c->engine))
        return MILGI_EFORK;
    if (!milgi__conn_live(c) || c->out != MILGI__OUT_OPEN)
        return MILGI_ECLOSED;
    /* One call may be of any size up to the limit, but not again and again in spite of PAUSE. */
    return cost(c) + len > milgi__given_max(c->config) ? MILGI_ELIMIT : 0;
}

/*
 * The handshake's memory, which holds what was given before it is over; it may be needed before the handshake begins.
 */
static struct milgi__bufq *held(struct milgi_conn *c)
{
    struct milgi__conn_hs *hs = milgi__conn_hs_memory(c);
    return hs ? &hs->held : NULL;
}

/* Small writes share a chunk: true if this one has found room behind the last. */
static bool hold_behind(struct milgi_conn *c, const uint8_t *data, size_t len)
{
    struct milgi__bufq *q = &c->hs->held;
    struct milgi_slice *last = q->n ? &q->ring[(q->head + q->n - 1) & (q->cap - 1)] : NULL;
    if (!last || last->chunk != c->hs->held_tail)
        return false;
    uint8_t *to = last->data + last->len, *end = last->chunk->data + last->chunk->size;
    if (len > (size_t)(end - to))
        return false;
    memcpy(to, data, len);
    last->len += (uint32_t)len;
    q->len += len;
    milgi__engine_count(c->engine, len, 0, 0);
    milgi__chunk_taint(last->chunk, (uint32_t)(to + len - last->chunk->data), milgi__owner_id(&c->owner));
    return true;
}

/* Copies into chunks of the queue; all or nothing. */
static int hold_copy(struct milgi_conn *c, const uint8_t *data, size_t len)
{
    struct milgi__bufq *q = held(c), copy = { 0 };
    if (!q)
        return MILGI_ENOMEM;
    if (hold_behind(c, data, len))
        return 0;
    for (size_t at = 0; at < len;) {
        size_t k = MILGI__MIN(len - at, HELD_CHUNK);
        struct milgi_chunk *chunk = milgi__chunk_alloc(milgi__engine_pool(c->engine), MILGI__MAX(k, HELD_SMALL),
            milgi__owner_id(&c->owner), false);
        if (!chunk || milgi__bufq_push(&copy, (struct milgi_slice){ chunk, chunk->data, (uint32_t)k }) != 0) {
            if (chunk)
                milgi_chunk_unref(chunk);
            milgi__bufq_clear(&copy, milgi__engine_pool(c->engine));
            return MILGI_ENOMEM;
        }
        memcpy(chunk->data, data + at, k);
        milgi__engine_count(c->engine, k, 0, 0);
        milgi__chunk_taint(chunk, (uint32_t)k, milgi__owner_id(&c->owner));
        at += k;
    }
    struct milgi_slice slice;
    int rv = 0;
    while (copy.len && rv == 0 && milgi__bufq_take(&copy, copy.ring[copy.head].len, &slice, 1) == 1) {
        rv = milgi__bufq_push(q, slice);
        c->hs->held_tail = slice.chunk;
        if (rv != 0)
            milgi_chunk_unref(slice.chunk);
    }
    milgi__bufq_clear(&copy, milgi__engine_pool(c->engine));
    if (rv != 0)
        milgi__conn_fail(c, MILGI_ENOMEM, MILGI_ALERT_INTERNAL_ERROR, "no memory for output");
    return rv;
}

/* A few bytes are never the reason why a large chunk stays. */
static int hold(struct milgi_conn *c, struct milgi_slice slice)
{
    if ((uint64_t)slice.len * 4 >= slice.chunk->size) {
        struct milgi__bufq *q = held(c);
        int rv = q ? milgi__bufq_push(q, slice) : MILGI_ENOMEM;
        if (rv == 0)
            c->hs->held_tail = NULL; /* this one is not, even if it lies where one of ours was before it went */
        return rv;
    }
    int rv = hold_copy(c, slice.data, slice.len);
    if (rv == 0)
        milgi_chunk_unref(slice.chunk);
    return rv;
}

static int sent(struct milgi_conn *c, size_t len)
{
    c->bytes_out += len;
    milgi__conn_data_moves(c, len);
    milgi__engine_ready(c->engine, &c->owner);
    bool wanted = c->want_room;
    uint64_t backlog = milgi__conn_backlog(c), pieces = milgi__transport_pieces_cost(c->transport);
    c->want_room = backlog + pieces >= milgi__conn_share(c, MILGI_LIMIT_OUTPUT); /* milgi_conn_output_full() */
    if (milgi__traced(milgi__conn_tracer(c)) && c->want_room != wanted)
        milgi__conn_trace_pause(c, wanted ? MILGI_TRACE_RESUME : MILGI_TRACE_PAUSE, MILGI_TRACE_OUTPUT);
    assert(backlog <= milgi__given_max(c->config));
    return c->want_room ? MILGI_PAUSE : 0;
}

/* It is tried again at on_memory, which has to come, whatever it was that there was no memory for. */
static int not_sent(struct milgi_conn *c, int rv)
{
    if (rv == MILGI_ENOMEM)
        milgi__pool_short(milgi__engine_pool(c->engine));
    return rv;
}

int milgi_conn_send(struct milgi_conn *c, struct milgi_slice slice)
{
    int rv = may_send(c, slice.len);
    if (rv != 0)
        return rv;
    if (slice.len == 0) {
        if (slice.chunk)
            milgi_chunk_unref(slice.chunk);
        return 0;
    }
    uint32_t end = (uint32_t)(slice.data - slice.chunk->data) + slice.len;
    if (slice.chunk->size_class != MILGI__CHUNK_LENT) /* else it is its owner's to wipe, who may share it */
        milgi__chunk_taint(slice.chunk, end, milgi__owner_id(&c->owner));
    if (c->app_open) {
        rv = milgi__transport_send(c->transport, MILGI__DATA, slice);
    } else {
        rv = hold(c, slice);
    }
    return rv != 0 ? not_sent(c, rv) : sent(c, slice.len);
}

int milgi_conn_write(struct milgi_conn *c, const void *data, size_t len)
{
    int rv = may_send(c, len);
    if (rv != 0 || len == 0)
        return rv;
    if (!c->app_open) {
        rv = hold_copy(c, data, len);
    } else {
        rv = milgi__transport_write(c->transport, MILGI__DATA, data, len, false);
        milgi__engine_count(c->engine, rv == 0 ? len : 0, 0, 0);
    }
    return rv != 0 ? not_sent(c, rv) : sent(c, len);
}

/* What is given meanwhile queues up behind what waits. */
bool milgi__conn_release_held(struct milgi_conn *c)
{
    struct milgi__bufq *q = &c->hs->held;
    while (!c->app_open && q->n) {
        struct milgi_slice slice = q->ring[q->head];
        if (milgi__transport_send(c->transport, MILGI__DATA, slice) != 0) {
            c->blocked_room = true;
            return false;
        }
        (void)milgi__bufq_take(q, slice.len, &slice, 1); /* its reference has moved on already */
    }
    c->app_open = true;
    return true;
}

/* --- framing ---------------------------------------------------------------------------------------- */

/* Our key is changed before what comes next: the peer has asked for it, or the key is at its limit. */
/*= RFC8446 5.5: "Implementations SHOULD do a key update as described in Section 4.6.3 prior to reaching these limits."
   */
static void update_if_due(struct milgi_conn *c)
{
    if (c->phase != MILGI__ESTABLISHED)
        return;
    bool unframed = milgi__transport_unframed(c->transport) > 0;
    if (c->owes_update && (unframed || milgi__conn_may_answer(c)))
        milgi__conn_update_write(c, false, true);
    if (!unframed || c->phase != MILGI__ESTABLISHED)
        return;
    uint64_t most = MILGI__MIN(milgi__conn_limit(c, MILGI_LIMIT_REKEY_RECORDS),
        milgi__transport_records_max(c->transport));
    if (milgi__transport_records(c->transport, MILGI__WRITE) < most)
        return;
    /*= RFC5288 3: "each value of the nonce_explicit MUST be distinct for each distinct invocation of the GCM encrypt
     *= function for any fixed key"; and long before they are used up the key is. There is no other. */
    if (milgi__conn_version(c)->updates)
        milgi__conn_update_write(c, false, true);
    else if (milgi__transport_next_type(c->transport) == MILGI__DATA)
        milgi__conn_fail(c, MILGI_ELIMIT, MILGI_ALERT_INTERNAL_ERROR,
            "the write key has sealed as many records as it may, and TLS 1.2 cannot change it");
}

/* A finished record, or several side by side: one slice with those of this round that stand before it. */
static void put_out(struct milgi_conn *c, struct milgi_slice slice, uint32_t round)
{
    struct milgi__bufq *q = &c->output;
    struct milgi_slice *last = q->n > round ? &q->ring[(q->head + q->n - 1) & (q->cap - 1)] : NULL;
    if (last && last->chunk == slice.chunk && last->data + last->len == slice.data) {
        last->len += slice.len;
        q->len += slice.len;
        milgi__chunk_unref(slice.chunk);
    } else {
        (void)milgi__bufq_push(q, slice); /* there is room */
        milgi__engine_dirty(c->engine, &c->owner);
    }
}

/* One more slice can be put out; false: no memory. */
static bool output_room(struct milgi_conn *c)
{
    return milgi__bufq_room(&c->output, milgi__engine_pool(c->engine));
}

/* Seals as much of the application data as can be at once, if the key need not change first. True: some of it was. */
static bool seal_data(struct milgi_conn *c, uint32_t round, uint64_t *spent_ns)
{
    struct milgi__sealed sealed;
    if (c->phase != MILGI__ESTABLISHED || c->owes_update || !output_room(c))
        return false;
    struct milgi__short_limits limits = {
        .records = milgi__conn_limit(c, MILGI_LIMIT_REKEY_RECORDS),
        .framed = c->done_bytes + milgi__conn_share(c, MILGI_LIMIT_OUTPUT),
        .slices = c->output.cap - c->output.n,
        /* As in the pipeline: for what is alone on its way. */
        .reserve = c->output.n == round ? MILGI__RESERVE_HALF : MILGI__RESERVE_NONE,
    };
    if (!milgi__transport_seal_data(c->transport, &limits, spent_ns, &sealed))
        return false;
    for (unsigned i = 0; i < sealed.slices_n; i++)
        put_out(c, sealed.slice[i], round);
    assert(milgi__conn_with_network(c) <= milgi__framed_max(c->config));
    c->records_out += sealed.n;
    return true;
}

#define QUARTER_NS 250000000u /* of a second */
#define SILENCE 4u            /* of them */

/* After a silence the first records are short again, if that is wanted. */
static void begin_short(struct milgi_conn *c)
{
    uint32_t most = (uint32_t)milgi__conn_limit(c, MILGI_LIMIT_RECORD_FIRST);
    if (milgi__transport_next_type(c->transport) != MILGI__DATA)
        return;
    uint16_t now = (uint16_t)(milgi__engine_now(c->engine) / QUARTER_NS);
    if ((uint16_t)(now - c->data_at) > SILENCE)
        milgi__transport_first(c->transport, most);
    c->data_at = now;
}

/* Frames and submits the next record, or several. True: one was framed. */
static bool seal_next(struct milgi_conn *c, uint32_t round, uint64_t *spent_ns)
{
    if (milgi__conn_limit(c, MILGI_LIMIT_RECORD_FIRST) != MILGI__PLAINTEXT_MAX)
        begin_short(c);
    if (seal_data(c, round, spent_ns))
        return true;
    update_if_due(c);
    if (c->phase == MILGI__FAILING)
        return false;
    uint8_t type = milgi__transport_next_type(c->transport);
    bool data = type == MILGI__DATA;
    /* KeyUpdates, which are all of the handshake's that there is after it, wait too: else answers would pile up. */
    if ((data || (type == MILGI__HANDSHAKE && c->phase == MILGI__ESTABLISHED)) && network_full(c))
        return false;
    switch (milgi__transport_seal(c->transport, spent_ns)) {
    case MILGI__START_OP:
    case MILGI__START_READY:
        if (data)
            assert(milgi__conn_with_network(c) <= milgi__framed_max(c->config));
        c->records_out++;
        return true;
    case MILGI__START_ROOM:
        c->blocked_room = true;
        return false;
    default:
        return false;
    }
}

/* Finished records, in order, to the list of what on_output hands over. */
static bool collect(struct milgi_conn *c, uint32_t round)
{
    struct milgi_slice slice;
    bool any = false;
    while (milgi__transport_finished(c->transport)) {
        if (!output_room(c)) {
            /* A framed record is never left out: the direction ends here. */
            struct milgi__failure failure = milgi__failure(MILGI_ENOMEM, MILGI_ALERT_NONE, "no memory for output");
            milgi__transport_break(c->transport, &failure);
            break;
        }
        any = milgi__transport_take(c->transport, &slice);
        put_out(c, slice, round);
    }
    return any;
}

/* --- sealed by somebody else ------------------------------------------------------------------------ */

#define HAND_PIECES 16u /* of content handed out at once */

/*
 * The key has to change, or the peer's request is to be answered: when there is something to send, or at once, as it
 * would be here. True: nothing else goes out before.
 */
static bool hand_update_is_due(struct milgi_conn *c)
{
    struct milgi__over *over = milgi__conn_over(c);
    bool unframed = milgi__transport_next_type(c->transport) == MILGI__DATA;
    if (c->owes_update && c->phase == MILGI__ESTABLISHED && (unframed || milgi__conn_may_answer(c)))
        milgi__conn_update_write(c, false, true);
    return over->update && c->phase == MILGI__ESTABLISHED;
}

/* The next pieces of one type. True: there were some. */
static bool hand_out(struct milgi_conn *c)
{
    struct milgi_iov iov[HAND_PIECES];
    struct milgi_slice slice;
    size_t n = 0;
    uint8_t type = milgi__transport_next_type(c->transport);
    while (type && n < HAND_PIECES && milgi__transport_next_type(c->transport) == type &&
        !(type == MILGI__DATA && network_full(c))) {
        if (!output_room(c)) {
            c->blocked_room = true;
            break;
        }
        if (!milgi__transport_take_given(c->transport, &type, &slice))
            break;
        iov[n++] = (struct milgi_iov){ slice.data, slice.len };
        (void)milgi__bufq_push(&c->output, slice); /* there is room */
        c->out_handed++;
        if (type == MILGI__ALERT)
            break; /* each is a record of its own */
    }
    if (n == 0)
        return false;
    c->records_out++;
    c->events->on_record(c, c->arg, type, iov, n);
    return true;
}

static MILGI__APART bool hand_out_all(struct milgi_conn *c)
{
    bool any = false;
    while (c->phase < MILGI__CLOSED && c->phase != MILGI__FAILING) {
        bool more = hand_update_is_due(c) ? milgi__conn_hand_update(c) : hand_out(c);
        if (!more)
            break;
        any = true;
    }
    return any;
}

static bool frame_all(struct milgi_conn *c, uint64_t *spent_ns)
{
    bool any = false;
    uint32_t round = c->output.n;
    /* What is not framed when it fails is not framed any more: the turn drops it first. */
    while ((milgi__transport_next_type(c->transport) || c->owes_update) && c->phase < MILGI__CLOSED &&
        c->phase != MILGI__FAILING && seal_next(c, round, spent_ns))
        any = true;
    return collect(c, round) || any;
}

bool milgi__conn_pump_out(struct milgi_conn *c, uint64_t *spent_ns)
{
    bool progress = milgi__conn_is_over(c, MILGI__WRITE) ? hand_out_all(c) : frame_all(c, spent_ns);
    const struct milgi__failure *broken = milgi__transport_broken(c->transport);
    if (broken)
        milgi__conn_fail_with(c, broken);
    if (c->want_room && milgi__conn_live(c) && has_room(c)) {
        c->want_room = false;
        if (milgi__traced(milgi__conn_tracer(c)))
            milgi__conn_trace_pause(c, MILGI_TRACE_RESUME, MILGI_TRACE_OUTPUT);
        if (c->events->on_room)
            c->events->on_room(c, c->arg);
        progress = true;
    }
    return progress;
}

/* --- to the network --------------------------------------------------------------------------------- */

void milgi__conn_flush(struct milgi_conn *c)
{
    struct milgi_iov iov[IOVS];
    while (c->phase != MILGI__FREED && c->out_handed < c->output.n) {
        size_t n = 0;
        while (n < IOVS && c->out_handed < c->output.n) {
            const struct milgi_slice *s = &c->output.ring[(c->output.head + c->out_handed) & (c->output.cap - 1)];
            iov[n++] = (struct milgi_iov){ s->data, s->len };
            c->out_handed++;
        }
        c->events->on_output(c, c->arg, iov, n);
    }
}

void milgi_conn_output_done(struct milgi_conn *c, size_t bytes)
{
    if (milgi__engine_foreign(c->engine))
        return;
    while (bytes && c->out_handed) {
        struct milgi_slice *s = &c->output.ring[c->output.head & (c->output.cap - 1)];
        uint32_t k = (uint32_t)MILGI__MIN(bytes, s->len);
        bytes -= k;
        c->done_bytes += k;
        s->data += k;
        s->len -= k;
        c->output.len -= k;
        if (s->len)
            break;
        milgi_chunk_unref(s->chunk);
        c->output.head = (c->output.head + 1) & (c->output.cap - 1);
        c->output.n--;
        c->out_handed--;
    }
    if (c->output.n == 0 && c->phase == MILGI__HANDSHAKING)
        milgi__bufq_clear(&c->output, milgi__engine_pool(c->engine)); /* the handshake may have to wait for long */
    if (c->phase == MILGI__FREED)
        return;
    bool answer = c->owes_update && milgi__conn_may_answer(c);
    if ((c->want_room && has_room(c)) || answer || (milgi__transport_unframed(c->transport) && !network_full(c)))
        milgi__engine_ready(c->engine, &c->owner);
}
