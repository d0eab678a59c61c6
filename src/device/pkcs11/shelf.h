/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private keys in tokens, through p11-kit. All of this runs on the threads of a ward and may block; only making and
 * freeing a key happens on an engine's thread.
 *
 * What a process knows of modules and tokens is one for all its devices: a login belongs to a process, and a PIN that
 * was refused once must not be tried again by the device next to it, since tokens count wrong PINs and lock.
 *
 * Locks, in the order in which they are taken: key, module's life, module, token.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include <p11-kit/p11-kit.h>
#include <p11-kit/pin.h>
#include <p11-kit/uri.h>

#include <milgi/device_pkcs11.h>

#include "device/device.h"
#include "device/pkcs11/ward.h"
#include "op/material.h"

#define MILGI__P11_SESSIONS 64  /* kept open per token while nobody uses them */
#define MILGI__P11_REFUSED 8    /* PINs per token that are known to be wrong */
#define MILGI__P11_MODULES 32   /* per source */
#define MILGI__P11_PIN_LEN 32   /* of what is remembered of a PIN */
#define MILGI__P11_PIN_MAX 1024 /* bytes of a PIN */

/* --- modules and tokens: module.c ------------------------------------------------------------------------------- */

struct milgi__p11_module {
    struct milgi__p11_module *next;
    CK_FUNCTION_LIST *f;
    char *file; /* what p11-kit calls it; NULL: it has no file */
    /*
     * Read by whoever is inside of the module, written by who starts it anew. A module cannot be finalized while
     * anybody is inside.
     */
    pthread_rwlock_t life;
    bool up;
    unsigned epoch;       /* of its lives: handles of one mean nothing in another */
    uint64_t started_ns;  /* the present one */
    pthread_mutex_t lock; /* of the lists */
    struct milgi__p11_token *tokens;
    struct milgi__p11_call *calls;
};

/* A thread that is inside of the module, at the token in |slot|. */
struct milgi__p11_call {
    struct milgi__p11_call *next;
    CK_SLOT_ID slot;
    uint64_t begun_ns;
};

struct milgi__p11_session {
    CK_SESSION_HANDLE handle;
    unsigned generation;
};

/* A token that was seen, for as long as the process has devices: it may go and come back. */
struct milgi__p11_token {
    struct milgi__p11_token *next;
    struct milgi__p11_module *module;
    CK_TOKEN_INFO info;      /* under the lock, but for what identifies the token */
    _Atomic CK_SLOT_ID slot; /* written under the lock */
    pthread_mutex_t lock;
    pthread_cond_t returned;
    _Atomic unsigned epoch; /* of the module, when slot and sessions were found; written under the lock */
    unsigned generation;    /* of sessions: those of older ones are closed when they come back */
    bool logged_in;
    CK_SESSION_HANDLE idle[MILGI__P11_SESSIONS];
    unsigned idle_n, out_n;
    uint8_t refused[MILGI__P11_REFUSED][MILGI__P11_PIN_LEN];
    unsigned refused_n;
    uint8_t salt[MILGI__P11_PIN_LEN];
    _Atomic uint64_t last_good_ns; /* it signed something */
    bool counts;                   /* it shows that there were wrong PINs since the last right one */
};

/* Where a key's token is looked for. */
struct milgi__p11_source {
    struct milgi__p11_source *next;
    char *path, *name; /* neither: all modules that p11-kit is configured with */
    struct milgi__p11_module *modules[MILGI__P11_MODULES];
    unsigned n;
};

/* A device begins and ends to use the process's modules. The last one's end closes everything. */
void milgi__p11_attach(void);
void milgi__p11_detach(void);

/* Loads what was not loaded yet. 0 or a device code. */
int milgi__p11_source(const char *path, const char *name, struct milgi__p11_source **source);

