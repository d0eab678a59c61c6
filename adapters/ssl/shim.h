/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the shim share. Functions that answer 1 or 0 put an error into the queue before 0. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

#include <milgi/milgi.h>
#include <openssl/buffer.h>
#include <openssl/decoder.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "milgi_pull.h"

#define EX_MAX 16
#define HOSTS_MAX 4
#define CREDENTIALS_MAX 4
#define GROUPS_MAX 16
#define FILE_LIMIT (16u * 1024 * 1024)
#define AUTHORITIES_MAX 16384u /* of milgi_config_set_authority_names() */

/* --- errors (err.c) ---------------------------------------------------------------------------------------------- */

/* |detail| is copied; NULL: none. */
void milgi__ssl_error(int lib, int reason, const char *file, int line, const char *detail);
#define SSL_ERR(reason, detail) milgi__ssl_error(ERR_LIB_SSL, (reason), __FILE__, __LINE__, (detail))
#define LIB_ERR(lib, reason, detail) milgi__ssl_error((lib), (reason), __FILE__, __LINE__, (detail))
#define SYS_ERR(number, detail) milgi__ssl_error(ERR_LIB_SYS, (number), __FILE__, __LINE__, (detail))
/* For a MILGI_E*, where no connection says more. */
void milgi__ssl_error_of(int error, const char *detail);
/* For what has ended a connection. */
void milgi__ssl_error_of_reason(const struct milgi_reason *reason, bool server);

/* --- bytes that grow --------------------------------------------------------------------------------------------- */

struct text {
    char *data; /* followed by a NUL */
    size_t len, room;
};
bool milgi__ssl_append(struct text *text, const void *data, size_t len);
void milgi__ssl_text_free(struct text *text); /* and wipes */
/* 1 or 0. At most FILE_LIMIT bytes. */
int milgi__ssl_read_file(const char *name, struct text *text);

/* --- PEM (pem.c) ------------------------------------------------------------------------------------------------- */

/* The next block whose label ends with |label|: from dash to dash; false: there is none. Moves |*from|. */
bool milgi__ssl_pem_next(const struct text *text, size_t *from, const char *label, size_t *begin, size_t *end);
bool milgi__ssl_pem_write(struct text *text, const char *label, const uint8_t *der, size_t len);
/* The content of a block; *der is malloc()ed. */
bool milgi__ssl_pem_decode(const char *block, size_t len, uint8_t **der, size_t *der_len);

/* --- base64 (base64.c) ------------------------------------------------------------------------------------------- */

/* 4 characters for each 3 bytes, begun or whole; how many. */
size_t milgi__ssl_base64(char *out, const uint8_t *in, size_t len);
/* One character after the other; each makes a byte at most, which goes behind |*out_len|. False: that is none of it. */
struct unbase64 {
    uint32_t bits;
    unsigned n;     /* digits so far */
    unsigned equal; /* "=", behind them */
};
bool milgi__ssl_unbase64(struct unbase64 *from, char c, uint8_t *out, size_t *out_len);

/* --- DER (der.c) ------------------------------------------------------------------------------------------------- */

struct der {
    const uint8_t *data;
    size_t len;
};
/* Takes the first element off |in|: its tag and contents, and all of it in |whole| (may be NULL). */
bool milgi__ssl_der_next(struct der *in, uint8_t *tag, struct der *contents, struct der *whole);
/* The same where it has to be |tag|. */
bool milgi__ssl_der_take(struct der *in, uint8_t tag, struct der *contents);

/* --- certificates (x509.c, names.c) ------------------------------------------------------------------------------ */

struct asn1_object_st {
    const uint8_t *der;
    size_t len;
};

struct X509_name_entry_st {
    ASN1_OBJECT object;
    ASN1_STRING value;
    int set; /* which relative name it belongs to */
};

struct X509_name_st {
    struct der der;
    uint8_t *own; /* of a copy: the memory of |der| */
    X509_NAME_ENTRY *entries;
    size_t n;
};

struct X509_pubkey_st {
    struct der der;
};

struct X509_extension_st {
    ASN1_OBJECT object;
    int critical;
    struct der value; /* what stands in its OCTET STRING */
};

