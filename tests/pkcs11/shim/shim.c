/* SPDX-License-Identifier: Apache-2.0 */
#include "shim.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <p11-kit/pkcs11.h>

#define EXPORTED __attribute__((visibility("default")))

static struct shim shim;
static CK_FUNCTION_LIST own;
static CK_FUNCTION_LIST *real;
static _Atomic bool was_absent;
static _Atomic unsigned open_sessions;

EXPORTED struct shim *shim_switches(void);
struct shim *shim_switches(void)
{
    return &shim;
}

/* --- what hangs --------------------------------------------------------------------------------------------------- */

#define HANDLES 65536

/* Of open sessions, by their handles: the slot, + 1. */
static _Atomic CK_SLOT_ID slot_of[HANDLES];

static bool is_at(CK_SLOT_ID slot)
{
    CK_TOKEN_INFO info;
    size_t len = strlen(shim.hang_at);

    return len == 0 ||
        (real->C_GetTokenInfo(slot, &info) == CKR_OK && memcmp(info.label, shim.hang_at, len) == 0);
}

static void hang(enum shim_function function, CK_SLOT_ID slot)
{
    static const struct timespec nap = { .tv_nsec = 1000000 };

    if (!(shim.hang & function) || !is_at(slot))
        return;
    shim.hanging++;
    while (shim.hang & function)
        nanosleep(&nap, NULL);
    shim.hanging--;
}

static void hang_session(enum shim_function function, CK_SESSION_HANDLE session)
{
    if (session < HANDLES && slot_of[session] != 0)
        hang(function, slot_of[session] - 1);
}

/* ------------------------------------------------------------------------------------------------------------------ */

static bool gone(void)
{
    if (shim.absent && shim.until_anew)
        was_absent = true;
    return shim.absent || was_absent;
}

static CK_RV initialize(void *args)
{
    CK_RV rv = real->C_Initialize(args);

    if (rv == CKR_OK) {
        shim.lives++;
        was_absent = false;
        open_sessions = 0;
    }
    return rv;
}

static CK_RV get_slot_list(CK_BBOOL with_token, CK_SLOT_ID *slots, CK_ULONG *n)
{
    if (slots)
        shim.looks++;
    if (!gone())
        return real->C_GetSlotList(with_token, slots, n);
    *n = 0;
    return CKR_OK;
}

static CK_RV get_token_info(CK_SLOT_ID slot, CK_TOKEN_INFO *info)
{
    hang(SHIM_TOKEN_INFO, slot);
    CK_RV rv = gone() ? CKR_TOKEN_NOT_PRESENT : real->C_GetTokenInfo(slot, info);

    if (rv == CKR_OK)
        info->flags |= shim.token_flags;
    return rv;
}

static CK_RV open_session(
    CK_SLOT_ID slot, CK_FLAGS flags, void *application, CK_NOTIFY notify, CK_SESSION_HANDLE *session)
{
    if (gone())
        return CKR_TOKEN_NOT_PRESENT;
    unsigned now = ++open_sessions;
    if (shim.sessions != 0 && now > shim.sessions) {
        open_sessions--;
        return CKR_SESSION_COUNT;
    }
    unsigned most = shim.sessions_most;
    while (now > most && !atomic_compare_exchange_weak(&shim.sessions_most, &most, now))
        ;
    hang(SHIM_OPEN_SESSION, slot);
    CK_RV rv = real->C_OpenSession(slot, flags, application, notify, session);
    if (rv == CKR_OK && *session < HANDLES)
        slot_of[*session] = slot + 1;
    return rv;
}

static CK_RV close_session(CK_SESSION_HANDLE session)
{
    hang_session(SHIM_CLOSE_SESSION, session);
    open_sessions--;
    return real->C_CloseSession(session);
}

static CK_RV login(CK_SESSION_HANDLE session, CK_USER_TYPE user, unsigned char *pin, CK_ULONG len)
{
    if (gone())
        return CKR_DEVICE_REMOVED;
    if (user == CKU_CONTEXT_SPECIFIC) {
        shim.again++;
        return len == 4 && memcmp(pin, "1234", 4) == 0 ? CKR_OK : CKR_PIN_INCORRECT;
    }
    shim.logins++;
    hang_session(SHIM_LOGIN, session);
    return shim.login_error != 0 ? shim.login_error : real->C_Login(session, user, pin, len);
}

static CK_RV get_attributes(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE *attributes, CK_ULONG n)
{
    CK_RV rv = real->C_GetAttributeValue(session, object, attributes, n);

    if (rv == CKR_OK && shim.always && n == 1 && attributes[0].type == CKA_ALWAYS_AUTHENTICATE)
        *(CK_BBOOL *)attributes[0].pValue = CK_TRUE;
    return rv;
}

static CK_RV find_init(CK_SESSION_HANDLE session, CK_ATTRIBUTE *attributes, CK_ULONG n)
{
    hang_session(SHIM_FIND, session);
    return real->C_FindObjectsInit(session, attributes, n);
}

static CK_RV finalize(void *args)
{
    hang(SHIM_FINALIZE, 0);
    return real->C_Finalize(args);
}

static CK_RV sign_init(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key)
{
    hang_session(SHIM_SIGN_INIT, session);
    if (gone())
        return CKR_DEVICE_REMOVED;
    if (shim.no_eddsa && mechanism->mechanism == CKM_EDDSA)
        return CKR_MECHANISM_INVALID;
    return real->C_SignInit(session, mechanism, key);
}

static CK_RV sign(CK_SESSION_HANDLE session, unsigned char *data, CK_ULONG len, unsigned char *out, CK_ULONG *out_len)
{
    static const struct timespec nap = { .tv_nsec = 1000000 };

    shim.signatures++;
    while (shim.blocked)
        nanosleep(&nap, NULL);
    hang_session(SHIM_SIGN, session);
    if (gone())
        return CKR_DEVICE_REMOVED;
    unsigned errors = shim.sign_errors;
    if (errors > 0 && atomic_compare_exchange_strong(&shim.sign_errors, &errors, errors - 1)) {
        CK_ULONG scrapped = 512;
        unsigned char scrap[512];
        (void)real->C_Sign(session, data, len, scrap, &scrapped); /* so that its operation ends */
        return shim.sign_error;
    }
    return real->C_Sign(session, data, len, out, out_len);
}

EXPORTED CK_RV C_GetFunctionList(CK_FUNCTION_LIST **list)
{
    const char *path = getenv("MILGI_SHIM_MODULE");
    void *module = !path ? NULL : dlopen(path, RTLD_NOW | RTLD_LOCAL);
    CK_C_GetFunctionList get = NULL;

    if (module)
        *(void **)&get = dlsym(module, "C_GetFunctionList");
    if (!get || get(&real) != CKR_OK)
        return CKR_GENERAL_ERROR;
    own = *real;
    own.C_Initialize = initialize;
    own.C_Finalize = finalize;
    own.C_GetFunctionList = C_GetFunctionList;
    own.C_GetSlotList = get_slot_list;
    own.C_GetTokenInfo = get_token_info;
    own.C_OpenSession = open_session;
    own.C_CloseSession = close_session;
    own.C_Login = login;
    own.C_GetAttributeValue = get_attributes;
    own.C_FindObjectsInit = find_init;
    own.C_SignInit = sign_init;
    own.C_Sign = sign;
    *list = &own;
    return CKR_OK;
}
