/* SPDX-License-Identifier: Apache-2.0 */
/* pre_shared_key, psk_key_exchange_modes and early_data (RFC 8446 4.2.9 - 4.2.11), ticket_request (RFC 9149). */
#include "handshake/ext/ext.h"

#define IDENTITIES_MIN 7
#define BINDERS_MIN 33
#define BINDER_MIN 32

bool milgi__psk_identity_next(struct milgi__reader *identities, struct milgi__bytes *identity, uint32_t *age)
{
    if (milgi__left(identities) == 0)
        return false;
    struct milgi__reader one = milgi__read_vec(identities, 2, 1, 0xffff);
    *identity = milgi__rest(&one);
    *age = milgi__read32(identities);
    return !identities->bad;
}

bool milgi__psk_binder_next(struct milgi__reader *binders, struct milgi__bytes *binder)
{
    if (milgi__left(binders) == 0)
        return false;
    struct milgi__reader one = milgi__read_vec(binders, 1, BINDER_MIN, 255);
    *binder = milgi__rest(&one);
    return !binders->bad;
}

size_t milgi__psk_binders_len(const struct milgi__psk_offer *offers, unsigned n)
{
    size_t len = 2;
    for (unsigned i = 0; i < n; i++)
        len += 1 + (size_t)offers[i].binder_len;
    return len;
}

static void encode(struct milgi__writer *w, enum milgi__place place, const struct milgi__exts *from)
{
    if (place != MILGI__IN_CLIENT_HELLO) {
        milgi__write16(w, from->psk);
        return;
    }
    size_t list = milgi__write_begin(w, 2);
    for (unsigned i = 0; i < from->psk_offers_n; i++) {
        const struct milgi__psk_offer *offer = &from->psk_offers[i];
        size_t identity = milgi__write_begin(w, 2);
        milgi__write_bytes(w, offer->identity.p, offer->identity.len);
        milgi__write_end(w, identity, 2);
        milgi__write32(w, offer->age);
    }
    milgi__write_end(w, list, 2);
    list = milgi__write_begin(w, 2);
    for (unsigned i = 0; i < from->psk_offers_n; i++) {
        milgi__write8(w, from->psk_offers[i].binder_len);
        for (unsigned k = 0; k < from->psk_offers[i].binder_len; k++)
            milgi__write8(w, 0);
    }
    milgi__write_end(w, list, 2);
}

static bool decode(
    struct milgi__reader *body, enum milgi__place place, struct milgi__exts *to, struct milgi__failure *failure)
{
    if (place != MILGI__IN_CLIENT_HELLO) {
        to->psk = (uint16_t)milgi__read16(body);
        return true;
    }
    struct milgi__reader identities = milgi__read_vec(body, 2, IDENTITIES_MIN, 0xffff);
    struct milgi__reader binders = milgi__read_vec(body, 2, BINDERS_MIN, 0xffff);
    struct milgi__reader all_identities = identities, all_binders = binders;
    size_t identities_n = 0, binders_n = 0;
    struct milgi__bytes one;
    uint32_t age;
    while (milgi__psk_identity_next(&identities, &one, &age))
        identities_n++;
    while (milgi__psk_binder_next(&binders, &one))
        binders_n++;
    if (identities.bad || binders.bad || body->bad)
        return milgi__refuse(failure, MILGI_ALERT_DECODE_ERROR, "malformed pre_shared_key");
    if (identities_n != binders_n)
        return milgi__refuse(failure, MILGI_ALERT_ILLEGAL_PARAMETER, "pre_shared_key: not one binder per identity");
    to->psk_identities = milgi__rest(&all_identities);
    to->psk_binders = milgi__rest(&all_binders);
    return true;
}

static void encode_modes(struct milgi__writer *w, enum milgi__place place, const struct milgi__exts *from)
{
    (void)place;
    size_t list = milgi__write_begin(w, 1);
    milgi__write_bytes(w, from->psk_modes.p, from->psk_modes.len);
    milgi__write_end(w, list, 1);
}

static bool decode_modes(
    struct milgi__reader *body, enum milgi__place place, struct milgi__exts *to, struct milgi__failure *failure)
{
    (void)place;
    (void)failure;
    struct milgi__reader list = milgi__read_vec(body, 1, 1, 255);
    to->psk_modes = milgi__rest(&list);
    return true;
}

static bool decode_early(
    struct milgi__reader *body, enum milgi__place place, struct milgi__exts *to, struct milgi__failure *failure)
{
    (void)to;
    (void)failure;
    if (place == MILGI__IN_TICKET)
        milgi__read32(body);
    return true;
}

static void encode_request(struct milgi__writer *w, enum milgi__place place, const struct milgi__exts *from)
{
    (void)place;
    milgi__write8(w, from->tickets_full);
    milgi__write8(w, from->tickets_resumed);
}

/* How many a server thinks that it will send is of no use to us. */
static bool decode_request(
    struct milgi__reader *body, enum milgi__place place, struct milgi__exts *to, struct milgi__failure *failure)
{
    (void)failure;
    to->tickets_full = (uint8_t)milgi__read8(body);
    if (place == MILGI__IN_CLIENT_HELLO)
        to->tickets_resumed = (uint8_t)milgi__read8(body);
    return true;
}

const struct milgi__ext milgi__ext_psk = {
    .iana = 41,
    .places = MILGI__IN_CLIENT_HELLO | MILGI__IN_SERVER_HELLO,
    .misplaced = "pre_shared_key in a wrong message",
    .malformed = "malformed pre_shared_key",
    .encode = encode,
    .decode = decode,
};

const struct milgi__ext milgi__ext_psk_modes = {
    .iana = 45,
    .places = MILGI__IN_CLIENT_HELLO,
    .misplaced = "psk_key_exchange_modes in a wrong message",
    .malformed = "malformed psk_key_exchange_modes",
    .encode = encode_modes,
    .decode = decode_modes,
};

const struct milgi__ext milgi__ext_early_data = {
    .iana = 42,
    .places = MILGI__IN_CLIENT_HELLO | MILGI__IN_ENCRYPTED | MILGI__IN_TICKET,
    .misplaced = "early_data in a wrong message",
    .malformed = "malformed early_data",
    .decode = decode_early,
};

const struct milgi__ext milgi__ext_ticket_request = {
    .iana = 58,
    .places = MILGI__IN_CLIENT_HELLO | MILGI__IN_ENCRYPTED,
    .misplaced = "ticket_request in a wrong message",
    .malformed = "malformed ticket_request",
    .encode = encode_request,
    .decode = decode_request,
};