struct x509_st {
    atomic_uint refs;
    uint8_t *der;
    size_t len;
    X509_NAME subject, issuer;
    X509_PUBKEY key;
    ASN1_STRING serial, not_before, not_after;
    X509_EXTENSION *extensions;
    size_t extensions_n;
};

bool milgi__ssl_string(ASN1_STRING *string, int type, const void *data, size_t len);
/* |der| is one Name, which is copied for nothing but its values: it has to live as long. */
bool milgi__ssl_name_parse(X509_NAME *name, struct der der);
void milgi__ssl_name_clear(X509_NAME *name);
/* The contents of an extension's value; false: there is none. */
bool milgi__ssl_extension(const X509 *x, int nid, struct der *value, int *critical);
/* One that stands alone; NULL: no memory. */
X509_NAME *milgi__ssl_name_copy(const X509_NAME *name);

/* --- BIOs (bio.c) ------------------------------------------------------------------------------------------------ */

enum bio_kind {
    BIO_KIND_MEM,
    BIO_KIND_FILE,
    BIO_KIND_SOCKET,
    BIO_KIND_BASE64 /* of |text|: what is still to be encoded, or was decoded and not read */
};
struct bio_st {
    atomic_uint refs;
    enum bio_kind kind;
    struct text text;
    size_t first;
    uint64_t written;
    FILE *file;
    int fd, close_flag;
    bool read_only;
    int flags;
    BIO *next;          /* a filter's */
    struct unbase64 in; /* a filter's, that has gone wrong, or what of |text| is whole: */
    bool in_over;
    size_t shown;
    BUF_MEM mem; /* BIO_get_mem_ptr() */
};
int milgi__ssl_base64_write(BIO *bio, const void *data, int n);
int milgi__ssl_base64_read(BIO *bio, void *data, int n);
int milgi__ssl_base64_flush(BIO *bio);

/* --- what is verified against (trust.c) -------------------------------------------------------------------------- */

/* What a store makes: immutable, apart from what is loaded for the device. */
struct anchors {
    atomic_uint refs;
    struct anchors_view {          /* by enum milgi_crl_check */
        struct milgi_trust *trust; /* NULL: there are no anchors, and nobody is trusted; or no CRLs to look at */
        struct milgi_key key;
        void *dev[MILGI_DEVICES_MAX];
        bool loaded;
    } view[MILGI_CRL_CHECK_ALL + 1];
    pthread_mutex_t lock; /* of what is loaded */
    struct milgi_qp *qp;  /* NULL: not yet */
};

struct chain { /* certificates of a peer, leaf first */
    atomic_uint refs;
    size_t n;
    X509 *x[];
};

struct verify_query {
    const struct chain *chain;
    const char *const *hosts; /* one of them has to fit; n 0: none is asked for */
    size_t hosts_n;
    const uint8_t *ip;
    size_t ip_len;
    int depth;     /* of authorities between leaf and anchor; -1: any */
    int64_t now_s; /* since 1970 */
    enum milgi_crl_check crls;
};
/* What comes of verifying a server: X509_V_OK or why not, and the alert that tells the peer. */
long milgi__ssl_verify(struct anchors *anchors, const struct verify_query *query, int *alert);
/* |flags|: X509_V_FLAG_*, of those who are verified with them, as far as it is known. */
struct anchors *milgi__ssl_anchors_new(const X509_STORE *store, unsigned long flags);
/* What these flags want. */
enum milgi_crl_check milgi__ssl_crl_check(unsigned long flags);
void milgi__ssl_anchors_unref(struct anchors *anchors);
struct chain *milgi__ssl_chain_new(const struct milgi_iov *certs, size_t n);
void milgi__ssl_chain_unref(struct chain *chain);

