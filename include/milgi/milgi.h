/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Milgi: TLS as a push structure, made for asynchronous crypto. This header includes all the others.
 *
 * CONVENTIONS, valid for every function of every header
 *
 * Results.    int functions return 0, a positive state (MILGI_PAUSE) or a negative MILGI_E* code; see error.h. A
 *             negative code from a function that was misused (MILGI_EINVAL, MILGI_EREENTRY, MILGI_EFORK) changes
 *             nothing.
 * Threads.    An engine and everything that belongs to it (connections, chunks, devices' queue pairs) is used by one
 *             thread. Two functions may be called by any thread: milgi_engine_post() and
 *             milgi_chunk_release_remote(). A config may be shared by the threads of a process once it is frozen.
 * Processes.  An engine, a device and all that belongs to them are used by the process that made them. In a child of
 *             fork() functions that return int answer MILGI_EFORK, those that return a chunk NULL; those that return
 *             nothing (milgi_conn_free(), milgi_device_free() ...) do nothing, and those that only read tell what was
 *             true at fork(). Configs, credentials and trusts are plain data: they may cross fork(). A child that
 *             does more than exec() is not forked from inside a callback, nor while devices have threads: make
 *             devices and engines afterwards (docs/processes.md).
 * Callbacks.  The library calls back only from inside milgi_engine_run() (but for schedule(), see engine.h, and the
 *             listener to events, see trace.h). A callback may call every function of the library except
 *             milgi_engine_run() and milgi_engine_free(); it may free the connection it is called for.
 * Borrowing.  A pointer argument is borrowed for the length of the call, unless the comment says "takes" (the
 *             reference or the object becomes the library's), "copies" or "until".
 * Strings.    NUL-terminated UTF-8 unless a length stands beside them. Text that the library returns is static.
 * Units.      _len bytes, _ns nanoseconds, _s seconds, _n a count.
 * NULL.       Allowed only where the comment says so; every *_free() and *_unref() accepts NULL.
 * Structs.    A struct that a caller fills in begins as zeros (struct milgi_events events = { 0 }); zero is the default
 *             of every field, also of those that are added later. Where a default is another than zero, the struct has
 *             an *_init() that sets all of them: call it first (milgi_engine_options_init()).
 */
#pragma once

#include <milgi/error.h>
#include <milgi/buf.h>
#include <milgi/op.h>
#include <milgi/device.h>
#include <milgi/device_afalg.h>
#include <milgi/device_pkcs11.h>
#include <milgi/config.h>
#include <milgi/session.h>
#include <milgi/psk.h>
#include <milgi/policy.h>
#include <milgi/engine.h>
#include <milgi/stats.h>
#include <milgi/conn.h>
#include <milgi/handover.h>
#include <milgi/trace.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * The version of these headers; the one place where it is written (the build reads it here). Up to 1.0 every minor
 * version may change the interface and has a shared object name of its own: a program built against 0.1 runs with any
 * 0.1.x and no other.
 */
#define MILGI_VERSION_MAJOR 0
#define MILGI_VERSION_MINOR 1
#define MILGI_VERSION_PATCH 0
#define MILGI_VERSION_NUMBER (MILGI_VERSION_MAJOR * 1000000 + MILGI_VERSION_MINOR * 1000 + MILGI_VERSION_PATCH)

/* The version of the library that runs, as text ("0.1.0") and as MILGI_VERSION_NUMBER was when it was built. */
MILGI_API const char *milgi_version(void);
MILGI_API int milgi_version_number(void);

#ifdef __cplusplus
}
#endif
