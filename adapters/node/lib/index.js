// SPDX-License-Identifier: Apache-2.0
// The interface of node:tls on Milgi, and https and http2 over it.
'use strict';

const nodeTls = require('node:tls');
const { native, configure } = require('./binding');
const { SecureContext, createSecureContext, getCiphers } = require('./context');
const { TLSSocket, connect } = require('./socket');
const { Server, createServer, secure } = require('./server');
const { Agent, https, http2 } = require('./http');

module.exports = {
  connect, createServer, createSecureContext, SecureContext, Server, TLSSocket, secure, Agent, https, http2, configure,
  getCiphers,
  checkServerIdentity: nodeTls.checkServerIdentity,
  get rootCertificates() { return nodeTls.rootCertificates; },
  DEFAULT_MIN_VERSION: 'TLSv1.2',
  DEFAULT_MAX_VERSION: 'TLSv1.3',
  version: native.version,
  stats: native.stats,
  dump: native.dump,
};
