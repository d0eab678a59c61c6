// SPDX-License-Identifier: Apache-2.0
// TLS over any Duplex, as a Duplex with what tls.TLSSocket has.
'use strict';

const crypto = require('node:crypto');
const net = require('node:net');
const tls = require('node:tls');
const { Duplex, addAbortSignal } = require('node:stream');
const { start } = require('./binding');
const { legacy, objects, nodesWords } = require('./certificate');
const { CLIENT, SERVER, OPENSSL_NAMES, createSecureContext, contextOf } = require('./context');
const { fromReason, verdictName, callable, make, wrongType } = require('./errors');

const READ = 0, WRITE = 1, SHUT = 2, CLOSE = 3, OPEN = 4, DATA = 5, END = 6, ROOM = 7, DECIDE = 8, CLOSED = 9,
  SESSION = 10, KEYLOG = 12;
const ASK = { CREDENTIAL: 1, ALPN: 2, PEER: 4, OCSP: 8, TICKET_OPEN: 32, TICKET_SEAL: 64, SESSION_LOOKUP: 128,
  SESSION_STORE: 256, CONFIG: 512 };
const REFUSE = 0, ACCEPT = 1, DEFAULT = 2;
const HANDSHAKE_MS = 120000;
const ECONNRESET = -104, EIO = -5;

function errnoOf(error) {
  if (error && typeof error.errno === 'number' && error.errno < 0)
    return error.errno;
  return error && error.code === 'ERR_STREAM_DESTROYED' ? ECONNRESET : EIO;
}

// Of options.onread: a buffer for what comes next, and whom it is given to.
function into(onread) {
  if (!onread || typeof onread.callback !== 'function' || !(onread.buffer instanceof Uint8Array || typeof onread.buffer === 'function'))
    return null;
  const next = () => typeof onread.buffer === 'function' ? onread.buffer() : onread.buffer;
  return { held: [], buffer: next(), callback: onread.callback, next() { this.buffer = next(); }, ended: false };
}

// Whether what is written to it goes to the kernel as it is: not into another TLS, nor through what somebody has put there.
function isPlain(transport) {
  return Object.getPrototypeOf(transport) === net.Socket.prototype && !Object.hasOwn(transport, 'write') &&
    !Object.hasOwn(transport, '_write') && !Object.hasOwn(transport, '_writev');
}

// ALPN protocols as an array of strings, from what node:tls takes.
function protocols(value) {
  if (value === undefined || value === null)
    return undefined;
  if (Array.isArray(value))
    return value.map((p) => typeof p === 'string' ? p : Buffer.from(p).toString('latin1'));
  const bytes = Buffer.from(value.buffer, value.byteOffset, value.byteLength), found = [];
  for (let at = 0; at < bytes.length; at += 1 + bytes[at])
    found.push(bytes.toString('latin1', at + 1, at + 1 + bytes[at]));
  return found;
}

// Answers a decision with what |fn| returns, or its promise's value; undefined and null: the library's default.
async function decide(token, fn, refused) {
  const { native } = require('./binding');
  let verdict = ACCEPT, result;
  try {
    result = fn();
    if (result && typeof result.then === 'function')
      result = await result;
    if (result === undefined || result === null)
      verdict = DEFAULT;
    else if (result === false)
      verdict = REFUSE;
  } catch (error) {
    refused?.(error);
    verdict = REFUSE;
  }
  try {
    native.decide(token, verdict, result);
  } catch (error) {
    refused?.(error);
    native.decide(token, REFUSE);
  }
}

