// SPDX-License-Identifier: Apache-2.0
// Servers: TLS before whatever net.Server there is, and the questions that a handshake asks it.
'use strict';

const crypto = require('node:crypto');
const net = require('node:net');
const { native, start } = require('./binding');
const { SERVER, createSecureContext, contextOf } = require('./context');
const { callable, make, wrongType, checkTypes } = require('./errors');
const { accept, protocols, ASK, HANDSHAKE_MS } = require('./socket');

const LIFETIME_MIN = 60, LIFETIME_MAX = 7 * 24 * 3600;

function lifetime(seconds) {
  return Math.max(LIFETIME_MIN, Math.min(LIFETIME_MAX, seconds ?? 300));
}

// What the config of a server says besides its |context|.
function serverExtra(context, options, asks = 0) {
  const extra = { alpn: protocols(options.ALPNProtocols) };
  let ask = asks;
  if (options.SNICallback)
    ask |= ASK.CONFIG;
  if (options.ALPNCallback)
    ask |= ASK.ALPN;
  if (options.openTicket)
    ask |= ASK.TICKET_OPEN;
  if (options.sealTickets)
    ask |= ASK.TICKET_SEAL;
  if (!context._settings.credentials)
    ask |= ASK.CREDENTIAL;
  if (options.requestCert) {
    extra.trust = context.trust();
    extra.clientAuth = options.rejectUnauthorized === false ? 1 : 2;
    extra.reportPeer = options.rejectUnauthorized === false || undefined;
    if (options.verify)
      ask |= ASK.PEER;
  }
  extra.handshakeMs = options.handshakeTimeout ?? HANDSHAKE_MS;
  if (ask)
    extra.ask = ask;
  return extra;
}

// Of a socket that has no server: it gives out no tickets.
function serverConfig(context, options) {
  return context.config(SERVER, serverExtra(context, options));
}

// What a TLS server keeps beside the net.Server that it is.
class Secured {
  constructor(server, options) {
    this.server = server;
    this.options = { ...options };
    checkTypes(options, 'function', ['SNICallback', 'ALPNCallback']);
    checkTypes(options, 'number', ['handshakeTimeout', 'sessionTimeout']);
    const { ticketKeys } = options;
    if (ticketKeys !== undefined && ticketKeys !== null && !ArrayBuffer.isView(ticketKeys))
      throw wrongType('options.ticketKeys', 'an instance of Buffer, TypedArray, or DataView', ticketKeys);
    if (ticketKeys && ticketKeys.byteLength !== 48)
      throw make('ERR_INVALID_ARG_VALUE', `The property 'options.ticketKeys' must be exactly 48 bytes. Received ${ticketKeys.byteLength}`,
        TypeError);
    if (options.ALPNCallback && options.ALPNProtocols)
      throw make('ERR_TLS_ALPN_CALLBACK_WITH_PROTOCOLS',
        'The ALPNCallback and ALPNProtocols TLS options are mutually exclusive', TypeError);
    this.named = [];
    this.context = options.secureContext ? contextOf(options.secureContext) : createSecureContext(options);
    this.setTickets(options.ticketKeys ?? crypto.randomBytes(48));
  }

  setTickets(bytes) {
    if (!ArrayBuffer.isView(bytes))
      throw wrongType('buffer', 'an instance of Buffer, TypedArray, or DataView', bytes);
    if (bytes.byteLength !== 48)
      throw make('ERR_INVALID_ARG_VALUE', 'Session ticket keys must be a 48-byte buffer', TypeError);
    this.ticketBytes = Buffer.from(bytes);
    const secret = crypto.createHash('sha256').update(this.ticketBytes).digest();
    this.ticketKeys = native.ticketKeys(secret, lifetime(this.options.sessionTimeout));
    this.configs = new WeakMap(); // with these ticket keys: context -> { asks, keylog, config }
  }

  get asks() {
    let asks = this.named.length ? ASK.CONFIG : 0;
    if (this.server.listenerCount('newSession'))
      asks |= ASK.SESSION_STORE;
    if (this.server.listenerCount('resumeSession'))
      asks |= ASK.SESSION_LOOKUP;
    if (this.server.listenerCount('OCSPRequest'))
      asks |= ASK.OCSP;
    return asks;
  }

  // Of a context that several servers have each has a config of its own, with its own ticket keys.
  configOf(context) {
    const { asks } = this, keylog = this.server.listenerCount('keylog') > 0;
    let known = this.configs.get(context);
    if (known?.asks !== asks || known.keylog !== keylog) {
      const extra = { ...serverExtra(context, this.options, asks), keylog };
      if (!this.options.sealTickets)
        extra.ticketKeys = this.ticketKeys;
      known = { asks, keylog, config: context.make(SERVER, extra) };
      this.configs.set(context, known);
    }
    return known.config;
  }

  accept(transport) {
    const { server, options } = this;
    let socket;
    try {
      socket = accept(transport, { ...options, isServer: true, server, secureContext: this.context, secured: this,
        _config: this.configOf(this.context), onSecure: (s) => server.emit('secureConnection', s) });
      if (server.pauseOnConnect) { // the application's bytes, not the handshake's
        socket.pause();
        transport.resume();
      }
      if (server.listenerCount('keylog'))
        socket.on('keylog', (line) => server.emit('keylog', line, socket));
    } catch (error) {
      transport.destroy();
      server.emit('tlsClientError', error, transport);
    }
    return socket;
  }

