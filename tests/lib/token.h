/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tokens made at test time, in SoftHSM: in a directory of this process, which its environment names
 * (SOFTHSM2_CONF). Failures end the test program with a message.
 */
#pragma once

#include <stdbool.h>

#include "identity.h"

#define TOKEN_PIN "1234"

/* SoftHSM and its tools are installed. */
bool token_possible(void);
/* Makes the directory at the first call. */
void token_new(const char *label);
/* Puts the key into the token, as an object of this name. Before the process uses the module itself. */
void token_put(const char *label, const struct identity *identity, const char *object);
/* The directory with what the tokens hold: it may be renamed. */
const char *token_dir(void);
/* A file with the PIN in it. */
const char *token_pin_file(void);
/* The module that reaches the tokens from this process. NULL: there is none. */
const char *token_module(void);

/*
 * Serves a token to others: the module "p11-kit-client.so" reaches it from then on. Ends what was served before; NULL
 * only ends that.
 */
void token_serve(const char *label);
#define TOKEN_REMOTE_MODULE "p11-kit-client.so"

/* Ends the server and removes the directory. */
void token_done(void);
