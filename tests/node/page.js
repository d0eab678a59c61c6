// SPDX-License-Identifier: Apache-2.0
// page.js CERTIFICATE KEY: a page by HTTP/2, for tests/pages.
'use strict';

const fs = require('node:fs');
const path = require('node:path');
const milgi = require(path.join(__dirname, '../../adapters/node'));

const [cert, key] = process.argv.slice(2).map((file) => fs.readFileSync(file));
const server = milgi.http2.createSecureServer({ cert, key, allowHTTP1: true }, (req, res) => {
  res.setHeader('content-type', 'text/html');
  res.end(`<p>node says: HTTP/${req.httpVersion} over ${protocols.at(-1)}, as ${req.stream?.session.alpnProtocol}</p>\n`);
});
const protocols = [];
server.prependListener('secureConnection', (socket) => protocols.push(socket.getProtocol()));
server.listen(0, '127.0.0.1', () => console.log(`port ${server.address().port}`));