  // The context of a client that has named |servername|; undefined: the server's own.
  async choose(servername) {
    if (this.options.SNICallback)
      return askName(this.options, servername);
    return servername ? this.named.findLast(({ pattern }) => pattern.test(servername))?.context : undefined;
  }
}

async function askName({ SNICallback }, servername) {
  if (!servername || !SNICallback)
    return undefined;
  const context = await new Promise((resolve, reject) => {
    const answer = SNICallback(servername, (error, found) => error ? reject(error) : resolve(found));
    if (answer && typeof answer.then === 'function')
      answer.then(resolve, reject);
  });
  if (context && !context.context)
    throw make('ERR_TLS_INVALID_CONTEXT', 'Invalid SNI context', TypeError);
  return context ? contextOf(context) : undefined;
}

// The config that the handshake goes on with; undefined: as it began.
async function choose(socket, options, servername) {
  const { secured } = options;
  const context = await (secured ? secured.choose(servername) : askName(options, servername));
  if (!context)
    return undefined;
  socket._context = context;
  return secured ? secured.configOf(context) : serverConfig(context, options);
}

// A question of |socket|'s handshake; decide(token, fn): what fn() returns, or its promise.
function asked(socket, token, info, decide) {
  const options = socket._tlsOptions, { server } = socket;
  const refused = (error) => { socket._verifyError = error; };
  const event = (name, ...args) => new Promise((resolve, reject) => server.emit(name, ...args,
    (error, value) => error ? reject(error) : resolve(value)));
  switch (token[0]) {
    case ASK.CONFIG:
      return decide(token, () => choose(socket, options, info.servername), refused);
    case ASK.ALPN:
      return decide(token, async () => {
        const offered = info.protocols.map((p) => p.toString('latin1'));
        if (!offered.length)
          return undefined;
        const chosen = await options.ALPNCallback.call(socket, { servername: info.servername ?? '', protocols: offered });
        if (chosen !== undefined && !offered.includes(chosen))
          throw make('ERR_TLS_ALPN_CALLBACK_INVALID_RESULT', `ALPN callback returned ${chosen}, which the client does ` +
            'not offer', TypeError);
        return chosen ?? false;
      }, refused);
    case ASK.OCSP:
      return decide(token, () => event('OCSPRequest', null, null), refused);
    case ASK.SESSION_STORE:
      return decide(token, async () => { await event('newSession', info.id, info.session); return true; });
    case ASK.SESSION_LOOKUP:
      return decide(token, () => event('resumeSession', info.id).then((session) => session ?? false));
    case ASK.TICKET_OPEN:
      return decide(token, async () => {
        const opened = await options.openTicket(info.tickets);
        return opened ? [opened.index, opened.session] : undefined;
      });
    case ASK.TICKET_SEAL:
      return decide(token, () => options.sealTickets(info.sessions));
    default:
      return decide(token, () => false);
  }
}

// TLS before |server|, a net.Server of any kind (also of http or http2): what listened for connections gets secure ones.
function secure(server, options = {}) {
  start();
  const secured = new Secured(server, options), listeners = server.rawListeners('connection');
  server.removeAllListeners('connection');
  for (const listener of listeners)
    server.on('secureConnection', listener);
  server.on('connection', (transport) => secured.accept(transport));
  server.on('tlsClientError', (error, socket) => {
    if (server.listenerCount('clientError') && !(server instanceof Server))
      server.emit('clientError', error, socket);
  });
  return Object.assign(server, {
    addContext(servername, context) {
      if (!servername)
        throw make('ERR_TLS_REQUIRED_SERVER_NAME', '"servername" is required parameter for Server.addContext');
      const pattern = new RegExp(`^${servername.replace(/([.^$+?\-\\[\]{}])/g, '\\$1').replaceAll('*', '[^.]*')}$`, 'i');
      secured.named.push({ pattern,
        context: context.context ? contextOf(context) : createSecureContext(context) });
    },
    setSecureContext(more) {
      secured.context = createSecureContext({ ...secured.options, ...more });
    },
    getTicketKeys() { return Buffer.from(secured.ticketBytes); },
    setTicketKeys(bytes) { secured.setTickets(bytes); },
  });
}

class Server extends net.Server {
  constructor(options, listener) {
    if (typeof options === 'function')
      [options, listener] = [{}, options];
    if (options !== undefined && (options === null || typeof options !== 'object'))
      throw wrongType('options', 'type object', options);
    super(options);
    secure(this, options);
    if (listener)
      this.on('secureConnection', listener);
  }

  [Symbol.for('nodejs.rejection')](error, event, socket) {
    if (event === 'secureConnection')
      socket.destroy(error);
    else
      super[Symbol.for('nodejs.rejection')](error, event, socket);
  }
}

function createServer(options, listener) {
  return new Server(options, listener);
}

module.exports = { Server: callable(Server), createServer, secure, serverConfig, asked };