/* Goes into the module, which is started if it is not up. 0: leave it again; else a device code. */
int milgi__p11_enter(struct milgi__p11_module *module);
void milgi__p11_leave(struct milgi__p11_module *module);
/* From inside. */
void milgi__p11_call_begin(struct milgi__p11_module *module, CK_SLOT_ID slot, struct milgi__p11_call *call);
void milgi__p11_call_end(struct milgi__p11_module *module, struct milgi__p11_call *call);
/*
 * Whether |slot| is better not asked who it is, since a call there does not return: unless what is known of it fits
 * |uri|, so that it is the key's own token that hangs.
 */
bool milgi__p11_hangs(struct milgi__p11_module *module, CK_SLOT_ID slot, P11KitUri *uri);
/* From outside: whether the module's life at |tried_ns| has ended. */
bool milgi__p11_is_anew(struct milgi__p11_module *module, uint64_t tried_ns);
/*
 * From outside: starts the module anew, whose life at |tried_ns| showed no token. Not when that life has ended already;
 * nor when it began after |since_ns| and never did |mine| any good, since then another one would not either; nor when
 * another of its tokens has signed since then and so needs it as it is, or somebody inside hangs. False: it is as it
 * was.
 */
bool milgi__p11_restart(struct milgi__p11_module *module, uint64_t tried_ns, uint64_t since_ns,
    const struct milgi__p11_token *mine);

/* From inside: the token in |slot|, of which |info| was just read. NULL: no memory. */
struct milgi__p11_token *milgi__p11_token(
    struct milgi__p11_module *module, CK_SLOT_ID slot, const CK_TOKEN_INFO *info);

/* --- sessions and logins: token.c, from inside of the module ------------------------------------------------------ */

CK_RV milgi__p11_session_get(struct milgi__p11_token *token, struct milgi__p11_session *session);
/* Not |usable|: closes it. */
void milgi__p11_session_put(struct milgi__p11_token *token, const struct milgi__p11_session *session, bool usable);
/* What is known of the token's sessions is wrong: all go, and who needs it logs in again. */
void milgi__p11_token_reset(struct milgi__p11_token *token, unsigned generation);

/* Where a key's PIN comes from. */
struct milgi__p11_pin {
    P11KitUri *uri;
    char *value;        /* from the URI; NULL: none */
    const char *source; /* NULL: none */
};

/* Logs in if the token wants that and nobody has. 0 or a device code. */
int milgi__p11_login(
    struct milgi__p11_token *token, CK_SESSION_HANDLE session, const struct milgi__p11_pin *pin);
/* For keys that want the PIN for every signature, after C_SignInit. 0 or a device code. */
int milgi__p11_login_again(
    struct milgi__p11_token *token, CK_SESSION_HANDLE session, const struct milgi__p11_pin *pin);

/* --- keys: key.c -------------------------------------------------------------------------------------------------- */

struct milgi__p11_options {
    char *module, *pin_source; /* for keys whose URI says neither; may be NULL */
    uint64_t retry_ns;         /* how long a key that cannot be had is left alone */
};

struct milgi__p11_key;
/*
 * NULL: no memory. |options| and |wards| (NULL: it is signed with directly) stay until the key is gone, |credential|
 * need not. Never blocks: a URI that makes no sense shows later. The key begins with one reference; any thread may take
 * and drop others.
 */
struct milgi__p11_key *milgi__p11_key_new(const struct milgi_credential *credential,
    const struct milgi__p11_options *options, struct milgi__wards *wards);
void milgi__p11_key_ref(struct milgi__p11_key *key);
void milgi__p11_key_unref(struct milgi__p11_key *key);
/* Where its token is waited for: keys whose URIs say the same of the token share it. */
struct milgi__ward *milgi__p11_key_ward(const struct milgi__p11_key *key);
/* Signs as milgi_op_sign says, into |s|. 0 or a device code. */
int milgi__p11_key_sign(struct milgi__p11_key *key, struct milgi__crypto *cx, uint16_t scheme, struct milgi_op_sign *s);

/* The device code of a return value; CKR_OK: 0. */
int milgi__p11_code(CK_RV rv);

int milgi__device_pkcs11_make(const struct milgi__spec *spec, struct milgi_device **device, const char **why);
