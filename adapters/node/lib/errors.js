// SPDX-License-Identifier: Apache-2.0
// Why a connection ended, by the names that users of node:tls know where there are any.
'use strict';

const util = require('node:util');

// libcrypto's verdicts on a chain.
const VERDICTS = {
  2: 'UNABLE_TO_GET_ISSUER_CERT', 3: 'UNABLE_TO_GET_CRL', 7: 'CERT_SIGNATURE_FAILURE', 8: 'CRL_SIGNATURE_FAILURE',
  9: 'CERT_NOT_YET_VALID', 10: 'CERT_HAS_EXPIRED', 11: 'CRL_NOT_YET_VALID', 12: 'CRL_HAS_EXPIRED',
  13: 'ERROR_IN_CERT_NOT_BEFORE_FIELD', 14: 'ERROR_IN_CERT_NOT_AFTER_FIELD', 18: 'DEPTH_ZERO_SELF_SIGNED_CERT',
  19: 'SELF_SIGNED_CERT_IN_CHAIN', 20: 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY', 21: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  22: 'CERT_CHAIN_TOO_LONG', 23: 'CERT_REVOKED', 24: 'INVALID_CA', 25: 'PATH_LENGTH_EXCEEDED', 26: 'INVALID_PURPOSE',
  27: 'CERT_UNTRUSTED', 28: 'CERT_REJECTED', 62: 'ERR_TLS_CERT_ALTNAME_INVALID', 64: 'ERR_TLS_CERT_ALTNAME_INVALID',
};

// A peer's alerts, as OpenSSL calls them.
const ALERTS = {
  10: 'SSLV3_ALERT_UNEXPECTED_MESSAGE', 20: 'SSLV3_ALERT_BAD_RECORD_MAC', 22: 'TLSV1_ALERT_RECORD_OVERFLOW',
  40: 'SSLV3_ALERT_HANDSHAKE_FAILURE', 42: 'SSLV3_ALERT_BAD_CERTIFICATE', 43: 'SSLV3_ALERT_UNSUPPORTED_CERTIFICATE',
  44: 'SSLV3_ALERT_CERTIFICATE_REVOKED', 45: 'SSLV3_ALERT_CERTIFICATE_EXPIRED',
  46: 'SSLV3_ALERT_CERTIFICATE_UNKNOWN', 47: 'SSLV3_ALERT_ILLEGAL_PARAMETER', 48: 'TLSV1_ALERT_UNKNOWN_CA',
  49: 'TLSV1_ALERT_ACCESS_DENIED', 50: 'TLSV1_ALERT_DECODE_ERROR', 51: 'TLSV1_ALERT_DECRYPT_ERROR',
  70: 'TLSV1_ALERT_PROTOCOL_VERSION', 71: 'TLSV1_ALERT_INSUFFICIENT_SECURITY', 80: 'TLSV1_ALERT_INTERNAL_ERROR',
  86: 'TLSV1_ALERT_INAPPROPRIATE_FALLBACK', 90: 'TLSV1_ALERT_USER_CANCELLED', 109: 'TLSV13_ALERT_MISSING_EXTENSION',
  110: 'TLSV1_UNSUPPORTED_EXTENSION', 112: 'TLSV1_UNRECOGNIZED_NAME',
  113: 'TLSV1_BAD_CERTIFICATE_STATUS_RESPONSE', 115: 'TLSV1_ALERT_UNKNOWN_PSK_IDENTITY',
  116: 'TLSV13_ALERT_CERTIFICATE_REQUIRED', 120: 'TLSV1_ALERT_NO_APPLICATION_PROTOCOL',
};

function systemName(errno) {
  try {
    return util.getSystemErrorName(-Math.abs(errno));
  } catch {
    return 'EIO';
  }
}

// Of a chain of |n| that was judged, and was not good. Of a certificate alone whose issuer is not known OpenSSL says more.
function verdictName(verdict, n) {
  return verdict === 20 && n === 1 ? VERDICTS[21] : VERDICTS[verdict] ?? 'MILGI_EVERIFY';
}

// What came is no TLS: plain HTTP, for instance.
function isOther(reason) {
  return reason.name === 'MILGI_EPROTO' && reason.detail === 'unknown record type';
}

