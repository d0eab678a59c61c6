// SPDX-License-Identifier: Apache-2.0
// HTTPS and HTTP/2: Node's own protocols over our sockets.
'use strict';

const nodeHttp = require('node:http');
const nodeHttps = require('node:https');
const nodeHttp2 = require('node:http2');
const { connect, normalize } = require('./socket');
const { callable } = require('./errors');
const { secure } = require('./server');

const SESSIONS_MAX = 4; // of one name: those of TLS 1.3 are used once

// Options by which connections and sessions differ, as those of Node do by their text.
const OURS = ['sign', 'verify', 'clientCertificate', 'secureContext'];
const identities = new WeakMap();
let identities_n = 0;

function identity(value) {
  if (value === undefined || value === null)
    return '';
  if (Object(value) !== value)
    return String(value);
  if (!identities.has(value))
    identities.set(value, ++identities_n);
  return identities.get(value);
}

// An https.Agent whose connections are ours.
class Agent extends nodeHttps.Agent {
  constructor(options) {
    super(options);
    this._sessions = new Map();
  }

  // Who a connection is for, and with, is more than Node's options say.
  getName(options) {
    const name = super.getName(options), more = OURS.map((option) => identity(options?.[option]));
    return more.some(Boolean) ? [name, ...more].join(':') : name;
  }

  createConnection(...args) {
    const [options, callback] = normalize(args);
    const key = options._agentKey;
    const known = key ? this._sessions.get(key) ?? [] : [];
    const socket = connect({ ...options, session: options.session ?? known.pop() });
    if (key)
      socket.on('session', (session) => this._keep(key, session));
    if (callback)
      socket.once('secureConnect', () => callback(null, socket));
    return socket;
  }

  _keep(key, session) {
    const sessions = this._sessions.get(key) ?? [];
    sessions.push(session);
    if (sessions.length > SESSIONS_MAX)
      sessions.shift();
    this._sessions.delete(key);
    this._sessions.set(key, sessions);
    if (this._sessions.size > (this.options.maxCachedSessions ?? 100))
      this._sessions.delete(this._sessions.keys().next().value);
  }
}

class Server extends nodeHttp.Server {
  constructor(options = {}, listener) {
    if (typeof options === 'function')
      [options, listener] = [{}, options];
    super(options, listener);
    secure(this, { ALPNProtocols: options.ALPNCallback ? undefined : ['http/1.1'], ...options });
  }
}

const globalAgent = new Agent({ keepAlive: true, scheduling: 'lifo', timeout: 5000 });

// request(url, options, callback) as in node:https, through our agent unless there is another.
function withAgent(fn) {
  return (...args) => {
    const at = typeof args[0] === 'string' || args[0] instanceof URL ? 1 : 0;
    const given = args[at] && typeof args[at] === 'object' ? args[at] : {};
    const options = { ...given };
    if (options.agent === undefined || options.agent === null)
      options.agent = https.globalAgent;
    else if (options.agent === false)
      options.agent = new Agent();
    args.splice(at, typeof args[at] === 'function' || args[at] === undefined ? 0 : 1, options);
    return fn(...args.filter((a) => a !== undefined));
  };
}

const https = {
  Agent: callable(Agent), globalAgent,
  request: withAgent(nodeHttps.request),
  get: withAgent(nodeHttps.get),
  Server: callable(Server),
  createServer: (options, listener) => new Server(options, listener),
};

// Node wraps a Duplex that has no handle of its own, and takes what it does not know for plaintext.
function encrypted(session, protocol) {
  return Object.defineProperties(session, {
    encrypted: { value: true, configurable: true },
    alpnProtocol: { get: protocol, configurable: true },
  });
}

const http2 = {
  createSecureServer(options = {}, listener) {
    const protocols = options.allowHTTP1 ? ['h2', 'http/1.1'] : ['h2'];
    const server = nodeHttp2.createServer(options, listener);
    server.on('session', (session) => encrypted(session, () => 'h2'));
    return secure(server, { ALPNProtocols: options.ALPNCallback ? undefined : protocols, ...options });
  },
  connect(authority, options = {}, listener) {
    if (typeof options === 'function')
      [options, listener] = [{}, options];
    let socket;
    const session = nodeHttp2.connect(authority, { createConnection(url) {
      socket = connect({ ALPNProtocols: ['h2'], ...options, host: url.hostname.replace(/^\[|\]$/g, ''),
        port: url.port || 443 });
      return socket;
    }, ...options }, listener);
    return encrypted(session, () => socket?.alpnProtocol || undefined);
  },
};

module.exports = { Agent: https.Agent, https, http2 };
