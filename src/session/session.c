/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions: their life, their bytes, and whether they are still good. */
#include "session/session.h"

#include "buf/codec.h"
#include "op/algorithm.h"

#define CODEC 1 /* of the bytes: another form is another number */
#define TLS12 0x0303
#define TLS13 0x0304
#define MASTER_SECRET_LEN 48

/* --- life ------------------------------------------------------------------------------------------------------- */

static size_t size_of(const struct milgi_session *s)
{
    return sizeof *s + s->name_len + 1u + s->alpn_len + 1u + s->ticket_len;
}

static struct milgi__session_shown *shown_new(struct milgi_iov peer)
{
    struct milgi__session_shown *shown = milgi__alloc_raw(sizeof *shown + peer.len);
    if (!shown)
        return NULL;
    atomic_init(&shown->refs, 1);
    shown->len = (uint16_t)peer.len;
    memcpy(shown->bytes, peer.data, peer.len);
    return shown;
}

struct milgi__session_shown *milgi__session_shown_ref(struct milgi__session_shown *shown)
{
    if (shown)
        atomic_fetch_add_explicit(&shown->refs, 1, memory_order_relaxed);
    return shown;
}

void milgi__session_shown_unref(struct milgi__session_shown *shown)
{
    if (shown && atomic_fetch_sub_explicit(&shown->refs, 1, memory_order_acq_rel) == 1)
        milgi__free_wiped(shown, sizeof *shown + shown->len);
}

/* Of a new session: false: no memory. */
static bool take_shown(struct milgi_session *s, const struct milgi__session_parts *parts)
{
    const struct milgi__session_shown *shown = parts->shown;
    bool shared = shown && parts->peer.data == shown->bytes && parts->peer.len == shown->len;
    if (parts->peer.len != 0)
        s->shown = shared ? milgi__session_shown_ref(parts->shown) : shown_new(parts->peer);
    return parts->peer.len == 0 || s->shown;
}

static uint8_t *put(uint8_t *to, struct milgi_iov part)
{
    if (part.len != 0)
        memcpy(to, part.data, part.len);
    return to + part.len;
}

struct milgi_session *milgi__session_new(
    const struct milgi__session_fields *fields, const struct milgi__session_parts *parts)
{
    if (parts->name.len > MILGI__SESSION_NAME_MAX || parts->alpn.len > MILGI__SESSION_NAME_MAX ||
        parts->ticket.len > UINT16_MAX || parts->peer.len > MILGI__SESSION_CERT_MAX)
        return NULL;
    struct milgi_session lengths = {
        .name_len = (uint8_t)parts->name.len,
        .alpn_len = (uint8_t)parts->alpn.len,
        .ticket_len = (uint16_t)parts->ticket.len,
    };
    struct milgi_session *s = milgi__alloc(size_of(&lengths));
    if (!s || !take_shown(s, parts)) {
        milgi__free(s);
        return NULL;
    }
    atomic_init(&s->refs, 1);
    s->name_len = lengths.name_len;
    s->alpn_len = lengths.alpn_len;
    s->ticket_len = lengths.ticket_len;
    s->f = *fields;
    uint8_t *p = put(s->bytes, parts->name) + 1; /* both texts end in a zero */
    p = put(p, parts->alpn) + 1;
    put(p, parts->ticket);
    return s;
}

struct milgi_session *milgi_session_ref(struct milgi_session *session)
{
    if (session)
        atomic_fetch_add_explicit(&session->refs, 1, memory_order_relaxed);
    return session;
}

void milgi_session_unref(struct milgi_session *session)
{
    if (!session || atomic_fetch_sub_explicit(&session->refs, 1, memory_order_acq_rel) != 1)
        return;
    milgi__session_shown_unref(session->shown);
    milgi__free_wiped(session, size_of(session));
}

/* --- what it says ----------------------------------------------------------------------------------------------- */

struct milgi__session_parts milgi__session_parts(const struct milgi_session *s)
{
    const uint8_t *alpn = s->bytes + s->name_len + 1, *ticket = alpn + s->alpn_len + 1;
    return (struct milgi__session_parts){
        .name = { s->bytes, s->name_len },
        .alpn = { alpn, s->alpn_len },
        .ticket = { ticket, s->ticket_len },
        .peer = { s->shown ? s->shown->bytes : NULL, s->shown ? s->shown->len : 0 },
        .shown = s->shown,
    };
}

const char *milgi__session_name(const struct milgi_session *s)
{
    return (const char *)s->bytes;
}

int64_t milgi__session_expires(const struct milgi_session *s)
{
    /*= RFC8446 4.6.1: "Servers MUST NOT use any value greater than 604800 seconds (7 days)", "Clients MUST NOT cache
     *= tickets for longer than 7 days, regardless of the ticket_lifetime" */
    /*= RFC8446 4.6.1: "It is RECOMMENDED that implementations place limits on the total lifetime of such keying
     *= material" The same for all of it, since it was authenticated before it was given out. */
    return MILGI__MIN(s->f.created_s + s->f.lifetime_s, s->f.authenticated_s + MILGI__SESSION_LIFE_MAX);
}