class TLSSocket extends Duplex {
  constructor(transport, options = {}) {
    super({ allowHalfOpen: options.allowHalfOpen ?? false, emitClose: false, autoDestroy: true,
      highWaterMark: options.highWaterMark });
    this.encrypted = true;
    this.authorized = false;
    this.authorizationError = null;
    this.alpnProtocol = null;
    this.servername = null;
    this.secureConnecting = true;
    this.server = options.server ?? null;
    this.timeout = 0;
    this.bytesRead = 0;
    this._bytes = 0;
    this._owed = 0;
    this._stash = null;
    this._lens = [];
    this._isServer = Boolean(options.isServer);
    this._tlsOptions = options;
    if (transport && (typeof transport.on !== 'function' || typeof transport.write !== 'function'))
      throw wrongType('socket', 'an instance of Duplex', transport);
    this._transport = transport || new net.Socket(options);
    this._into = into(options.onread);
    this._open(options);
    this._attach();
    // The library's own bound begins with the peer's first byte; who says nothing at all is not waited for either.
    if (this._isServer)
      this._patience = setTimeout(() => this._fail(make('ERR_TLS_HANDSHAKE_TIMEOUT', 'TLS handshake timeout')),
        options.handshakeTimeout ?? HANDSHAKE_MS).unref();
  }

  // --- its beginning ---

  _open(options) {
    const native = start();
    const context = options.secureContext ? contextOf(options.secureContext) : createSecureContext(options);
    const serverName = this._isServer ? null : options.servername || options.host || null;
    this._host = serverName;
    this._context = context; // held, with whoever signs for it
    const config = options._config ?? (this._isServer ? this._serverConfig(context, options)
      : this._clientConfig(context, options));
    try {
      this._stream = new native.Stream(config, serverName, options.session ?? null);
    } catch (error) {
      if (error.code === 'MILGI_EINVAL' && !this._isServer)
        error.message = serverName ? `not a server name: ${serverName}` : 'no server name to check: options.servername';
      throw error;
    }
    this._stream.owner = this;
  }

  _clientConfig(context, options) {
    const check = options.checkServerIdentity;
    const custom = check && check !== tls.checkServerIdentity ? check : null;
    const extra = { alpn: protocols(options.ALPNProtocols) };
    let ask = 0;
    const report = options.rejectUnauthorized === false;
    if (report && !this._host)
      extra.anyServer = true; // whom should it be?
    else
      Object.assign(extra, { trust: context.trust(), reportPeer: report || undefined });
    if (options.verify || custom)
      ask |= ASK.PEER;
    if (options.clientCertificate)
      ask |= ASK.CREDENTIAL;
    if (options.requestOCSP)
      extra.ocsp = 1;
    if (ask)
      extra.ask = ask;
    extra.keylog = true; // of those that are listened to: on()
    this._checkIdentity = custom;
    return context.config(CLIENT, extra);
  }

  _serverConfig(context, options) {
    return require('./server').serverConfig(context, options);
  }

  _attach() {
    const transport = this._transport;
    transport.allowHalfOpen = true; // our last records go out behind the peer's end
    transport.on('data', (chunk) => this._fromTransport(chunk));
    transport.on('end', () => this._transportEnded(0));
    transport.on('error', (error) => {
      this._transportError = error;
      if (this._wasConnected)
        this._transportEnded(errnoOf(error));
    });
    transport.on('close', () => this._transportClosed());
    transport.on('timeout', () => this.emit('timeout'));
    if (transport.connecting) {
      transport.once('connect', () => this._transportConnected());
      for (const event of ['lookup', 'connectionAttempt', 'connectionAttemptFailed', 'connectionAttemptTimeout'])
        transport.on(event, (...args) => this.emit(event, ...args));
    } else if (transport.destroyed) {
      process.nextTick(() => this._transportClosed());
    } else {
      this._connectedNow();
    }
  }

  // What we send goes straight to the socket, unless something is before it, or the transport has to know that it is used.
  _connectedNow() {
    const transport = this._transport, ours = this._lens.reduce((sum, len) => sum + len, 0);
    this._wasConnected = true;
    this._stream.connected(transport._handle?.fd ?? -1, isPlain(transport) && transport.writableLength === ours &&
      !transport.timeout);
  }

  _transportConnected() {
    this._connectedNow();
    this.emit('connect');
    this.emit('ready');
  }

