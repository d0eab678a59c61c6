// SPDX-License-Identifier: Apache-2.0
// What node:tls calls a secure context: credentials, trust and policy, from which configs are made when they are needed.
'use strict';

const crypto = require('node:crypto');
const fs = require('node:fs');
const tls = require('node:tls');
const { native, signers } = require('./binding');
const { completed } = require('./certificate');
const { make, wrongType, checkTypes } = require('./errors');

const CLIENT = 0, SERVER = 1;
const VERSIONS = { 'TLSv1': 0x0301, 'TLSv1.1': 0x0302, 'TLSv1.2': 0x0303, 'TLSv1.3': 0x0304 };
const SUITE = 0, GROUP = 1, SCHEME = 2;

// OpenSSL's names of the suites that there are, and the standard's.
const SUITES = {
  'ECDHE-ECDSA-AES128-GCM-SHA256': 'TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384': 'TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384',
  'ECDHE-RSA-AES128-GCM-SHA256': 'TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256',
  'ECDHE-RSA-AES256-GCM-SHA384': 'TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384',
  'ECDHE-RSA-CHACHA20-POLY1305': 'TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256',
  'ECDHE-ECDSA-CHACHA20-POLY1305': 'TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256',
};
const SUITES13 = ['TLS_AES_256_GCM_SHA384', 'TLS_CHACHA20_POLY1305_SHA256', 'TLS_AES_128_GCM_SHA256'];
const OPENSSL_NAMES = Object.fromEntries(Object.entries(SUITES).map(([ours, theirs]) => [theirs, ours]));
const GROUPS = { 'P-256': 'secp256r1', 'prime256v1': 'secp256r1', 'P-384': 'secp384r1', 'P-521': 'secp521r1',
  'X25519': 'x25519' };
const SIGALGS = { 'RSA-PSS': 'rsa_pss_rsae', 'RSA': 'rsa_pkcs1' };

function list(value) {
  return (Array.isArray(value) ? value : [value]).filter(Boolean); // as in node:tls, what is false is not there
}

function pem(value, name) {
  if (typeof value === 'string')
    return Buffer.from(value);
  if (ArrayBuffer.isView(value))
    return Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  throw wrongType(`options.${name}`, 'type string or an instance of Buffer, TypedArray, or DataView', value);
}

// A key as unencrypted PEM; Node reads what is encrypted, in DER, or a KeyObject.
function keyPem(value, passphrase) {
  if (value && typeof value === 'object' && !ArrayBuffer.isView(value) && value.pem !== undefined)
    return keyPem(value.pem, value.passphrase ?? passphrase);
  if (value instanceof crypto.KeyObject)
    return Buffer.from(value.export({ type: 'pkcs8', format: 'pem' }));
  const bytes = pem(value, 'key');
  if (!bytes.includes('ENCRYPTED'))
    return bytes;
  return Buffer.from(crypto.createPrivateKey({ key: bytes, passphrase }).export({ type: 'pkcs8', format: 'pem' }));
}

function number(text) {
  const code = VERSIONS[text];
  if (code === undefined)
    throw make('ERR_TLS_INVALID_PROTOCOL_VERSION', `${text} is not a valid TLS protocol version`, TypeError);
  return code;
}

function versions(options) {
  if (options.secureProtocol && (options.minVersion || options.maxVersion))
    throw make('ERR_TLS_PROTOCOL_VERSION_CONFLICT',
      'TLS protocol version conflicts with secureProtocol', TypeError);
  let [min, max] = [number(options.minVersion ?? tls.DEFAULT_MIN_VERSION),
    number(options.maxVersion ?? tls.DEFAULT_MAX_VERSION)];
  const protocol = options.secureProtocol;
  if (protocol && /^TLSv1_2_/.test(protocol))
    min = max = VERSIONS['TLSv1.2'];
  else if (protocol && !/^(SSL|TLS)v?[0-9_]*_?(client_|server_)?method$/.test(protocol))
    throw make('ERR_TLS_INVALID_PROTOCOL_METHOD', `Unknown method: ${protocol}`, TypeError);
  else if (protocol && !/^TLS_/.test(protocol))
    throw make('ERR_TLS_INVALID_PROTOCOL_METHOD', `${protocol} is not spoken here: TLS 1.2 and 1.3 are`, TypeError);
  min = Math.max(min, VERSIONS['TLSv1.2']);
  if (max < min)
    throw make('ERR_TLS_INVALID_PROTOCOL_VERSION', 'TLS 1.0 and 1.1 are not spoken here', TypeError);
  return [min, max];
}

