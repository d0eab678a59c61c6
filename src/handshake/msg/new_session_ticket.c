/* SPDX-License-Identifier: Apache-2.0 */
/* NewSessionTicket (RFC 8446 4.6.1; RFC 5077 3.3). */
#include "handshake/msg/msg.h"

void milgi__new_session_ticket_encode(struct milgi__writer *w, const struct milgi__new_session_ticket *ticket)
{
    size_t message = milgi__message_begin(w, MILGI__MSG_NEW_SESSION_TICKET);
    milgi__write32(w, ticket->lifetime);
    milgi__write32(w, ticket->age_add);
    milgi__write8(w, (unsigned)ticket->nonce.len);
    milgi__write_bytes(w, ticket->nonce.p, ticket->nonce.len);
    size_t mark = milgi__write_begin(w, 2);
    milgi__write_bytes(w, ticket->ticket.p, ticket->ticket.len);
    milgi__write_end(w, mark, 2);
    mark = milgi__write_begin(w, 2);
    milgi__exts_encode(w, MILGI__IN_TICKET, &ticket->ext);
    milgi__write_end(w, mark, 2);
    milgi__message_end(w, message);
}

bool milgi__new_session_ticket_decode(
    struct milgi__reader *body, struct milgi__new_session_ticket *ticket, struct milgi__failure *failure)
{
    *ticket = (struct milgi__new_session_ticket){ 0 };
    ticket->lifetime = milgi__read32(body);
    ticket->age_add = milgi__read32(body);
    struct milgi__reader nonce = milgi__read_vec(body, 1, 0, 255);
    struct milgi__reader id = milgi__read_vec(body, 2, 1, 0xffff);
    struct milgi__reader block = milgi__read_vec(body, 2, 0, 0xfffe);
    ticket->nonce = milgi__rest(&nonce);
    ticket->ticket = milgi__rest(&id);
    if (!milgi__reader_done(body))
        return milgi__refuse(failure, MILGI_ALERT_DECODE_ERROR, "malformed NewSessionTicket");
    return milgi__exts_decode(milgi__rest(&block), MILGI__IN_TICKET, 0, &ticket->ext, failure);
}

void milgi__new_session_ticket12_encode(struct milgi__writer *w, uint32_t lifetime, struct milgi__bytes ticket)
{
    size_t message = milgi__message_begin(w, MILGI__MSG_NEW_SESSION_TICKET);
    milgi__write32(w, lifetime);
    size_t mark = milgi__write_begin(w, 2);
    milgi__write_bytes(w, ticket.p, ticket.len);
    milgi__write_end(w, mark, 2);
    milgi__message_end(w, message);
}

bool milgi__new_session_ticket12_decode(struct milgi__reader *body, uint32_t *lifetime, struct milgi__bytes *ticket,
    struct milgi__failure *failure)
{
    *lifetime = milgi__read32(body);
    struct milgi__reader id = milgi__read_vec(body, 2, 0, 0xffff);
    *ticket = milgi__rest(&id);
    if (!milgi__reader_done(body))
        return milgi__refuse(failure, MILGI_ALERT_DECODE_ERROR, "malformed NewSessionTicket");
    return true;
}
