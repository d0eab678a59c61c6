/* SPDX-License-Identifier: Apache-2.0 */
/* Reasons of errors of the library SSL; those above 1000 are alerts that the peer has sent. */
#pragma once

/*  X(name, value, text) */
#define MILGI_SSL_REASONS(X) \
    X(SSL_R_BAD_EXTENSION, 110, "bad extension") \
    X(SSL_R_BAD_SSL_FILETYPE, 124, "bad ssl filetype") \
    X(SSL_R_BAD_WRITE_RETRY, 127, "bad write retry") \
    X(SSL_R_CERTIFICATE_VERIFY_FAILED, 134, "certificate verify failed") \
    X(SSL_R_CONNECTION_TYPE_NOT_SET, 144, "connection type not set") \
    X(SSL_R_DATA_LENGTH_TOO_LONG, 146, "data length too long") \
    X(SSL_R_HTTP_REQUEST, 156, "http request") \
    X(SSL_R_LENGTH_MISMATCH, 159, "length mismatch") \
    X(SSL_R_NO_CERTIFICATE_ASSIGNED, 177, "no certificate assigned") \
    X(SSL_R_NO_CIPHER_MATCH, 185, "no cipher match") \
    X(SSL_R_NO_PRIVATE_KEY_ASSIGNED, 190, "no private key assigned") \
    X(SSL_R_NO_PROTOCOLS_AVAILABLE, 191, "no protocols available") \
    X(SSL_R_NO_SHARED_CIPHER, 193, "no shared cipher") \
    X(SSL_R_NULL_SSL_CTX, 195, "null ssl ctx") \
    X(SSL_R_NULL_SSL_METHOD_PASSED, 196, "null ssl method passed") \
    X(SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE, 199, "peer did not return a certificate") \
    X(SSL_R_PROTOCOL_IS_SHUTDOWN, 207, "protocol is shutdown") \
    X(SSL_R_CALLBACK_FAILED, 234, "callback failed") \
    X(SSL_R_NO_APPLICATION_PROTOCOL, 235, "no application protocol") \
    X(SSL_R_UNEXPECTED_MESSAGE, 244, "unexpected message") \
    X(SSL_R_UNKNOWN_PROTOCOL, 252, "unknown protocol") \
    X(SSL_R_UNSUPPORTED_PROTOCOL, 258, "unsupported protocol") \
    X(SSL_R_WRONG_VERSION_NUMBER, 267, "wrong version number") \
    X(SSL_R_BAD_LENGTH, 271, "bad length") \
    X(SSL_R_LIBRARY_BUG, 274, "library bug") \
    X(SSL_R_UNINITIALIZED, 276, "uninitialized") \
    X(SSL_R_DECRYPTION_FAILED_OR_BAD_RECORD_MAC, 281, "decryption failed or bad record mac") \
    X(SSL_R_APPLICATION_DATA_AFTER_CLOSE_NOTIFY, 291, "application data after close notify") \
    X(SSL_R_UNEXPECTED_EOF_WHILE_READING, 294, "unexpected eof while reading") \
    X(SSL_R_BAD_VALUE, 384, "bad value") \
    X(SSL_R_SHUTDOWN_WHILE_IN_INIT, 407, "shutdown while in init") \
    X(SSL_R_SSLV3_ALERT_UNEXPECTED_MESSAGE, 1010, "sslv3 alert unexpected message") \
    X(SSL_R_SSLV3_ALERT_BAD_RECORD_MAC, 1020, "sslv3 alert bad record mac") \
    X(SSL_R_TLSV1_ALERT_RECORD_OVERFLOW, 1022, "tlsv1 alert record overflow") \
    X(SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE, 1040, "sslv3 alert handshake failure") \
    X(SSL_R_SSLV3_ALERT_BAD_CERTIFICATE, 1042, "sslv3 alert bad certificate") \
    X(SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE, 1043, "sslv3 alert unsupported certificate") \
    X(SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED, 1044, "sslv3 alert certificate revoked") \
    X(SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED, 1045, "sslv3 alert certificate expired") \
    X(SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN, 1046, "sslv3 alert certificate unknown") \
    X(SSL_R_SSLV3_ALERT_ILLEGAL_PARAMETER, 1047, "sslv3 alert illegal parameter") \
    X(SSL_R_TLSV1_ALERT_UNKNOWN_CA, 1048, "tlsv1 alert unknown ca") \
    X(SSL_R_TLSV1_ALERT_ACCESS_DENIED, 1049, "tlsv1 alert access denied") \
    X(SSL_R_TLSV1_ALERT_DECODE_ERROR, 1050, "tlsv1 alert decode error") \
    X(SSL_R_TLSV1_ALERT_DECRYPT_ERROR, 1051, "tlsv1 alert decrypt error") \
    X(SSL_R_TLSV1_ALERT_PROTOCOL_VERSION, 1070, "tlsv1 alert protocol version") \
    X(SSL_R_TLSV1_ALERT_INSUFFICIENT_SECURITY, 1071, "tlsv1 alert insufficient security") \
    X(SSL_R_TLSV1_ALERT_INTERNAL_ERROR, 1080, "tlsv1 alert internal error") \
    X(SSL_R_TLSV1_ALERT_INAPPROPRIATE_FALLBACK, 1086, "tlsv1 alert inappropriate fallback") \
    X(SSL_R_TLSV1_ALERT_USER_CANCELLED, 1090, "tlsv1 alert user cancelled") \
    X(SSL_R_TLSV1_ALERT_NO_RENEGOTIATION, 1100, "tlsv1 alert no renegotiation") \
    X(SSL_R_TLSV13_ALERT_MISSING_EXTENSION, 1109, "tlsv13 alert missing extension") \
    X(SSL_R_TLSV1_UNSUPPORTED_EXTENSION, 1110, "tlsv1 unsupported extension") \
    X(SSL_R_TLSV1_UNRECOGNIZED_NAME, 1112, "tlsv1 unrecognized name") \
    X(SSL_R_TLSV1_BAD_CERTIFICATE_STATUS_RESPONSE, 1113, "tlsv1 bad certificate status response") \
    X(SSL_R_TLSV1_ALERT_UNKNOWN_PSK_IDENTITY, 1115, "tlsv1 alert unknown psk identity") \
    X(SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED, 1116, "tlsv13 alert certificate required") \
    X(SSL_R_TLSV1_ALERT_NO_APPLICATION_PROTOCOL, 1120, "tlsv1 alert no application protocol")

enum {
#define MILGI_SSL_X(name, value, text) name = (value),
    MILGI_SSL_REASONS(MILGI_SSL_X)
#undef MILGI_SSL_X
    SSL_AD_REASON_OFFSET = 1000
};