// Of OpenSSL's classes those to which something belongs that there is; what is joined by + is in all of them.
const CLASS = ['ALL', 'DEFAULT', 'HIGH', 'ECDHE', 'EECDH', 'kECDHE', 'kEECDH', 'ECDSA', 'aECDSA', 'aRSA', 'RSA', 'AES', 'AES128',
  'AES256', 'AESGCM', 'CHACHA20', 'SHA256', 'SHA384', 'TLSv1.2', 'FIPS', 'SUITEB128', 'SUITEB128ONLY', 'SUITEB192'].join('|');
const CLASSES = new RegExp(`^(${CLASS})([+](${CLASS}))*(@.*)?$`);

// A list of OpenSSL's names. Classes such as HIGH or !aNULL say nothing here: there is nothing weak to leave out.
function suites(text) {
  const found = [];
  let all = false;
  for (const word of text.split(/[: ,]+/)) {
    const code = native.code(SUITE, SUITES[word] || word);
    if (code)
      found.push(code);
    all = all || CLASSES.test(word);
  }
  if (!found.length && !all)
    throw make('ERR_SSL_NO_CIPHER_MATCH', 'no cipher match');
  if (found.length && !found.some((code) => code >> 8 === 0x13))
    found.push(...SUITES13.map((name) => native.code(SUITE, name)));
  return found.length ? found : undefined;
}

function names(text, kind, what, translate) {
  return text.split(':').map((word) => {
    const code = native.code(kind, translate(word));
    if (!code)
      throw make('ERR_CRYPTO_OPERATION_FAILED', `${what}: ${word} is not known`);
    return code;
  });
}

function scheme(word) {
  const [alg, hash] = word.split('+');
  if (!hash)
    return word;
  const curve = { SHA256: 'secp256r1', SHA384: 'secp384r1', SHA512: 'secp521r1' }[hash];
  return alg === 'ECDSA' ? `ecdsa_${curve}_${hash.toLowerCase()}` : `${SIGALGS[alg]}_${hash.toLowerCase()}`;
}

// --- trust: what was read once need not be read for each connection ---

const TRUSTS_MAX = 32, CONFIGS_MAX = 16;
const trusts = new Map();

function trustOf(bytes, crls) {
  const hash = (what) => what && crypto.createHash('sha256').update(what).digest('base64');
  const key = `${hash(bytes)} ${hash(crls)}`;
  let trust = trusts.get(key);
  if (!trust) {
    trust = native.trust(bytes, crls);
    if (trusts.size >= TRUSTS_MAX)
      trusts.delete(trusts.keys().next().value);
    trusts.set(key, trust);
  }
  return trust;
}

let roots, rootsBytes;
function defaultTrust(crls) {
  if (!roots) {
    const all = [...tls.rootCertificates];
    if (process.env.NODE_EXTRA_CA_CERTS)
      all.push(fs.readFileSync(process.env.NODE_EXTRA_CA_CERTS, 'latin1'));
    rootsBytes = Buffer.from(all.join('\n'));
    roots = trustOf(rootsBytes);
  }
  return crls ? trustOf(rootsBytes, crls) : roots;
}

// A function that signs lives as long as its context, which whoever handshakes with it holds.
let signer = 0;
const finished = new FinalizationRegistry((name) => signers.delete(name));

