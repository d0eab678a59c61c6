// SPDX-License-Identifier: Apache-2.0
//! What connections are made from: credentials, trust, configs. All of it may be shared by threads.
use std::ffi::CString;
use std::future::Future;
use std::mem::MaybeUninit;
use std::os::raw::{c_char, c_int, c_uint};
use std::path::Path;
use std::pin::Pin;
use std::ptr;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use milgi_sys as sys;

use crate::error::{check, text_of, Error};

/// A counted object of the library, of which this has a reference.
macro_rules! counted {
    ($(#[$doc:meta])* $name:ident, $raw:ty, $take:path, $give:path) => {
        $(#[$doc])*
        pub struct $name(*mut $raw);

        // SAFETY: "Configs, credentials and trusts count their references atomically", and "Any thread may use
        // sessions, ticket keys and caches"; nothing here changes one that has been made.
        unsafe impl Send for $name {}
        unsafe impl Sync for $name {}

        impl $name {
            #[allow(dead_code)]
            pub(crate) fn raw(&self) -> *mut $raw {
                self.0
            }
        }

        impl Clone for $name {
            fn clone(&self) -> $name {
                // SAFETY: this has a reference, so the object is there.
                $name(unsafe { $take(self.0) })
            }
        }

        impl Drop for $name {
            fn drop(&mut self) {
                // SAFETY: the reference is this one's.
                unsafe { $give(self.0) }
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(stringify!($name))
            }
        }
    };
}

counted!(
    /// A certificate chain and its private key.
    Credential, sys::milgi_credential, sys::milgi_credential_ref, sys::milgi_credential_unref
);
counted!(
    /// Whose certificates are accepted.
    Trust, sys::milgi_trust, sys::milgi_trust_ref, sys::milgi_trust_unref
);
counted!(
    /// What a server seals its tickets with.
    TicketKeys, sys::milgi_ticket_keys, sys::milgi_ticket_keys_ref, sys::milgi_ticket_keys_unref
);
counted!(
    /// Sessions by server name, for clients that come back.
    SessionCache, sys::milgi_session_cache, sys::milgi_session_cache_ref, sys::milgi_session_cache_unref
);
counted!(Config, sys::milgi_config, sys::milgi_config_ref, sys::milgi_config_unref);

fn c_string(text: &str, what: &str) -> Result<CString, Error> {
    CString::new(text).map_err(|_| Error::new(sys::MILGI_EINVAL, format!("{} has a NUL in it", what)))
}

fn c_path(path: &Path) -> Result<CString, Error> {
    path.to_str()
        .ok_or_else(|| Error::new(sys::MILGI_EFILE, "a path that is not UTF-8"))
        .and_then(|path| c_string(path, "a path"))
}

/// Calls |load| with a problem to fill in, and makes its text the error's.
fn loaded(load: impl FnOnce(*mut sys::milgi_problem) -> c_int) -> Result<(), Error> {
    let mut problem = MaybeUninit::<sys::milgi_problem>::zeroed();
    let rv = load(problem.as_mut_ptr());
    if rv < 0 {
        // SAFETY: plain data; zeros are a problem, too.
        let problem = unsafe { problem.assume_init() };
        return Err(Error::new(rv, text_of(problem.text.as_ptr())));
    }
    Ok(())
}

impl Credential {
    /// From PEM: the chain, leaf first, and an unencrypted private key.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Credential, Error> {
        let mut made = ptr::null_mut();
        // SAFETY: both are borrowed for the call.
        loaded(|problem| unsafe {
            sys::milgi_credential_load_pem(
                chain.as_ptr().cast(), chain.len(), key.as_ptr().cast(), key.len(), &mut made, problem)
        })?;
        Ok(Credential(made))
    }

    /// The same with a key that may be encrypted, with this passphrase.
    pub fn from_pem_encrypted(chain: &[u8], key: &[u8], passphrase: &[u8]) -> Result<Credential, Error> {
        let mut made = ptr::null_mut();
        // SAFETY: all are borrowed for the call.
        loaded(|problem| unsafe {
            sys::milgi_credential_load_pem_encrypted(
                chain.as_ptr().cast(), chain.len(), key.as_ptr().cast(), key.len(), passphrase.as_ptr().cast(),
                passphrase.len(), &mut made, problem)
        })?;
        Ok(Credential(made))
    }

    /// From files; the key may be a URI instead, `pkcs11:...` or `keyless:...`, for a device of the engine.
    pub fn from_files(chain: impl AsRef<Path>, key: impl AsRef<Path>) -> Result<Credential, Error> {
        let (chain, key) = (c_path(chain.as_ref())?, c_path(key.as_ref())?);
        let mut made = ptr::null_mut();
        // SAFETY: both are borrowed for the call.
        loaded(|problem| unsafe { sys::milgi_credential_load(chain.as_ptr(), key.as_ptr(), &mut made, problem) })?;
        Ok(Credential(made))
    }
}

impl Trust {
    /// The system's trust store, which clients have without being told, too.
    pub fn system() -> Result<Trust, Error> {
        let mut made = ptr::null_mut();
        // SAFETY: it writes the pointer.
        check(unsafe { sys::milgi_trust_new_system(&mut made) })?;
        Ok(Trust(made))
    }

    /// The certificates in |pem|, in place of the system's.
    pub fn from_pem(pem: &[u8]) -> Result<Trust, Error> {
        let mut made = ptr::null_mut();
        // SAFETY: borrowed for the call.
        loaded(|problem| unsafe { sys::milgi_trust_load_pem(pem.as_ptr().cast(), pem.len(), &mut made, problem) })?;
        Ok(Trust(made))
    }

    /// The same with CRLs, in PEM: of |check| they must speak, and nobody who is in one is accepted.
    pub fn from_pem_with_crls(pem: &[u8], crls: &[u8], check: CrlCheck) -> Result<Trust, Error> {
        Trust::from_pem(pem)?.with_crls(crls, check)
    }

    /// The system's trust store, with CRLs in the same way.
    pub fn system_with_crls(crls: &[u8], check: CrlCheck) -> Result<Trust, Error> {
        Trust::system()?.with_crls(crls, check)
    }

    /// Of one that nobody else has seen: it is not changed any more once it may be used.
    fn with_crls(self, crls: &[u8], of: CrlCheck) -> Result<Trust, Error> {
        // SAFETY: borrowed for the call.
        loaded(|problem| unsafe { sys::milgi_trust_add_crls_pem(self.0, crls.as_ptr().cast(), crls.len(), problem) })?;
        // SAFETY: a number.
        check(unsafe { sys::milgi_trust_set_crl_check(self.0, of.raw()) })?;
        Ok(self)
    }

    /// Those in a file of PEM.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Trust, Error> {
        let path = c_path(path.as_ref())?;
        let mut made = ptr::null_mut();
        // SAFETY: borrowed for the call.
        loaded(|problem| unsafe { sys::milgi_trust_load(path.as_ptr(), &mut made, problem) })?;
        Ok(Trust(made))
    }
}

