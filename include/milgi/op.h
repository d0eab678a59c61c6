/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The op: one crypto operation. Connections start ops, the engine routes them to devices, devices give them back.
 * This header is for authors of devices, and for who drives one without an engine (docs/devices.md); applications need
 * only the names.
 *
 * FROM ENQUEUE TO DEQUEUE THE DEVICE OWNS THE OP, its memory and its key. Nothing in an op points to a stack, to a
 * connection or to a handshake: nonces, additional data and small inputs are in it by value, large ones in chunks
 * that it holds references on. An op is a pure function of its inputs, so that it can be run again elsewhere as long
 * as its inputs are intact (not when it is in place).
 *
 * Every accepted op is given back exactly once, with one of the final statuses:
 *
 *   OK         done
 *   REJECTED   the input is bad (a tag or signature that does not verify, a point off the curve): a verdict on the
 *              peer, not on the device
 *   BROKEN     the device failed, or the op made no sense to it; device_code says more
 *   CANCELLED  cancelled before it was begun
 *
 * LOST is the engine's own: the op's deadline passed and the device still has it.
 */
#pragma once

#include <milgi/buf.h>

#ifdef __cplusplus
extern "C" {
#endif

enum milgi_op_type {
    MILGI_OP_SEAL,
    MILGI_OP_OPEN,
    MILGI_OP_KEYGEN,
    MILGI_OP_DERIVE,
    MILGI_OP_ENCAPS,
    MILGI_OP_DECAPS,
    MILGI_OP_SIGN,
    MILGI_OP_VERIFY,
    MILGI_OP_VERIFY_CHAIN,
    MILGI_OP_TYPES
};

enum milgi_op_status {
    MILGI_OP_PENDING,
    MILGI_OP_OK,
    MILGI_OP_REJECTED,
    MILGI_OP_BROKEN,
    MILGI_OP_CANCELLED,
    MILGI_OP_LOST
};

/* Work classes, for fairness and quotas. */
enum milgi_op_class {
    MILGI_OP_CLASS_RECORDS,
    MILGI_OP_CLASS_HANDSHAKE,
    MILGI_OP_CLASSES
};

/*
 * Cipher suites, named groups and signature schemes are the code points of the registries (RFC 8446 B.4, 4.2.7,
 * 4.2.3).
 */
#define MILGI_SUITE_AES_128_GCM_SHA256 0x1301
#define MILGI_SUITE_AES_256_GCM_SHA384 0x1302
#define MILGI_SUITE_CHACHA20_POLY1305_SHA256 0x1303
/*
 * Of TLS 1.2 (RFC 5289, RFC 7905). Ops and keys never have these: they name an AEAD by the suite of TLS 1.3 with it.
 */
#define MILGI_SUITE_ECDHE_ECDSA_AES_128_GCM_SHA256 0xc02b
#define MILGI_SUITE_ECDHE_ECDSA_AES_256_GCM_SHA384 0xc02c
#define MILGI_SUITE_ECDHE_RSA_AES_128_GCM_SHA256 0xc02f
#define MILGI_SUITE_ECDHE_RSA_AES_256_GCM_SHA384 0xc030
#define MILGI_SUITE_ECDHE_RSA_CHACHA20_POLY1305_SHA256 0xcca8
#define MILGI_SUITE_ECDHE_ECDSA_CHACHA20_POLY1305_SHA256 0xcca9

#define MILGI_GROUP_SECP256R1 0x0017
#define MILGI_GROUP_SECP384R1 0x0018
#define MILGI_GROUP_SECP521R1 0x0019
#define MILGI_GROUP_X25519 0x001d
/* Hybrids: each is exchanged by an op for each of its halves, the group of X25519, P-256 or P-384, and ML-KEM. */
#define MILGI_GROUP_SECP256R1MLKEM768 0x11eb
#define MILGI_GROUP_X25519MLKEM768 0x11ec
#define MILGI_GROUP_SECP384R1MLKEM1024 0x11ed
/*
 * ML-KEM alone (draft-ietf-tls-mlkem, TLS 1.3 only), for who has to follow a rule that wants it: without a half of
 * another kind a connection is as good as ML-KEM is. In no default.
 */
#define MILGI_GROUP_MLKEM768 0x0201
#define MILGI_GROUP_MLKEM1024 0x0202

#define MILGI_SIG_RSA_PKCS1_SHA256 0x0401
#define MILGI_SIG_RSA_PKCS1_SHA384 0x0501
#define MILGI_SIG_RSA_PKCS1_SHA512 0x0601
#define MILGI_SIG_ECDSA_SECP256R1_SHA256 0x0403
#define MILGI_SIG_ECDSA_SECP384R1_SHA384 0x0503
#define MILGI_SIG_ECDSA_SECP521R1_SHA512 0x0603
#define MILGI_SIG_RSA_PSS_RSAE_SHA256 0x0804
#define MILGI_SIG_RSA_PSS_RSAE_SHA384 0x0805
#define MILGI_SIG_RSA_PSS_RSAE_SHA512 0x0806
#define MILGI_SIG_ED25519 0x0807
#define MILGI_SIG_RSA_PSS_PSS_SHA256 0x0809
#define MILGI_SIG_RSA_PSS_PSS_SHA384 0x080a
#define MILGI_SIG_RSA_PSS_PSS_SHA512 0x080b
/* FIPS 204, in TLS 1.3 alone (draft-ietf-tls-mldsa), where the crypto library has them */
#define MILGI_SIG_MLDSA44 0x0904
#define MILGI_SIG_MLDSA65 0x0905
#define MILGI_SIG_MLDSA87 0x0906

enum milgi_key_kind {
    MILGI_KEY_AEAD,    /* raw: the key of one traffic direction */
    MILGI_KEY_PRIVATE, /* credential: a signing key; its bytes may live elsewhere (a token) */
    MILGI_KEY_TRUST    /* trust: anchors and policy of chain verification */
};

struct milgi_credential; /* config.h: immutable, outlives every key that refers to it */
struct milgi_trust;      /* config.h: immutable, outlives every key that refers to it */

#define MILGI_DEVICES_MAX 8 /* per engine */

/*
 * Of a PRIVATE or TRUST key: what it was made from, and what each device's key_load() returned for it, by the device's
 * index in the engine: MILGI_DEVICES_MAX of them.
 */
struct milgi_loaded_key {
    const struct milgi_credential *credential;
    const struct milgi_trust *trust;
    void **dev;
};

/*
 * A key: immutable, ref-counted by its engine, held by every op that uses it. Each connection has two AEAD keys, all of
 * which are bytes that an idle one keeps: so they share their place with what only the other kinds have.
 */
struct milgi_key {
    uint64_t serial; /* never used twice in a process */
    uint16_t alg;    /* suite of an AEAD key */
    uint8_t kind;    /* enum milgi_key_kind */
    uint8_t raw_len;
    uint32_t used;                      /* the engine's: bit i: device i has had it */
    uint32_t refs;                      /* the engine's */
    __extension__ union {               /* without a name in C99, too */
        uint8_t raw[32];                /* AEAD */
        struct milgi_loaded_key loaded; /* PRIVATE, TRUST */
    };
};

#define MILGI_OP_SLICES 4 /* pieces of a record's input */
#define MILGI_KEX_SEED_MAX 96
#define MILGI_KEX_PUBLIC_MAX 1665 /* both halves of a hybrid of P-384 and ML-KEM-1024 */
#define MILGI_KEX_SECRET_MAX 96
#define MILGI_SIGN_INPUT_MAX 272
#define MILGI_SIGN_INPUT_IN_BLOB 0xffff
#define MILGI_SIGNATURE_MAX 512       /* RSA-4096 */
#define MILGI_SIGNATURE_LONG_MAX 4627 /* ML-DSA-87 */

/*
 * SEAL: ciphertext = AEAD(key, nonce, aad, src[0] .. src[src_n-1] || inner_type || pad_len zeros); ciphertext and tag
 *       (16 bytes, behind it) are written to dst. dst has room for dst_len = input + 1 + pad_len + 16 bytes. With
 *       |in_place| src_n is 1 and dst == src[0].data.
 * OPEN: the reverse: src is the ciphertext without its tag, which is in |tag|. The plaintext (with type and padding,
 *       of the same length) is written to dst, or over src when |in_place| (dst is NULL then; src may be several
 *       slices). When the tag is wrong every byte of the destination is wiped before REJECTED is reported.
 *
 * |inner_type| 0 in a SEAL means: no inner type and no padding (TLS 1.2). Input lengths are at most 2^14 + 256.
 */
struct milgi_op_aead {
    uint8_t nonce[12];
    uint8_t aad_len;
    uint8_t src_n;
    uint8_t aad[13];
    uint8_t inner_type;
    uint8_t in_place;
    uint8_t tag[16];
    uint16_t pad_len;
    uint32_t dst_len;
    uint8_t *dst;
    struct milgi_chunk *dst_chunk; /* a reference, like the src slices' */
    struct milgi_slice src[MILGI_OP_SLICES];
};

/*
 * A record that a device seals or opens while it is asked to (milgi_device_ops.process), under the same rules as SEAL
 * and OPEN, in one piece. |dst| may be |src|; they overlap in no other way.
 *
 * SEAL: the |len| bytes at |src|, with inner_type and padding; |dst| has room for len + 1 + pad_len + 16 bytes.
 * OPEN: the |len| bytes at |src|, which the tag stands behind; as many go to |dst|, wiped if the tag is wrong.
 */
struct milgi_op_record {
    uint8_t nonce[12];
    uint8_t aad_len;
    uint8_t aad[13];
    uint8_t inner_type; /* SEAL */
    uint8_t status;     /* enum milgi_op_status: OK, REJECTED or BROKEN */
    uint16_t pad_len;   /* SEAL */
    uint32_t len;
    int32_t device_code;
    uint8_t *src, *dst;
};

/*
 * KEYGEN: from |seed| (randomness drawn at submission) the private key |secret| and the public share, which is written
 *         to |share|, where there is room for share.len bytes; pub_len of them are written. seed is 32 bytes for X25519
 *         (the private key itself), 40 for P-256 and 56 for P-384 (scalar = seed mod n, which is not to be 0).
 * DERIVE: |secret| holds the private key, |share| the peer's share; the shared secret goes to |shared| (RFC 8446
 *         7.4.2: the X coordinate). A share that is no point of the curve, of the wrong length, or (X25519) gives all
 *         zeros, is REJECTED.
 *
 * Of ML-KEM (FIPS 203; |alg| is its group), where the client's share is an encapsulation key and the server's a
 * ciphertext:
 *
 * KEYGEN: seed is the 64 bytes d || z, and the private key is the same: it is expanded again by DECAPS.
 * ENCAPS: |share| is the peer's encapsulation key, seed the 32 bytes m. The ciphertext goes to |ciphertext|, where
 *         there is room for ciphertext.len bytes, and the shared secret to |shared|. A key of the wrong length, or with
 *         a coefficient out of range (FIPS 203 7.2), is REJECTED.
 * DECAPS: |secret| holds the private key, |share| the ciphertext; the shared secret goes to |shared|. Only a ciphertext
 *         of the wrong length is REJECTED: with another that was not made for the key the secrets differ (7.3).
 */
struct milgi_op_kex {
    uint16_t seed_len, secret_len, pub_len, shared_len; /* pub_len: of KEYGEN's share, of ENCAPS's ciphertext */
    uint8_t seed[MILGI_KEX_SEED_MAX];
    uint8_t secret[MILGI_KEX_SECRET_MAX];
    uint8_t shared[MILGI_KEX_SECRET_MAX];
    struct milgi_slice share;      /* a reference; its chunk may be NULL when the memory outlives the op */
    struct milgi_slice ciphertext; /* the same */
};

/*
 * SIGN:   signature over |input| by the op's key with the scheme |alg|, as TLS carries it (ECDSA in DER), to |sig|;
 *         those of ML-DSA, which are longer, to |blob|, where there is room for blob.len bytes. |any_curve| as below.
 * VERIFY: the signature (in |blob| behind the key, sig_len bytes) over |input| by the public key that blob's first
 *         spki_len bytes hold (DER SubjectPublicKeyInfo). REJECTED: it does not verify, or the key is of another type
 *         than the scheme. With |any_curve| the schemes of ECDSA differ in their hash alone, as in TLS 1.2, and each
 *         goes with every curve of theirs.
 *
 * With |hashed| the input of a SIGN is the scheme's hash of what is signed, made by somebody else, and a scheme of
 * ECDSA goes with every curve; schemes that sign the message itself (Ed25519, ML-DSA) know no hash, and it makes no
 * sense with them. Engines start no such ops; who works with a device by itself, as a key server does, gives them to
 * one that has MILGI_CAP_HASHED.
 *
 * With |input_len| MILGI_SIGN_INPUT_IN_BLOB the input is longer than there is room for (a CertificateVerify of TLS 1.2
 * is over all messages): it is what |blob| holds, of a VERIFY behind key and signature.
 */
struct milgi_op_sign {
    uint16_t input_len, sig_len;
    uint32_t spki_len;
    uint8_t input[MILGI_SIGN_INPUT_MAX];
    uint8_t sig[MILGI_SIGNATURE_MAX]; /* SIGN's result */
    uint8_t any_curve;                /* 0 or 1 */
    uint8_t hashed;                   /* 0 or 1 */
    struct milgi_slice blob;          /* VERIFY's key and signature; input, or a signature, that is long: a reference */
};

/*
 * VERIFY_CHAIN: the certificates in |chain|, leaf first, each with a 3-byte length before it; against the trust of
 * the op's key. The leaf must be for |purpose|; when name_len > 0 it must be valid for that DNS name, or when
 * |name_is_ip| for that address (4 or 16 bytes). REJECTED: not accepted; |alert| is what to tell the peer and
 * |verdict| libcrypto's reason (X509_V_ERR_*). Keys and signatures below the trust's security level are refused.
 * OK: |path| is the one that was accepted, |path_n| certificates from the leaf to an anchor: each is a place in |chain|
 * (the leaf's is 0), but the last is MILGI_PATH_ANCHOR or'ed with a place among the anchors of the trust, in the order
 * in which it was given them. A leaf that is an anchor is one of those, alone. |path_n| 0: the device does not tell.
 */
#define MILGI_PATH_MAX 18 /* a leaf, an anchor, and what is between them */
#define MILGI_PATH_ANCHOR (UINT32_C(1) << 31)
enum milgi_purpose {
    MILGI_PURPOSE_SERVER = 1,
    MILGI_PURPOSE_CLIENT = 2
}; /* the role of the certificate's owner */
enum milgi_staple {
    /* an OCSP response was asked for: it must be there if the certificate says so (RFC 7633); in any case */
    MILGI_STAPLE_ASKED = 1,
    MILGI_STAPLE_REQUIRED = 2
};
struct milgi_op_chain {
    struct milgi_slice chain; /* a reference; behind its |len| bytes lie those of the OCSP response */
    uint32_t ocsp_len;        /* 0: none came */
    int64_t now_s;            /* wall clock at submission */
    int32_t verdict;
    uint16_t alert;
    uint8_t purpose;
    uint8_t name_is_ip;
    uint8_t staple; /* enum milgi_staple, or'ed */
    uint16_t name_len;
    uint8_t name[256];
    uint32_t path[MILGI_PATH_MAX];
    uint32_t path_n;
};

struct milgi__flow;
struct milgi__owner;

struct milgi_op {
    uint8_t type;   /* enum milgi_op_type */
    uint8_t status; /* PENDING until the device gives it back */
    uint8_t cls;    /* enum milgi_op_class */
    uint8_t dev;    /* index of the device in the engine */
    uint16_t alg;   /* suite, group or signature scheme */
    uint16_t flags; /* the engine's */
    int32_t device_code;
    /* the device's: how long a unit worked on it (of several at once: its share), when it knows; else it leaves it 0 */
    uint32_t service_ns;
    struct milgi_key *key;                        /* a reference; NULL for VERIFY and key exchange */
    uint64_t scratch[6];                          /* the device's, from enqueue to dequeue */
    struct {                                      /* the engine's; a device does not look at it */
        struct milgi_op *next, *prev;             /* in the list where it stands */
        struct milgi__owner *owner;               /* as long as it is told of its end */
        struct milgi_op *owner_next, *owner_prev; /* among the ops of its owner */
        struct milgi__flow *flow;                 /* whose turn it was when it was picked */
        uint64_t submitted_ns;
        uint64_t stamp_ns; /* of a sampled op: when it was submitted, then enqueued, then came back */
        uint32_t owner_index, owner_generation;
        uint32_t slot;
        uint32_t cost_ns, estimate_ns, learned;
        uint32_t id, generation;
        uint8_t state, tries, kind, alone, first, group;
    } e;
    union {
        struct milgi_op_aead aead;
        struct milgi_op_kex kex;
        struct milgi_op_sign sign;
        struct milgi_op_chain chain;
    } u;
};

/* "SEAL", "VERIFY_CHAIN" ...; "OK", "REJECTED" ... Any thread. */
MILGI_API const char *milgi_op_type_name(int type);
MILGI_API const char *milgi_op_status_name(int status);

#ifdef __cplusplus
}
#endif