class SecureContext {
  constructor(options = {}) {
    checkTypes(options, 'string', ['ciphers', 'ecdhCurve', 'sigalgs', 'passphrase', 'privateKeyEngine', 'privateKeyIdentifier',
      'clientCertEngine']);
    if (options.privateKeyEngine ?? options.clientCertEngine)
      throw make('ERR_CRYPTO_CUSTOM_ENGINE_NOT_SUPPORTED', 'Custom engines not supported by this OpenSSL');
    for (const name of ['pfx'])
      if (options[name] !== undefined && options[name] !== null)
        throw make('ERR_FEATURE_UNAVAILABLE_ON_PLATFORM', `options.${name} is not supported by milgi`);
    this.context = this; // as in node:tls
    this._options = options;
    this._settings = { versions: versions(options) };
    if (options.ciphers)
      this._settings.suites = suites(options.ciphers);
    if (options.ecdhCurve && options.ecdhCurve !== 'auto')
      this._settings.groups = names(options.ecdhCurve, GROUP, 'ecdhCurve', (word) => GROUPS[word] || word);
    if (options.sigalgs)
      this._settings.schemes = names(options.sigalgs, SCHEME, 'sigalgs', scheme);
    this._addCredentials(options);
    const ca = list(options.ca);
    const lines = (all, name) => Buffer.concat(all.flatMap((c) => [pem(c, name), Buffer.from('\n')]));
    const crl = list(options.crl);
    this._crls = crl.length ? lines(crl, 'crl') : undefined; // of all of a path, as in node:tls
    this._trust = ca.length ? trustOf(lines(ca, 'ca'), this._crls) : this._crls ? defaultTrust(this._crls) : null;
    this._configs = new Map();
  }

  _addCredentials(options) {
    const ca = list(options.ca).map((c) => pem(c, 'ca'));
    const certs = list(options.cert).map((c) => completed(pem(c, 'cert'), ca));
    const credentials = [];
    if (options.sign) {
      if (typeof options.sign !== 'function')
        throw make('ERR_INVALID_ARG_TYPE', 'The "options.sign" property must be of type function', TypeError);
      const name = String(++signer);
      signers.set(name, options.sign);
      finished.register(this, name);
      for (const cert of certs)
        credentials.push(native.credential(cert, `js:${name}`));
    } else {
      const keys = list(options.key).map((k) => /^(pkcs11|keyless):/.test(k) ? String(k) : keyPem(k, options.passphrase));
      for (const cert of certs)
        credentials.push(this._pair(cert, keys));
    }
    if (credentials.length)
      this._settings.credentials = credentials;
  }

  // The certificate with whichever key is its own.
  _pair(cert, keys) {
    let wrong = make('ERR_INVALID_ARG_VALUE', 'a certificate without a key: options.key', TypeError);
    for (const key of keys) {
      try {
        return native.credential(cert, key);
      } catch (error) {
        if (error.code === 'MILGI_EMISMATCH')
          error.code = 'ERR_OSSL_X509_KEY_VALUES_MISMATCH';
        wrong = error;
      }
    }
    throw wrong;
  }

  trust() {
    return this._trust || defaultTrust();
  }

  // A frozen config of this context for a role, with what |extra| says besides.
  make(role, extra) {
    return native.config(role, { ...this._settings, ...extra });
  }

  // The same, and kept for the next that wants the like: who asks for ever others gets them made anew. No ticket keys in
  // |extra|: they are not to be kept.
  config(role, extra) {
    const known = `${role} ${JSON.stringify({ ...extra, trust: undefined })}`; // trust is the context's own
    const config = this._configs.get(known) ?? this.make(role, extra);
    this._configs.delete(known);
    if (this._configs.size >= CONFIGS_MAX)
      this._configs.delete(this._configs.keys().next().value); // the one that nobody has asked for the longest
    this._configs.set(known, config);
    return config;
  }
}

function createSecureContext(options) {
  return new SecureContext(options);
}

function contextOf(value) {
  if (value instanceof SecureContext)
    return value;
  if (value && value._options) // made by another copy of this package
    return new SecureContext(value._options);
  throw make('ERR_TLS_INVALID_CONTEXT', 'this is no secure context of milgi: createSecureContext()', TypeError);
}

function getCiphers() {
  return [...SUITES13, ...Object.keys(SUITES)].map((name) => name.toLowerCase());
}

module.exports = { CLIENT, SERVER, OPENSSL_NAMES, SecureContext, createSecureContext, contextOf, getCiphers };
