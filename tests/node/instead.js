// SPDX-License-Identifier: Apache-2.0
// Preloaded (node -r): programs that ask for tls or https get ours, with Node's where we have nothing. Node's own tests
// are run so by tests/node/suite.
'use strict';

const Module = require('node:module');
const path = require('node:path');

const load = Module._load;
const ours = path.join(__dirname, '../../adapters/node');
const nodeTls = require('node:tls'), nodeHttps = require('node:https');
const milgi = require(ours);

const tls = Object.defineProperties({ ...nodeTls }, Object.getOwnPropertyDescriptors(milgi));
const { https } = milgi; // itself, since programs set its globalAgent
for (const name of Object.keys(nodeHttps))
  https[name] ??= nodeHttps[name];

Module._load = function _load(request, parent, ...rest) {
  if (!parent?.filename?.startsWith(ours)) {
    if (/^(node:)?tls$/.test(request))
      return tls;
    if (/^(node:)?https$/.test(request))
      return https;
  }
  return load.call(this, request, parent, ...rest);
};
