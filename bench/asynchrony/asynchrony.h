/* SPDX-License-Identifier: Apache-2.0 */
/* What asynchrony itself costs. This benchmark alone sees the engine's insides: it is one of its owners. */
#pragma once

#include "bench.h"

#define BATCH 32u

/* --- op.c: ops through a device that does nothing --------------------------------------------------------------- */

struct ops; /* an engine, a device that gives back what it was given, owners */

struct ops *ops_new(unsigned owners);
struct milgi_engine_options;
struct ops *ops_new_in(const struct milgi_engine_options *options, unsigned owners); /* NULL: all defaults */
/* Submits BATCH ops, runs the engine until they are back; |n| times. Returns how many ops came back. */
uint64_t ops_run(struct ops *ops, unsigned n);
void ops_free(struct ops *ops);
/* What the device is called with: enqueue and dequeue of such a batch, without an engine. */
uint64_t ops_bare(struct ops *ops, unsigned n);

/* System calls, as the kernel counts them, that |n| ops of a real pool with a full queue cost, each. */
double ops_system_calls(uint64_t n, double *polls);

/* --- tax.c: connections that never leave the inline device ------------------------------------------------------ */

struct tax; /* two connections that talk, in an engine with or without other devices */

struct tax *tax_new(bool devices, const struct bench_cert *cert);
/* |n| turns in which each end sends a message and gets one; |handshakes|: whole connections instead. */
void tax_messages(struct tax *tax, unsigned n);
void tax_free(struct tax *tax);