  // --- from the transport ---

  _fromTransport(chunk) {
    if (typeof chunk === 'string')
      chunk = Buffer.from(chunk, 'latin1');
    if (this._stash) {
      this._stash.push(chunk);
      return;
    }
    const taken = this._stream.feed(chunk);
    if (taken < chunk.length)
      this._stash = [chunk.subarray(taken)];
  }

  _drainStash() {
    const stash = this._stash;
    if (!stash)
      return;
    this._stash = null;
    for (let i = 0; i < stash.length; i++) {
      const taken = this._stream.feed(stash[i]);
      if (taken < stash[i].length) {
        this._stash = [stash[i].subarray(taken), ...stash.slice(i + 1)];
        return;
      }
    }
    if (this._endsWith !== undefined)
      this._transportEnded(this._endsWith);
    else if (this._wants)
      this._transport.resume();
  }

  _transportEnded(errno) {
    if (this._stash) {
      this._endsWith ??= errno;
      return;
    }
    if (!this._transportOver)
      this._stream.ended(errno);
    this._transportOver = true;
  }

  _transportClosed() {
    if (this._closedBelow)
      return;
    this._closedBelow = true;
    this._stream.closing();
    if (!this._wasConnected)
      this._stream.failed(this._transportError ? errnoOf(this._transportError) : ECONNRESET);
    else if (!this._transportOver)
      this._transportEnded(ECONNRESET);
    if (this._closing)
      this._stream.gone();
  }

  _wrote(error) {
    this._stream.written(this._lens.shift(), error ? errnoOf(error) : 0);
    if (this._finalDone)
      this._tryFinal();
  }

  // --- what the native half tells ---

  told(kind, a, b) {
    switch (kind) {
      case DATA: return this._gotData(a);
      case WRITE:
        this._lens.push(a.length);
        this._wroteBound ??= this._wrote.bind(this);
        this._transport.write(a, this._wroteBound);
        return;
      case READ: return this._setReading(a);
      case ROOM: return this._goOn();
      case SHUT:
        this._transport.end((error) => this._stream.shut(error && error.code !== 'ERR_STREAM_ALREADY_FINISHED' ?
          errnoOf(error) : 0));
        return;
      case CLOSE: return this._closeTransport(a);
      case OPEN: return this._established(a);
      case END: return this._peerEnded();
      case DECIDE: return this._asked(a, b);
      case CLOSED: return this._ended(a);
      case SESSION:
        this._session = a;
        this.emit('session', a);
        return;
      case KEYLOG: this.emit('keylog', Buffer.concat([a, Buffer.from('\n')]));
    }
  }

  _setReading(on) {
    this._wants = on;
    if (!on)
      this._transport.pause();
    else if (this._stash)
      process.nextTick(() => this._drainStash());
    else
      this._transport.resume();
  }

  _closeTransport(reset) {
    this._closing = true;
    if (this._closedBelow || this._transport.closed)
      process.nextTick(() => this._stream.gone());
    else if (reset && this._transport.resetAndDestroy)
      this._transport.resetAndDestroy();
    else
      this._transport.destroy();
  }

  _gotData(chunk) {
    this._active();
    this.bytesRead += chunk.length;
    if (this.destroyed || (this._into ? this._intoBuffer(chunk) : this.push(chunk)))
      return true;
    this._owed += chunk.length;
    return false;
  }

  // options.onread: true if all of it has been taken.
  _intoBuffer(chunk) {
    const into = this._into;
    if (chunk)
      into.held.push(chunk);
    while (into.held.length && !this.isPaused() && !this.destroyed) {
      const { buffer } = into, [first] = into.held, n = Math.min(buffer.byteLength, first.length);
      new Uint8Array(buffer.buffer, buffer.byteOffset, n).set(first.subarray(0, n));
      if (n < first.length)
        into.held[0] = first.subarray(n);
      else
        into.held.shift();
      const goesOn = into.callback(n, buffer);
      into.next();
      if (goesOn === false)
        this.pause();
    }
    return !into.held.length;
  }

