// SPDX-License-Identifier: Apache-2.0
//! AWS-LC's libssl as bench/offload drives it: a server whose signatures are made elsewhere, by SSL_PRIVATE_KEY_METHOD.
//! sign() begins one and says "retry"; the handshake is called again when it is back, and complete() fetches it.
//! Its symbols stay inside this library, so OpenSSL's can live beside them.

use aws_lc_sys as lc;
use std::ffi::{c_int, c_void};
use std::ptr;

/// What retry.c gives: where signatures come from.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Signer {
    /// Begins the signature over `len` bytes for the connection's `arg`.
    begin: unsafe extern "C" fn(arg: *mut c_void, input: *const u8, len: usize),
    /// Its length when it is back and was written to `out`, 0 when it is not back, negative when it failed.
    fetch: unsafe extern "C" fn(arg: *mut c_void, out: *mut u8, room: usize) -> isize,
}

static mut SIGNER: Option<Signer> = None;

const SUCCESS: lc::ssl_private_key_result_t = lc::ssl_private_key_result_t_ssl_private_key_success;
const RETRY: lc::ssl_private_key_result_t = lc::ssl_private_key_result_t_ssl_private_key_retry;
const FAILURE: lc::ssl_private_key_result_t = lc::ssl_private_key_result_t_ssl_private_key_failure;

unsafe fn signer() -> Signer {
    match *ptr::addr_of!(SIGNER) {
        Some(signer) => signer,
        None => std::process::abort(),
    }
}

unsafe extern "C" fn sign(
    ssl: *mut lc::SSL,
    _out: *mut u8,
    _out_len: *mut usize,
    _max_out: usize,
    _algorithm: u16,
    input: *const u8,
    len: usize,
) -> lc::ssl_private_key_result_t {
    (signer().begin)(lc::SSL_get_ex_data(ssl, 0), input, len);
    RETRY
}

unsafe extern "C" fn decrypt(
    _ssl: *mut lc::SSL,
    _out: *mut u8,
    _out_len: *mut usize,
    _max_out: usize,
    _input: *const u8,
    _len: usize,
) -> lc::ssl_private_key_result_t {
    FAILURE
}

unsafe extern "C" fn complete(
    ssl: *mut lc::SSL,
    out: *mut u8,
    out_len: *mut usize,
    max_out: usize,
) -> lc::ssl_private_key_result_t {
    match (signer().fetch)(lc::SSL_get_ex_data(ssl, 0), out, max_out) {
        0 => RETRY,
        n if n > 0 => {
            *out_len = n as usize;
            SUCCESS
        }
        _ => FAILURE,
    }
}

static METHOD: lc::SSL_PRIVATE_KEY_METHOD = lc::SSL_PRIVATE_KEY_METHOD {
    sign: Some(sign),
    decrypt: Some(decrypt),
    complete: Some(complete),
};

/// A server's context with this certificate (DER) and a key that `signer` has. NULL: it cannot be had.
///
/// # Safety
/// Called by one thread at a time, with `der` of `der_len` bytes.
#[no_mangle]
pub unsafe extern "C" fn retry_context_new(signer: Signer, der: *const u8, der_len: usize) -> *mut lc::SSL_CTX {
    let ctx = lc::SSL_CTX_new(lc::TLS_server_method());
    if ctx.is_null() {
        return ctx;
    }
    *ptr::addr_of_mut!(SIGNER) = Some(signer);
    lc::SSL_CTX_set_private_key_method(ctx, &METHOD);
    lc::SSL_CTX_set_options(ctx, lc::SSL_OP_NO_TICKET as u32);
    let made = lc::SSL_CTX_set_min_proto_version(ctx, lc::TLS1_3_VERSION as u16) == 1
        && lc::SSL_CTX_set1_groups_list(ctx, c"X25519".as_ptr()) == 1
        && lc::SSL_CTX_set_ciphersuites(ctx, c"TLS_AES_128_GCM_SHA256".as_ptr()) == 1
        && lc::SSL_CTX_set_num_tickets(ctx, 0) == 1
        && lc::SSL_CTX_use_certificate_ASN1(ctx, der_len, der) == 1;
    if made {
        return ctx;
    }
    lc::SSL_CTX_free(ctx);
    ptr::null_mut()
}

/// # Safety
/// `ctx` is from retry_context_new() and has no connections.
#[no_mangle]
pub unsafe extern "C" fn retry_context_free(ctx: *mut lc::SSL_CTX) {
    lc::SSL_CTX_free(ctx);
}

/// A server's end on the socket `fd`; `arg` is what the signer gets. NULL: no memory.
///
/// # Safety
/// `ctx` is from retry_context_new().
#[no_mangle]
pub unsafe extern "C" fn retry_open(ctx: *mut lc::SSL_CTX, fd: c_int, arg: *mut c_void) -> *mut lc::SSL {
    let ssl = lc::SSL_new(ctx);
    if ssl.is_null() {
        return ssl;
    }
    if lc::SSL_set_fd(ssl, fd) != 1 || lc::SSL_set_ex_data(ssl, 0, arg) != 1 {
        lc::SSL_free(ssl);
        return ptr::null_mut();
    }
    lc::SSL_set_accept_state(ssl);
    ssl
}

/// Goes on with the handshake: 0 done, 1 wants to read, 2 waits for its signature, 3 failed.
///
/// # Safety
/// `ssl` is from retry_open().
#[no_mangle]
pub unsafe extern "C" fn retry_shake(ssl: *mut lc::SSL) -> c_int {
    let result = lc::SSL_do_handshake(ssl);
    if result == 1 {
        return 0;
    }
    match lc::SSL_get_error(ssl, result) {
        lc::SSL_ERROR_WANT_READ => 1,
        lc::SSL_ERROR_WANT_PRIVATE_KEY_OPERATION => 2,
        _ => {
            lc::ERR_clear_error();
            3
        }
    }
}

/// # Safety
/// `ssl` is from retry_open(); it is gone afterwards.
#[no_mangle]
pub unsafe extern "C" fn retry_close(ssl: *mut lc::SSL) {
    lc::SSL_free(ssl);
}

/// One key generation (0) or derivation (1) of X25519.
///
/// # Safety
/// `public` and `private` have 32 bytes each; a key pair is in them for 1.
#[no_mangle]
pub unsafe extern "C" fn retry_primitive(which: c_int, public: *mut u8, private: *mut u8) {
    let mut shared = [0u8; 32];
    if which == 0 {
        lc::X25519_keypair(public, private);
    } else if lc::X25519(shared.as_mut_ptr(), private, public) != 1 {
        std::process::abort();
    }
}

/// "AWS-LC 1.2.3 ..."; for ever.
#[no_mangle]
pub extern "C" fn retry_version() -> *const std::ffi::c_char {
    unsafe { lc::OpenSSL_version(0) }
}
