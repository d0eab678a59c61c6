/* SPDX-License-Identifier: Apache-2.0 */
/* How jobs are made, for the files that make them: rig.c, and rig_kex.c for key exchange. */
#pragma once

#include "rig.h"

void die(const char *what);
void random_bytes(struct rig *rig, uint8_t *out, size_t len);
struct job *job_new(struct rig *rig, enum milgi_op_type type, uint16_t alg, struct milgi_key *key);
void job_memory(struct job *job, size_t src_len, size_t dst_len);
/* The op is complete: remembers it as it is. */
struct job *job_made(struct job *job);

/* NULL, or what is wrong with what came back. */
const char *job_check_keygen(const struct job *job);
const char *job_check_encaps(const struct job *job);