function codeOf(reason) {
  switch (reason.name) {
    case 'MILGI_EVERIFY': return verdictName(reason.code, reason.chain?.length);
    case 'MILGI_EALERT': return ALERTS[reason.alert] ? `ERR_SSL_${ALERTS[reason.alert]}` : reason.name;
    case 'MILGI_ETRUNCATED': return 'ECONNRESET';
    case 'MILGI_ETRANSPORT': return systemName(reason.code);
    case 'MILGI_ETIMEOUT': return 'ERR_TLS_HANDSHAKE_TIMEOUT';
    default: return reason.name;
  }
}

function textOf(reason, established, host, isServer) {
  if (reason.name === 'MILGI_ETRUNCATED' && !established && isServer)
    return 'socket hang up';
  if (reason.name === 'MILGI_ETRUNCATED' && !established)
    return 'Client network socket disconnected before secure TLS connection was established';
  if (reason.name === 'MILGI_EVERIFY' && VERDICTS[reason.code] === 'ERR_TLS_CERT_ALTNAME_INVALID')
    return `Hostname/IP does not match certificate's altnames: ${host} is not in the certificate`;
  const alone = codeOf(reason) === VERDICTS[21];
  let text = reason.text;
  if (reason.detail && reason.detail !== reason.text)
    text += `: ${alone ? 'unable to verify the first certificate' : reason.detail}`;
  if (reason.codeText)
    text += `: ${reason.codeText}`;
  if (!established && isOther(reason))
    text += ' (wrong version number)'; // by which it is known
  if (reason.alertName && reason.alert !== 256)
    text += ` (alert ${reason.alertName} ${reason.fromPeer ? 'received' : 'sent'})`;
  return text;
}

function fromReason(reason, { established, host, isServer } = {}) {
  const error = new Error(textOf(reason, established, host, isServer));
  error.code = !established && isOther(reason) ? 'ERR_SSL_WRONG_VERSION_NUMBER' : codeOf(reason);
  error.milgi = reason.name;
  error.reason = reason.detail;
  if (reason.alert !== 256)
    error.alert = reason.alertName;
  if (reason.op)
    error.op = reason.op;
  if (reason.code)
    error.deviceCode = reason.code;
  return error;
}

// A class that may be called without new, as Node's older ones. What is made of it has |Class| itself for its new.target: V8
// gives each object that a Proxy makes a shape of its own, and then finds none of its properties where it found them before.
function callable(Class) {
  const proxy = new Proxy(Class, {
    apply: (target, self, args) => Reflect.construct(target, args),
    construct: (target, args, newTarget) => Reflect.construct(target, args, newTarget === proxy ? target : newTarget),
  });
  return proxy;
}

function make(code, message, Type = Error) {
  return Object.assign(new Type(message), { code });
}

// What was given instead, in Node's words.
function received(value) {
  if (value === undefined || value === null)
    return ` Received ${value}`;
  if (typeof value === 'function')
    return ` Received function ${value.name}`;
  if (typeof value === 'object')
    return value.constructor?.name ? ` Received an instance of ${value.constructor.name}` :
      ` Received ${util.inspect(value, { depth: -1 })}`;
  const text = util.inspect(value, { colors: false });
  return ` Received type ${typeof value} (${text.length > 28 ? `${text.slice(0, 25)}...` : text})`;
}

// Of |value| of the wrong type: |name| is "options.ciphers" or "length", |wanted| "type string" or "an instance of Buffer".
function wrongType(name, wanted, value) {
  const kind = name.includes('.') ? 'property' : 'argument', of = wanted.startsWith('an ') ? '' : 'of ';
  return make('ERR_INVALID_ARG_TYPE', `The "${name}" ${kind} must be ${of}${wanted}.${received(value)}`, TypeError);
}

// Each of |names| that |options| has is of the type, or not given.
function checkTypes(options, type, names) {
  for (const name of names)
    if (options[name] !== undefined && options[name] !== null && typeof options[name] !== type)
      throw wrongType(`options.${name}`, `type ${type}`, options[name]);
}

module.exports = { fromReason, verdictName, callable, make, wrongType, checkTypes };
