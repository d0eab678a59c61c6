/* SPDX-License-Identifier: Apache-2.0 */
/* Failing: it is written down here, and acted on in the turn. */
#include "conn/fail.h"

void milgi__conn_fail_with(struct milgi_conn *c, const struct milgi__failure *failure)
{
    if (!milgi__conn_live(c))
        return;
    c->phase = MILGI__FAILING;
    c->failure = *failure;
    milgi__engine_ready(c->engine, &c->owner);
}

void milgi__conn_fail(struct milgi_conn *c, int error, int alert, const char *detail)
{
    struct milgi__failure failure = milgi__failure(error, alert, detail);
    milgi__conn_fail_with(c, &failure);
}
