/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "configs.h"

/* For all tests of a program: a server "server.test", whose key is for P-256, and a client that believes it. */
extern struct configs_pair peers;
/* The setup and teardown of its group. */
int peers_begin(void **state);
int peers_end(void **state);
