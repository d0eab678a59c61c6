/* SPDX-License-Identifier: Apache-2.0 */
/* A server "server.test" and a client that believes it, for all tests of a program: its group's setup and teardown. */
#pragma once

#include "configs.h"

extern struct configs_pair peers; /* whose keys are for P-256 */
int peers_begin(void **state);
int peers_end(void **state);
