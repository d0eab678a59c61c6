// SPDX-License-Identifier: Apache-2.0
//! Why something failed.
use std::ffi::CStr;
use std::os::raw::{c_char, c_int};
use std::{fmt, io};

use milgi_sys as sys;

/// Why a connection ended, or a file or setting was not taken.
///
/// As the inner error of an [`io::Error`] that a stream returned: `e.get_ref().and_then(|e| e.downcast_ref::<milgi::Error>())`.
#[derive(Clone, Debug)]
pub struct Error {
    code: i32,
    alert: Option<u8>,
    alert_from_peer: bool,
    device_code: i32,
    detail: String,
}

/// An alert of TLS by its number: `Alert(48)` is shown as `unknown_ca`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alert(pub u8);

impl fmt::Display for Alert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // SAFETY: any number may be asked for.
        f.write_str(&text_of(unsafe { sys::milgi_alert_name(c_int::from(self.0)) }))
    }
}

/// A text of C's, copied; "" for NULL.
pub(crate) fn text_of(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: the library's texts end in a NUL, and are not changed while a callback or a call lasts.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

impl Error {
    pub(crate) fn new(code: i32, detail: impl Into<String>) -> Error {
        Error { code, alert: None, alert_from_peer: false, device_code: 0, detail: detail.into() }
    }

    pub(crate) fn from_code(code: c_int) -> Error {
        Error::new(code, "")
    }

    pub(crate) fn from_reason(reason: &sys::milgi_reason) -> Error {
        Error {
            code: reason.error,
            alert: u8::try_from(reason.alert).ok(),
            alert_from_peer: reason.alert_from_peer,
            device_code: reason.device_code,
            detail: text_of(reason.detail),
        }
    }

    pub(crate) fn is_orderly(&self) -> bool {
        self.code == 0
    }

    /// The number: one of `milgi_sys::MILGI_E...`.
    pub fn code(&self) -> i32 {
        self.code
    }

    /// `"MILGI_EVERIFY"` ...
    pub fn name(&self) -> String {
        // SAFETY: any number may be asked for.
        text_of(unsafe { sys::milgi_error_name(self.code) })
    }

    /// The alert that ended the connection, if one did.
    pub fn alert(&self) -> Option<Alert> {
        self.alert.map(Alert)
    }

    /// Whether the alert came from the peer; else it was sent.
    pub fn alert_from_peer(&self) -> bool {
        self.alert_from_peer
    }

    /// The number of a transport's or a device's failure, or of the certificate's fault; 0: none.
    pub fn device_code(&self) -> i32 {
        self.device_code
    }

    /// What exactly was wrong, for people.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    fn kind(&self) -> io::ErrorKind {
        match self.code {
            sys::MILGI_EINVAL | sys::MILGI_EFILE | sys::MILGI_EPARSE => io::ErrorKind::InvalidInput,
            sys::MILGI_ECLOSED => io::ErrorKind::BrokenPipe,
            sys::MILGI_ENOMEM => io::ErrorKind::OutOfMemory,
            sys::MILGI_ETIMEOUT => io::ErrorKind::TimedOut,
            sys::MILGI_ETRUNCATED => io::ErrorKind::UnexpectedEof,
            sys::MILGI_ETRANSPORT => match io::Error::from_raw_os_error(self.device_code).kind() {
                io::ErrorKind::WouldBlock => io::ErrorKind::Other,
                kind => kind,
            },
            sys::MILGI_EPROTO | sys::MILGI_ENEGOTIATE | sys::MILGI_EBADRECORD | sys::MILGI_EALERT | sys::MILGI_EVERIFY => {
                io::ErrorKind::InvalidData
            }
            _ => io::ErrorKind::Other,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // SAFETY: any number may be asked for.
        f.write_str(&text_of(unsafe { sys::milgi_error_text(self.code) }))?;
        if !self.detail.is_empty() {
            write!(f, ": {}", self.detail)?;
        }
        match self.alert {
            Some(alert) if self.alert_from_peer => write!(f, " (alert {}, received)", Alert(alert)),
            Some(alert) => write!(f, " (alert {}, sent)", Alert(alert)),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {}

impl From<Error> for io::Error {
    fn from(error: Error) -> io::Error {
        io::Error::new(error.kind(), error)
    }
}

/// 0, or the error.
pub(crate) fn check(rv: c_int) -> Result<(), Error> {
    if rv < 0 {
        Err(Error::from_code(rv))
    } else {
        Ok(())
    }
}