impl TicketKeys {
    /// |secret|: from a generator of random numbers. |lifetime_s|: 60 seconds to seven days.
    pub fn new(secret: &[u8; 32], lifetime_s: u32) -> Result<TicketKeys, Error> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs() as i64);
        let mut made = ptr::null_mut();
        // SAFETY: the secret is copied.
        check(unsafe { sys::milgi_ticket_keys_new(secret.as_ptr(), lifetime_s, now, &mut made) })?;
        Ok(TicketKeys(made))
    }
}

impl SessionCache {
    /// At most |limit| sessions, eight of one name.
    pub fn new(limit: usize) -> Result<SessionCache, Error> {
        let mut made = ptr::null_mut();
        // SAFETY: it writes the pointer.
        check(unsafe { sys::milgi_session_cache_new(limit as _, &mut made) })?;
        Ok(SessionCache(made))
    }

    /// How many sessions there are.
    pub fn len(&self) -> usize {
        // SAFETY: any thread may ask.
        unsafe { sys::milgi_session_cache_count(self.0) as usize }
    }

    /// There is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What a client has said of itself when its certificate is chosen.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ClientHello {
    /// Which server it wants.
    pub server_name: Option<String>,
    /// The protocols that it offers.
    pub alpn: Vec<Vec<u8>>,
    /// What it can verify, by TLS's numbers: 0x0403 is `ecdsa_secp256r1_sha256`.
    pub signature_schemes: Vec<u16>,
}

/// An answer that may come late.
pub type Resolving = Pin<Box<dyn Future<Output = Option<Credential>> + Send>>;

