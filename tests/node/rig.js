// SPDX-License-Identifier: Apache-2.0
// What the tests share: two ends that meet, bytes that are known, and promises for events.
'use strict';

const crypto = require('node:crypto');
const fs = require('node:fs');
const { once } = require('node:events');
const tls = require('node:tls');
const milgi = require(process.env.MILGI_PACKAGE || '../../adapters/node');
const certs = require('./certs');

const LIBRARIES = { milgi, node: tls };

// Each pair of ends that has one of ours.
const PAIRS = [['milgi', 'milgi'], ['milgi', 'node'], ['node', 'milgi']];

async function listen(library, options, onConnection) {
  const server = LIBRARIES[library].createServer({ key: certs.server.key, cert: certs.server.cert, ...options });
  server.errors = [];
  server.sockets = [];
  server.on('tlsClientError', (error) => { server.errors.push(error); server.emit('refused', error); });
  server.on('secureConnection', (socket) => {
    server.sockets.push(socket);
    socket.on('error', (error) => server.errors.push(error));
    onConnection?.(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server;
}

function connect(library, server, options) {
  return LIBRARIES[library].connect({ port: server.address().port, host: 'localhost', family: 4, ca: certs.ca.cert,
    ...options });
}

// The socket, secure, or why not. When a test is over its server just goes, which is a cut.
async function secured(socket) {
  await once(socket, 'secureConnect');
  socket.on('error', () => {});
  return socket;
}

async function failure(socket) {
  const [error] = await once(socket, 'error');
  return error;
}

// To its end, which leaves the other direction open (for await would destroy it).
function read(stream, each) {
  return new Promise((resolve, reject) => {
    stream.on('data', each);
    stream.once('end', resolve);
    stream.once('error', reject);
    stream.once('close', () => reject(new Error('closed without an end')));
  });
}

async function all(stream) {
  const chunks = [];
  await read(stream, (chunk) => chunks.push(chunk));
  return Buffer.concat(chunks);
}

async function close(server) {
  for (const socket of server.sockets ?? [])
    socket.destroy();
  await new Promise((resolve) => { server.close(resolve); });
}

// Everything has ended: no stream is left, and no descriptor.
async function settled(patience = 20000) {
  const until = Date.now() + patience;
  while (milgi.stats().streams && Date.now() < until)
    await new Promise((resolve) => { setTimeout(resolve, 20); });
  return milgi.stats().streams;
}

function descriptors() {
  return fs.readdirSync('/proc/self/fd').length;
}

// |len| bytes that repeat only after a while, in pieces of |piece|.
function* bytes(len, piece = 65536) {
  const block = crypto.createHash('shake256', { outputLength: 1 << 20 }).update('milgi').digest();
  for (let at = 0; at < len;) {
    const from = at % block.length, n = Math.min(piece, len - at, block.length - from);
    yield block.subarray(from, from + n);
    at += n;
  }
}

function digest(len) {
  const hash = crypto.createHash('sha256');
  for (const piece of bytes(len))
    hash.update(piece);
  return hash.digest('hex');
}

module.exports = { milgi, tls, certs, PAIRS, LIBRARIES, listen, connect, secured, failure, read, all, close, settled,
  descriptors, bytes, digest };
