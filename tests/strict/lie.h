/* SPDX-License-Identifier: Apache-2.0 */
/* Lies: one message of an otherwise honest handshake is changed, and the victim's judgement is known beforehand. */
#pragma once

#include "extensions.h"
#include "fixture.h"

#define C MILGI_CLIENT
#define S MILGI_SERVER
#define OK (-2)
#define MSG(name) MILGI__MSG_##name

/* One lie: an edit of one message, and what comes of it. */
struct lie {
    const char *name;
    struct place place;
    enum {
        ADD,
        ADD_LAST,
        SET,
        REMOVE,
        DOUBLE,
        CALL
    } what;
    unsigned iana;
    const char *body;
    size_t len;
    int alert, other; /* other: also right, 0: none */
    void (*call)(struct pair_bytes *m);
};

#define BODY(text) text, sizeof text - 1

#define HELLO \
    { \
        C, MSG(CLIENT_HELLO), 0, false, false, true, "" \
    }
#define HELLO_2 \
    { \
        C, MSG(CLIENT_HELLO), 1, true, false, true, "" \
    }
#define HELLO_AUTH \
    { \
        C, MSG(CLIENT_HELLO), 0, false, true, true, "" \
    }
#define CLIENT_CERT \
    { \
        C, MSG(CERTIFICATE), 0, false, true, false, "" \
    }
#define RETRY \
    { \
        S, MSG(SERVER_HELLO), 0, true, false, true, "" \
    }
#define ANSWER \
    { \
        S, MSG(SERVER_HELLO), 0, false, false, true, "" \
    }
#define ANSWER_2 \
    { \
        S, MSG(SERVER_HELLO), 1, true, false, true, "" \
    }
#define EXTENSIONS \
    { \
        S, MSG(ENCRYPTED_EXTENSIONS), 0, false, false, false, "" \
    }
#define REQUEST \
    { \
        S, MSG(CERTIFICATE_REQUEST), 0, false, true, false, "" \
    }
#define CERT \
    { \
        S, MSG(CERTIFICATE), 0, false, false, false, "" \
    }
#define CERT_VERIFY \
    { \
        S, MSG(CERTIFICATE_VERIFY), 0, false, false, false, "" \
    }

#define ILLEGAL MILGI_ALERT_ILLEGAL_PARAMETER
#define DECODE MILGI_ALERT_DECODE_ERROR
#define MISSING MILGI_ALERT_MISSING_EXTENSION
#define UNSUPPORTED MILGI_ALERT_UNSUPPORTED_EXTENSION
#define VERSION MILGI_ALERT_PROTOCOL_VERSION
#define FAILURE MILGI_ALERT_HANDSHAKE_FAILURE

/* For a setup of the test's own: tells the lie that |arg| points to in the next message of its type. */
bool lie_edit(struct liar *liar, struct pair_bytes *m);
/* A handshake with the lie ends as the lie says, in either way; of a failure nothing reaches the application. */
void tell(const struct lie *lie);
void tell_all(const struct lie *lies, size_t n);
/* The same in a handshake of the test's own; |detail|: of the victim's end, NULL: any. */
void tell_as(const struct lie *lie, const struct liar_setup *setup, const char *detail);
