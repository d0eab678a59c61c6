/* SPDX-License-Identifier: Apache-2.0 */
/* pre_shared_key, psk_key_exchange_modes and early_data (RFC 8446 4.2.9 - 4.2.11): offered by clients that hold a
 * ticket of ours from elsewhere; read for their form, never accepted. */
#include "handshake/ext/ext.h"

#define IDENTITIES_MIN 7
#define BINDERS_MIN 33
#define BINDER_MIN 32

static bool decode(
    struct milgi__reader *body, enum milgi__place place, struct milgi__exts *to, struct milgi__failure *failure)
{
    (void)to;
    if (place != MILGI__IN_CLIENT_HELLO)
        return true;
    struct milgi__reader identities = milgi__read_vec(body, 2, IDENTITIES_MIN, 0xffff);
    struct milgi__reader binders = milgi__read_vec(body, 2, BINDERS_MIN, 0xffff);
    size_t identities_n = 0, binders_n = 0;
    for (; milgi__left(&identities) != 0; identities_n++) {
        milgi__read_vec(&identities, 2, 1, 0xffff);
        milgi__read32(&identities);
    }
    for (; milgi__left(&binders) != 0; binders_n++)
        milgi__read_vec(&binders, 1, BINDER_MIN, 255);
    if (identities.bad || binders.bad || body->bad)
        return milgi__refuse(failure, MILGI_ALERT_DECODE_ERROR, "malformed pre_shared_key");
    if (identities_n != binders_n)
        return milgi__refuse(failure, MILGI_ALERT_ILLEGAL_PARAMETER, "pre_shared_key: not one binder per identity");
    return true;
}

static bool decode_modes(
    struct milgi__reader *body, enum milgi__place place, struct milgi__exts *to, struct milgi__failure *failure)
{
    (void)place;
    (void)to;
    (void)failure;
    milgi__read_vec(body, 1, 1, 255);
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

const struct milgi__ext milgi__ext_psk = {
    .iana = 41,
    .places = MILGI__IN_CLIENT_HELLO | MILGI__IN_SERVER_HELLO,
    .misplaced = "pre_shared_key in a wrong message",
    .malformed = "malformed pre_shared_key",
    .decode = decode,
};

const struct milgi__ext milgi__ext_psk_modes = {
    .iana = 45,
    .places = MILGI__IN_CLIENT_HELLO,
    .misplaced = "psk_key_exchange_modes in a wrong message",
    .malformed = "malformed psk_key_exchange_modes",
    .decode = decode_modes,
};

const struct milgi__ext milgi__ext_early_data = {
    .iana = 42,
    .places = MILGI__IN_CLIENT_HELLO | MILGI__IN_ENCRYPTED | MILGI__IN_TICKET,
    .misplaced = "early_data in a wrong message",
    .malformed = "malformed early_data",
    .decode = decode_early,
};