/* What is added to a context's store, which is a part of it. */
struct x509_lookup_st {
    bool dir;
    X509_STORE *store;
};
struct x509_store_st {
    SSL_CTX *ctx;
    struct text pem, crls;
    struct x509_lookup_st lookup[2]; /* of files, of directories */
};
struct x509_lookup_method_st {
    bool dir;
};
/* The CRLs of a file, or of a text that is called |name|: their number, 0: there is none, or one of them is wrong. */
int milgi__ssl_store_load_crls(X509_STORE *store, const char *name);
int milgi__ssl_store_add_crls(X509_STORE *store, const struct text *text, const char *name);
int milgi__ssl_store_load(X509_STORE *store, const char *file, const char *dir);
/*
 * One certificate for a store. 1 also where the library cannot read it: then it vouches for nobody, but the others of
 * the store do.
 */
int milgi__ssl_store_add(struct text *pem, const uint8_t *der, size_t len);
int milgi__ssl_store_defaults(X509_STORE *store, bool with_file, bool with_dir);

struct X509_crl_st {
    atomic_uint refs;
    struct text pem;
};

/* --- settings (settings.c, ciphers.c) ---------------------------------------------------------------------------- */

struct X509_VERIFY_PARAM_st {
    unsigned long flags;
    unsigned host_flags;
    int depth; /* -1: any */
    char *host[HOSTS_MAX];
    size_t hosts_n;
    uint8_t ip[16];
    size_t ip_len;
};
void milgi__ssl_param_clear(X509_VERIFY_PARAM *param);
bool milgi__ssl_param_add_host(X509_VERIFY_PARAM *param, const char *name);
bool milgi__ssl_param_copy(X509_VERIFY_PARAM *to, const X509_VERIFY_PARAM *from);

/* A certificate of ours and its key, immutable. Made anew when what stands behind the certificate is another chain. */
struct identity {
    atomic_uint refs;
    struct milgi_credential *credential;
    struct text chain, key; /* as they were read */
    struct text word;       /* the key's, if it is encrypted */
    struct {
        const char *data;
        size_t len;
    } store; /* whose certificates stand behind; NULL: no store's */
};
struct identity *milgi__ssl_identity_ref(struct identity *identity);
void milgi__ssl_identity_unref(struct identity *identity);

/* What an SSL_CTX says, and an SSL that says something of its own. */
struct settings {
    uint64_t options;
    unsigned long mode;
    int min_version, max_version; /* 0: whatever there is */
    int verify_mode;
    SSL_verify_cb verify_cb;
    X509_VERIFY_PARAM param;
    struct identity *identity[CREDENTIALS_MAX]; /* one for each kind of key */
    size_t identities_n;
    struct text chain, key, word; /* of the credential that is not complete; the key's passphrase */
    pem_password_cb *word_cb;     /* who is asked for that; NULL: |word_arg| is a text, or nobody */
    void *word_arg;
    uint16_t suites12[8], suites13[4], groups[GROUPS_MAX];
    size_t suites12_n, suites13_n, groups_n; /* groups: 0 for the default */
    uint8_t *alpn;
    size_t alpn_len;
    int read_ahead;
    bool quiet;
};
int milgi__ssl_settings_init(struct settings *settings);
bool milgi__ssl_settings_copy(struct settings *to, const struct settings *from);
void milgi__ssl_settings_clear(struct settings *settings);
/* The keys and certificates of |from| in the place of its own. False: no memory, and it has none. */
bool milgi__ssl_settings_take_credentials(struct settings *to, const struct settings *from);
/* The config that they make; |ctx| for what is the context's alone. NULL with an error in the queue. */
struct milgi_config *milgi__ssl_config(SSL_CTX *ctx, struct settings *settings, bool server);
int milgi__ssl_make_tickets(SSL_CTX *ctx);
/* An SSL's settings, to be read, and to be changed (NULL: no memory). */
const struct settings *milgi__ssl_settings(const SSL *ssl);
struct settings *milgi__ssl_own_settings(SSL *ssl);
/* What lies between "a:b:c". 1 or 0. */
int milgi__ssl_cipher_list(struct settings *settings, const char *list);
int milgi__ssl_ciphersuites(struct settings *settings, const char *list);
int milgi__ssl_groups_list(struct settings *settings, const char *list);
const SSL_CIPHER *milgi__ssl_cipher(uint16_t suite);

/* --- contexts (ctx.c) -------------------------------------------------------------------------------------------- */

struct ssl_method_st {
    bool client, server;
};