/// Chooses a server's certificate by what the client says: now, or later. `None` refuses the client. What it returns is
/// polled by the task that accepts; the handshake's time limit goes on meanwhile.
pub trait ResolvesCredential: Send + Sync {
    /// Called once for each handshake, on the task that accepts.
    fn resolve(&self, hello: ClientHello) -> Resolving;
}

/// A frozen config of clients. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ClientConfig(pub(crate) Config);

/// A frozen config of servers. Cheap to clone.
#[derive(Clone)]
pub struct ServerConfig {
    pub(crate) config: Config,
    pub(crate) resolver: Option<Arc<dyn ResolvesCredential>>,
}

impl std::fmt::Debug for ServerConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ServerConfig")
    }
}

impl ClientConfig {
    /// Trusts the system's store and checks names, and speaks TLS 1.3, unless told otherwise.
    pub fn builder() -> ClientBuilder {
        ClientBuilder(Builder::new(sys::MILGI_CLIENT))
    }
}

impl ServerConfig {
    /// Speaks TLS 1.3, and asks for no certificate, unless told otherwise; needs one of its own.
    pub fn builder() -> ServerBuilder {
        ServerBuilder { builder: Builder::new(sys::MILGI_SERVER), resolver: None }
    }
}

/// Of whom CRLs must speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrlCheck {
    /// The peer's own certificate.
    Leaf,
    /// All certificates of the path, but the anchor.
    All,
}

impl CrlCheck {
    fn raw(self) -> sys::milgi_crl_check {
        match self {
            CrlCheck::Leaf => sys::MILGI_CRL_CHECK_LEAF,
            CrlCheck::All => sys::MILGI_CRL_CHECK_ALL,
        }
    }
}

/// How a server asks clients for certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAuth {
    /// No certificate is asked for.
    None,
    /// Who has none is served, too: see [`Info::peer_authenticated`](crate::Info::peer_authenticated).
    Optional,
    /// Who has none is refused.
    Required,
}

/// The first error stays, and `build()` returns it.
#[derive(Debug)]
struct Builder {
    config: Option<Config>,
    error: Option<Error>,
}

impl Builder {
    fn new(role: sys::milgi_role) -> Builder {
        // SAFETY: NULL says that there is no memory.
        let raw = unsafe { sys::milgi_config_new(role) };
        if raw.is_null() {
            return Builder { config: None, error: Some(Error::from_code(sys::MILGI_ENOMEM)) };
        }
        Builder { config: Some(Config(raw)), error: None }
    }

    fn set(&mut self, setter: impl FnOnce(*mut sys::milgi_config) -> c_int) {
        if let (Some(config), None) = (&self.config, &self.error) {
            self.error = check(setter(config.0)).err();
        }
    }

    fn alpn(&mut self, protocols: &[&[u8]]) {
        let texts: Result<Vec<CString>, _> = protocols.iter().map(|p| CString::new(*p)).collect();
        match texts {
            Ok(texts) => self.set(|config| {
                let pointers: Vec<*const c_char> = texts.iter().map(|t| t.as_ptr()).collect();
                // SAFETY: the list is copied.
                unsafe { sys::milgi_config_set_alpn(config, pointers.as_ptr(), pointers.len() as _) }
            }),
            Err(_) => self.set(|_| sys::MILGI_EINVAL),
        }
    }

    fn freeze(mut self) -> Result<Config, Error> {
        if let Some(error) = self.error.take() {
            return Err(error);
        }
        let config = self.config.take().ok_or_else(|| Error::from_code(sys::MILGI_ENOMEM))?;
        let mut why = ptr::null();
        // SAFETY: nobody else has it yet; |why| is static text.
        let rv = unsafe { sys::milgi_config_freeze(config.0, &mut why) };
        if rv < 0 {
            return Err(Error::new(rv, text_of(why)));
        }
        Ok(config)
    }
}