  resume() {
    super.resume();
    if (this._into?.held.length)
      process.nextTick(() => {
        if (this._intoBuffer() && !this.destroyed) {
          this._read();
          if (this._into.ended)
            this._peerEnded();
        }
      });
    return this;
  }

  _peerEnded() {
    if (this.destroyed || this._readOver)
      return;
    if (this._into?.held.length) {
      this._into.ended = true;
      return;
    }
    this._readOver = true;
    this.push(null);
    this.read(0);
  }

  _established(info) {
    this._active();
    clearTimeout(this._patience);
    this._info = info;
    this._chain = info.chain;
    this.secureConnecting = false;
    this.alpnProtocol = info.alpn ?? false;
    this.servername = this._isServer ? info.servername ?? false : this._tlsOptions.servername ?? null;
    this.authorized = info.authenticated && !this._identityError;
    this.authorizationError = this.authorized ? null : this._whyNot(info);
    if (!this._isServer && info.ocsp !== undefined && this._tlsOptions.requestOCSP)
      this.emit('OCSPResponse', info.ocsp);
    this.emit('secure');
    if (!this._isServer)
      this.emit('secureConnect');
    else
      this._tlsOptions.onSecure?.(this);
  }

  // Why a peer that is there is not authorized.
  _whyNot(info) {
    if (this._identityError)
      return this._identityError.code;
    if (info.verdict)
      return verdictName(info.verdict, this._chain.length);
    if (!this._isServer)
      return 'MILGI_NOT_VERIFIED';
    return this._tlsOptions.requestCert ? 'UNABLE_TO_GET_ISSUER_CERT' : null; // it has shown none
  }

  _ended(reason) {
    this._tlsOver = true;
    if (this._isServer && !this._info)
      this.servername = reason.servername ?? false;
    if (!this._info && reason.chain.length)
      this._chain = reason.chain;
    if (!reason.error) {
      this._peerEnded();
      this._tryFinal();
      return;
    }
    let error = this._verifyError;
    if (!error && reason.name === 'MILGI_ETRANSPORT' && this._transportError)
      error = this._transportError;
    error ??= fromReason(reason, { established: Boolean(this._info), host: this._host,
      isServer: this._isServer });
    if (error.code === 'ERR_TLS_CERT_ALTNAME_INVALID') {
      error.host = this._host;
      error.cert = legacy(this._chain);
      const words = nodesWords(this._host, error.cert);
      if (words)
        [error.message, error.reason] = [words.message, words.reason];
    }
    if (error.code === 'ECONNRESET' && !this._info && !this._isServer) {
      const { path, host, port, localAddress } = this._tlsOptions._given ?? this._tlsOptions;
      Object.assign(error, { path, host, port, localAddress });
    }
    if (reason.name === 'MILGI_EVERIFY')
      this.authorizationError = error.code;
    this._fail(error);
  }

  _fail(error) {
    const { server } = this;
    if (this._isServer && !this._info && this._tlsOptions.secured) {
      this._errored = error;
      server.emit('tlsClientError', error, this);
      this.destroy();
    } else if (this._isServer && error.milgi === 'MILGI_ETRUNCATED' && !this.listenerCount('error')) {
      this.destroy(); // a client that goes away is seen by who looks: no 'end' comes
    } else {
      this.destroy(error);
    }
  }

  // --- decisions ---

  _asked(token, info) {
    switch (token[0]) {
      case ASK.PEER: return decide(token, () => this._judge(info), (error) => { this._verifyError = error; });
      case ASK.CREDENTIAL: return decide(token, () => this._ownCertificate(info), (error) => { this._verifyError = error; });
      default: return require('./server').asked(this, token, info, decide);
    }
  }

