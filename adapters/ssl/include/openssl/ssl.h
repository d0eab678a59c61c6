/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The calls of libssl that simple programs use, on Milgi. What each does is what the manual of OpenSSL 3.0 says of it;
 * adapters/ssl/README.md goes through them, says where they differ and what is not there.
 */
#pragma once

#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl3.h>
#include <openssl/tls1.h>
#include <openssl/x509.h>

#ifdef __cplusplus
extern "C" {
#endif

/* --- initialization ---------------------------------------------------------------------------------------------- */

#define OPENSSL_INIT_NO_LOAD_SSL_STRINGS 0x00100000L
#define OPENSSL_INIT_LOAD_SSL_STRINGS 0x00200000L
MILGI_SSL_API int OPENSSL_init_ssl(uint64_t opts, const OPENSSL_INIT_SETTINGS *settings);
#define SSL_library_init() OPENSSL_init_ssl(0, NULL)
#define SSL_load_error_strings() ((void)OPENSSL_init_ssl(0, NULL))
#define SSLeay_add_ssl_algorithms() SSL_library_init()
#define OpenSSL_add_ssl_algorithms() SSL_library_init()

/*
 * Milgi's own: the device (milgi/device.h) that operations of the handshake are made on by SSLs whose first handshake
 * begins later, "pool:2" for instance; NULL: none but the calling thread. So does MILGI_SSL_DEVICE in the environment,
 * for programs that do not know of it. 1, or 0 with an error in the queue.
 */
MILGI_SSL_API int MILGI_SSL_use_device(const char *spec);

/* --- contexts ---------------------------------------------------------------------------------------------------- */

MILGI_SSL_API const SSL_METHOD *TLS_method(void);
MILGI_SSL_API const SSL_METHOD *TLS_client_method(void);
MILGI_SSL_API const SSL_METHOD *TLS_server_method(void);
#define SSLv23_method TLS_method
#define SSLv23_client_method TLS_client_method
#define SSLv23_server_method TLS_server_method

/* NULL with an error in the queue: there is no DTLS. */
MILGI_SSL_API const SSL_METHOD *DTLS_method(void);
MILGI_SSL_API const SSL_METHOD *DTLS_client_method(void);
MILGI_SSL_API const SSL_METHOD *DTLS_server_method(void);

MILGI_SSL_API SSL_CTX *SSL_CTX_new(const SSL_METHOD *method);
MILGI_SSL_API int SSL_CTX_up_ref(SSL_CTX *ctx);
MILGI_SSL_API void SSL_CTX_free(SSL_CTX *ctx);

MILGI_SSL_API int SSL_CTX_set_min_proto_version(SSL_CTX *ctx, int version);
MILGI_SSL_API int SSL_CTX_set_max_proto_version(SSL_CTX *ctx, int version);
MILGI_SSL_API int SSL_CTX_get_min_proto_version(SSL_CTX *ctx);
MILGI_SSL_API int SSL_CTX_get_max_proto_version(SSL_CTX *ctx);
MILGI_SSL_API int SSL_set_min_proto_version(SSL *ssl, int version);
MILGI_SSL_API int SSL_set_max_proto_version(SSL *ssl, int version);

/* Bits that are not named here do nothing where they ask for less than what is done anyway. */
#define SSL_OP_LEGACY_SERVER_CONNECT ((uint64_t)1 << 2)
#define SSL_OP_ENABLE_KTLS ((uint64_t)1 << 3)
#define SSL_OP_IGNORE_UNEXPECTED_EOF ((uint64_t)1 << 7)
#define SSL_OP_DONT_INSERT_EMPTY_FRAGMENTS ((uint64_t)1 << 11)
#define SSL_OP_NO_TICKET ((uint64_t)1 << 14)
#define SSL_OP_NO_SESSION_RESUMPTION_ON_RENEGOTIATION ((uint64_t)1 << 16)
#define SSL_OP_NO_COMPRESSION ((uint64_t)1 << 17)
#define SSL_OP_ENABLE_MIDDLEBOX_COMPAT ((uint64_t)1 << 20)
#define SSL_OP_PRIORITIZE_CHACHA ((uint64_t)1 << 21)
#define SSL_OP_CIPHER_SERVER_PREFERENCE ((uint64_t)1 << 22)
#define SSL_OP_NO_SSLv2 ((uint64_t)0)
#define SSL_OP_NO_SSLv3 ((uint64_t)1 << 25)
#define SSL_OP_NO_TLSv1 ((uint64_t)1 << 26)
#define SSL_OP_NO_TLSv1_2 ((uint64_t)1 << 27)
#define SSL_OP_NO_TLSv1_1 ((uint64_t)1 << 28)
#define SSL_OP_NO_TLSv1_3 ((uint64_t)1 << 29)
#define SSL_OP_NO_RENEGOTIATION ((uint64_t)1 << 30)
#define SSL_OP_SINGLE_DH_USE ((uint64_t)0)
#define SSL_OP_SINGLE_ECDH_USE ((uint64_t)0)
#define SSL_OP_ALL SSL_OP_DONT_INSERT_EMPTY_FRAGMENTS
#define SSL_OP_NO_SSL_MASK \
    (SSL_OP_NO_SSLv3 | SSL_OP_NO_TLSv1 | SSL_OP_NO_TLSv1_1 | SSL_OP_NO_TLSv1_2 | SSL_OP_NO_TLSv1_3)
MILGI_SSL_API uint64_t SSL_CTX_set_options(SSL_CTX *ctx, uint64_t options);
MILGI_SSL_API uint64_t SSL_CTX_clear_options(SSL_CTX *ctx, uint64_t options);
MILGI_SSL_API uint64_t SSL_CTX_get_options(const SSL_CTX *ctx);
MILGI_SSL_API uint64_t SSL_set_options(SSL *ssl, uint64_t options);
MILGI_SSL_API uint64_t SSL_clear_options(SSL *ssl, uint64_t options);
MILGI_SSL_API uint64_t SSL_get_options(const SSL *ssl);

#define SSL_MODE_ENABLE_PARTIAL_WRITE 0x1U
#define SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER 0x2U
#define SSL_MODE_AUTO_RETRY 0x4U
#define SSL_MODE_NO_AUTO_CHAIN 0x8U
#define SSL_MODE_RELEASE_BUFFERS 0x10U
#define SSL_MODE_SEND_FALLBACK_SCSV 0x80U
#define SSL_MODE_ASYNC 0x100U
MILGI_SSL_API long SSL_CTX_set_mode(SSL_CTX *ctx, long mode);
MILGI_SSL_API long SSL_CTX_clear_mode(SSL_CTX *ctx, long mode);
MILGI_SSL_API long SSL_CTX_get_mode(SSL_CTX *ctx);
MILGI_SSL_API long SSL_set_mode(SSL *ssl, long mode);
MILGI_SSL_API long SSL_clear_mode(SSL *ssl, long mode);
MILGI_SSL_API long SSL_get_mode(SSL *ssl);
MILGI_SSL_API void SSL_CTX_set_read_ahead(SSL_CTX *ctx, int on);
MILGI_SSL_API void SSL_set_read_ahead(SSL *ssl, int on);

MILGI_SSL_API int SSL_CTX_set_cipher_list(SSL_CTX *ctx, const char *list);
MILGI_SSL_API int SSL_CTX_set_ciphersuites(SSL_CTX *ctx, const char *list);
MILGI_SSL_API int SSL_set_cipher_list(SSL *ssl, const char *list);
MILGI_SSL_API int SSL_set_ciphersuites(SSL *ssl, const char *list);
MILGI_SSL_API int SSL_CTX_set1_groups_list(SSL_CTX *ctx, const char *list);
MILGI_SSL_API int SSL_set1_groups_list(SSL *ssl, const char *list);
#define SSL_CTX_set1_curves_list SSL_CTX_set1_groups_list
#define SSL_set1_curves_list SSL_set1_groups_list
/* 1, and nothing comes of it; no macros of a value, of which compilers say that they have no effect, either. */
static inline long SSL_CTX_set_ecdh_auto(SSL_CTX *ctx, int on)
{
    (void)on;
    return ctx != NULL;
}
#define SSL_CTX_set_dh_auto SSL_CTX_set_ecdh_auto
static inline long SSL_set_ecdh_auto(SSL *ssl, int on)
{
    (void)on;
    return ssl != NULL;
}
#define SSL_set_dh_auto SSL_set_ecdh_auto
/* 1. Takes |key|, which nothing comes of: there is no suite that would use it. */
MILGI_SSL_API int SSL_CTX_set0_tmp_dh_pkey(SSL_CTX *ctx, EVP_PKEY *key);
/* 1, and |dh| stays the caller's. */
MILGI_SSL_API long SSL_CTX_set_tmp_dh(SSL_CTX *ctx, DH *dh);
#define SSL_CTX_set_post_handshake_auth(ctx, on) ((void)(ctx))
MILGI_SSL_API void SSL_CTX_set_security_level(SSL_CTX *ctx, int level);
MILGI_SSL_API int SSL_CTX_get_security_level(const SSL_CTX *ctx);

/* There is no compression: NULL. */
static inline STACK_OF(SSL_COMP) * SSL_COMP_get_compression_methods(void)
{
    return NULL;
}

/* --- certificates and keys --------------------------------------------------------------------------------------- */

#define SSL_FILETYPE_PEM X509_FILETYPE_PEM
#define SSL_FILETYPE_ASN1 X509_FILETYPE_ASN1
MILGI_SSL_API int SSL_CTX_use_certificate_file(SSL_CTX *ctx, const char *file, int type);
MILGI_SSL_API int SSL_CTX_use_certificate_chain_file(SSL_CTX *ctx, const char *file);
MILGI_SSL_API int SSL_CTX_use_PrivateKey_file(SSL_CTX *ctx, const char *file, int type);
#define SSL_CTX_use_RSAPrivateKey_file SSL_CTX_use_PrivateKey_file
MILGI_SSL_API int SSL_CTX_check_private_key(const SSL_CTX *ctx);
MILGI_SSL_API int SSL_use_certificate_file(SSL *ssl, const char *file, int type);
MILGI_SSL_API int SSL_use_certificate_chain_file(SSL *ssl, const char *file);
MILGI_SSL_API int SSL_use_PrivateKey_file(SSL *ssl, const char *file, int type);
MILGI_SSL_API int SSL_check_private_key(const SSL *ssl);
MILGI_SSL_API void SSL_CTX_set_default_passwd_cb(SSL_CTX *ctx, pem_password_cb *cb);
MILGI_SSL_API void SSL_CTX_set_default_passwd_cb_userdata(SSL_CTX *ctx, void *arg);
MILGI_SSL_API pem_password_cb *SSL_CTX_get_default_passwd_cb(SSL_CTX *ctx);
MILGI_SSL_API void *SSL_CTX_get_default_passwd_cb_userdata(SSL_CTX *ctx);
MILGI_SSL_API void SSL_set_default_passwd_cb(SSL *ssl, pem_password_cb *cb);
MILGI_SSL_API void SSL_set_default_passwd_cb_userdata(SSL *ssl, void *arg);

/* --- verification: OFF in a client until SSL_VERIFY_PEER is set, and names are not looked at until they are given  */

#define SSL_VERIFY_NONE 0x00
#define SSL_VERIFY_PEER 0x01
#define SSL_VERIFY_FAIL_IF_NO_PEER_CERT 0x02
#define SSL_VERIFY_CLIENT_ONCE 0x04
#define SSL_VERIFY_POST_HANDSHAKE 0x08
typedef int (*SSL_verify_cb)(int ok, X509_STORE_CTX *ctx);
MILGI_SSL_API void SSL_CTX_set_verify(SSL_CTX *ctx, int mode, SSL_verify_cb cb);
MILGI_SSL_API void SSL_set_verify(SSL *ssl, int mode, SSL_verify_cb cb);
MILGI_SSL_API int SSL_CTX_get_verify_mode(const SSL_CTX *ctx);
MILGI_SSL_API int SSL_get_verify_mode(const SSL *ssl);
MILGI_SSL_API void SSL_CTX_set_verify_depth(SSL_CTX *ctx, int depth);
MILGI_SSL_API void SSL_set_verify_depth(SSL *ssl, int depth);
MILGI_SSL_API int SSL_CTX_set_default_verify_paths(SSL_CTX *ctx);
MILGI_SSL_API int SSL_CTX_set_default_verify_file(SSL_CTX *ctx);
MILGI_SSL_API int SSL_CTX_set_default_verify_dir(SSL_CTX *ctx);
MILGI_SSL_API int SSL_CTX_load_verify_locations(SSL_CTX *ctx, const char *file, const char *dir);
MILGI_SSL_API int SSL_CTX_load_verify_file(SSL_CTX *ctx, const char *file);
MILGI_SSL_API int SSL_CTX_load_verify_dir(SSL_CTX *ctx, const char *dir);
MILGI_SSL_API X509_STORE *SSL_CTX_get_cert_store(const SSL_CTX *ctx);
MILGI_SSL_API X509_VERIFY_PARAM *SSL_CTX_get0_param(SSL_CTX *ctx);
MILGI_SSL_API X509_VERIFY_PARAM *SSL_get0_param(SSL *ssl);
MILGI_SSL_API int SSL_CTX_set1_param(SSL_CTX *ctx, X509_VERIFY_PARAM *param);
MILGI_SSL_API int SSL_set1_param(SSL *ssl, X509_VERIFY_PARAM *param);
MILGI_SSL_API int SSL_set1_host(SSL *ssl, const char *name);
MILGI_SSL_API int SSL_add1_host(SSL *ssl, const char *name);
MILGI_SSL_API void SSL_set_hostflags(SSL *ssl, unsigned flags);
MILGI_SSL_API long SSL_get_verify_result(const SSL *ssl);
MILGI_SSL_API X509 *SSL_get1_peer_certificate(const SSL *ssl);
MILGI_SSL_API X509 *SSL_get0_peer_certificate(const SSL *ssl);
#define SSL_get_peer_certificate SSL_get1_peer_certificate
MILGI_SSL_API STACK_OF(X509) * SSL_get_peer_cert_chain(const SSL *ssl);
MILGI_SSL_API int SSL_get_ex_data_X509_STORE_CTX_idx(void);
MILGI_SSL_API STACK_OF(X509_NAME) * SSL_load_client_CA_file(const char *file);
MILGI_SSL_API void SSL_CTX_set_client_CA_list(SSL_CTX *ctx, STACK_OF(X509_NAME) * names);

/* --- names and protocols ----------------------------------------------------------------------------------------- */

#define SSL_TLSEXT_ERR_OK 0
#define SSL_TLSEXT_ERR_ALERT_WARNING 1
#define SSL_TLSEXT_ERR_ALERT_FATAL 2
#define SSL_TLSEXT_ERR_NOACK 3
MILGI_SSL_API int SSL_set_tlsext_host_name(SSL *ssl, const char *name);
MILGI_SSL_API const char *SSL_get_servername(const SSL *ssl, int type);
MILGI_SSL_API int SSL_get_servername_type(const SSL *ssl);
MILGI_SSL_API int SSL_CTX_set_tlsext_servername_callback(SSL_CTX *ctx, int (*cb)(SSL *ssl, int *alert, void *arg));
MILGI_SSL_API int SSL_CTX_set_tlsext_servername_arg(SSL_CTX *ctx, void *arg);
MILGI_SSL_API SSL_CTX *SSL_set_SSL_CTX(SSL *ssl, SSL_CTX *ctx);
/* OCSP is not there: 0 with an error in the queue; SSL_get_tlsext_status_ocsp_resp(): -1. */
MILGI_SSL_API long SSL_set_tlsext_status_type(SSL *ssl, int type);
MILGI_SSL_API long SSL_CTX_set_tlsext_status_cb(SSL_CTX *ctx, int (*cb)(SSL *ssl, void *arg));
MILGI_SSL_API long SSL_CTX_set_tlsext_status_arg(SSL_CTX *ctx, void *arg);
MILGI_SSL_API long SSL_get_tlsext_status_ocsp_resp(SSL *ssl, unsigned char **response);
/* 0 for success, as in OpenSSL. */
MILGI_SSL_API int SSL_CTX_set_alpn_protos(SSL_CTX *ctx, const unsigned char *protos, unsigned len);
MILGI_SSL_API int SSL_set_alpn_protos(SSL *ssl, const unsigned char *protos, unsigned len);
typedef int (*SSL_CTX_alpn_select_cb_func)(SSL *ssl, const unsigned char **out, unsigned char *out_len,
    const unsigned char *in, unsigned in_len, void *arg);
MILGI_SSL_API void SSL_CTX_set_alpn_select_cb(SSL_CTX *ctx, SSL_CTX_alpn_select_cb_func cb, void *arg);
MILGI_SSL_API void SSL_get0_alpn_selected(const SSL *ssl, const unsigned char **data, unsigned *len);
#define OPENSSL_NPN_NEGOTIATED 1
#define OPENSSL_NPN_NO_OVERLAP 2
MILGI_SSL_API int SSL_select_next_proto(unsigned char **out, unsigned char *out_len, const unsigned char *server,
    unsigned server_len, const unsigned char *client, unsigned client_len);

/* --- a connection ------------------------------------------------------------------------------------------------ */

MILGI_SSL_API SSL *SSL_new(SSL_CTX *ctx);
MILGI_SSL_API int SSL_up_ref(SSL *ssl);
MILGI_SSL_API void SSL_free(SSL *ssl);
MILGI_SSL_API int SSL_clear(SSL *ssl);
MILGI_SSL_API SSL_CTX *SSL_get_SSL_CTX(const SSL *ssl);
MILGI_SSL_API int SSL_set_fd(SSL *ssl, int fd);
MILGI_SSL_API int SSL_set_rfd(SSL *ssl, int fd);
MILGI_SSL_API int SSL_set_wfd(SSL *ssl, int fd);
MILGI_SSL_API int SSL_get_fd(const SSL *ssl);
MILGI_SSL_API int SSL_get_rfd(const SSL *ssl);
MILGI_SSL_API int SSL_get_wfd(const SSL *ssl);
MILGI_SSL_API void SSL_set_bio(SSL *ssl, BIO *rbio, BIO *wbio);
MILGI_SSL_API BIO *SSL_get_rbio(const SSL *ssl);
MILGI_SSL_API BIO *SSL_get_wbio(const SSL *ssl);
MILGI_SSL_API void SSL_set_connect_state(SSL *ssl);
MILGI_SSL_API void SSL_set_accept_state(SSL *ssl);
MILGI_SSL_API int SSL_is_server(const SSL *ssl);

MILGI_SSL_API int SSL_connect(SSL *ssl);
MILGI_SSL_API int SSL_accept(SSL *ssl);
MILGI_SSL_API int SSL_do_handshake(SSL *ssl);
MILGI_SSL_API int SSL_read(SSL *ssl, void *data, int n);
MILGI_SSL_API int SSL_read_ex(SSL *ssl, void *data, size_t n, size_t *done);
MILGI_SSL_API int SSL_peek(SSL *ssl, void *data, int n);
MILGI_SSL_API int SSL_peek_ex(SSL *ssl, void *data, size_t n, size_t *done);
MILGI_SSL_API int SSL_write(SSL *ssl, const void *data, int n);
MILGI_SSL_API int SSL_write_ex(SSL *ssl, const void *data, size_t n, size_t *done);
MILGI_SSL_API int SSL_pending(const SSL *ssl);
MILGI_SSL_API int SSL_has_pending(const SSL *ssl);

#define SSL_SENT_SHUTDOWN 1
#define SSL_RECEIVED_SHUTDOWN 2
MILGI_SSL_API int SSL_shutdown(SSL *ssl);
MILGI_SSL_API int SSL_get_shutdown(const SSL *ssl);
MILGI_SSL_API void SSL_set_shutdown(SSL *ssl, int mode);
MILGI_SSL_API void SSL_set_quiet_shutdown(SSL *ssl, int on);
MILGI_SSL_API void SSL_CTX_set_quiet_shutdown(SSL_CTX *ctx, int on);

#define SSL_ERROR_NONE 0
#define SSL_ERROR_SSL 1
#define SSL_ERROR_WANT_READ 2
#define SSL_ERROR_WANT_WRITE 3
#define SSL_ERROR_WANT_X509_LOOKUP 4
#define SSL_ERROR_SYSCALL 5
#define SSL_ERROR_ZERO_RETURN 6
#define SSL_ERROR_WANT_CONNECT 7
#define SSL_ERROR_WANT_ACCEPT 8
#define SSL_ERROR_WANT_ASYNC 9
#define SSL_ERROR_WANT_ASYNC_JOB 10
#define SSL_ERROR_WANT_CLIENT_HELLO_CB 11
MILGI_SSL_API int SSL_get_error(const SSL *ssl, int result);
#define SSL_NOTHING 1
#define SSL_WRITING 2
#define SSL_READING 3
#define SSL_ASYNC_PAUSED 5
MILGI_SSL_API int SSL_want(const SSL *ssl);
#define SSL_want_read(ssl) (SSL_want(ssl) == SSL_READING)
#define SSL_want_write(ssl) (SSL_want(ssl) == SSL_WRITING)
typedef int OSSL_ASYNC_FD;
MILGI_SSL_API int SSL_get_all_async_fds(SSL *ssl, OSSL_ASYNC_FD *fds, size_t *n);
MILGI_SSL_API int SSL_waiting_for_async(SSL *ssl);

/* --- what came of it --------------------------------------------------------------------------------------------- */

MILGI_SSL_API int SSL_is_init_finished(const SSL *ssl);
MILGI_SSL_API int SSL_in_init(const SSL *ssl);
MILGI_SSL_API int SSL_in_before(const SSL *ssl);
MILGI_SSL_API int SSL_version(const SSL *ssl);
MILGI_SSL_API const char *SSL_get_version(const SSL *ssl);
MILGI_SSL_API const SSL_CIPHER *SSL_get_current_cipher(const SSL *ssl);
MILGI_SSL_API const char *SSL_CIPHER_get_name(const SSL_CIPHER *cipher);
MILGI_SSL_API const char *SSL_CIPHER_standard_name(const SSL_CIPHER *cipher);
MILGI_SSL_API const char *SSL_CIPHER_get_version(const SSL_CIPHER *cipher);
MILGI_SSL_API int SSL_CIPHER_get_bits(const SSL_CIPHER *cipher, int *alg_bits);
MILGI_SSL_API uint32_t SSL_CIPHER_get_id(const SSL_CIPHER *cipher);
MILGI_SSL_API uint16_t SSL_CIPHER_get_protocol_id(const SSL_CIPHER *cipher);
#define SSL_get_cipher(ssl) SSL_CIPHER_get_name(SSL_get_current_cipher(ssl))
#define SSL_get_cipher_name(ssl) SSL_CIPHER_get_name(SSL_get_current_cipher(ssl))
#define SSL_get_cipher_version(ssl) SSL_CIPHER_get_version(SSL_get_current_cipher(ssl))
#define SSL_get_cipher_bits(ssl, bits) SSL_CIPHER_get_bits(SSL_get_current_cipher(ssl), (bits))
MILGI_SSL_API const char *SSL_state_string_long(const SSL *ssl);
MILGI_SSL_API const char *SSL_state_string(const SSL *ssl);
MILGI_SSL_API const char *SSL_alert_type_string_long(int value);
MILGI_SSL_API const char *SSL_alert_desc_string_long(int value);
MILGI_SSL_API int SSL_export_keying_material(SSL *ssl, unsigned char *out, size_t n, const char *label,
    size_t label_len, const unsigned char *context, size_t context_len, int use_context);

#define SSL_ST_CONNECT 0x1000
#define SSL_ST_ACCEPT 0x2000
#define SSL_CB_LOOP 0x01
#define SSL_CB_EXIT 0x02
#define SSL_CB_READ 0x04
#define SSL_CB_WRITE 0x08
#define SSL_CB_ALERT 0x4000
#define SSL_CB_READ_ALERT (SSL_CB_ALERT | SSL_CB_READ)
#define SSL_CB_WRITE_ALERT (SSL_CB_ALERT | SSL_CB_WRITE)
#define SSL_CB_HANDSHAKE_START 0x10
#define SSL_CB_HANDSHAKE_DONE 0x20
MILGI_SSL_API void SSL_CTX_set_info_callback(SSL_CTX *ctx, void (*cb)(const SSL *ssl, int where, int value));
MILGI_SSL_API void SSL_set_info_callback(SSL *ssl, void (*cb)(const SSL *ssl, int where, int value));
MILGI_SSL_API void SSL_CTX_set_keylog_callback(SSL_CTX *ctx, void (*cb)(const SSL *ssl, const char *line));

/* --- sessions ---------------------------------------------------------------------------------------------------- */

#define SSL_SESS_CACHE_OFF 0x0000
#define SSL_SESS_CACHE_CLIENT 0x0001
#define SSL_SESS_CACHE_SERVER 0x0002
#define SSL_SESS_CACHE_BOTH (SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_SERVER)
#define SSL_SESS_CACHE_NO_AUTO_CLEAR 0x0080
#define SSL_SESS_CACHE_NO_INTERNAL_LOOKUP 0x0100
#define SSL_SESS_CACHE_NO_INTERNAL_STORE 0x0200
#define SSL_SESS_CACHE_NO_INTERNAL (SSL_SESS_CACHE_NO_INTERNAL_LOOKUP | SSL_SESS_CACHE_NO_INTERNAL_STORE)
MILGI_SSL_API long SSL_CTX_set_session_cache_mode(SSL_CTX *ctx, long mode);
MILGI_SSL_API long SSL_CTX_get_session_cache_mode(SSL_CTX *ctx);
MILGI_SSL_API long SSL_CTX_sess_set_cache_size(SSL_CTX *ctx, long size);
MILGI_SSL_API long SSL_CTX_set_timeout(SSL_CTX *ctx, long seconds);
MILGI_SSL_API long SSL_CTX_get_timeout(const SSL_CTX *ctx);
MILGI_SSL_API int SSL_CTX_set_num_tickets(SSL_CTX *ctx, size_t n);
MILGI_SSL_API int SSL_CTX_set_session_id_context(SSL_CTX *ctx, const unsigned char *id, unsigned len);
MILGI_SSL_API int SSL_set_session_id_context(SSL *ssl, const unsigned char *id, unsigned len);
MILGI_SSL_API void SSL_CTX_sess_set_new_cb(SSL_CTX *ctx, int (*cb)(SSL *ssl, SSL_SESSION *session));
MILGI_SSL_API SSL_SESSION *SSL_get1_session(SSL *ssl);
MILGI_SSL_API SSL_SESSION *SSL_get0_session(const SSL *ssl);
#define SSL_get_session SSL_get0_session
MILGI_SSL_API int SSL_set_session(SSL *ssl, SSL_SESSION *session);
MILGI_SSL_API int SSL_session_reused(const SSL *ssl);
MILGI_SSL_API int SSL_SESSION_up_ref(SSL_SESSION *session);
MILGI_SSL_API void SSL_SESSION_free(SSL_SESSION *session);
MILGI_SSL_API int SSL_SESSION_is_resumable(const SSL_SESSION *session);
MILGI_SSL_API long SSL_SESSION_get_time(const SSL_SESSION *session);
MILGI_SSL_API long SSL_SESSION_get_timeout(const SSL_SESSION *session);

/* --- the program's own data -------------------------------------------------------------------------------------- */

MILGI_SSL_API int SSL_get_ex_new_index(
    long argl, void *argp, CRYPTO_EX_new *new_func, CRYPTO_EX_dup *dup_func, CRYPTO_EX_free *free_func);
MILGI_SSL_API int SSL_CTX_get_ex_new_index(
    long argl, void *argp, CRYPTO_EX_new *new_func, CRYPTO_EX_dup *dup_func, CRYPTO_EX_free *free_func);
MILGI_SSL_API int SSL_set_ex_data(SSL *ssl, int index, void *data);
MILGI_SSL_API void *SSL_get_ex_data(const SSL *ssl, int index);
MILGI_SSL_API int SSL_CTX_set_ex_data(SSL_CTX *ctx, int index, void *data);
MILGI_SSL_API void *SSL_CTX_get_ex_data(const SSL_CTX *ctx, int index);
#define SSL_set_app_data(ssl, data) SSL_set_ex_data((ssl), 0, (data))
#define SSL_get_app_data(ssl) SSL_get_ex_data((ssl), 0)
#define SSL_CTX_set_app_data(ctx, data) SSL_CTX_set_ex_data((ctx), 0, (data))
#define SSL_CTX_get_app_data(ctx) SSL_CTX_get_ex_data((ctx), 0)

/* --- what is a macro in OpenSSL: programs ask whether there is such a thing with #ifdef --------------------------- */

#define SSL_CTX_clear_mode SSL_CTX_clear_mode
#define SSL_CTX_get_ex_new_index SSL_CTX_get_ex_new_index
#define SSL_CTX_get_max_proto_version SSL_CTX_get_max_proto_version
#define SSL_CTX_get_min_proto_version SSL_CTX_get_min_proto_version
#define SSL_CTX_get_mode SSL_CTX_get_mode
#define SSL_CTX_get_session_cache_mode SSL_CTX_get_session_cache_mode
#define SSL_CTX_sess_set_cache_size SSL_CTX_sess_set_cache_size
#define SSL_CTX_set1_groups_list SSL_CTX_set1_groups_list
#define SSL_CTX_set_ecdh_auto SSL_CTX_set_ecdh_auto
#define SSL_CTX_set_max_proto_version SSL_CTX_set_max_proto_version
#define SSL_CTX_set_min_proto_version SSL_CTX_set_min_proto_version
#define SSL_CTX_set_mode SSL_CTX_set_mode
#define SSL_CTX_set_read_ahead SSL_CTX_set_read_ahead
#define SSL_CTX_set_session_cache_mode SSL_CTX_set_session_cache_mode
#define SSL_CTX_set_tlsext_servername_arg SSL_CTX_set_tlsext_servername_arg
#define SSL_CTX_set_tlsext_servername_callback SSL_CTX_set_tlsext_servername_callback
#define SSL_CTX_set_tlsext_status_arg SSL_CTX_set_tlsext_status_arg
#define SSL_CTX_set_tlsext_status_cb SSL_CTX_set_tlsext_status_cb
#define SSL_CTX_set_tmp_dh SSL_CTX_set_tmp_dh
#define SSL_clear_mode SSL_clear_mode
#define SSL_get0_session SSL_get0_session
#define SSL_get_ex_new_index SSL_get_ex_new_index
#define SSL_get_mode SSL_get_mode
#define SSL_get_tlsext_status_ocsp_resp SSL_get_tlsext_status_ocsp_resp
#define SSL_set1_groups_list SSL_set1_groups_list
#define SSL_set_ecdh_auto SSL_set_ecdh_auto
#define SSL_set_max_proto_version SSL_set_max_proto_version
#define SSL_set_min_proto_version SSL_set_min_proto_version
#define SSL_set_mode SSL_set_mode
#define SSL_set_tlsext_host_name SSL_set_tlsext_host_name
#define SSL_set_tlsext_status_type SSL_set_tlsext_status_type

#ifdef __cplusplus
}
#endif
