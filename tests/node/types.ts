// SPDX-License-Identifier: Apache-2.0
// What a program does with the package: tests/node/types has tsc judge it.
import * as http from 'node:http';
import * as https from 'node:https';
import { Duplex } from 'node:stream';
import milgi = require('milgi');

milgi.configure({ device: 'pool:2' });
const context: milgi.SecureContext = milgi.createSecureContext({ cert: 'pem', sign: async ({ scheme, hash, data }) => {
  const text: string = scheme + (hash ?? '');
  return Buffer.concat([Buffer.from(text), data]);
} });
const server: milgi.Server = milgi.createServer({
  key: 'pem', cert: Buffer.from('pem'), requestCert: true, ca: ['pem'],
  SNICallback: async (servername) => servername === 'a' ? context : undefined,
  ALPNCallback: async ({ servername, protocols }) => protocols[0],
  sealTickets: async (sessions) => sessions,
  openTicket: async (tickets) => ({ index: 0, session: tickets[0] }),
  verify: async (certificate) => certificate.subject.CN === 'me',
}, (socket) => {
  const name: string | false | null = socket.servername;
  socket.write(`${name} ${socket.getProtocol()} ${socket.getCipher()?.name}`);
  socket.pipe(socket);
});
server.on('tlsClientError', (error: Error, socket: milgi.TLSSocket) => console.log(error.message, socket.remoteAddress));
server.addContext('b', context);
server.listen(443);

const inner = http.createServer((req, res) => res.end());
server.on('secureConnection', (socket) => inner.emit('connection', socket));

const socket: milgi.TLSSocket = milgi.connect({ port: 443, host: 'localhost', ALPNProtocols: ['h2'] }, () => {
  const keys: Buffer = socket.exportKeyingMaterial(32, 'label');
  console.log(socket.authorized, socket.alpnProtocol, keys, socket.isSessionReused());
});
socket.on('session', (session: Buffer) => milgi.connect({ port: 443, session }));
const over: Duplex = new milgi.TLSSocket(socket, { isServer: true, secureContext: context });
over.end();
https.get('https://localhost/', { agent: new milgi.Agent({ keepAlive: true }) });
milgi.https.createServer({ key: 'pem', cert: 'pem' }, (req, res) => res.end()).listen(0);
milgi.http2.createSecureServer({ key: 'pem', cert: 'pem' }).on('stream', (stream) => stream.end());
const count: number = milgi.stats().connections;
milgi.secure(http.createServer(), { key: 'pem', cert: 'pem' }).listen(count);