  // The chain is good and the name is in it, or rejectUnauthorized is false: what the application says besides.
  async _judge(info) {
    const certificate = legacy(info.chain, true);
    if (info.chain.length && !certificate.fingerprint256)
      throw make('ERR_MILGI_PEER_REFUSED', 'Node.js cannot read the peer\'s certificate, so nobody could judge it');
    if (this._checkIdentity && !info.verdict)
      await this._askIdentity(certificate);
    // Who forgets to answer has accepted nobody.
    if (this._tlsOptions.verify && await this._tlsOptions.verify(certificate, this) !== true)
      throw make('ERR_MILGI_PEER_REFUSED', 'options.verify did not accept the peer\'s certificate');
    return true;
  }

  async _askIdentity(certificate) {
    const answer = await this._checkIdentity(this._host, certificate);
    if (!answer)
      return;
    const error = typeof answer === 'object' ? answer : new Error(String(answer));
    error.code ??= 'ERR_TLS_CERT_ALTNAME_INVALID';
    if (this._tlsOptions.rejectUnauthorized !== false)
      throw error;
    this._identityError = error;
  }

  async _ownCertificate(info) {
    const { clientCertificate } = this._tlsOptions;
    if (!clientCertificate)
      throw make('ERR_SSL_NO_SHARED_CIPHER', 'there is no certificate to show: options.cert');
    const context = await clientCertificate({ authorities: info.authorities });
    if (!context)
      return undefined;
    this._context = contextOf(context);
    return this._context._settings.credentials?.[0];
  }

  // --- the stream ---

  on(event, listener) {
    if (event === 'keylog')
      this._stream.keylog(true);
    return super.on(event, listener);
  }

  addListener(event, listener) { return this.on(event, listener); }

  _read() {
    if (this._owed) {
      const owed = this._owed;
      this._owed = 0;
      this._stream.consumed(owed);
    }
  }

  _write(chunk, encoding, callback) {
    this._active();
    this._bytes += chunk.length;
    this._give([chunk], callback);
  }

  _writev(chunks, callback) {
    this._active();
    const list = chunks.map(({ chunk }) => chunk);
    for (const chunk of list)
      this._bytes += chunk.length;
    this._give(list, callback);
  }

  _give(list, callback) {
    this._out = { list, at: 0, from: 0, callback };
    this._goOn();
  }

  _goOn() {
    const out = this._out;
    if (!out)
      return;
    for (; out.at < out.list.length; out.at++, out.from = 0) {
      const chunk = out.list[out.at];
      if (out.from === chunk.length)
        continue;
      const taken = this._stream.write(chunk, out.from);
      if (taken === undefined) {
        this._outDone(this._tlsOver || this._shutDone ? make('EPIPE', 'write EPIPE: the connection has ended') :
          make('ERR_STREAM_DESTROYED', 'the connection is gone'));
        return;
      }
      out.from += Math.abs(taken);
      if (taken < 0 || out.from < chunk.length)
        return; // until there is room
    }
    this._outDone(null);
  }

  _outDone(error) {
    const { callback } = this._out;
    this._out = null;
    callback(error);
  }

  _final(callback) {
    this._finalDone = callback;
    this._shutDone = true;
    this._stream.shutdown();
    this._tryFinal();
  }

  // What was sent is with the transport, or nobody will take it.
  _tryFinal() {
    const callback = this._finalDone;
    if (!callback || (!this._tlsOver && !this._closedBelow && this._stream.pending()))
      return;
    this._finalDone = null;
    callback();
  }

  _destroy(error, callback) {
    this.setTimeout(0);
    clearTimeout(this._patience);
    this.secureConnecting = false;
    if (this._out)
      this._outDone(error ?? make('ERR_STREAM_DESTROYED', 'Cannot call write after a stream was destroyed'));
    this._finalDone = null;
    if (!this._tlsOver && this._shutDone && this._info)
      this._stream.close();
    else if (!this._tlsOver && this._isServer && !this._info)
      this._stream.close();
    else if (!this._tlsOver)
      this._stream.drop();
    else
      this._stream.consumed(Number.MAX_SAFE_INTEGER);
    this._stash = null;
    callback(error);
    process.nextTick(() => this.emit('close', Boolean(error)));
  }