bool milgi__session_good(const struct milgi_session *s, int64_t now_s)
{
    return now_s < milgi__session_expires(s) && now_s >= s->f.valid_from_s && now_s <= s->f.valid_until_s;
}

void milgi_session_info(const struct milgi_session *s, struct milgi_session_info *info)
{
    *info = (struct milgi_session_info){
        .version = s->f.version,
        .suite = s->f.suite,
        .peer_authenticated = s->f.authenticated,
        .by_id = s->f.by_id,
        .server_name = s->name_len != 0 ? milgi__session_name(s) : NULL,
        .alpn = s->alpn_len != 0 ? (const char *)s->bytes + s->name_len + 1 : NULL,
        .created_s = s->f.created_s,
        .authenticated_s = s->f.authenticated_s,
        .expires_s = milgi__session_expires(s),
    };
}

int milgi__session_peer(struct milgi__crypto *cx, const uint8_t *chain, size_t len, enum milgi__session_peer *kind,
    struct milgi_iov *kept, uint8_t digest[MILGI__HASH_MAX])
{
    *kind = MILGI__SESSION_NO_PEER;
    *kept = (struct milgi_iov){ NULL, 0 };
    if (len < 3)
        return 0;
    size_t leaf = milgi__get24(chain);
    *kind = MILGI__SESSION_PEER;
    *kept = (struct milgi_iov){ chain, len <= MILGI__SESSION_CHAIN_MAX ? len : 3 + leaf };
    if (kept->len <= MILGI__SESSION_CERT_MAX)
        return 0;
    *kind = MILGI__SESSION_PEER_DIGEST;
    *kept = (struct milgi_iov){ digest, milgi__hash_len(MILGI__SHA256) };
    return milgi__hash(cx, MILGI__SHA256, chain + 3, leaf, digest) == 0 ? 0 : MILGI_EINTERNAL;
}

/* --- as bytes --------------------------------------------------------------------------------------------------- */

enum {
    FLAG_EMS = 1,
    FLAG_AUTHENTICATED = 2,
    FLAGS_PEER = 4, /* times its kind */
    FLAG_ID = 16,
    FLAG_VERDICT = 32, /* behind the flags, and not 0 */
    FLAGS_END = 64
};

static void write64(struct milgi__writer *w, int64_t v)
{
    milgi__write32(w, (uint32_t)((uint64_t)v >> 32));
    milgi__write32(w, (uint32_t)(uint64_t)v);
}

static int64_t read64(struct milgi__reader *r)
{
    uint64_t high = milgi__read32(r);
    return (int64_t)(high << 32 | milgi__read32(r));
}

static void write_vec(struct milgi__writer *w, unsigned len_bytes, struct milgi_iov part)
{
    size_t mark = milgi__write_begin(w, len_bytes);
    milgi__write_bytes(w, part.data, part.len);
    milgi__write_end(w, mark, len_bytes);
}

size_t milgi_session_encode(const struct milgi_session *s, uint8_t *out, size_t cap)
{
    const struct milgi__session_fields *f = &s->f;
    struct milgi__session_parts parts = milgi__session_parts(s);
    size_t verdict_len = f->verdict != 0 ? 1 : 0;
    size_t len = 1 + 2 + 2 + 1 + verdict_len + 4 + 4 + 4 * 8 + 1 + f->secret_len + sizeof f->policy + 1 +
        parts.name.len + 1 + parts.alpn.len + 2 + parts.ticket.len + 2 + parts.peer.len;
    if (len > cap)
        return len;
    struct milgi__writer w = milgi__writer(out, cap);
    milgi__write8(&w, CODEC);
    milgi__write16(&w, f->version);
    milgi__write16(&w, f->suite);
    unsigned flags = (f->extended_master_secret ? FLAG_EMS : 0u) | (f->authenticated ? FLAG_AUTHENTICATED : 0u) |
        (f->by_id ? FLAG_ID : 0u) | (f->verdict != 0 ? FLAG_VERDICT : 0u);
    milgi__write8(&w, flags | f->peer * FLAGS_PEER);
    if (f->verdict != 0)
        milgi__write8(&w, f->verdict);
    milgi__write32(&w, f->lifetime_s);
    milgi__write32(&w, f->age_add);
    write64(&w, f->created_s);
    write64(&w, f->authenticated_s);
    write64(&w, f->valid_from_s);
    write64(&w, f->valid_until_s);
    write_vec(&w, 1, (struct milgi_iov){ f->secret, f->secret_len });
    milgi__write_bytes(&w, f->policy, sizeof f->policy);
    write_vec(&w, 1, parts.name);
    write_vec(&w, 1, parts.alpn);
    write_vec(&w, 2, parts.ticket);
    write_vec(&w, 2, parts.peer);
    return milgi__written(&w);
}

