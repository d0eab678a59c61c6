/* SPDX-License-Identifier: Apache-2.0 */
/* What is not here, in the words that programs ask with. */
#pragma once

#include <openssl/opensslv.h>

#define OPENSSL_NO_COMP
#define OPENSSL_NO_CT
#define OPENSSL_NO_DEPRECATED_3_0
#define OPENSSL_NO_DES
#define OPENSSL_NO_DH
#define OPENSSL_NO_DSA
#define OPENSSL_NO_DTLS
#define OPENSSL_NO_DTLS1
#define OPENSSL_NO_DTLS1_METHOD
#define OPENSSL_NO_DTLS1_2_METHOD
#define OPENSSL_NO_EGD
#define OPENSSL_NO_ENGINE
#define OPENSSL_NO_MD2
#define OPENSSL_NO_MD4
#define OPENSSL_NO_MD5
#define OPENSSL_NO_NEXTPROTONEG
#define OPENSSL_NO_OCSP
#define OPENSSL_NO_PSK
#define OPENSSL_NO_RC4
#define OPENSSL_NO_SCTP
#define OPENSSL_NO_SRP
#define OPENSSL_NO_SRTP
#define OPENSSL_NO_SSL2
#define OPENSSL_NO_SSL3
#define OPENSSL_NO_SSL3_METHOD
#define OPENSSL_NO_TLS1
#define OPENSSL_NO_TLS1_METHOD
#define OPENSSL_NO_TLS1_1
#define OPENSSL_NO_TLS1_1_METHOD
#define OPENSSL_NO_TLS1_2_METHOD