  destroySoon() {
    if (this.writable)
      this.end();
    if (this.writableFinished)
      this.destroy();
    else
      this.once('finish', this.destroy);
  }

  resetAndDestroy() {
    this._stream.reset();
    return this.destroy();
  }

  // --- what tls.TLSSocket tells ---

  get _secureEstablished() { return Boolean(this._info); } // which is what some look at
  get connecting() { return Boolean(this._transport.connecting); }
  get pending() { return this.connecting || Boolean(this._transport.pending); }
  get bytesWritten() {
    return this._bytes + (this._out ? 0 : 0);
  }
  get bufferSize() { return this.writableLength; }
  get readyState() {
    if (this.connecting)
      return 'opening';
    if (this.readable && this.writable)
      return 'open';
    return this.readable ? 'readOnly' : this.writable ? 'writeOnly' : 'closed';
  }

  getProtocol() {
    return this._info ? { 0x0303: 'TLSv1.2', 0x0304: 'TLSv1.3' }[this._info.version] : null;
  }

  getCipher() {
    if (!this._info)
      return undefined;
    const standardName = this._info.suite;
    return { name: OPENSSL_NAMES[standardName] ?? standardName, standardName, version: this.getProtocol() };
  }

  getEphemeralKeyInfo() {
    if (this._isServer || !this._info)
      return this._info ? null : {};
    return { type: 'ECDH', name: this._info.group };
  }

  getSharedSigalgs() { return []; }
  getPeerSignatureScheme() { return this._info?.scheme ?? null; }
  getPeerCertificate(detailed) { return this._info || this._chain ? legacy(this._chain, detailed) : null; }
  getPeerX509Certificate() { return this._chain && objects(this._chain); }
  getX509Certificate() {
    const cert = this._tlsOptions.cert ?? this._tlsOptions.secureContext?._options.cert;
    return cert ? new crypto.X509Certificate(Array.isArray(cert) ? cert[0] : cert) : undefined;
  }
  getCertificate() { return this.getX509Certificate()?.toLegacyObject() ?? {}; }
  getSession() { return this._session; }
  getTLSTicket() { return undefined; }
  getFinished() { return undefined; }
  getPeerFinished() { return undefined; }
  isSessionReused() { return Boolean(this._info?.resumed); }

  exportKeyingMaterial(length, label, context) {
    if (typeof length !== 'number')
      throw wrongType('length', 'type number', length);
    if (!(Number.isInteger(length) && length > 0 && length <= 0xffffffff))
      throw make('ERR_OUT_OF_RANGE', `The value of "length" is out of range. It must be >= 1 && <= 4294967295. Received ${length}`,
        RangeError);
    if (typeof label !== 'string')
      throw wrongType('label', 'type string', label);
    if (context !== undefined && !ArrayBuffer.isView(context))
      throw wrongType('context', 'an instance of Buffer, TypedArray, or DataView', context);
    if (!this._info)
      throw make('ERR_TLS_INVALID_STATE', 'TLS socket connection must be securely established');
    return this._stream.export(length, label, context === undefined ? null :
      Buffer.from(context.buffer, context.byteOffset, context.byteLength));
  }

  updateKeys(askPeer = false) { this._stream.updateKeys(Boolean(askPeer)); }
  renegotiate(options, callback) {
    const error = make('ERR_TLS_RENEGOTIATION_DISABLED', 'TLS session renegotiation disabled for this socket');
    if (callback)
      process.nextTick(callback, error);
    return false;
  }
  // Before the handshake: whom it is with, instead of options.servername.
  setServername(name) {
    if (typeof name !== 'string')
      throw wrongType('name', 'type string', name);
    if (this._isServer)
      throw make('ERR_TLS_SNI_FROM_SERVER', 'Cannot issue SNI from a TLS server-side socket');
    if (this._wasConnected)
      throw make('ERR_INVALID_STATE', 'the handshake has begun: options.servername');
    this._tlsOptions.servername = name;
    const before = this._stream;
    before.owner = { told: (kind) => kind === CLOSE && process.nextTick(() => before.gone()) }; // the transport stays
    before.drop();
    this._open(this._tlsOptions);
  }