struct ssl_ctx_st {
    atomic_uint refs;
    pthread_mutex_t lock; /* of what follows until the next comment */
    struct settings settings;
    X509_STORE store;
    struct anchors *anchors;        /* what the store makes; NULL: it has changed */
    struct milgi_config *config[2]; /* of clients, of servers; NULL: something has changed */
    struct milgi_ticket_keys *tickets;
    struct text client_cas; /* names in DER, each behind its length in two bytes */
    SSL *going_by;          /* |settings| */
    /* set before it is used */
    const SSL_METHOD *method;
    long timeout_s, cache_mode;
    int tickets_n;
    int (*servername_cb)(SSL *ssl, int *alert, void *arg);
    void *servername_arg;
    SSL_CTX_alpn_select_cb_func alpn_cb;
    void *alpn_arg;
    void (*info_cb)(const SSL *ssl, int where, int value);
    void (*keylog_cb)(const SSL *ssl, const char *line);
    int (*session_cb)(SSL *ssl, SSL_SESSION *session);
    void *ex[EX_MAX];
};
/*
 * Something is about to be set: what was made of it before is not used any more, but by those that were made before,
 * who keep what they have inherited (SSL_new(3)).
 */
void milgi__ssl_ctx_changed(SSL_CTX *ctx);
/* |ssl| goes by the settings of |ctx|, or no more. */
void milgi__ssl_ctx_join(SSL_CTX *ctx, SSL *ssl);
void milgi__ssl_ctx_leave(SSL *ssl);
/* References for the caller; NULL with an error in the queue. */
struct milgi_config *milgi__ssl_ctx_config(SSL_CTX *ctx, bool server);
struct anchors *milgi__ssl_ctx_anchors(SSL_CTX *ctx);
/* 1, 0. Credentials into settings. */
int milgi__ssl_use_certificate(struct settings *settings, const char *file, int type, bool whole_chain);
int milgi__ssl_use_key(struct settings *settings, const char *file, int type);
int milgi__ssl_check_key(const struct settings *settings);
/*
 * Behind a certificate that was given alone go those of the store that have issued it, without the root, as OpenSSL
 * does unless SSL_MODE_NO_AUTO_CHAIN is set. What is there already for this store stays.
 */
void milgi__ssl_complete_chains(struct settings *settings, const X509_STORE *store);
/* The same for one certificate in PEM. False: no memory. */
bool milgi__ssl_add_issuers(struct text *chain, const struct text *store);

/* --- where connections live (home.c) ----------------------------------------------------------------------------- */

/*
 * An engine, which every thread makes for the SSLs that begin their handshake there. An SSL may be used by one thread
 * after the other, and so may its engine then: hence the lock, which is held while the engine is used and never while
 * somebody waits.
 */
struct shared_device;
struct sleeper;
struct home {
    atomic_uint refs;
    pid_t process;
    pthread_mutex_t lock; /* recursive */
    struct milgi_engine *engine;
    struct shared_device *device; /* NULL: nothing is ever under way elsewhere */
    struct sleeper *sleepers;
    uint64_t completed; /* ops, when they were told last */
};
struct home *milgi__ssl_home(void); /* this thread's, with a reference; NULL with an error in the queue */
void milgi__ssl_home_unref(struct home *home);
/*
 * Somebody who waits for an operation that is under way elsewhere: a thread in a call, or a program that was told
 * SSL_ERROR_WANT_ASYNC. Whoever runs the engine first takes what has come for all, and its descriptor is silent then:
 * so each has one of its own, too, which is written to by whoever has taken something. Under the lock.
 */
struct sleeper {
    struct sleeper *next, **link; /* link NULL: it is awake */
    int fd;                       /* -1: there was none to be had */
    bool told, limited;
};
/* |limit_ms|: when its descriptor says so in any case; -1: never, since whoever waits looks at the clock himself. */
void milgi__ssl_home_sleep(struct home *home, struct sleeper *who, int limit_ms);
void milgi__ssl_home_wake(struct sleeper *who);
void milgi__ssl_home_tell(struct home *home);
/* This thread's descriptor for it; -1: there is none to be had. */
int milgi__ssl_home_bell(void);
int milgi__ssl_home_new_bell(void);