// A builder has the only reference to a config that is not frozen.
macro_rules! common_settings {
    ($($field:tt)+) => {
        /// Protocols, the most wanted one first.
        pub fn alpn(mut self, protocols: &[&[u8]]) -> Self {
            self.$($field)+.alpn(protocols);
            self
        }

        /// Our certificate; of several the one that fits the name and the peer's schemes.
        pub fn credential(mut self, credential: &Credential) -> Self {
            // SAFETY: it takes a reference of its own.
            self.$($field)+.set(|config| unsafe { sys::milgi_config_add_credential(config, credential.raw()) });
            self
        }

        /// Versions from |min| to |max|: 0x0303 is TLS 1.2, 0x0304, which is all by default, TLS 1.3.
        pub fn versions(mut self, min: u16, max: u16) -> Self {
            // SAFETY: numbers.
            self.$($field)+.set(|config| unsafe { sys::milgi_config_set_versions(config, min, max) });
            self
        }

        /// One of `milgi_sys::MILGI_LIMIT_...`.
        pub fn limit(mut self, limit: sys::milgi_limit, value: u64) -> Self {
            // SAFETY: numbers.
            self.$($field)+.set(|config| unsafe { sys::milgi_config_set_limit(config, limit, value) });
            self
        }
    };
}

/// Makes a [`ClientConfig`].
#[derive(Debug)]
pub struct ClientBuilder(Builder);

impl ClientBuilder {
    common_settings!(0);

    /// Whose certificates are accepted; by default the system's trust store.
    pub fn trust(mut self, trust: &Trust) -> Self {
        // SAFETY: it takes a reference of its own.
        self.0.set(|config| unsafe { sys::milgi_config_set_trust(config, trust.raw()) });
        self
    }

    /// Connections look for a session in |cache|, and put there what they are given.
    pub fn sessions(mut self, cache: &SessionCache) -> Self {
        // SAFETY: it takes a reference of its own.
        self.0.set(|config| unsafe { sys::milgi_config_set_session_cache(config, cache.raw()) });
        self
    }

    /// ANYBODY IN BETWEEN CAN READ AND CHANGE EVERYTHING: certificates are not verified.
    pub fn dangerously_accept_any_server(mut self) -> Self {
        // SAFETY: a flag.
        self.0.set(|config| unsafe { sys::milgi_config_dangerously_accept_any_server(config) });
        self
    }

    /// The config, or the first thing that was wrong with it.
    pub fn build(self) -> Result<ClientConfig, Error> {
        self.0.freeze().map(ClientConfig)
    }
}

/// Makes a [`ServerConfig`].
pub struct ServerBuilder {
    builder: Builder,
    resolver: Option<Arc<dyn ResolvesCredential>>,
}

impl std::fmt::Debug for ServerBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ServerBuilder")
    }
}

impl ServerBuilder {
    common_settings!(builder);

    /// Whose certificates clients may have; asks for one, unless `client_auth()` says otherwise.
    pub fn trust(mut self, trust: &Trust) -> Self {
        // SAFETY: it takes a reference of its own.
        self.builder.set(|config| unsafe { sys::milgi_config_set_trust(config, trust.raw()) });
        self
    }

    /// Whether clients must have certificates; with `trust()` alone they must.
    pub fn client_auth(mut self, mode: ClientAuth) -> Self {
        let mode = match mode {
            ClientAuth::None => sys::MILGI_CLIENT_AUTH_NONE,
            ClientAuth::Optional => sys::MILGI_CLIENT_AUTH_OPTIONAL,
            ClientAuth::Required => sys::MILGI_CLIENT_AUTH_REQUIRED,
        };
        // SAFETY: a number.
        self.builder.set(|config| unsafe { sys::milgi_config_set_client_auth(config, mode) });
        self
    }

    /// Issues tickets under these keys, and takes them back.
    pub fn tickets(mut self, keys: &TicketKeys) -> Self {
        // SAFETY: it takes a reference of its own.
        self.builder.set(|config| unsafe { sys::milgi_config_set_ticket_keys(config, keys.raw()) });
        self
    }

    /// Certificates are chosen by |resolver|; one has to be given by `credential()` all the same, which says what
    /// kinds of keys there are.
    pub fn resolver(mut self, resolver: Arc<dyn ResolvesCredential>) -> Self {
        let asked = sys::MILGI_DECIDE_CREDENTIAL as c_uint;
        // SAFETY: a number.
        self.builder.set(|config| unsafe { sys::milgi_config_set_ask(config, asked) });
        self.resolver = Some(resolver);
        self
    }

    /// The config, or the first thing that was wrong with it.
    pub fn build(self) -> Result<ServerConfig, Error> {
        Ok(ServerConfig { config: self.builder.freeze()?, resolver: self.resolver })
    }
}
