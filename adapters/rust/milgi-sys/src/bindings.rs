// SPDX-License-Identifier: Apache-2.0
// Made by ../generate from the headers.
pub const MILGI_PAUSE: u32 = 1;
pub const MILGI_MEMORY_SLAB: u32 = 2097152;
pub const MILGI_CHUNK_MAX: u32 = 131072;
pub const MILGI_SUITE_AES_128_GCM_SHA256: u32 = 4865;
pub const MILGI_SUITE_AES_256_GCM_SHA384: u32 = 4866;
pub const MILGI_SUITE_CHACHA20_POLY1305_SHA256: u32 = 4867;
pub const MILGI_SUITE_ECDHE_ECDSA_AES_128_GCM_SHA256: u32 = 49195;
pub const MILGI_SUITE_ECDHE_ECDSA_AES_256_GCM_SHA384: u32 = 49196;
pub const MILGI_SUITE_ECDHE_RSA_AES_128_GCM_SHA256: u32 = 49199;
pub const MILGI_SUITE_ECDHE_RSA_AES_256_GCM_SHA384: u32 = 49200;
pub const MILGI_SUITE_ECDHE_RSA_CHACHA20_POLY1305_SHA256: u32 = 52392;
pub const MILGI_SUITE_ECDHE_ECDSA_CHACHA20_POLY1305_SHA256: u32 = 52393;
pub const MILGI_GROUP_SECP256R1: u32 = 23;
pub const MILGI_GROUP_SECP384R1: u32 = 24;
pub const MILGI_GROUP_SECP521R1: u32 = 25;
pub const MILGI_GROUP_X25519: u32 = 29;
pub const MILGI_GROUP_SECP256R1MLKEM768: u32 = 4587;
pub const MILGI_GROUP_X25519MLKEM768: u32 = 4588;
pub const MILGI_GROUP_SECP384R1MLKEM1024: u32 = 4589;
pub const MILGI_GROUP_MLKEM768: u32 = 513;
pub const MILGI_GROUP_MLKEM1024: u32 = 514;
pub const MILGI_SIG_RSA_PKCS1_SHA256: u32 = 1025;
pub const MILGI_SIG_RSA_PKCS1_SHA384: u32 = 1281;
pub const MILGI_SIG_RSA_PKCS1_SHA512: u32 = 1537;
pub const MILGI_SIG_ECDSA_SECP256R1_SHA256: u32 = 1027;
pub const MILGI_SIG_ECDSA_SECP384R1_SHA384: u32 = 1283;
pub const MILGI_SIG_ECDSA_SECP521R1_SHA512: u32 = 1539;
pub const MILGI_SIG_RSA_PSS_RSAE_SHA256: u32 = 2052;
pub const MILGI_SIG_RSA_PSS_RSAE_SHA384: u32 = 2053;
pub const MILGI_SIG_RSA_PSS_RSAE_SHA512: u32 = 2054;
pub const MILGI_SIG_ED25519: u32 = 2055;
pub const MILGI_SIG_RSA_PSS_PSS_SHA256: u32 = 2057;
pub const MILGI_SIG_RSA_PSS_PSS_SHA384: u32 = 2058;
pub const MILGI_SIG_RSA_PSS_PSS_SHA512: u32 = 2059;
pub const MILGI_SIG_MLDSA44: u32 = 2308;
pub const MILGI_SIG_MLDSA65: u32 = 2309;
pub const MILGI_SIG_MLDSA87: u32 = 2310;
pub const MILGI_DEVICES_MAX: u32 = 8;
pub const MILGI_OP_SLICES: u32 = 4;
pub const MILGI_KEX_SEED_MAX: u32 = 96;
pub const MILGI_KEX_PUBLIC_MAX: u32 = 1665;
pub const MILGI_KEX_SECRET_MAX: u32 = 96;
pub const MILGI_SIGN_INPUT_MAX: u32 = 272;
pub const MILGI_SIGN_INPUT_IN_BLOB: u32 = 65535;
pub const MILGI_SIGNATURE_MAX: u32 = 512;
pub const MILGI_SIGNATURE_LONG_MAX: u32 = 4627;
pub const MILGI_PATH_MAX: u32 = 18;
pub const MILGI_CAP_INLINE: u32 = 1;
pub const MILGI_CAP_IN_ORDER: u32 = 2;
pub const MILGI_CAP_IN_PLACE: u32 = 4;
pub const MILGI_CAP_SCATTER: u32 = 8;
pub const MILGI_CAP_CANCEL: u32 = 16;
pub const MILGI_CAP_REMOTE: u32 = 32;
pub const MILGI_CAP_OWN_MEMORY: u32 = 64;
pub const MILGI_CAP_LIBCRYPTO: u32 = 128;
pub const MILGI_CAP_KEY_LOAD: u32 = 256;
pub const MILGI_CAP_CALLER: u32 = 512;
pub const MILGI_CAP_TESTED: u32 = 1024;
pub const MILGI_CAP_HASHED: u32 = 2048;
pub const MILGI_CAP_TOGETHER: u32 = 4096;
pub const MILGI_CAP_VERIFIES: u32 = 8192;
pub const MILGI_OP_HASH_MAX: u32 = 64;
pub const MILGI_PASSPHRASE_MAX: u32 = 1024;
pub const MILGI_KEY_ID_LEN: u32 = 20;
pub const MILGI_TLS_1_2: u32 = 771;
pub const MILGI_TLS_1_3: u32 = 772;
pub const MILGI_TICKET_SECRET_LEN: u32 = 32;
pub const MILGI_TICKETS_MAX: u32 = 4;
pub const MILGI_PSK_SECRET_MIN: u32 = 16;
pub const MILGI_PSK_SECRET_MAX: u32 = 1024;
pub const MILGI_PSK_IDENTITY_MAX: u32 = 2048;
pub const MILGI_PSKS_OFFERED: u32 = 4;
pub const MILGI_BATCH_SIZES: u32 = 8;
pub const MILGI_ALL: i32 = -1;
pub const MILGI_ALPN_SHOWN: u32 = 64;
pub const MILGI_AUTHORITIES_SHOWN: u32 = 64;
pub const MILGI_SUITES_SHOWN: u32 = 128;
pub const MILGI_TICKET_MAX: u32 = 16384;
pub const MILGI_CHANNEL_BINDING_MAX: u32 = 64;
pub const MILGI_VERSION_MAJOR: u32 = 0;
pub const MILGI_VERSION_MINOR: u32 = 1;
pub const MILGI_VERSION_PATCH: u32 = 0;
pub const MILGI_VERSION_NUMBER: u32 = 1000;
pub const MILGI_CLASS_NONE: milgi_error_class = 0;
pub const MILGI_CLASS_USAGE: milgi_error_class = 1;
pub const MILGI_CLASS_CLOSED: milgi_error_class = 2;
pub const MILGI_CLASS_IO: milgi_error_class = 3;
pub const MILGI_CLASS_PEER: milgi_error_class = 4;
pub const MILGI_CLASS_PROTO: milgi_error_class = 5;
pub const MILGI_CLASS_AUTH: milgi_error_class = 6;
pub const MILGI_CLASS_DEVICE: milgi_error_class = 7;
pub const MILGI_CLASS_LIMIT: milgi_error_class = 8;
pub const MILGI_CLASS_LOCAL: milgi_error_class = 9;
pub type milgi_error_class = ::std::os::raw::c_uint;
pub const MILGI_FAULT_NONE: milgi_fault = 0;
pub const MILGI_FAULT_PEER: milgi_fault = 1;
pub const MILGI_FAULT_TRANSPORT: milgi_fault = 2;
pub const MILGI_FAULT_DEVICE: milgi_fault = 3;
pub const MILGI_FAULT_MEMORY: milgi_fault = 4;
pub const MILGI_FAULT_OURS: milgi_fault = 5;
pub type milgi_fault = ::std::os::raw::c_uint;
pub const MILGI_EINVAL: milgi_error = -1;
pub const MILGI_EREENTRY: milgi_error = -2;
pub const MILGI_EFORK: milgi_error = -3;
pub const MILGI_ECLOSED: milgi_error = -4;
pub const MILGI_ESTALE: milgi_error = -5;
pub const MILGI_ENOMEM: milgi_error = -6;
pub const MILGI_ELIMIT: milgi_error = -7;
pub const MILGI_ETIMEOUT: milgi_error = -8;
pub const MILGI_EFILE: milgi_error = -9;
pub const MILGI_EPARSE: milgi_error = -10;
pub const MILGI_EMISMATCH: milgi_error = -11;
pub const MILGI_EWEAK: milgi_error = -12;
pub const MILGI_EUNSUPPORTED: milgi_error = -13;
pub const MILGI_EINTERNAL: milgi_error = -14;
pub const MILGI_EPROTO: milgi_error = -15;
pub const MILGI_ENEGOTIATE: milgi_error = -16;
pub const MILGI_EBADRECORD: milgi_error = -17;
pub const MILGI_ETRUNCATED: milgi_error = -18;
pub const MILGI_ETRANSPORT: milgi_error = -19;
pub const MILGI_EALERT: milgi_error = -20;
pub const MILGI_EVERIFY: milgi_error = -21;
pub const MILGI_EREFUSED: milgi_error = -22;
pub const MILGI_EDEVICE: milgi_error = -23;
pub const MILGI_EBUSY: milgi_error = -24;
pub type milgi_error = ::std::os::raw::c_int;
extern "C" {
    pub fn milgi_error_text(error: ::std::os::raw::c_int) -> *const ::std::os::raw::c_char;
}
extern "C" {
    pub fn milgi_error_name(error: ::std::os::raw::c_int) -> *const ::std::os::raw::c_char;
}
extern "C" {
    pub fn milgi_error_class(error: ::std::os::raw::c_int) -> milgi_error_class;
}
pub const MILGI_ALERT_CLOSE_NOTIFY: milgi_alert = 0;
pub const MILGI_ALERT_UNEXPECTED_MESSAGE: milgi_alert = 10;
pub const MILGI_ALERT_BAD_RECORD_MAC: milgi_alert = 20;
pub const MILGI_ALERT_RECORD_OVERFLOW: milgi_alert = 22;
pub const MILGI_ALERT_HANDSHAKE_FAILURE: milgi_alert = 40;
pub const MILGI_ALERT_BAD_CERTIFICATE: milgi_alert = 42;
pub const MILGI_ALERT_UNSUPPORTED_CERTIFICATE: milgi_alert = 43;
pub const MILGI_ALERT_CERTIFICATE_REVOKED: milgi_alert = 44;
pub const MILGI_ALERT_CERTIFICATE_EXPIRED: milgi_alert = 45;
pub const MILGI_ALERT_CERTIFICATE_UNKNOWN: milgi_alert = 46;
pub const MILGI_ALERT_ILLEGAL_PARAMETER: milgi_alert = 47;
pub const MILGI_ALERT_UNKNOWN_CA: milgi_alert = 48;
pub const MILGI_ALERT_ACCESS_DENIED: milgi_alert = 49;
pub const MILGI_ALERT_DECODE_ERROR: milgi_alert = 50;
pub const MILGI_ALERT_DECRYPT_ERROR: milgi_alert = 51;
pub const MILGI_ALERT_PROTOCOL_VERSION: milgi_alert = 70;
pub const MILGI_ALERT_INSUFFICIENT_SECURITY: milgi_alert = 71;
pub const MILGI_ALERT_INTERNAL_ERROR: milgi_alert = 80;
pub const MILGI_ALERT_INAPPROPRIATE_FALLBACK: milgi_alert = 86;
pub const MILGI_ALERT_USER_CANCELED: milgi_alert = 90;
pub const MILGI_ALERT_NO_RENEGOTIATION: milgi_alert = 100;
pub const MILGI_ALERT_MISSING_EXTENSION: milgi_alert = 109;
pub const MILGI_ALERT_UNSUPPORTED_EXTENSION: milgi_alert = 110;
pub const MILGI_ALERT_UNRECOGNIZED_NAME: milgi_alert = 112;
pub const MILGI_ALERT_BAD_CERTIFICATE_STATUS_RESPONSE: milgi_alert = 113;
pub const MILGI_ALERT_UNKNOWN_PSK_IDENTITY: milgi_alert = 115;
pub const MILGI_ALERT_CERTIFICATE_REQUIRED: milgi_alert = 116;
pub const MILGI_ALERT_NO_APPLICATION_PROTOCOL: milgi_alert = 120;
pub const MILGI_ALERT_NONE: milgi_alert = 256;
pub type milgi_alert = ::std::os::raw::c_uint;
extern "C" {
    pub fn milgi_alert_name(alert: ::std::os::raw::c_int) -> *const ::std::os::raw::c_char;
}
#[repr(C)]
#[derive(Debug)]
pub struct milgi_engine {
    _unused: [u8; 0],
}
#[repr(C)]
#[derive(Debug)]
pub struct milgi_chunk {
    _unused: [u8; 0],
}
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct milgi_slice {
    pub chunk: *mut milgi_chunk,
    pub data: *mut u8,
    pub len: u32,
}
impl Default for milgi_slice {
    fn default() -> Self {
        let mut s = ::std::mem::MaybeUninit::<Self>::uninit();
        unsafe {
            ::std::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct milgi_iov {
    pub data: *const ::std::os::raw::c_void,
    pub len: usize,
}
impl Default for milgi_iov {
    fn default() -> Self {
        let mut s = ::std::mem::MaybeUninit::<Self>::uninit();
        unsafe {
            ::std::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}
extern "C" {
    pub fn milgi_chunk_new(engine: *mut milgi_engine, size: usize) -> *mut milgi_chunk;
}
extern "C" {
    pub fn milgi_chunk_data(chunk: *mut milgi_chunk) -> *mut u8;
}
extern "C" {
    pub fn milgi_chunk_size(chunk: *const milgi_chunk) -> usize;
}
extern "C" {
    pub fn milgi_chunk_lend(
        engine: *mut milgi_engine,
        data: *mut ::std::os::raw::c_void,
        size: usize,
        release: ::std::option::Option<unsafe extern "C" fn(arg: *mut ::std::os::raw::c_void)>,
        arg: *mut ::std::os::raw::c_void,
    ) -> *mut milgi_chunk;
}
extern "C" {
    pub fn milgi_chunk_ref(chunk: *mut milgi_chunk) -> *mut milgi_chunk;
}
extern "C" {
    pub fn milgi_chunk_unref(chunk: *mut milgi_chunk);
}
extern "C" {
    pub fn milgi_chunk_release_remote(chunk: *mut milgi_chunk);
}
extern "C" {
    pub fn milgi_slice_keep(
        slice: *const milgi_slice,
        out: *mut milgi_slice,
    ) -> ::std::os::raw::c_int;
}
pub const MILGI_OP_SEAL: milgi_op_type = 0;
pub const MILGI_OP_OPEN: milgi_op_type = 1;
pub const MILGI_OP_KEYGEN: milgi_op_type = 2;
pub const MILGI_OP_DERIVE: milgi_op_type = 3;
pub const MILGI_OP_ENCAPS: milgi_op_type = 4;
pub const MILGI_OP_DECAPS: milgi_op_type = 5;
pub const MILGI_OP_SIGN: milgi_op_type = 6;
pub const MILGI_OP_VERIFY: milgi_op_type = 7;
pub const MILGI_OP_VERIFY_CHAIN: milgi_op_type = 8;
pub const MILGI_OP_TYPES: milgi_op_type = 9;
pub type milgi_op_type = ::std::os::raw::c_uint;
pub const MILGI_OP_PENDING: milgi_op_status = 0;
pub const MILGI_OP_OK: milgi_op_status = 1;
pub const MILGI_OP_REJECTED: milgi_op_status = 2;
pub const MILGI_OP_BROKEN: milgi_op_status = 3;
pub const MILGI_OP_CANCELLED: milgi_op_status = 4;
pub const MILGI_OP_LOST: milgi_op_status = 5;
pub type milgi_op_status = ::std::os::raw::c_uint;
pub const MILGI_OP_CLASS_RECORDS: milgi_op_class = 0;
pub const MILGI_OP_CLASS_HANDSHAKE: milgi_op_class = 1;
pub const MILGI_OP_CLASSES: milgi_op_class = 2;
pub type milgi_op_class = ::std::os::raw::c_uint;
pub const MILGI_KEY_AEAD: milgi_key_kind = 0;
pub const MILGI_KEY_PRIVATE: milgi_key_kind = 1;
pub const MILGI_KEY_TRUST: milgi_key_kind = 2;
pub type milgi_key_kind = ::std::os::raw::c_uint;
#[repr(C)]
#[derive(Debug)]
pub struct milgi_credential {
    _unused: [u8; 0],
}
#[repr(C)]
#[derive(Debug)]
pub struct milgi_trust {
    _unused: [u8; 0],
}
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct milgi_loaded_key {
    pub credential: *const milgi_credential,
    pub trust: *const milgi_trust,
    pub dev: *mut *mut ::std::os::raw::c_void,
}
impl Default for milgi_loaded_key {
    fn default() -> Self {
        let mut s = ::std::mem::MaybeUninit::<Self>::uninit();
        unsafe {
            ::std::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}
#[repr(C)]
#[derive(Copy, Clone)]
pub struct milgi_key {
    pub serial: u64,
    pub alg: u16,
    pub kind: u8,
    pub raw_len: u8,
    pub used: u32,
    pub refs: u32,
    pub __bindgen_anon_1: milgi_key__bindgen_ty_1,
}
#[repr(C)]
#[derive(Copy, Clone)]
pub union milgi_key__bindgen_ty_1 {
    pub raw: [u8; 32usize],
    pub loaded: milgi_loaded_key,
}
impl Default for milgi_key__bindgen_ty_1 {
    fn default() -> Self {
        let mut s = ::std::mem::MaybeUninit::<Self>::uninit();
        unsafe {
            ::std::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}
impl Default for milgi_key {
    fn default() -> Self {
        let mut s = ::std::mem::MaybeUninit::<Self>::uninit();
        unsafe {
            ::std::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct milgi_op_aead {
    pub nonce: [u8; 12usize],
    pub aad_len: u8,
    pub src_n: u8,
    pub aad: [u8; 13usize],
    pub inner_type: u8,
    pub in_place: u8,
    pub tag: [u8; 16usize],
    pub pad_len: u16,
    pub dst_len: u32,
    pub dst: *mut u8,
    pub dst_chunk: *mut milgi_chunk,
    pub src: [milgi_slice; 4usize],
}
impl Default for milgi_op_aead {
    fn default() -> Self {
        let mut s = ::std::mem::MaybeUninit::<Self>::uninit();
        unsafe {
            ::std::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct milgi_op_record {
    pub nonce: [u8; 12usize],
    pub aad_len: u8,
    pub aad: [u8; 13usize],
    pub inner_type: u8,
    pub status: u8,
    pub pad_len: u16,
    pub len: u32,
    pub device_code: i32,
    pub src: *mut u8,
    pub dst: *mut u8,
}
impl Default for milgi_op_record {
    fn default() -> Self {
        let mut s = ::std::mem::MaybeUninit::<Self>::uninit();
        unsafe {
            ::std::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct milgi_op_kex {
    pub seed_len: u16,
    pub secret_len: u16,
    pub pub_len: u16,
    pub shared_len: u16,
    pub seed: [u8; 96usize],
    pub secret: [u8; 96usize],
    pub shared: [u8; 96usize],
    pub share: milgi_slice,
    pub ciphertext: milgi_slice,
}
impl Default for milgi_op_kex {
    fn default() -> Self {
        let mut s = ::std::mem::MaybeUninit::<Self>::uninit();
        unsafe {
            ::std::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct milgi_op_sign {
    pub input_len: u16,
    pub sig_len: u16,
    pub spki_len: u32,
    pub input: [u8; 272usize],
    pub sig: [u8; 512usize],
    pub any_curve: u8,
    pub hashed: u8,
    pub blob: milgi_slice,
}
impl Default for milgi_op_sign {
    fn default() -> Self {
        let mut s = ::std::mem::MaybeUninit::<Self>::uninit();
        unsafe {
            ::std::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}
pub const MILGI_PURPOSE_SERVER: milgi_purpose = 1;
pub const MILGI_PURPOSE_CLIENT: milgi_purpose = 2;
pub type milgi_purpose = ::std::os::raw::c_uint;
pub const MILGI_STAPLE_ASKED: milgi_staple = 1;
pub const MILGI_STAPLE_REQUIRED: milgi_staple = 2;
pub type milgi_staple = ::std::os::raw::c_uint;
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct milgi_op_chain {
    pub chain: milgi_slice,
    pub ocsp_len: u32,
    pub now_s: i64,
    pub verdict: i32,
    pub alert: u16,
    pub purpose: u8,
    pub name_is_ip: u8,
    pub staple: u8,
    pub name_len: u16,
    pub name: [u8; 256usize],
    pub path: [u32; 18usize],
    pub path_n: u32,
}
impl Default for milgi_op_chain {
    fn default() -> Self {
        let mut s = ::std::mem::MaybeUninit::<Self>::uninit();
        unsafe {
            ::std::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}
#[repr(C)]
#[derive(Debug)]
pub struct milgi__flow {
    _unused: [u8; 0],
}
#[repr(C)]
#[derive(Debug)]
pub struct milgi__owner {
    _unused: [u8; 0],
}
#[repr(C)]
#[derive(Copy, Clone)]
pub struct milgi_op {
    pub type_: u8,
    pub status: u8,
    pub cls: u8,
    pub dev: u8,
    pub alg: u16,
    pub flags: u16,
    pub device_code: i32,
    pub service_ns: u32,
    pub key: *mut milgi_key,
    pub scratch: [u64; 6usize],
    pub e: milgi_op__bindgen_ty_1,
    pub u: milgi_op__bindgen_ty_2,
}
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct milgi_op__bindgen_ty_1 {
    pub next: *mut milgi_op,
    pub prev: *mut milgi_op,
    pub owner: *mut milgi__owner,
    pub owner_next: *mut milgi_op,
    pub owner_prev: *mut milgi_op,
    pub flow: *mut milgi__flow,
    pub submitted_ns: u64,
    pub stamp_ns: u64,
    pub owner_index: u32,
    pub owner_generation: u32,
    pub slot: u32,
    pub cost_ns: u32,
    pub estimate_ns: u32,
    pub learned: u32,
    pub id: u32,
    pub generation: u32,
    pub state: u8,
    pub tries: u8,
    pub kind: u8,
    pub alone: u8,
    pub first: u8,
    pub group: u8,
}
impl Default for milgi_op__bindgen_ty_1 {
    fn default() -> Self {
        let mut s = ::std::mem::MaybeUninit::<Self>::uninit();
        unsafe {
            ::std::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}
#[repr(C)]
#[derive(Copy, Clone)]
pub union milgi_op__bindgen_ty_2 {
    pub aead: milgi_op_aead,
    pub kex: milgi_op_kex,
    pub sign: milgi_op_sign,
    pub chain: milgi_op_chain,
}
impl Default for milgi_op__bindgen_ty_2 {
    fn default() -> Self {
        let mut s = ::std::mem::MaybeUninit::<Self>::uninit();
        unsafe {
            ::std::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}
impl Default for milgi_op {
    fn default() -> Self {
        let mut s = ::std::mem::MaybeUninit::<Self>::uninit();
        unsafe {
            ::std::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}
extern "C" {
    pub fn milgi_op_type_name(type_: ::std::os::raw::c_int) -> *const ::std::os::raw::c_char;
}
extern "C" {
    pub fn milgi_op_status_name(status: ::std::os::raw::c_int) -> *const ::std::os::raw::c_char;
}
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct milgi_device_caps {
    pub flags: u32,
    pub ops: u32,
    pub parallelism: u32,
    pub max_in_flight: u32,
    pub best_batch: u32,
    pub min_record: u32,
    pub wake_ns: u32,
    pub gather_ns: u32,
}
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct milgi_clock {
    pub monotonic_ns:
        ::std::option::Option<unsafe extern "C" fn(ctx: *mut ::std::os::raw::c_void) -> u64>,
    pub wall_s:
        ::std::option::Option<unsafe extern "C" fn(ctx: *mut ::std::os::raw::c_void) -> i64>,
    pub ctx: *mut ::std::os::raw::c_void,
}
impl Default for milgi_clock {
    fn default() -> Self {
        let mut s = ::std::mem::MaybeUninit::<Self>::uninit();
        unsafe {
            ::std::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}
#[repr(C)]
#[derive(Debug)]
pub struct milgi_qp {
    _unused: [u8; 0],
}
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct milgi_device_ops {
    pub name: *const ::std::os::raw::c_char,
    pub supports: ::std::option::Option<
        unsafe extern "C" fn(
            device: *mut milgi_device,
            type_: ::std::os::raw::c_int,
            alg: u16,
        ) -> ::std::os::raw::c_int,
    >,
    pub qp_open: ::std::option::Option<
        unsafe extern "C" fn(device: *mut milgi_device, clock: *const milgi_clock) -> *mut milgi_qp,
    >,
    pub qp_close: ::std::option::Option<unsafe extern "C" fn(qp: *mut milgi_qp)>,
    pub key_load: ::std::option::Option<
        unsafe extern "C" fn(
            qp: *mut milgi_qp,
            key: *const milgi_key,
        ) -> *mut ::std::os::raw::c_void,
    >,
    pub key_free: ::std::option::Option<
        unsafe extern "C" fn(
            qp: *mut milgi_qp,
            key: *const milgi_key,
            loaded: *mut ::std::os::raw::c_void,
        ),
    >,
    pub enqueue: ::std::option::Option<
        unsafe extern "C" fn(
            qp: *mut milgi_qp,
            ops: *const *mut milgi_op,
            n: ::std::os::raw::c_uint,
        ) -> ::std::os::raw::c_uint,
    >,
    pub dequeue: ::std::option::Option<
        unsafe extern "C" fn(
            qp: *mut milgi_qp,
            ops: *mut *mut milgi_op,
            n: ::std::os::raw::c_uint,
        ) -> ::std::os::raw::c_uint,
    >,
    pub process: ::std::option::Option<
        unsafe extern "C" fn(
            qp: *mut milgi_qp,
            type_: ::std::os::raw::c_int,
            key: *const milgi_key,
            records: *mut milgi_op_record,
            n: ::std::os::raw::c_uint,
        ),
    >,
    pub notify_fd:
        ::std::option::Option<unsafe extern "C" fn(qp: *mut milgi_qp) -> ::std::os::raw::c_int>,
    pub arm:
        ::std::option::Option<unsafe extern "C" fn(qp: *mut milgi_qp) -> ::std::os::raw::c_int>,
    pub next_event: ::std::option::Option<unsafe extern "C" fn(qp: *mut milgi_qp) -> u64>,
    pub cancel: ::std::option::Option<unsafe extern "C" fn(qp: *mut milgi_qp, op: *mut milgi_op)>,
    pub idle: ::std::option::Option<unsafe extern "C" fn(qp: *mut milgi_qp, now_ns: u64) -> u64>,
    pub health:
        ::std::option::Option<unsafe extern "C" fn(qp: *mut milgi_qp) -> ::std::os::raw::c_int>,
    pub wrong: ::std::option::Option<unsafe extern "C" fn(qp: *mut milgi_qp, op: *const milgi_op)>,
    pub quiesce: ::std::option::Option<
        unsafe extern "C" fn(qp: *mut milgi_qp, limit_ns: u64) -> ::std::os::raw::c_int,
    >,
    pub chunk_alloc: ::std::option::Option<
        unsafe extern "C" fn(device: *mut milgi_device, size: usize) -> *mut ::std::os::raw::c_void,
    >,
    pub chunk_free: ::std::option::Option<
        unsafe extern "C" fn(
            device: *mut milgi_device,
            memory: *mut ::std::os::raw::c_void,
            size: usize,
        ),
    >,
    pub destroy: ::std::option::Option<unsafe extern "C" fn(device: *mut milgi_device)>,
}
impl Default for milgi_device_ops {
    fn default() -> Self {
        let mut s = ::std::mem::MaybeUninit::<Self>::uninit();
        unsafe {
            ::std::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct milgi_device {
    pub ops: *const milgi_device_ops,
    pub caps: milgi_device_caps,
    pub spec: [::std::os::raw::c_char; 96usize],
    pub on_part: ::std::option::Option<
        unsafe extern "C" fn(
            ctx: *mut ::std::os::raw::c_void,
            device: *mut milgi_device,
            part: *const ::std::os::raw::c_char,
            code: ::std::os::raw::c_int,
        ),
    >,
    pub part_ctx: *mut ::std::os::raw::c_void,
    pub process: u64,
    pub note: *const ::std::os::raw::c_char,
}
impl Default for milgi_device {
    fn default() -> Self {
        let mut s = ::std::mem::MaybeUninit::<Self>::uninit();
        unsafe {
            ::std::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}
extern "C" {
    pub fn milgi_device_new(
        spec: *const ::std::os::raw::c_char,
        device: *mut *mut milgi_device,
        why: *mut *const ::std::os::raw::c_char,
    ) -> ::std::os::raw::c_int;
}
extern "C" {
    pub fn milgi_device_free(device: *mut milgi_device);
}
extern "C" {
    pub fn milgi_devices_left() -> ::std::os::raw::c_uint;
}
extern "C" {
    pub fn milgi_device_names() -> *const *const ::std::os::raw::c_char;
}
extern "C" {
    pub fn milgi_device_module_names() -> *const *const ::std::os::raw::c_char;
}
#[repr(C)]
#[derive(Debug)]
pub struct milgi_device_module {
    _unused: [u8; 0],
}
extern "C" {
    pub fn milgi_device_add_module(module: *const milgi_device_module) -> ::std::os::raw::c_int;
}
pub const MILGI_CODE_BAD_SIGNATURE: milgi_code = -1000;
pub const MILGI_CODE_NO_DEVICE: milgi_code = -1001;
pub const MILGI_CODE_RETIRED: milgi_code = -1002;
pub const MILGI_CODE_LOST: milgi_code = -1003;
pub const MILGI_CODE_LIED: milgi_code = -1004;
pub const MILGI_CODE_NO_MEMORY: milgi_code = -1005;
pub const MILGI_CODE_MALFORMED: milgi_code = 1;
pub const MILGI_CODE_NO_KEY: milgi_code = 2;
pub const MILGI_CODE_CRYPTO: milgi_code = 3;
pub type milgi_code = ::std::os::raw::c_int;
extern "C" {
    pub fn milgi_device_code_text(code: ::std::os::raw::c_int) -> *const ::std::os::raw::c_char;
}
extern "C" {
    pub fn milgi_device_try_key(
        device: *mut milgi_device,
        credential: *const milgi_credential,
        code: *mut ::std::os::raw::c_int,
    ) -> ::std::os::raw::c_int;
}
extern "C" {
    pub fn milgi_op_to_sign(
        op: *const milgi_op,
        room: *mut u8,
        data: *mut *const u8,
        len: *mut usize,
    ) -> ::std::os::raw::c_int;
}
extern "C" {
    pub fn milgi_key_init(
        key: *mut milgi_key,
        credential: *const milgi_credential,
        loaded: *mut *mut ::std::os::raw::c_void,
    );
}
pub const MILGI_CODE_AFALG_NO_CIPHER: milgi_code_afalg = 1301;
pub const MILGI_CODE_AFALG_NO_ROOM: milgi_code_afalg = 1302;
pub const MILGI_CODE_AFALG_CLOSED: milgi_code_afalg = 1303;
pub const MILGI_CODE_AFALG_FAILED: milgi_code_afalg = 1304;
pub type milgi_code_afalg = ::std::os::raw::c_uint;
pub const MILGI_CODE_PKCS11_URI: milgi_code_pkcs11 = 1101;
pub const MILGI_CODE_PKCS11_MODULE: milgi_code_pkcs11 = 1102;
pub const MILGI_CODE_PKCS11_NO_TOKEN: milgi_code_pkcs11 = 1103;
pub const MILGI_CODE_PKCS11_TOKENS: milgi_code_pkcs11 = 1104;
pub const MILGI_CODE_PKCS11_NO_PIN: milgi_code_pkcs11 = 1105;
pub const MILGI_CODE_PKCS11_PIN_SOURCE: milgi_code_pkcs11 = 1106;
pub const MILGI_CODE_PKCS11_PIN_WRONG: milgi_code_pkcs11 = 1107;
pub const MILGI_CODE_PKCS11_PIN_LOCKED: milgi_code_pkcs11 = 1108;
pub const MILGI_CODE_PKCS11_PIN_LAST: milgi_code_pkcs11 = 1109;
pub const MILGI_CODE_PKCS11_PIN_CHANGE: milgi_code_pkcs11 = 1110;
pub const MILGI_CODE_PKCS11_NO_OBJECT: milgi_code_pkcs11 = 1111;
pub const MILGI_CODE_PKCS11_MISMATCH: milgi_code_pkcs11 = 1112;
pub const MILGI_CODE_PKCS11_MECHANISM: milgi_code_pkcs11 = 1113;
pub const MILGI_CODE_PKCS11_NOT_ALLOWED: milgi_code_pkcs11 = 1114;
pub const MILGI_CODE_PKCS11_SESSIONS: milgi_code_pkcs11 = 1115;
pub const MILGI_CODE_PKCS11_GONE: milgi_code_pkcs11 = 1116;
pub const MILGI_CODE_PKCS11_MEMORY: milgi_code_pkcs11 = 1117;
pub const MILGI_CODE_PKCS11_TIMEOUT: milgi_code_pkcs11 = 1118;
pub const MILGI_CODE_PKCS11_HANGS: milgi_code_pkcs11 = 1119;
pub const MILGI_CODE_PKCS11_OTHER: milgi_code_pkcs11 = 1114112;
pub type milgi_code_pkcs11 = ::std::os::raw::c_uint;
#[repr(C)]
#[derive(Debug)]
pub struct milgi_config {
    _unused: [u8; 0],
}
#[repr(C)]
#[derive(Debug)]
pub struct milgi_conn {
    _unused: [u8; 0],
}
extern "C" {
    pub fn milgi_credential_new_pem(
        chain: *const ::std::os::raw::c_void,
        chain_len: usize,
        key: *const ::std::os::raw::c_void,
        key_len: usize,
        credential: *mut *mut milgi_credential,
    ) -> ::std::os::raw::c_int;
}
extern "C" {
    pub fn milgi_credential_new_uri(
        chain: *const ::std::os::raw::c_void,
        chain_len: usize,
        uri: *const ::std::os::raw::c_char,
        credential: *mut *mut milgi_credential,
    ) -> ::std::os::raw::c_int;
}
extern "C" {
    pub fn milgi_credential_new_file(
        chain_file: *const ::std::os::raw::c_char,
        key_file: *const ::std::os::raw::c_char,
        credential: *mut *mut milgi_credential,
    ) -> ::std::os::raw::c_int;
}
pub const MILGI_PROBLEM_NONE: milgi_problem_kind = 0;
pub const MILGI_PROBLEM_OTHER: milgi_problem_kind = 1;
pub const MILGI_PROBLEM_UNREADABLE: milgi_problem_kind = 2;
pub const MILGI_PROBLEM_EMPTY: milgi_problem_kind = 3;
pub const MILGI_PROBLEM_UTF16: milgi_problem_kind = 4;
pub const MILGI_PROBLEM_DER: milgi_problem_kind = 5;
pub const MILGI_PROBLEM_NO_BLOCK: milgi_problem_kind = 6;
pub const MILGI_PROBLEM_LINES: milgi_problem_kind = 7;
pub const MILGI_PROBLEM_UNKNOWN_BLOCK: milgi_problem_kind = 8;
pub const MILGI_PROBLEM_CONTENT: milgi_problem_kind = 9;
pub const MILGI_PROBLEM_ENCRYPTED: milgi_problem_kind = 10;
pub const MILGI_PROBLEM_PUBLIC_KEY: milgi_problem_kind = 11;
pub const MILGI_PROBLEM_KEY_KIND: milgi_problem_kind = 12;
pub const MILGI_PROBLEM_KEY_WEAK: milgi_problem_kind = 13;
pub const MILGI_PROBLEM_KEY_LARGE: milgi_problem_kind = 14;
pub const MILGI_PROBLEM_MISMATCH: milgi_problem_kind = 15;
pub const MILGI_PROBLEM_ORDER: milgi_problem_kind = 16;
pub const MILGI_PROBLEM_EXPIRED: milgi_problem_kind = 17;
pub const MILGI_PROBLEM_NOT_YET_VALID: milgi_problem_kind = 18;
pub const MILGI_PROBLEM_URI: milgi_problem_kind = 19;
pub const MILGI_PROBLEM_POLICY: milgi_problem_kind = 20;
pub const MILGI_PROBLEM_PASSPHRASE: milgi_problem_kind = 21;
pub const MILGI_PROBLEM_CRL: milgi_problem_kind = 22;
pub type milgi_problem_kind = ::std::os::raw::c_uint;
pub const MILGI_FILE_NONE: milgi_problem_file = 0;
pub const MILGI_FILE_CHAIN: milgi_problem_file = 1;
pub const MILGI_FILE_KEY: milgi_problem_file = 2;
pub const MILGI_FILE_CRLS: milgi_problem_file = 3;
pub type milgi_problem_file = ::std::os::raw::c_uint;
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct milgi_problem {
    pub error: ::std::os::raw::c_int,
    pub kind: milgi_problem_kind,
    pub file: milgi_problem_file,
    pub line: ::std::os::raw::c_uint,
    pub text: [::std::os::raw::c_char; 232usize],
}
impl Default for milgi_problem {
    fn default() -> Self {
        let mut s = ::std::mem::MaybeUninit::<Self>::uninit();
        unsafe {
            ::std::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}
extern "C" {
    pub fn milgi_credential_load_pem(
        chain: *const ::std::os::raw::c_void,
        chain_len: usize,
        key: *const ::std::os::raw::c_void,
        key_len: usize,
        credential: *mut *mut milgi_credential,
        problem: *mut milgi_problem,
    ) -> ::std::os::raw::c_int;
}
extern "C" {
    pub fn milgi_credential_load_uri(
        chain: *const ::std::os::raw::c_void,
        chain_len: usize,
        uri: *const ::std::os::raw::c_char,
        credential: *mut *mut milgi_credential,
        problem: *mut milgi_problem,
    ) -> ::std::os::raw::c_int;
}
extern "C" {
    pub fn milgi_credential_load(
        chain_file: *const ::std::os::raw::c_char,
        key_file: *const ::std::os::raw::c_char,
        credential: *mut *mut milgi_credential,
        problem: *mut milgi_problem,
    ) -> ::std::os::raw::c_int;
}
extern "C" {
    pub fn milgi_credential_load_pem_encrypted(
        chain: *const ::std::os::raw::c_void,
        chain_len: usize,
        key: *const ::std::os::raw::c_void,
        key_len: usize,
        passphrase: *const ::std::os::raw::c_char,
        passphrase_len: usize,
        credential: *mut *mut milgi_credential,
        problem: *mut milgi_problem,
    ) -> ::std::os::raw::c_int;
}
extern "C" {
    pub fn milgi_credential_load_encrypted(
        chain_file: *const ::std::os::raw::c_char,
        key_file: *const ::std::os::raw::c_char,
        passphrase: *const ::std::os::raw::c_char,
        passphrase_len: usize,
        credential: *mut *mut milgi_credential,
        problem: *mut milgi_problem,
    ) -> ::std::os::raw::c_int;
}
extern "C" {
    pub fn milgi_trust_load_pem(
        pem: *const ::std::os::raw::c_void,
        pem_len: usize,
        trust: *mut *mut milgi_trust,
        problem: *mut milgi_problem,
    ) -> ::std::os::raw::c_int;
}
extern "C" {
    pub fn milgi_trust_load(
        file: *const ::std::os::raw::c_char,
        trust: *mut *mut milgi_trust,
        problem: *mut milgi_problem,
    ) -> ::std::os::raw::c_int;
}
extern "C" {
    pub fn milgi_credential_warning(
        credential: *const milgi_credential,
        now_s: i64,
        warning: *mut milgi_problem,
    ) -> bool;
}
extern "C" {
    pub fn milgi_credential_is_uri(key_file: *const ::std::os::raw::c_char) -> bool;
}
extern "C" {
    pub fn milgi_credential_ref(credential: *mut milgi_credential) -> *mut milgi_credential;
}
extern "C" {
    pub fn milgi_credential_unref(credential: *mut milgi_credential);
}
extern "C" {
    pub fn milgi_credential_subject(
        credential: *const milgi_credential,
    ) -> *const ::std::os::raw::c_char;
}
extern "C" {
    pub fn milgi_credential_key_type(
        credential: *const milgi_credential,
    ) -> *const ::std::os::raw::c_char;
}
extern "C" {
    pub fn milgi_credential_key_id(
        credential: *const milgi_credential,
        id: *mut u8,
    ) -> ::std::os::raw::c_int;
}
extern "C" {
    pub fn milgi_credential_key_uri(
        credential: *const milgi_credential,
    ) -> *const ::std::os::raw::c_char;
}
extern "C" {
    pub fn milgi_certificate_subject(
        der: *const ::std::os::raw::c_void,
        len: usize,
        out: *mut ::std::os::raw::c_char,
        cap: usize,
    ) -> ::std::os::raw::c_int;
}
extern "C" {
    pub fn milgi_certificate_issuer(
        der: *const ::std::os::raw::c_void,
        len: usize,
        out: *mut ::std::os::raw::c_char,
        cap: usize,
    ) -> ::std::os::raw::c_int;
}
extern "C" {
    pub fn milgi_certificate_validity(
        der: *const ::std::os::raw::c_void,
        len: usize,
        not_before_s: *mut i64,
        not_after_s: *mut i64,
    ) -> ::std::os::raw::c_int;
}
extern "C" {
    pub fn milgi_certificate_key_type(
        der: *const ::std::os::raw::c_void,
        len: usize,
        out: *mut ::std::os::raw::c_char,
        cap: usize,
    ) -> ::std::os::raw::c_int;
}
pub const MILGI_NAME_DNS: milgi_name_kind = 0;
pub const MILGI_NAME_IP: milgi_name_kind = 1;
pub const MILGI_NAME_EMAIL: milgi_name_kind = 2;
pub const MILGI_NAME_URI: milgi_name_kind = 3;
pub type milgi_name_kind = ::std::os::raw::c_uint;
extern "C" {
    pub fn milgi_certificate_names(
        der: *const ::std::os::raw::c_void,
        len: usize,
        each: ::std::option::Option<
            unsafe extern "C" fn(
                arg: *mut ::std::os::raw::c_void,
                kind: milgi_name_kind,
                text: *const ::std::os::raw::c_char,
            ) -> ::std::os::raw::c_int,
        >,
        arg: *mut ::std::os::raw::c_void,
    ) -> ::std::os::raw::c_int;
}
extern "C" {
    pub fn milgi_trust_new_system(trust: *mut *mut milgi_trust) -> ::std::os::raw::c_int;
}
extern "C" {
    pub fn milgi_trust_new_pem(
        pem: *const ::std::os::raw::c_void,
        pem_len: usize,
        trust: *mut *mut milgi_trust,
    ) -> ::std::os::raw::c_int;
}
extern "C" {
    pub fn milgi_trust_new_file(
        file: *const ::std::os::raw::c_char,
        trust: *mut *mut milgi_trust,
    ) -> ::std::os::raw::c_int;
}
extern "C" {
    pub fn milgi_trust_add_crls_pem(
        trust: *mut milgi_trust,
        pem: *const ::std::os::raw::c_void,
        pem_len: usize,
        problem: *mut milgi_problem,
    ) -> ::std::os::raw::c_int;
}
extern "C" {
    pub fn milgi_trust_add_crls_file(
        trust: *mut milgi_trust,
        file: *const ::std::os::raw::c_char,
        problem: *mut milgi_problem,
    ) -> ::std::os::raw::c_int;
}
pub const MILGI_CRL_CHECK_NONE: milgi_crl_check = 0;
pub const MILGI_CRL_CHECK_LEAF: milgi_crl_check = 1;
pub const MILGI_CRL_CHECK_ALL: milgi_crl_check = 2;
pub type milgi_crl_check = ::std::os::raw::c_uint;
extern "C" {
    pub fn milgi_trust_set_crl_check(trust: *mut milgi_trust, check: milgi_crl_check)
        -> ::std::os::raw::c_int;
}
extern "C" {
    pub fn milgi_trust_ref(trust: *mut milgi_trust) -> *mut milgi_trust;
}
extern "C" {
    pub fn milgi_trust_unref(trust: *mut milgi_trust);
}
pub const MILGI_CLIENT: milgi_role = 0;
pub const MILGI_SERVER: milgi_role = 1;
pub type milgi_role = ::std::os::raw::c_uint;
pub const MILGI_CLIENT_AUTH_NONE: milgi_client_auth = 0;
pub const MILGI_CLIENT_AUTH_OPTIONAL: milgi_client_auth = 1;
pub const MILGI_CLIENT_AUTH_REQUIRED: milgi_client_auth = 2;
pub type milgi_client_auth = ::std::os::raw::c_uint;
pub const MILGI_DECIDE_CREDENTIAL: milgi_decision_kind = 1;
pub const MILGI_DECIDE_ALPN: milgi_decision_kind = 2;
pub const MILGI_DECIDE_PEER: milgi_decision_kind = 4;
pub const MILGI_DECIDE_OCSP: milgi_decision_kind = 8;
pub const MILGI_DECIDE_PSK: milgi_decision_kind = 16;
pub const MILGI_DECIDE_TICKET_OPEN: milgi_decision_kind = 32;
pub const MILGI_DECIDE_TICKET_SEAL: milgi_decision_kind = 64;
pub const MILGI_DECIDE_SESSION_LOOKUP: milgi_decision_kind = 128;
pub const MILGI_DECIDE_SESSION_STORE: milgi_decision_kind = 256;
pub const MILGI_DECIDE_CONFIG: milgi_decision_kind = 512;
pub type milgi_decision_kind = ::std::os::raw::c_uint;
pub type milgi_keylog_cb = ::std::option::Option<
    unsafe extern "C" fn(
        ctx: *mut ::std::os::raw::c_void,
        conn: *mut milgi_conn,
        line: *const ::std::os::raw::c_char,
    ),
>;
pub type milgi_padding_cb = ::std::option::Option<
    unsafe extern "C" fn(ctx: *mut ::std::os::raw::c_void, content_len: usize) -> usize,
>;
extern "C" {
    pub fn milgi_config_new(role: milgi_role) -> *mut milgi_config;
}
extern "C" {
    pub fn milgi_config_ref(config: *mut milgi_config) -> *mut milgi_config;
}
extern "C" {
    pub fn milgi_config_unref(config: *mut milgi_config);
}
extern "C" {
    pub fn milgi_config_add_credential(
        config: *mut milgi_config,
        credential: *mut milgi_credential,
    ) -> ::std::os::raw::c_int;
}
extern "C" {
    pub fn milgi_config_set_trust(
        config: *mut milgi_config,
        trust: *mut milgi_trust,
    ) -> ::std::os::raw::c_int;
}
extern "C" {
    pub fn milgi_config_set_client_auth(
        config: *mut milgi_config,
        mode: milgi_client_auth,
    ) -> ::std::os::raw::c_int;
}
extern "C" {
    pub fn milgi_config_dangerously_accept_any_server(
        config: *mut milgi_config,
    ) -> ::std::os::raw::c_int;
}
extern "C" {
    pub fn milgi_config_dangerously_only_report_peer(
        config: *mut milgi_config,
    ) -> ::std::os::raw::c_int;
}
extern "C" {
    pub fn milgi_config_set_alpn(
        config: *mut milgi_config,
        protocols: *const *const ::std::os::raw::c_char,
        n: usize,
    ) -> ::std::os::raw::c_int;
}
extern "C" {
    pub fn milgi_config_set_suites(
        config: *mut milgi_config,
        suites: *const u16,
        n: usize,
    ) -> ::std::os::raw::c_int;
}
extern "C" {
    pub fn milgi_config_set_groups(
        config: *mut milgi_config,
        groups: *const u16,
        n: usize,
    ) -> ::std::os::raw::c_int;
}
extern "C" {
    pub fn milgi_config_set_key_shares(
        config: *mut milgi_config,
        n: usize,
    ) -> ::std::os::raw::c_int;
}
extern "C" {
    pub fn milgi_config_set_key_share_groups(
        config: *mut milgi_config,
        groups: *const u16,
        n: usize,
    ) -> ::std::os::raw::c_int;
}
extern "C" {
    pub fn milgi_config_set_signature_schemes(
        config: *mut milgi_config,
        schemes: *const u16,
        n: usize,
    ) -> ::std::os::raw::c_int;
}
extern "C" {
    pub fn milgi_config_set_versions(
        config: *mut milgi_config,
        min: u16,
        max: u16,
    ) -> ::std::os::raw::c_int;
}
extern "C" {
    pub fn milgi_config_set_extended_master_secret(
        config: *mut milgi_config,
        required: bool,
    ) -> ::std::os::raw::c_int;
}
extern "C" {
    pub fn milgi_config_set_fallback(config: *mut milgi_config, on: bool) -> ::std::os::raw::c_int;
}
extern "C" {
    pub fn milgi_config_set_ask(
        config: *mut milgi_config,
        decisions: ::std::os::raw::c_uint,
    ) -> ::std::os::raw::c_int;
}
extern "C" {
    pub fn milgi_config_set_keylog(
        config: *mut milgi_config,
        cb: milgi_keylog_cb,
        ctx: *mut ::std::os::raw::c_void,
    ) -> ::std::os::raw::c_int;
}
extern "C" {
    pub fn milgi_config_set_padding(
        config: *mut milgi_config,
        cb: milgi_padding_cb,
        ctx: *mut ::std::os::raw::c_void,
    ) -> ::std::os::raw::c_int;
}
pub const MILGI_LIMIT_WINDOW: milgi_limit = 0;
pub const MILGI_LIMIT_HANDSHAKE_NS: milgi_limit = 1;
pub const MILGI_LIMIT_HANDSHAKE_MESSAGE: milgi_limit = 2;
pub const MILGI_LIMIT_INPUT: milgi_limit = 3;
pub const MILGI_LIMIT_CREDIT: milgi_limit = 4;
pub const MILGI_LIMIT_OUTPUT: milgi_limit = 5;
pub const MILGI_LIMIT_RECORD: milgi_limit = 6;
pub const MILGI_LIMIT_REKEY_RECORDS: milgi_limit = 7;
pub const MILGI_LIMIT_IDLE_CONTROL: milgi_limit = 8;
pub const MILGI_LIMIT_TICKETS: milgi_limit = 9;
pub const MILGI_LIMIT_EARLY_DATA: milgi_limit = 10;
pub const MILGI_LIMIT_RECORD_IN: milgi_limit = 11;
pub const MILGI_LIMIT_RECORD_FIRST: milgi_limit = 12;
pub const MILGI_LIMITS: milgi_limit = 13;
pub type milgi_limit = ::std::os::raw::c_uint;
extern "C" {
    pub fn milgi_config_set_limit(
        config: *mut milgi_config,
        limit: milgi_limit,
        value: u64,
    ) -> ::std::os::raw::c_int;
}
extern "C" {
    pub fn milgi_config_set_early_server_data(
        config: *mut milgi_config,
        on: bool,
    ) -> ::std::os::raw::c_int;
}
extern "C" {
    pub fn milgi_config_set_early_exporter(
        config: *mut milgi_config,
        on: bool,
    ) -> ::std::os::raw::c_int;
}
extern "C" {
    pub fn milgi_config_set_hand_over(config: *mut milgi_config, on: bool)
        -> ::std::os::raw::c_int;
}
extern "C" {
    pub fn milgi_config_set_middlebox(config: *mut milgi_config, on: bool)
        -> ::std::os::raw::c_int;
}
extern "C" {
    pub fn milgi_config_freeze(
        config: *mut milgi_config,
        why: *mut *const ::std::os::raw::c_char,
    ) -> ::std::os::raw::c_int;
}
#[repr(C)]
#[derive(Debug)]
pub struct milgi_session {
    _unused: [u8; 0],
}
extern "C" {
    pub fn milgi_session_ref(session: *mut milgi_session) -> *mut milgi_session;
}
extern "C" {
    pub fn milgi_session_unref(session: *mut milgi_session);
}
extern "C" {
    pub fn milgi_session_encode(session: *const milgi_session, out: *mut u8, cap: usize) -> usize;
}
extern "C" {
    pub fn milgi_session_decode(
        data: *const ::std::os::raw::c_void,
        len: usize,
        session: *mut *mut milgi_session,
    ) -> ::std::os::raw::c_int;
}
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct milgi_session_info {
    pub version: u16,
    pub suite: u16,
    pub peer_authenticated: bool,
    pub by_id: bool,
    pub server_name: *const ::std::os::raw::c_char,
    pub alpn: *const ::std::os::raw::c_char,
    pub created_s: i64,
    pub authenticated_s: i64,
    pub expires_s: i64,
}
impl Default for milgi_session_info {
    fn default() -> Self {
        let mut s = ::std::mem::MaybeUninit::<Self>::uninit();
        unsafe {
            ::std::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}
extern "C" {
    pub fn milgi_session_info(session: *const milgi_session, info: *mut milgi_session_info);
}
#[repr(C)]
#[derive(Debug)]
pub struct milgi_ticket_keys {
    _unused: [u8; 0],
}
extern "C" {
    pub fn milgi_ticket_keys_new(
        secret: *const u8,
        lifetime_s: u32,
        now_s: i64,
        keys: *mut *mut milgi_ticket_keys,
    ) -> ::std::os::raw::c_int;
}
extern "C" {
    pub fn milgi_ticket_keys_ref(keys: *mut milgi_ticket_keys) -> *mut milgi_ticket_keys;
}
extern "C" {
    pub fn milgi_ticket_keys_unref(keys: *mut milgi_ticket_keys);
}
extern "C" {
    pub fn milgi_ticket_keys_renew(
        keys: *mut milgi_ticket_keys,
        now_s: i64,
    ) -> ::std::os::raw::c_int;
}
extern "C" {
    pub fn milgi_config_set_ticket_keys(
        config: *mut milgi_config,
        keys: *mut milgi_ticket_keys,
    ) -> ::std::os::raw::c_int;
}
extern "C" {
    pub fn milgi_config_set_tickets(config: *mut milgi_config, n: usize) -> ::std::os::raw::c_int;
}
#[repr(C)]
#[derive(Debug)]
pub struct milgi_session_cache {
    _unused: [u8; 0],
}
extern "C" {
    pub fn milgi_session_cache_new(
        limit: usize,
        cache: *mut *mut milgi_session_cache,
    ) -> ::std::os::raw::c_int;
}
extern "C" {
    pub fn milgi_session_cache_ref(cache: *mut milgi_session_cache) -> *mut milgi_session_cache;
}
extern "C" {
    pub fn milgi_session_cache_unref(cache: *mut milgi_session_cache);
}
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct milgi_session_store {
    pub put: ::std::option::Option<
        unsafe extern "C" fn(
            ctx: *mut ::std::os::raw::c_void,
            name: *const ::std::os::raw::c_char,
            session: *mut milgi_session,
        ),
    >,
    pub take: ::std::option::Option<
        unsafe extern "C" fn(
            ctx: *mut ::std::os::raw::c_void,
            name: *const ::std::os::raw::c_char,
            now_s: i64,
        ) -> *mut milgi_session,
    >,
    pub count:
        ::std::option::Option<unsafe extern "C" fn(ctx: *mut ::std::os::raw::c_void) -> usize>,
    pub free: ::std::option::Option<unsafe extern "C" fn(ctx: *mut ::std::os::raw::c_void)>,
    pub drop: ::std::option::Option<
        unsafe extern "C" fn(ctx: *mut ::std::os::raw::c_void, name: *const ::std::os::raw::c_char),
    >,
}
extern "C" {
    pub fn milgi_session_cache_new_store(
        store: *const milgi_session_store,
        ctx: *mut ::std::os::raw::c_void,
        cache: *mut *mut milgi_session_cache,
    ) -> ::std::os::raw::c_int;
}
extern "C" {
    pub fn milgi_session_cache_put(
        cache: *mut milgi_session_cache,
        name: *const ::std::os::raw::c_char,
        session: *mut milgi_session,
    ) -> ::std::os::raw::c_int;
}
extern "C" {
    pub fn milgi_session_cache_take(
        cache: *mut milgi_session_cache,
        name: *const ::std::os::raw::c_char,
        now_s: i64,
    ) -> *mut milgi_session;
}
extern "C" {
    pub fn milgi_session_cache_count(cache: *mut milgi_session_cache) -> usize;
}
extern "C" {
    pub fn milgi_config_set_session_cache(
        config: *mut milgi_config,
        cache: *mut milgi_session_cache,
    ) -> ::std::os::raw::c_int;
}
extern "C" {
    pub fn milgi_conn_set_session(
        conn: *mut milgi_conn,
        session: *mut milgi_session,
    ) -> ::std::os::raw::c_int;
}
pub const MILGI_PSK_SHA256: milgi_psk_hash = 0;
pub const MILGI_PSK_SHA384: milgi_psk_hash = 1;
pub type milgi_psk_hash = ::std::os::raw::c_uint;
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct milgi_psk_source {
    pub role: milgi_role,
    pub hash: milgi_psk_hash,
    pub identity: *const ::std::os::raw::c_void,
    pub identity_len: usize,
    pub secret: *const ::std::os::raw::c_void,
    pub secret_len: usize,
}
impl Default for milgi_psk_source {
    fn default() -> Self {
        let mut s = ::std::mem::MaybeUninit::<Self>::uninit();
        unsafe {
            ::std::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}
#[repr(C)]
#[derive(Debug)]
pub struct milgi_psk {
    _unused: [u8; 0],
}
extern "C" {
    pub fn milgi_psk_new(
        source: *const milgi_psk_source,
        psk: *mut *mut milgi_psk,
    ) -> ::std::os::raw::c_int;
}
extern "C" {
    pub fn milgi_psk_import(
        source: *const milgi_psk_source,
        context: *const ::std::os::raw::c_void,
        context_len: usize,
        target: milgi_psk_hash,
        psk: *mut *mut milgi_psk,
    ) -> ::std::os::raw::c_int;
}
extern "C" {
    pub fn milgi_psk_import_between(
        source: *const milgi_psk_source,
        own: *const ::std::os::raw::c_char,
        peer: *const ::std::os::raw::c_char,
        target: milgi_psk_hash,
        psk: *mut *mut milgi_psk,
    ) -> ::std::os::raw::c_int;
}
extern "C" {
    pub fn milgi_psk_ref(psk: *mut milgi_psk) -> *mut milgi_psk;
}
extern "C" {
    pub fn milgi_psk_unref(psk: *mut milgi_psk);
}
extern "C" {
    pub fn milgi_psk_identity(psk: *const milgi_psk) -> milgi_iov;
}
extern "C" {
    pub fn milgi_config_add_psk(
        config: *mut milgi_config,
        psk: *mut milgi_psk,
    ) -> ::std::os::raw::c_int;
}
extern "C" {
    pub fn milgi_config_set_psk_only(config: *mut milgi_config, on: bool) -> ::std::os::raw::c_int;
}
pub const MILGI_PSK_KE_OFF: milgi_psk_ke = 0;
pub const MILGI_PSK_KE_TOO: milgi_psk_ke = 1;
pub const MILGI_PSK_KE_ONLY: milgi_psk_ke = 2;
pub type milgi_psk_ke = ::std::os::raw::c_uint;
extern "C" {
    pub fn milgi_config_set_psk_ke(
        config: *mut milgi_config,
        mode: milgi_psk_ke,
    ) -> ::std::os::raw::c_int;
}
extern "C" {
    pub fn milgi_config_set_psk_without_certificate(
        config: *mut milgi_config,
        on: bool,
    ) -> ::std::os::raw::c_int;
}
extern "C" {
    pub fn milgi_conn_set_psk(conn: *mut milgi_conn, psk: *mut milgi_psk) -> ::std::os::raw::c_int;
}
extern "C" {
    pub fn milgi_config_set_policy(
        config: *mut milgi_config,
        policy: *const ::std::os::raw::c_char,
        problem: *mut milgi_problem,
    ) -> ::std::os::raw::c_int;
}
extern "C" {
    pub fn milgi_config_set_strict_alpn(
        config: *mut milgi_config,
        on: bool,
    ) -> ::std::os::raw::c_int;
}
extern "C" {
    pub fn milgi_config_set_strict_sni(
        config: *mut milgi_config,
        on: bool,
    ) -> ::std::os::raw::c_int;
}
extern "C" {
    pub fn milgi_config_set_grease(config: *mut milgi_config, on: bool) -> ::std::os::raw::c_int;
}
extern "C" {
    pub fn milgi_config_set_authorities(
        config: *mut milgi_config,
        on: bool,
    ) -> ::std::os::raw::c_int;
}
extern "C" {
    pub fn milgi_config_set_authority_names(
        config: *mut milgi_config,
        names: *const milgi_iov,
        n: usize,
    ) -> ::std::os::raw::c_int;
}
extern "C" {
    pub fn milgi_credential_set_must_match(
        credential: *mut milgi_credential,
        on: bool,
    ) -> ::std::os::raw::c_int;
}
extern "C" {
    pub fn milgi_credential_set_schemes(
        credential: *mut milgi_credential,
        schemes: *const u16,
        n: usize,
    ) -> ::std::os::raw::c_int;
}
pub const MILGI_OCSP_OFF: milgi_ocsp = 0;
pub const MILGI_OCSP_ASK: milgi_ocsp = 1;
pub const MILGI_OCSP_REQUIRED: milgi_ocsp = 2;
pub type milgi_ocsp = ::std::os::raw::c_uint;
extern "C" {
    pub fn milgi_config_set_ocsp(
        config: *mut milgi_config,
        mode: milgi_ocsp,
    ) -> ::std::os::raw::c_int;
}
extern "C" {
    pub fn milgi_config_set_scts(config: *mut milgi_config, on: bool) -> ::std::os::raw::c_int;
}
extern "C" {
    pub fn milgi_credential_set_ocsp(
        credential: *mut milgi_credential,
        response: *const ::std::os::raw::c_void,
        len: usize,
    ) -> ::std::os::raw::c_int;
}
extern "C" {
    pub fn milgi_credential_set_ocsp_file(
        credential: *mut milgi_credential,
        file: *const ::std::os::raw::c_char,
    ) -> ::std::os::raw::c_int;
}
extern "C" {
    pub fn milgi_credential_set_scts(
        credential: *mut milgi_credential,
        list: *const ::std::os::raw::c_void,
        len: usize,
    ) -> ::std::os::raw::c_int;
}
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct milgi_class_stats {
    pub submitted: u64,
    pub ok: u64,
    pub rejected: u64,
    pub broken: u64,
    pub cancelled: u64,
    pub lost: u64,
    pub rerun: u64,
    pub spilled: u64,
    pub dropped: u64,
    pub full: u64,
    pub bursts: u64,
    pub burst_ops: u64,
    pub batch: [u64; 8usize],
    pub in_flight: u32,
    pub in_flight_peak: u32,
    pub waiting: u32,
    pub waiting_peak: u32,
}
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct milgi_device_stats {
    pub name: *const ::std::os::raw::c_char,
    pub spec: *const ::std::os::raw::c_char,
    pub submitted: [u64; 9usize],
    pub completed: [u64; 9usize],
    pub ok: u64,
    pub rejected: u64,
    pub broken: u64,
    pub cancelled: u64,
    pub lost: u64,
    pub rerun: u64,
    pub spilled: u64,
    pub dropped: u64,
    pub full: u64,
    pub bursts: u64,
    pub burst_ops: u64,
    pub in_flight: u32,
    pub waiting: u32,
    pub quarantined: u32,
    pub in_service: bool,
    pub lie: *const ::std::os::raw::c_char,
    pub cls: [milgi_class_stats; 2usize],
}
impl Default for milgi_device_stats {
    fn default() -> Self {
        let mut s = ::std::mem::MaybeUninit::<Self>::uninit();
        unsafe {
            ::std::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct milgi_engine_stats {
    pub turns: u64,
    pub conns: u32,
    pub ops_alive: u32,
    pub orphans: u32,
    pub abandoned: u32,
    pub abandoned_ops: u32,
    pub memory: usize,
    pub memory_peak: usize,
    pub bytes_copied: u64,
    pub bytes_sealed: u64,
    pub bytes_opened: u64,
    pub devices_n: ::std::os::raw::c_uint,
    pub device: [milgi_device_stats; 8usize],
}
impl Default for milgi_engine_stats {
    fn default() -> Self {
        let mut s = ::std::mem::MaybeUninit::<Self>::uninit();
        unsafe {
            ::std::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}
extern "C" {
    pub fn milgi_engine_stats(engine: *const milgi_engine, stats: *mut milgi_engine_stats);
}
pub const MILGI_LATENCY_QUEUE: milgi_latency_part = 0;
pub const MILGI_LATENCY_DEVICE: milgi_latency_part = 1;
pub const MILGI_LATENCY_REORDER: milgi_latency_part = 2;
pub const MILGI_LATENCY_PARTS: milgi_latency_part = 3;
pub type milgi_latency_part = ::std::os::raw::c_uint;
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct milgi_latency {
    pub count: u64,
    pub min_ns: u64,
    pub mean_ns: u64,
    pub p50_ns: u64,
    pub p90_ns: u64,
    pub p99_ns: u64,
    pub p999_ns: u64,
    pub max_ns: u64,
}
extern "C" {
    pub fn milgi_engine_latency(
        engine: *const milgi_engine,
        index: ::std::os::raw::c_uint,
        cls: ::std::os::raw::c_uint,
        part: milgi_latency_part,
        latency: *mut milgi_latency,
    ) -> ::std::os::raw::c_int;
}
extern "C" {
    pub fn milgi_engine_percentile(
        engine: *const milgi_engine,
        index: ::std::os::raw::c_uint,
        cls: ::std::os::raw::c_uint,
        part: milgi_latency_part,
        percent: f64,
        ns: *mut u64,
    ) -> ::std::os::raw::c_int;
}
extern "C" {
    pub fn milgi_engine_latency_reset(engine: *mut milgi_engine);
}
extern "C" {
    pub fn milgi_engine_dump(
        engine: *const milgi_engine,
        text: *mut ::std::os::raw::c_char,
        size: usize,
    ) -> usize;
}
pub const MILGI_RUN_AGAIN: milgi_next = 0;
pub const MILGI_RUN_WAIT: milgi_next = 1;
pub const MILGI_RUN_IDLE: milgi_next = 2;
pub type milgi_next = ::std::os::raw::c_uint;
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct milgi_run_result {
    pub next: milgi_next,
    pub deadline_ns: u64,
    pub convenient_ns: u64,
}
impl Default for milgi_run_result {
    fn default() -> Self {
        let mut s = ::std::mem::MaybeUninit::<Self>::uninit();
        unsafe {
            ::std::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}
pub const MILGI_FULL_WAIT: milgi_full_policy = 0;
pub const MILGI_FULL_SPILL: milgi_full_policy = 1;
pub const MILGI_FULL_REFUSE: milgi_full_policy = 2;
pub type milgi_full_policy = ::std::os::raw::c_uint;
pub const MILGI_COMPLETION_AUTO: milgi_completion = 0;
pub const MILGI_COMPLETION_ARM: milgi_completion = 1;
pub const MILGI_COMPLETION_BUSY: milgi_completion = 2;
pub type milgi_completion = ::std::os::raw::c_uint;
pub const MILGI_DEVICE_RETIRED: milgi_device_event = 0;
pub const MILGI_DEVICE_RETURNED: milgi_device_event = 1;
pub const MILGI_DEVICE_REMOVED: milgi_device_event = 2;
pub const MILGI_DEVICE_LIED: milgi_device_event = 3;
pub type milgi_device_event = ::std::os::raw::c_uint;
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct milgi_engine_options {
    pub clock: milgi_clock,
    pub random: ::std::option::Option<
        unsafe extern "C" fn(
            ctx: *mut ::std::os::raw::c_void,
            out: *mut u8,
            len: usize,
        ) -> ::std::os::raw::c_int,
    >,
    pub random_ctx: *mut ::std::os::raw::c_void,
    pub schedule: ::std::option::Option<
        unsafe extern "C" fn(ctx: *mut ::std::os::raw::c_void, engine: *mut milgi_engine),
    >,
    pub schedule_ctx: *mut ::std::os::raw::c_void,
    pub on_memory: ::std::option::Option<
        unsafe extern "C" fn(ctx: *mut ::std::os::raw::c_void, engine: *mut milgi_engine),
    >,
    pub memory_ctx: *mut ::std::os::raw::c_void,
    pub on_device: ::std::option::Option<
        unsafe extern "C" fn(
            ctx: *mut ::std::os::raw::c_void,
            engine: *mut milgi_engine,
            index: ::std::os::raw::c_uint,
            device: *mut milgi_device,
            event: milgi_device_event,
        ),
    >,
    pub device_ctx: *mut ::std::os::raw::c_void,
    pub memory_limit: usize,
    pub op_limit: u32,
    pub conn_limit: u32,
    pub full_policy: milgi_full_policy,
    pub full_line: u32,
    pub op_timeout_ns: [u64; 2usize],
    pub rerun: bool,
    pub short_path: bool,
    pub outstanding_ns: u64,
    pub share: [u32; 2usize],
    pub completion: milgi_completion,
    pub spin_ns: u64,
    pub busy_poll_ns: u64,
    pub batch_wait_ns: u64,
    pub inline_max_ns: u64,
    pub check_tested: bool,
    pub quarantine_limit: u32,
    pub quiesce_ns: u64,
}
impl Default for milgi_engine_options {
    fn default() -> Self {
        let mut s = ::std::mem::MaybeUninit::<Self>::uninit();
        unsafe {
            ::std::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}
extern "C" {
    pub fn milgi_engine_options_init(options: *mut milgi_engine_options);
}
extern "C" {
    pub fn milgi_engine_new(
        options: *const milgi_engine_options,
        engine: *mut *mut milgi_engine,
    ) -> ::std::os::raw::c_int;
}
extern "C" {
    pub fn milgi_engine_free(engine: *mut milgi_engine) -> ::std::os::raw::c_int;
}
extern "C" {
    pub fn milgi_engine_add_device(
        engine: *mut milgi_engine,
        device: *mut milgi_device,
    ) -> ::std::os::raw::c_int;
}
extern "C" {
    pub fn milgi_engine_remove_device(
        engine: *mut milgi_engine,
        index: ::std::os::raw::c_uint,
        drain_ns: u64,
    ) -> ::std::os::raw::c_int;
}
extern "C" {
    pub fn milgi_engine_use_memory(
        engine: *mut milgi_engine,
        index: ::std::os::raw::c_uint,
    ) -> ::std::os::raw::c_int;
}
extern "C" {
    pub fn milgi_engine_route(
        engine: *mut milgi_engine,
        op_bits: u32,
        index: ::std::os::raw::c_uint,
        min_record: u32,
    ) -> ::std::os::raw::c_int;
}
extern "C" {
    pub fn milgi_engine_route_first(
        engine: *mut milgi_engine,
        op_bits: u32,
        device_bits: u32,
        min_record: u32,
    ) -> ::std::os::raw::c_int;
}
extern "C" {
    pub fn milgi_engine_expected_ns(
        engine: *const milgi_engine,
        index: ::std::os::raw::c_uint,
        type_: ::std::os::raw::c_int,
        alg: u16,
        size: u32,
    ) -> u64;
}
extern "C" {
    pub fn milgi_engine_run(
        engine: *mut milgi_engine,
        budget_ns: u64,
        result: *mut milgi_run_result,
    ) -> ::std::os::raw::c_int;
}
extern "C" {
    pub fn milgi_engine_charge(engine: *mut milgi_engine, ns: u64);
}
extern "C" {
    pub fn milgi_engine_now(engine: *const milgi_engine) -> u64;
}
extern "C" {
    pub fn milgi_engine_fd(engine: *mut milgi_engine) -> ::std::os::raw::c_int;
}
extern "C" {
    pub fn milgi_engine_post(
        engine: *mut milgi_engine,
        fn_: ::std::option::Option<unsafe extern "C" fn(arg: *mut ::std::os::raw::c_void)>,
        arg: *mut ::std::os::raw::c_void,
    ) -> ::std::os::raw::c_int;
}
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct milgi_reason {
    pub error: ::std::os::raw::c_int,
    pub cls: milgi_error_class,
    pub fault: milgi_fault,
    pub alert: ::std::os::raw::c_int,
    pub alert_from_peer: bool,
    pub op: ::std::os::raw::c_int,
    pub device_code: ::std::os::raw::c_int,
    pub detail: *const ::std::os::raw::c_char,
}
impl Default for milgi_reason {
    fn default() -> Self {
        let mut s = ::std::mem::MaybeUninit::<Self>::uninit();
        unsafe {
            ::std::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct milgi_decision {
    pub index: u32,
    pub generation: u32,
    pub kind: u32,
}
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct milgi_decision_info {
    pub server_name: *const ::std::os::raw::c_char,
    pub schemes: *const u16,
    pub schemes_n: usize,
    pub alpn: *const milgi_iov,
    pub alpn_n: usize,
    pub suites: *const u16,
    pub groups: *const u16,
    pub versions: *const u16,
    pub suites_n: usize,
    pub groups_n: usize,
    pub versions_n: usize,
    pub chain: *const milgi_iov,
    pub chain_n: usize,
    pub path: *const milgi_iov,
    pub path_n: usize,
    pub verdict: ::std::os::raw::c_int,
    pub authorities: *const milgi_iov,
    pub authorities_n: usize,
    pub credential: *const milgi_credential,
    pub psk_identities: *const milgi_iov,
    pub psk_identities_n: usize,
    pub sessions: *const *mut milgi_session,
    pub sessions_n: usize,
    pub psk_identity: milgi_iov,
    pub session_id: milgi_iov,
    pub session: *mut milgi_session,
}
impl Default for milgi_decision_info {
    fn default() -> Self {
        let mut s = ::std::mem::MaybeUninit::<Self>::uninit();
        unsafe {
            ::std::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct milgi_ticket_opened {
    pub at: usize,
    pub session: *mut milgi_session,
}
impl Default for milgi_ticket_opened {
    fn default() -> Self {
        let mut s = ::std::mem::MaybeUninit::<Self>::uninit();
        unsafe {
            ::std::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct milgi_tickets_sealed {
    pub ticket: [milgi_iov; 4usize],
}
impl Default for milgi_tickets_sealed {
    fn default() -> Self {
        let mut s = ::std::mem::MaybeUninit::<Self>::uninit();
        unsafe {
            ::std::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}
pub const MILGI_REFUSE: milgi_verdict = 0;
pub const MILGI_ACCEPT: milgi_verdict = 1;
pub const MILGI_DEFAULT: milgi_verdict = 2;
pub type milgi_verdict = ::std::os::raw::c_uint;
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct milgi_events {
    pub on_output: ::std::option::Option<
        unsafe extern "C" fn(
            conn: *mut milgi_conn,
            arg: *mut ::std::os::raw::c_void,
            iov: *const milgi_iov,
            iov_n: usize,
        ),
    >,
    pub on_data: ::std::option::Option<
        unsafe extern "C" fn(
            conn: *mut milgi_conn,
            arg: *mut ::std::os::raw::c_void,
            slices: *const milgi_slice,
            slices_n: usize,
        ),
    >,
    pub on_pause: ::std::option::Option<
        unsafe extern "C" fn(conn: *mut milgi_conn, arg: *mut ::std::os::raw::c_void),
    >,
    pub on_resume: ::std::option::Option<
        unsafe extern "C" fn(conn: *mut milgi_conn, arg: *mut ::std::os::raw::c_void),
    >,
    pub on_room: ::std::option::Option<
        unsafe extern "C" fn(conn: *mut milgi_conn, arg: *mut ::std::os::raw::c_void),
    >,
    pub on_established: ::std::option::Option<
        unsafe extern "C" fn(conn: *mut milgi_conn, arg: *mut ::std::os::raw::c_void),
    >,
    pub on_decide: ::std::option::Option<
        unsafe extern "C" fn(
            conn: *mut milgi_conn,
            arg: *mut ::std::os::raw::c_void,
            decision: *const milgi_decision,
        ),
    >,
    pub on_alert: ::std::option::Option<
        unsafe extern "C" fn(
            conn: *mut milgi_conn,
            arg: *mut ::std::os::raw::c_void,
            alert: ::std::os::raw::c_int,
        ),
    >,
    pub on_closed: ::std::option::Option<
        unsafe extern "C" fn(
            conn: *mut milgi_conn,
            arg: *mut ::std::os::raw::c_void,
            reason: *const milgi_reason,
        ),
    >,
    pub on_session: ::std::option::Option<
        unsafe extern "C" fn(
            conn: *mut milgi_conn,
            arg: *mut ::std::os::raw::c_void,
            session: *mut milgi_session,
        ),
    >,
    pub on_record: ::std::option::Option<
        unsafe extern "C" fn(
            conn: *mut milgi_conn,
            arg: *mut ::std::os::raw::c_void,
            type_: u8,
            iov: *const milgi_iov,
            iov_n: usize,
        ),
    >,
    pub on_keys: ::std::option::Option<
        unsafe extern "C" fn(
            conn: *mut milgi_conn,
            arg: *mut ::std::os::raw::c_void,
            direction: ::std::os::raw::c_int,
            keys: *const milgi_traffic_keys,
        ),
    >,
}
extern "C" {
    pub fn milgi_conn_new(
        engine: *mut milgi_engine,
        config: *mut milgi_config,
        server_name: *const ::std::os::raw::c_char,
        events: *const milgi_events,
        arg: *mut ::std::os::raw::c_void,
        conn: *mut *mut milgi_conn,
    ) -> ::std::os::raw::c_int;
}
extern "C" {
    pub fn milgi_conn_free(conn: *mut milgi_conn);
}
extern "C" {
    pub fn milgi_conn_arg(conn: *const milgi_conn) -> *mut ::std::os::raw::c_void;
}
extern "C" {
    pub fn milgi_conn_chunk(conn: *mut milgi_conn, size: usize) -> *mut milgi_chunk;
}
extern "C" {
    pub fn milgi_conn_read_size(conn: *const milgi_conn, most: usize) -> usize;
}
extern "C" {
    pub fn milgi_conn_receive(conn: *mut milgi_conn, slice: milgi_slice) -> ::std::os::raw::c_int;
}
extern "C" {
    pub fn milgi_conn_receive_eof(
        conn: *mut milgi_conn,
        error: ::std::os::raw::c_int,
    ) -> ::std::os::raw::c_int;
}
extern "C" {
    pub fn milgi_conn_send(conn: *mut milgi_conn, slice: milgi_slice) -> ::std::os::raw::c_int;
}
extern "C" {
    pub fn milgi_conn_write(
        conn: *mut milgi_conn,
        data: *const ::std::os::raw::c_void,
        len: usize,
    ) -> ::std::os::raw::c_int;
}
extern "C" {
    pub fn milgi_conn_consumed(conn: *mut milgi_conn, bytes: usize);
}
extern "C" {
    pub fn milgi_conn_output_done(conn: *mut milgi_conn, bytes: usize);
}
extern "C" {
    pub fn milgi_conn_shutdown(conn: *mut milgi_conn) -> ::std::os::raw::c_int;
}
extern "C" {
    pub fn milgi_conn_abort(
        conn: *mut milgi_conn,
        alert: ::std::os::raw::c_int,
    ) -> ::std::os::raw::c_int;
}
extern "C" {
    pub fn milgi_conn_update_keys(conn: *mut milgi_conn, ask_peer: bool) -> ::std::os::raw::c_int;
}
extern "C" {
    pub fn milgi_decide(
        engine: *mut milgi_engine,
        decision: milgi_decision,
        verdict: milgi_verdict,
        result: *mut ::std::os::raw::c_void,
    ) -> ::std::os::raw::c_int;
}
extern "C" {
    pub fn milgi_decision_info(
        engine: *mut milgi_engine,
        decision: milgi_decision,
        info: *mut milgi_decision_info,
    ) -> ::std::os::raw::c_int;
}
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct milgi_conn_info {
    pub version: u16,
    pub suite: u16,
    pub group: u16,
    pub signature_scheme: u16,
    pub established: bool,
    pub hello_retry: bool,
    pub peer_authenticated: bool,
    pub resumed: bool,
    pub peer_verdict: ::std::os::raw::c_int,
    pub server_name: *const ::std::os::raw::c_char,
    pub alpn: *const ::std::os::raw::c_char,
    pub peer_chain: *const milgi_iov,
    pub peer_chain_n: usize,
    pub ocsp_response: milgi_iov,
    pub scts: milgi_iov,
    pub psk_identity: milgi_iov,
    pub session_id: milgi_iov,
    pub credential: *const milgi_credential,
    pub bytes_in: u64,
    pub bytes_out: u64,
    pub records_in: u64,
    pub records_out: u64,
    pub key_updates_in: u32,
    pub key_updates_out: u32,
    pub stale_opens: u32,
}
impl Default for milgi_conn_info {
    fn default() -> Self {
        let mut s = ::std::mem::MaybeUninit::<Self>::uninit();
        unsafe {
            ::std::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}
extern "C" {
    pub fn milgi_conn_info(conn: *const milgi_conn, info: *mut milgi_conn_info);
}
extern "C" {
    pub fn milgi_peer_verdict_text(
        verdict: ::std::os::raw::c_int,
    ) -> *const ::std::os::raw::c_char;
}
extern "C" {
    pub fn milgi_conn_input_paused(conn: *const milgi_conn) -> bool;
}
extern "C" {
    pub fn milgi_conn_output_full(conn: *const milgi_conn) -> bool;
}
extern "C" {
    pub fn milgi_conn_output_pending(conn: *const milgi_conn) -> usize;
}
pub const MILGI_WAITS_TURN: milgi_waits = 1;
pub const MILGI_WAITS_DEVICE: milgi_waits = 2;
pub const MILGI_WAITS_DECISION: milgi_waits = 4;
pub const MILGI_WAITS_MEMORY: milgi_waits = 8;
pub const MILGI_WAITS_CREDIT: milgi_waits = 16;
pub const MILGI_WAITS_OUTPUT: milgi_waits = 32;
pub const MILGI_WAITS_PEER: milgi_waits = 64;
pub type milgi_waits = ::std::os::raw::c_uint;
extern "C" {
    pub fn milgi_conn_waits_for(conn: *const milgi_conn) -> ::std::os::raw::c_uint;
}
extern "C" {
    pub fn milgi_conn_dump(
        conn: *const milgi_conn,
        text: *mut ::std::os::raw::c_char,
        size: usize,
    ) -> usize;
}
extern "C" {
    pub fn milgi_conn_export(
        conn: *mut milgi_conn,
        label: *const ::std::os::raw::c_char,
        context: *const ::std::os::raw::c_void,
        context_len: usize,
        out: *mut u8,
        out_len: usize,
    ) -> ::std::os::raw::c_int;
}
extern "C" {
    pub fn milgi_conn_export_early(
        conn: *mut milgi_conn,
        label: *const ::std::os::raw::c_char,
        context: *const ::std::os::raw::c_void,
        context_len: usize,
        out: *mut u8,
        out_len: usize,
    ) -> ::std::os::raw::c_int;
}
pub const MILGI_BINDING_EXPORTER: milgi_channel_binding = 0;
pub const MILGI_BINDING_SERVER_END_POINT: milgi_channel_binding = 1;
pub const MILGI_BINDING_UNIQUE: milgi_channel_binding = 2;
pub type milgi_channel_binding = ::std::os::raw::c_uint;
extern "C" {
    pub fn milgi_conn_channel_binding(
        conn: *mut milgi_conn,
        kind: milgi_channel_binding,
        out: *mut u8,
        out_len: *mut usize,
    ) -> ::std::os::raw::c_int;
}
extern "C" {
    pub fn milgi_suite_name(suite: u16) -> *const ::std::os::raw::c_char;
}
extern "C" {
    pub fn milgi_group_name(group: u16) -> *const ::std::os::raw::c_char;
}
extern "C" {
    pub fn milgi_scheme_name(scheme: u16) -> *const ::std::os::raw::c_char;
}
extern "C" {
    pub fn milgi_suite_by_name(name: *const ::std::os::raw::c_char) -> u16;
}
extern "C" {
    pub fn milgi_group_by_name(name: *const ::std::os::raw::c_char) -> u16;
}
extern "C" {
    pub fn milgi_scheme_by_name(name: *const ::std::os::raw::c_char) -> u16;
}
pub const MILGI_RECEIVE: milgi_direction = 0;
pub const MILGI_SEND: milgi_direction = 1;
pub type milgi_direction = ::std::os::raw::c_uint;
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct milgi_traffic_keys {
    pub version: u16,
    pub suite: u16,
    pub key_len: u8,
    pub key: [u8; 32usize],
    pub iv: [u8; 12usize],
    pub sequence: u64,
}
extern "C" {
    pub fn milgi_conn_keys(
        conn: *mut milgi_conn,
        direction: milgi_direction,
        keys: *mut milgi_traffic_keys,
    ) -> ::std::os::raw::c_int;
}
pub const MILGI_REKEYS: _bindgen_ty_1 = 1;
pub type _bindgen_ty_1 = ::std::os::raw::c_uint;
extern "C" {
    pub fn milgi_conn_hand_over(
        conn: *mut milgi_conn,
        direction: milgi_direction,
        flags: ::std::os::raw::c_uint,
    ) -> ::std::os::raw::c_int;
}
extern "C" {
    pub fn milgi_conn_handed_over(conn: *const milgi_conn, direction: milgi_direction) -> bool;
}
extern "C" {
    pub fn milgi_conn_record_rest(conn: *const milgi_conn) -> usize;
}
extern "C" {
    pub fn milgi_conn_receive_record(
        conn: *mut milgi_conn,
        type_: u8,
        slice: milgi_slice,
    ) -> ::std::os::raw::c_int;
}
extern "C" {
    pub fn milgi_conn_receive_failed(
        conn: *mut milgi_conn,
        alert: ::std::os::raw::c_int,
    ) -> ::std::os::raw::c_int;
}
extern "C" {
    pub fn milgi_conn_receive_blocked(conn: *mut milgi_conn) -> ::std::os::raw::c_int;
}
extern "C" {
    pub fn milgi_conn_passed(
        conn: *mut milgi_conn,
        direction: milgi_direction,
        bytes: u64,
        records: u64,
    ) -> ::std::os::raw::c_int;
}
pub const MILGI_TRACE_NEW: milgi_trace_kind = 0;
pub const MILGI_TRACE_STEP: milgi_trace_kind = 1;
pub const MILGI_TRACE_OP_START: milgi_trace_kind = 2;
pub const MILGI_TRACE_OP_SENT: milgi_trace_kind = 3;
pub const MILGI_TRACE_OP_END: milgi_trace_kind = 4;
pub const MILGI_TRACE_KEY: milgi_trace_kind = 5;
pub const MILGI_TRACE_STALE: milgi_trace_kind = 6;
pub const MILGI_TRACE_ALERT_SENT: milgi_trace_kind = 7;
pub const MILGI_TRACE_ALERT_RECEIVED: milgi_trace_kind = 8;
pub const MILGI_TRACE_PAUSE: milgi_trace_kind = 9;
pub const MILGI_TRACE_RESUME: milgi_trace_kind = 10;
pub const MILGI_TRACE_CLOSED: milgi_trace_kind = 11;
pub const MILGI_TRACE_FREED: milgi_trace_kind = 12;
pub const MILGI_TRACE_KINDS: milgi_trace_kind = 13;
pub type milgi_trace_kind = ::std::os::raw::c_uint;
pub const MILGI_TRACE_INPUT: milgi_trace_cause = 0;
pub const MILGI_TRACE_CREDIT: milgi_trace_cause = 1;
pub const MILGI_TRACE_OUTPUT: milgi_trace_cause = 2;
pub const MILGI_TRACE_MEMORY: milgi_trace_cause = 3;
pub const MILGI_TRACE_HANDSHAKE: milgi_trace_cause = 4;
pub const MILGI_TRACE_CAUSES: milgi_trace_cause = 5;
pub type milgi_trace_cause = ::std::os::raw::c_uint;
#[repr(C)]
#[derive(Copy, Clone)]
pub struct milgi_trace_event {
    pub kind: milgi_trace_kind,
    pub conn: u64,
    pub time_ns: u64,
    pub u: milgi_trace_event__bindgen_ty_1,
}
#[repr(C)]
#[derive(Copy, Clone)]
pub union milgi_trace_event__bindgen_ty_1 {
    pub step: milgi_trace_event__bindgen_ty_1__bindgen_ty_1,
    pub op: milgi_trace_event__bindgen_ty_1__bindgen_ty_2,
    pub key: milgi_trace_event__bindgen_ty_1__bindgen_ty_3,
    pub stale: milgi_trace_event__bindgen_ty_1__bindgen_ty_4,
    pub alert: milgi_trace_event__bindgen_ty_1__bindgen_ty_5,
    pub pause: milgi_trace_event__bindgen_ty_1__bindgen_ty_6,
    pub closed: milgi_reason,
}
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct milgi_trace_event__bindgen_ty_1__bindgen_ty_1 {
    pub name: *const ::std::os::raw::c_char,
}
impl Default for milgi_trace_event__bindgen_ty_1__bindgen_ty_1 {
    fn default() -> Self {
        let mut s = ::std::mem::MaybeUninit::<Self>::uninit();
        unsafe {
            ::std::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct milgi_trace_event__bindgen_ty_1__bindgen_ty_2 {
    pub id: u64,
    pub type_: u8,
    pub device: u8,
    pub alg: u16,
    pub len: u32,
    pub status: u8,
    pub code: i32,
    pub took_ns: u64,
    pub worked_ns: u32,
}
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct milgi_trace_event__bindgen_ty_1__bindgen_ty_3 {
    pub write: bool,
    pub suite: u16,
    pub epoch: u64,
}
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct milgi_trace_event__bindgen_ty_1__bindgen_ty_4 {
    pub records: u32,
}
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct milgi_trace_event__bindgen_ty_1__bindgen_ty_5 {
    pub alert: ::std::os::raw::c_int,
}
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct milgi_trace_event__bindgen_ty_1__bindgen_ty_6 {
    pub cause: milgi_trace_cause,
}
impl Default for milgi_trace_event__bindgen_ty_1__bindgen_ty_6 {
    fn default() -> Self {
        let mut s = ::std::mem::MaybeUninit::<Self>::uninit();
        unsafe {
            ::std::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}
impl Default for milgi_trace_event__bindgen_ty_1 {
    fn default() -> Self {
        let mut s = ::std::mem::MaybeUninit::<Self>::uninit();
        unsafe {
            ::std::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}
impl Default for milgi_trace_event {
    fn default() -> Self {
        let mut s = ::std::mem::MaybeUninit::<Self>::uninit();
        unsafe {
            ::std::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}
pub type milgi_trace_fn = ::std::option::Option<
    unsafe extern "C" fn(ctx: *mut ::std::os::raw::c_void, event: *const milgi_trace_event),
>;
extern "C" {
    pub fn milgi_engine_set_trace(
        engine: *mut milgi_engine,
        fn_: milgi_trace_fn,
        ctx: *mut ::std::os::raw::c_void,
    ) -> ::std::os::raw::c_int;
}
extern "C" {
    pub fn milgi_conn_id(conn: *const milgi_conn) -> u64;
}
extern "C" {
    pub fn milgi_trace_kind_name(kind: ::std::os::raw::c_int) -> *const ::std::os::raw::c_char;
}
extern "C" {
    pub fn milgi_trace_cause_name(cause: ::std::os::raw::c_int) -> *const ::std::os::raw::c_char;
}
extern "C" {
    pub fn milgi_version() -> *const ::std::os::raw::c_char;
}
extern "C" {
    pub fn milgi_version_number() -> ::std::os::raw::c_int;
}