/* --- sessions (session.c) ---------------------------------------------------------------------------------------- */

struct ssl_session_st {
    atomic_uint refs;
    struct milgi_session *session; /* NULL: it cannot be resumed */
    struct chain *chain;
    long verify_result;      /* -1: it was not asked for */
    struct anchors *anchors; /* that it was asked with; NULL: of a server */
    char *host;              /* that was verified; NULL: none */
    int depth;               /* that was kept to; -1: any was good */
    enum milgi_crl_check crls;
    long time_s, timeout_s;
};
/* What |ssl| has of its peer, and what it may stand on the next time (NULL: nothing, so far). */
SSL_SESSION *milgi__ssl_session_of(SSL *ssl, struct milgi_session *session);
void milgi__ssl_session_fill(SSL_SESSION *s, struct milgi_session *session);
/* Whether what was verified for it is what |ssl| would verify: with the same anchors, for the same name. */
bool milgi__ssl_session_covers(const SSL *ssl, const SSL_SESSION *session);
/* Whether |ssl| may stand on it: no less was verified then than is asked now. */
bool milgi__ssl_session_fits(const SSL *ssl, const SSL_SESSION *session);

/* --- connections (ssl.c, handshake.c, io.c) ---------------------------------------------------------------------- */

enum ssl_role {
    ROLE_NONE,
    ROLE_CLIENT,
    ROLE_SERVER
};

struct ssl_st {
    atomic_uint refs;
    SSL_CTX *ctx;
    struct settings *own;      /* NULL: the context's, as they were when it was made: */
    SSL *ctx_next, **ctx_link; /* of those that go by it, who have their own before it changes */
    enum ssl_role role;
    BIO *rbio, *wbio;
    struct home *home;
    struct sleeper paused; /* SSL_MODE_ASYNC; its descriptor, once there is one, stays */
    bool has_bell;
    struct milgi_pull *pull;
    struct milgi_config *config;
    struct anchors *anchors;
    char *host_name; /* that is asked for, or was */
    SSL_SESSION *offered, *session;
    struct chain *chain;
    STACK_OF(X509) * shown; /* of SSL_get_peer_cert_chain() */
    long verify_result;     /* -1: not known yet */
    bool established, failed;
    bool shaken;     /* and all of the handshake is with the socket */
    bool unverified; /* we have refused the peer for its certificate */
    int error;       /* of the last call: SSL_ERROR_* */
    int sys_error;   /* errno of it */
    int want;        /* SSL_NOTHING ... */
    int shutdown;    /* SSL_SENT_SHUTDOWN ... */
    size_t taken;    /* of a write that was not finished */
    size_t writing;  /* how long it was, and from where */
    const void *writing_from;
    uint16_t version, suite;
    bool resumed;
    char *alpn;
    uint8_t first[5]; /* bytes of the peer's */
    size_t first_n;
    void (*info_cb)(const SSL *ssl, int where, int value);
    void *ex[EX_MAX];
};

/* SSL_R_HTTP_REQUEST, SSL_R_WRONG_VERSION_NUMBER: the peer does not speak TLS; 0: it does, for all that is known. */
int milgi__ssl_what_else_it_speaks(const SSL *ssl);
/* Begins to be a client or a server. 1 or 0. */
int milgi__ssl_start(SSL *ssl);
/* A call has found no memory: nothing has come of it, and it may be repeated. */
#define NO_MEMORY (-9998)
/* Drops the connection, but not what was set. */
void milgi__ssl_stop(SSL *ssl);
/*
 * Calls |attempt| until it is not MILGI_ETIMEOUT, waiting between if the descriptor is one that waits. Returns what it
 * returned, or TRY_AGAIN: ssl->error says what for.
 */
#define TRY_AGAIN (-9999)
ssize_t milgi__ssl_try(SSL *ssl, ssize_t (*attempt)(SSL *ssl, void *arg), void *arg);
/* The negative result of a call made of what milgi__ssl_try() has returned. */
int milgi__ssl_failed(SSL *ssl, ssize_t rv);
void milgi__ssl_info(const SSL *ssl, int where, int value);
