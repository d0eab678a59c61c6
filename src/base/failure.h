/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Why something failed: the one shape in which every room hands it up, from a record that does not verify to
 * on_closed(), where it becomes a struct milgi_reason (conn/close.c).
 */
#pragma once

#include <milgi/error.h>

#include "base/base.h"

#define MILGI__NO_OP (-1)

struct milgi__failure {
    int error;          /* MILGI_E*; 0: nothing has failed */
    int alert;          /* to send, or (MILGI_EALERT) received; MILGI_ALERT_NONE: none */
    int op;             /* enum milgi_op_type, or MILGI__NO_OP */
    int device_code;    /* of the op; of the transport (MILGI_ETRANSPORT) */
    const char *detail; /* static text for people; NULL while nothing has failed */
};

/* What is nobody's device. */
static inline struct milgi__failure milgi__failure(int error, int alert, const char *detail)
{
    return (struct milgi__failure){ .error = error, .alert = alert, .op = MILGI__NO_OP, .detail = detail };
}

/* The peer has broken the protocol. False, so that a decoder can return it. */
static inline bool milgi__refuse(struct milgi__failure *failure, int alert, const char *detail)
{
    *failure = milgi__failure(MILGI_EPROTO, alert, detail);
    return false;
}
