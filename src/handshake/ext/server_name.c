/* SPDX-License-Identifier: Apache-2.0 */
/* server_name (RFC 6066 3): the client's wish, and the server's empty answer. */
#include "handshake/ext/ext.h"

#define HOST_NAME 0
#define HOST_NAME_MAX 255

static void encode(struct milgi__writer *w, enum milgi__place place, const struct milgi__exts *from)
{
    /*= RFC6066 3: "the server SHALL include an extension of type "server_name" in the (extended) server hello.  The
     *= "extension_data" field of this extension SHALL be empty." */
    if (place != MILGI__IN_CLIENT_HELLO)
        return;
    size_t list = milgi__write_begin(w, 2);
    milgi__write8(w, HOST_NAME);
    size_t name = milgi__write_begin(w, 2);
    milgi__write_bytes(w, from->server_name.p, from->server_name.len);
    milgi__write_end(w, name, 2);
    milgi__write_end(w, list, 2);
}

static bool is_host_name(struct milgi__bytes name)
{
    if (name.len > HOST_NAME_MAX)
        return false;
    for (size_t i = 0; i < name.len; i++) {
        if (name.p[i] <= ' ' || name.p[i] >= 0x7f)
            return false;
    }
    return true;
}

static bool decode(
    struct milgi__reader *body, enum milgi__place place, struct milgi__exts *to, struct milgi__failure *failure)
{
    if (place != MILGI__IN_CLIENT_HELLO)
        return true;
    struct milgi__reader list = milgi__read_vec(body, 2, 1, 0xffff);
    while (milgi__left(&list) != 0) {
        unsigned type = milgi__read8(&list);
        /*= RFC6066 3: "For backward compatibility, all future data structures associated with new NameTypes MUST begin
         *= with a 16-bit length field." */
        struct milgi__reader one = milgi__read_vec(&list, 2, type == HOST_NAME ? 1 : 0, 0xffff);
        if (list.bad)
            return milgi__refuse(failure, MILGI_ALERT_DECODE_ERROR, "malformed server_name");
        if (type != HOST_NAME)
            continue;
        /*= RFC6066 3: "The ServerNameList MUST NOT contain more than one name of the same name_type." */
        if (to->server_name.p)
            return milgi__refuse(failure, MILGI_ALERT_ILLEGAL_PARAMETER, "two host names in server_name");
        to->server_name = milgi__rest(&one);
        if (!is_host_name(to->server_name))
            return milgi__refuse(failure, MILGI_ALERT_ILLEGAL_PARAMETER, "server_name is no host name");
    }
    return true;
}

const struct milgi__ext milgi__ext_server_name = {
    .iana = 0,
    .places = MILGI__IN_CLIENT_HELLO | MILGI__IN_ENCRYPTED | MILGI__IN_SERVER_HELLO12,
    .misplaced = "server_name in a wrong message",
    .malformed = "malformed server_name",
    .encode = encode,
    .decode = decode,
};
