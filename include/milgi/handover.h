/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records by somebody else: an established connection hands the keys of a direction over to the kernel (TLS_TX, TLS_RX)
 * or to a card, which seals or opens from there on. The connection stays. It owns the secrets, says what else than
 * application data is to be sent (alerts, close_notify, tickets, KeyUpdates), judges what comes, counts what a key may
 * be used for, and ends as any other. adapters/ktls is this for Linux.
 *
 *                 who opens                               application
 *   milgi_conn_receive_record() ---->  conn  ----> on_data(), or past the connection: milgi_conn_passed()
 *           on_record() with a type <----  conn  <---- milgi_conn_send(), or past it, as with sendfile()
 *             on_keys() <----  conn
 *
 * HOW. Each direction by itself, after on_established: milgi_conn_keys() shows the keys of a direction and its next
 * record's number; whoever takes them is given them (setsockopt()); then milgi_conn_hand_over() makes it so. When they
 * cannot be taken it is not called, and nothing has happened: the connection goes on by itself. Both answer MILGI_PAUSE
 * while something is under way that would be lost or sealed twice:
 *
 *   MILGI_SEND      the connection has output that the network has not taken (milgi_conn_output_done())
 *   MILGI_RECEIVE   what milgi_conn_receive() was given is not all used: read no more than milgi_conn_record_rest()
 *                   bytes at a time, so that a record's end is an end of what was read
 *
 * SECRETS LEAVE THE LIBRARY with milgi_conn_keys(): only for a connection whose config allows it
 * (milgi_config_set_hand_over()). Whoever has struct milgi_traffic_keys wipes it.
 *
 * WHAT CHANGES. Records are as whoever seals makes them: MILGI_LIMIT_RECORD, MILGI_LIMIT_RECORD_FIRST and
 * MILGI_LIMIT_WINDOW say nothing any more. A connection that pads, or whose peer takes less than whole records, keeps
 * its sending, and one that has asked for less keeps its receiving (MILGI_EUNSUPPORTED), since nobody would heed that.
 *
 * NEW KEYS (TLS 1.3) come by on_keys, in order between records, if whoever took the direction can change them
 * (MILGI_REKEYS). If not: a direction that was handed over does not come back. When the peer changes its key, or asks
 * for one of ours, or when a key has been used as often as it may, the connection ends with internal_error and
 * MILGI_EUNSUPPORTED or MILGI_ELIMIT: never with a close_notify, which would say that this was all.
 * [RFC 8446 4.6.3, 5.5, 6.1]
 */
#pragma once

#include <milgi/conn.h>

#ifdef __cplusplus
extern "C" {
#endif

enum milgi_direction {
    MILGI_RECEIVE,
    MILGI_SEND
};

/* What one direction's records are protected with. */
struct milgi_traffic_keys {
    uint16_t version; /* 0x0304, 0x0303 */
    uint16_t suite;
    uint8_t key_len, key[32];
    /*
     * Of the next record the nonce is this, with |sequence| XORed to its end: in TLS 1.3 and with ChaCha20-Poly1305;
     * with AES-GCM in TLS 1.2 the first four bytes are the salt and the last eight, XORed likewise, the explicit nonce
     * that our own next record would have: whoever seals goes on from there. [RFC 8446 5.3, RFC 5288 3, RFC 7905 2]
     */
    uint8_t iv[12];
    uint64_t sequence; /* of the next record */
};

/*
 * The keys of a direction that has not been handed over. Changes nothing. Returns 0; MILGI_PAUSE (not now, see above);
 * MILGI_EUNSUPPORTED (never: see above); MILGI_EINVAL (before on_established; the config does not allow it; on_record
 * or on_keys is missing; it has been handed over; from a callback of this connection); MILGI_ECLOSED (the connection,
 * or this direction, has ended); MILGI_ENOMEM; MILGI_EFORK.
 */
MILGI_API MILGI_MUST_CHECK int milgi_conn_keys(
    struct milgi_conn *conn, enum milgi_direction direction, struct milgi_traffic_keys *keys);

/* Of milgi_conn_hand_over(). */
enum {
    MILGI_REKEYS = 1 /* on_keys can be followed, in this direction */
};
/*
 * From now on somebody else seals or opens, with the keys that milgi_conn_keys() shows. Sending: all that the
 * connection has for the network comes by on_record. Receiving: milgi_conn_receive_record() instead of
 * milgi_conn_receive().
 * Returns as milgi_conn_keys(); 0 if that has just answered 0 and nothing has been done with the connection since;
 * MILGI_EINVAL if the direction has gone on since: what was shown is not to be used, or a record would be sealed twice.
 */
MILGI_API MILGI_MUST_CHECK int milgi_conn_hand_over(
    struct milgi_conn *conn, enum milgi_direction direction, unsigned flags);
MILGI_API bool milgi_conn_handed_over(const struct milgi_conn *conn, enum milgi_direction direction);

/*
 * How many bytes are missing, as far as is known, of the record that what was received so far ends in: of its header,
 * then of its body. 0: of none; it ends where a record ends. Takes as long as there are records that wait: ask before a
 * read, not more often.
 */
MILGI_API size_t milgi_conn_record_rest(const struct milgi_conn *conn);

/*
 * The content of a record of |type| (23 application data, of which several records may come as one slice; 22, 21 ...),
 * or of a part of it but for alerts, in order. Takes the reference, and answers, as milgi_conn_receive() does. An empty
 * slice is an empty record, which is an error but for application data. MILGI_EINVAL: receiving has not been handed
 * over.
 */
MILGI_API MILGI_MUST_CHECK int milgi_conn_receive_record(
    struct milgi_conn *conn, uint8_t type, struct milgi_slice slice);
/*
 * The next record could not be opened, behind what was given before: |alert| says why, bad_record_mac, record_overflow
 * or unexpected_message. It ends as if the connection had seen it itself. Returns 0, MILGI_ECLOSED or MILGI_EINVAL.
 */
MILGI_API int milgi_conn_receive_failed(struct milgi_conn *conn, int alert);
/*
 * Whoever opens waits for a new key behind what was given before, since a record began as a KeyUpdate does. Returns
 * MILGI_PAUSE: receive no more until on_resume, before which on_keys has come; if what was given brings no key, none
 * ever will, and the connection ends with unexpected_message. Or MILGI_ECLOSED or MILGI_EINVAL.
 */
MILGI_API int milgi_conn_receive_blocked(struct milgi_conn *conn);

/*
 * Whoever seals or opens has made |records| records more under the key of this direction, those of on_record among
 * them; |bytes| of application data have gone past the connection (not by on_record, not by
 * milgi_conn_receive_record()). Returns 0; MILGI_PAUSE (sending: the key is used up, or the peer has asked for another:
 * nothing is to be sent past the connection before on_keys; receiving: what it was given before is not all used, such
 * as a close_notify behind which nothing counts: ask again behind the next turn); MILGI_ECLOSED (the connection, or
 * this direction, has ended: nothing is to go past it at all); MILGI_EINVAL (not handed over). Tell it every few
 * thousand records: the limits of a key leave room for as many. [RFC 8446 5.5, 6.1]
 */
MILGI_API int milgi_conn_passed(
    struct milgi_conn *conn, enum milgi_direction direction, uint64_t bytes, uint64_t records);

#ifdef __cplusplus
}
#endif
