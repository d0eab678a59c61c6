/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of this directory share: a victim of either role, and the messages that the liar says to it. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "configs.h"
#include "liar.h"

#define MUST(call) assert_int_equal(call, 0)

extern struct fixture {
    struct identity *root, *leaf;
    struct milgi_credential *credential;
    struct milgi_config *client, *server, *asking; /* asking: a server that demands certificates */
} fixture;
int fixture_setup(void **state);
int fixture_teardown(void **state);

/* A message in its place. */
struct place {
    enum milgi_role role; /* of the liar */
    int type;             /* enum milgi__msg */
    unsigned nth;         /* of its type */
    bool retry, auth;     /* with a HelloRetryRequest; with a certificate of the client's */
    bool flight_ends;     /* the keys change behind it, or the victim is to speak */
    const char *name;
};
extern const struct place places[];
extern const size_t places_n;

struct liar_setup setup_of(const struct place *place);
/* The liar is about to say the message of |place|. */
void go_to(struct liar *liar, const struct place *place, liar_edit_cb edit, void *arg);
/* All that is left of the handshake, whatever comes of it. */
void go_on(struct liar *liar);
/* An honest handshake of |role| as the liar's. */
void open_as(struct liar *liar, enum milgi_role role);
/* Nothing has reached the application. */
void expect_silence(const struct liar *liar);
