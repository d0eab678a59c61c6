/* SPDX-License-Identifier: Apache-2.0 */
/* Handshake messages after the handshake (RFC 8446 4.6; RFC 5246 7.4.1.1). */
#include "handshake/hs.h"

static enum milgi__post_event refuse(struct milgi__failure *failure, int error, int alert, const char *detail)
{
    *failure = milgi__failure(error, alert, detail);
    return MILGI__POST_FAILED;
}

void milgi__post_fini(struct milgi__post *post)
{
    milgi__free_wiped(post->part, post->part_cap);
    *post = (struct milgi__post){ 0 };
}

size_t milgi__key_update_message(uint8_t out[MILGI__KEY_UPDATE_LEN], bool request)
{
    struct milgi__writer w = milgi__writer(out, MILGI__KEY_UPDATE_LEN);
    milgi__key_update_encode(&w, request);
    return milgi__written(&w);
}

/* Adds |len| bytes to the message that is incomplete. */
static bool keep(struct milgi__post *post, const uint8_t *data, size_t len)
{
    size_t need = post->part_len + len;
    if (!post->part || need > post->part_cap) {
        size_t cap = MILGI__MAX(need, MILGI__MIN(2 * (size_t)post->part_cap, need + 16384));
        uint8_t *part = milgi__alloc_raw(cap);
        if (!part)
            return false;
        if (post->part_len != 0)
            memcpy(part, post->part, post->part_len);
        milgi__free_wiped(post->part, post->part_cap);
        post->part = part;
        post->part_cap = (uint32_t)cap;
    }
    memcpy(post->part + post->part_len, data, len);
    post->part_len = (uint32_t)need;
    return true;
}

static enum milgi__post_event key_update(
    struct milgi__reader *body, bool ends_record, struct milgi__failure *failure)
{
    bool request;
    if (!milgi__key_update_decode(body, &request, failure))
        return MILGI__POST_FAILED;
    /*= RFC8446 5.1: "implementations MUST send these messages in alignment with a record boundary" */
    if (!ends_record)
        return refuse(
            failure, MILGI_EPROTO, MILGI_ALERT_UNEXPECTED_MESSAGE, "a handshake message across a change of keys");
    return request ? MILGI__POST_KEY_UPDATE_REQUESTED : MILGI__POST_KEY_UPDATE;
}

/*= RFC8446 4.6.2: "A client that receives a CertificateRequest message without having sent the "post_handshake_auth"
 *= extension MUST send an "unexpected_message" fatal alert." As for all but these. */
static bool is_expected(uint16_t version, enum milgi_role role, uint8_t type)
{
    if (version != MILGI__TLS13)
        return type == (role == MILGI_CLIENT ? MILGI__MSG_HELLO_REQUEST : MILGI__MSG_CLIENT_HELLO);
    return type == MILGI__MSG_KEY_UPDATE || (type == MILGI__MSG_NEW_SESSION_TICKET && role == MILGI_CLIENT);
}

/* The length that a message of this type always has; -1: any. */
static int length_of(uint8_t type)
{
    if (type == MILGI__MSG_KEY_UPDATE)
        return MILGI__KEY_UPDATE_LEN - MILGI__MSG_HEADER;
    return type == MILGI__MSG_HELLO_REQUEST ? 0 : -1;
}

/* One whole message. */
static enum milgi__post_event read_message(
    struct milgi__bytes message, bool ends_record, struct milgi__bytes *ticket, struct milgi__failure *failure)
{
    struct milgi__reader body = milgi__reader_of(message);
    unsigned type = milgi__read32(&body) >> 24;
    if (type == MILGI__MSG_KEY_UPDATE)
        return key_update(&body, ends_record, failure);
    /* Its contents do not matter: it is refused whatever it offers. */
    if (type == MILGI__MSG_HELLO_REQUEST || type == MILGI__MSG_CLIENT_HELLO)
        return MILGI__POST_RENEGOTIATION;
    struct milgi__new_session_ticket unused;
    if (ticket)
        *ticket = (struct milgi__bytes){ body.p, milgi__left(&body) };
    if (!milgi__new_session_ticket_decode(&body, &unused, failure))
        return MILGI__POST_FAILED;
    return MILGI__POST_TICKET;
}

enum milgi__post_event milgi__post_input(struct milgi__post *post, uint16_t version, enum milgi_role role,
    size_t message_cap, const uint8_t *data, size_t len, size_t *at, struct milgi__bytes *ticket,
    struct milgi__failure *failure)
{
    static const char too_long[] = "a handshake message longer than the limit";
    if (!milgi__post_mid_message(post) && post->part)
        milgi__post_fini(post); /* what the last event was about */
    if (len == 0)
        return refuse(failure, MILGI_EPROTO, MILGI_ALERT_UNEXPECTED_MESSAGE, "an empty handshake record");
    if (*at == len)
        return MILGI__POST_NONE;
    /* The header first: it says how much more belongs to the message. */
    uint8_t header[MILGI__MSG_HEADER];
    size_t have = MILGI__MIN(post->part_len, sizeof header), more = MILGI__MIN(sizeof header - have, len - *at);
    if (have != 0)
        memcpy(header, post->part, have);
    memcpy(header + have, data + *at, more);
    if (have + more < sizeof header) {
        if (!keep(post, data + *at, len - *at))
            return refuse(failure, MILGI_ENOMEM, MILGI_ALERT_INTERNAL_ERROR, "no memory for a message");
        *at = len;
        return MILGI__POST_NONE;
    }
    if (!is_expected(version, role, header[0]))
        return refuse(failure, MILGI_EPROTO, MILGI_ALERT_UNEXPECTED_MESSAGE,
            "an unexpected handshake message after the handshake");
    size_t whole = sizeof header + milgi__get24(header + 1);
    /*= RFC8446 6: "Peers which receive a message which cannot be parsed according to the syntax (e.g., have a length
     *= extending beyond the message boundary or contain an out-of-range length) MUST terminate the connection with a
     *= "decode_error" alert." No more of it is waited for. */
    int length = length_of(header[0]);
    if (length >= 0 && whole - sizeof header != (size_t)length)
        return refuse(failure, MILGI_EPROTO, MILGI_ALERT_DECODE_ERROR,
            length == 0 ? "malformed HelloRequest" : "malformed KeyUpdate");
    if (whole - sizeof header > message_cap)
        return refuse(failure, MILGI_EPROTO, MILGI_ALERT_ILLEGAL_PARAMETER, too_long);
    size_t missing = whole - post->part_len;
    bool complete = len - *at >= missing;
    if (complete && post->part_len == 0) {
        struct milgi__bytes message = { data + *at, whole };
        *at += whole;
        return read_message(message, *at == len, ticket, failure);
    }
    size_t taken = complete ? missing : len - *at;
    if (!keep(post, data + *at, taken))
        return refuse(failure, MILGI_ENOMEM, MILGI_ALERT_INTERNAL_ERROR, "no memory for a message");
    *at += taken;
    if (!complete)
        return MILGI__POST_NONE;
    struct milgi__bytes message = { post->part, whole };
    enum milgi__post_event event = read_message(message, *at == len, ticket, failure);
    if (event == MILGI__POST_TICKET && ticket)
        post->part_len = 0; /* it is looked at until the next call */
    else
        milgi__post_fini(post);
    return event;
}