static struct milgi_iov read_vec(struct milgi__reader *r, unsigned len_bytes, size_t max)
{
    struct milgi__reader body = milgi__read_vec(r, len_bytes, 0, max);
    size_t len = milgi__left(&body);
    return (struct milgi_iov){ milgi__read_bytes(&body, len), len };
}

/* Whether |peer| is what |kind| says. */
static bool peer_valid(struct milgi_iov peer, unsigned kind)
{
    if (kind == MILGI__SESSION_NO_PEER)
        return peer.len == 0;
    if (kind == MILGI__SESSION_PEER_DIGEST)
        return peer.len == milgi__hash_len(MILGI__SHA256);
    if (kind == MILGI__SESSION_PEER_PSK)
        return peer.len != 0;
    struct milgi__reader r = milgi__reader(peer.data, peer.len);
    bool some = milgi__left(&r) != 0;
    while (milgi__left(&r) != 0)
        milgi__read_vec(&r, 3, 1, MILGI__SESSION_CERT_MAX);
    return kind == MILGI__SESSION_PEER && some && !r.bad;
}

static bool has_zero(struct milgi_iov text)
{
    return text.len != 0 && memchr(text.data, 0, text.len);
}

/* The secret is as long as the version and the suite say. */
static bool secret_valid(const struct milgi__session_fields *f)
{
    if (f->version == TLS12)
        return f->secret_len == MASTER_SECRET_LEN;
    const struct milgi__suite *suite = milgi__suite(f->suite);
    return f->version == TLS13 && suite && suite->tls13 && f->secret_len == milgi__hash_len(suite->hash);
}

/* Who was not accepted is not authenticated, and one who was has no verdict. */
static bool verdict_valid(const struct milgi__session_fields *f, unsigned flags)
{
    return !(flags & FLAG_VERDICT) || (f->verdict != 0 && !f->authenticated);
}

static bool id_valid(const struct milgi__session_fields *f, size_t len)
{
    return !f->by_id || (f->version == TLS12 && len >= 1 && len <= MILGI__SESSION_ID_MAX);
}

int milgi_session_decode(const void *data, size_t len, struct milgi_session **session)
{
    struct milgi__session_fields f = { 0 };
    struct milgi__session_parts parts = { .shown = NULL };
    struct milgi__reader r = milgi__reader(data, len);
    *session = NULL;
    if (milgi__read8(&r) != CODEC)
        return MILGI_EPARSE;
    f.version = (uint16_t)milgi__read16(&r);
    f.suite = (uint16_t)milgi__read16(&r);
    unsigned flags = milgi__read8(&r);
    f.extended_master_secret = (flags & FLAG_EMS) != 0;
    f.authenticated = (flags & FLAG_AUTHENTICATED) != 0;
    f.by_id = (flags & FLAG_ID) != 0;
    f.peer = (uint8_t)(flags % FLAG_ID / FLAGS_PEER);
    f.verdict = flags & FLAG_VERDICT ? (uint8_t)milgi__read8(&r) : 0;
    f.lifetime_s = milgi__read32(&r);
    f.age_add = milgi__read32(&r);
    f.created_s = read64(&r);
    f.authenticated_s = read64(&r);
    f.valid_from_s = read64(&r);
    f.valid_until_s = read64(&r);
    struct milgi_iov secret = read_vec(&r, 1, sizeof f.secret);
    const uint8_t *policy = milgi__read_bytes(&r, sizeof f.policy);
    parts.name = read_vec(&r, 1, MILGI__SESSION_NAME_MAX);
    parts.alpn = read_vec(&r, 1, MILGI__SESSION_NAME_MAX);
    parts.ticket = read_vec(&r, 2, UINT16_MAX);
    parts.peer = read_vec(&r, 2, MILGI__SESSION_CERT_MAX);
    if (!milgi__reader_done(&r) || !peer_valid(parts.peer, f.peer) || has_zero(parts.name) || has_zero(parts.alpn) ||
        flags >= FLAGS_END || !verdict_valid(&f, flags))
        return MILGI_EPARSE;
    /* Times that cannot be added to are none. */
    const int64_t far = INT64_MAX / 2;
    if (f.created_s < 0 || f.created_s > far || f.authenticated_s < 0 || f.authenticated_s > f.created_s)
        return MILGI_EPARSE;
    f.secret_len = (uint8_t)secret.len;
    memcpy(f.policy, policy, sizeof f.policy);
    if (!secret_valid(&f) || !id_valid(&f, parts.ticket.len))
        return MILGI_EPARSE;
    memcpy(f.secret, secret.data, secret.len);
    *session = milgi__session_new(&f, &parts);
    milgi__wipe(&f, sizeof f);
    return *session ? 0 : MILGI_ENOMEM;
}