  disableRenegotiation() {}
  enableTrace() {}
  setMaxSendFragment() { return false; }

  // --- what net.Socket has ---

  setTimeout(ms, callback) {
    if (typeof ms !== 'number' || !(ms >= 0 && ms <= 0x7fffffff))
      ms = Number(ms) > 0x7fffffff ? 0x7fffffff : Number(ms) || 0;
    if (this.destroyed && ms)
      return this;
    clearTimeout(this._timer);
    this._timer = null;
    this.timeout = ms;
    if (callback && ms)
      this.once('timeout', callback);
    else if (callback)
      this.removeListener('timeout', callback);
    if (ms > 0)
      this._timer = setTimeout(() => this.emit('timeout'), ms).unref();
    return this;
  }

  _active() { this._timer?.refresh(); }

  setNoDelay(...args) { return this._pass('setNoDelay', args); }
  setKeepAlive(...args) { return this._pass('setKeepAlive', args); }

  ref() {
    this._stream.ref(true);
    return this._pass('ref', []);
  }

  unref() {
    this._stream.ref(false);
    return this._pass('unref', []);
  }

  _pass(name, args) {
    this._transport[name]?.(...args);
    return this;
  }

  address() { return this._transport.address?.() ?? {}; }
}

for (const name of ['remoteAddress', 'remotePort', 'remoteFamily', 'localAddress', 'localPort', 'localFamily',
  'autoSelectFamilyAttemptedAddresses'])
  Object.defineProperty(TLSSocket.prototype, name, {
    configurable: true, enumerable: true, get() { return this._transport[name]; },
  });

// --- connect ---

function normalize(args) {
  let options = {}, callback;
  if (typeof args.at(-1) === 'function')
    callback = args.at(-1);
  if (args[0] !== null && typeof args[0] === 'object')
    options = { ...args[0] };
  else if (typeof args[0] === 'string' && !/^\d+$/.test(args[0]))
    options.path = args[0];
  else
    options.port = args[0];
  if (typeof args[1] === 'string' && typeof args[0] !== 'object')
    options.host = args[1];
  for (const more of args.slice(1))
    if (more !== null && typeof more === 'object')
      options = { ...options, ...more };
  return [options, callback];
}

let ipWarned = false;

function connect(...args) {
  const [options, callback] = normalize(args);
  if (options.servername && net.isIP(options.servername) && !ipWarned) {
    ipWarned = true;
    process.emitWarning('Setting the TLS ServerName to an IP address is not permitted by RFC 6066. This will be ignored in a ' +
      'future version.', 'DeprecationWarning', 'DEP0123');
  }
  const host = options.servername || options.host || options.socket?._host || 'localhost';
  const transport = options.socket ?? net.connect({ ...options, allowHalfOpen: true, timeout: undefined,
    onread: undefined, signal: undefined });
  let socket;
  try {
    socket = new TLSSocket(transport, { ...options, host, isServer: false, server: null,
      _given: options });
  } catch (error) {
    if (!options.socket)
      transport.on('error', () => {}).destroy();
    throw error;
  }
  if (options.signal)
    addAbortSignal(options.signal, socket);
  if (options.timeout)
    socket.setTimeout(options.timeout);
  if (callback)
    socket.once('secureConnect', callback);
  return socket;
}

// Of a server, which makes many.
function accept(transport, options) {
  return new TLSSocket(transport, options);
}

module.exports = { TLSSocket: callable(TLSSocket), accept, connect, normalize, protocols, legacy, ASK, HANDSHAKE_MS, DEFAULT, REFUSE };
