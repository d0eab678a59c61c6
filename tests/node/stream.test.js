// SPDX-License-Identifier: Apache-2.0
// Bytes both ways, slow ends, half-closes and cuts; against node:tls in both roles.
'use strict';

const assert = require('node:assert/strict');
const crypto = require('node:crypto');
const fs = require('node:fs');
const { once } = require('node:events');
const net = require('node:net');
const { Duplex, Readable, pipeline } = require('node:stream');
const { test, after } = require('node:test');
const { milgi, certs, PAIRS, listen, connect, secured, read, all, close, settled, descriptors, bytes, digest } =
  require('./rig');

const LEN = Number(process.env.MILGI_TESTS_BYTES || 4_000_000);

async function send(socket, len) {
  for (const piece of bytes(len))
    if (!socket.write(piece))
      await once(socket, 'drain');
  socket.end();
}

async function sum(socket) {
  const hash = crypto.createHash('sha256');
  let len = 0;
  await read(socket, (chunk) => {
    hash.update(chunk);
    len += chunk.length;
  });
  return { len, hash: hash.digest('hex') };
}

for (const [server, client] of PAIRS)
  for (const version of ['TLSv1.2', 'TLSv1.3'])
    test(`bytes cross both ways at once: ${client} at ${server}, ${version}`, async () => {
      let there;
      const s = await listen(server, { allowHalfOpen: true, maxVersion: version }, (socket) => {
        there = Promise.all([send(socket, LEN / 2), sum(socket)]);
      });
      const socket = await secured(connect(client, s, { allowHalfOpen: true }));
      assert.equal(socket.getProtocol(), version);
      const [, got] = await Promise.all([send(socket, LEN), sum(socket)]);
      const [, other] = await there;
      assert.deepEqual(got, { len: LEN / 2, hash: digest(LEN / 2) });
      assert.deepEqual(other, { len: LEN, hash: digest(LEN) });
      await close(s);
      assert.equal(await settled(), 0);
      assert.deepEqual(s.errors, []);
    });

test('who writes much to a slow reader is told to wait, and holds little', async () => {
  const s = await listen('milgi', {}, (socket) => socket.pause());
  const socket = await secured(connect('milgi', s));
  let written = 0, full = 0;
  const piece = Buffer.alloc(65536, 1);
  // Until nothing moves for a while: sockets, streams and the connections are full.
  while (full < 20 && written < 64_000_000) {
    if (socket.write(piece)) {
      full = 0;
    } else {
      full++;
      await new Promise((resolve) => { setTimeout(resolve, 10); });
    }
    written += piece.length;
  }
  assert.ok(written < 64_000_000, 'nothing ever said stop');
  assert.ok(milgi.stats().memory < 8_000_000, `${milgi.stats().memory} bytes of chunks`);
  const there = sum(s.sockets[0]);
  s.sockets[0].resume();
  socket.end();
  assert.equal((await there).len, written);
  await close(s);
  assert.equal(await settled(), 0);
});

test('a half-close each way: what comes behind it comes', async () => {
  for (const [server, client] of PAIRS) {
    const s = await listen(server, { allowHalfOpen: true }, async (socket) => {
      const got = await all(socket);
      await new Promise((resolve) => { setImmediate(resolve); });
      socket.end(`after the end: ${got}`);
    });
    const socket = await secured(connect(client, s, { allowHalfOpen: true }));
    socket.end('question');
    assert.equal(String(await all(socket)), 'after the end: question');
    await close(s);
  }
  assert.equal(await settled(), 0);
});

test('who does not want half-open connections ends with the peer', async () => {
  const s = await listen('milgi', {}, (socket) => socket.end('bye'));
  const socket = await secured(connect('milgi', s));
  assert.equal(String(await all(socket)), 'bye');
  if (!socket.closed)
    await once(socket, 'close');
  assert.equal(socket.writableFinished, true);
  await close(s);
  assert.equal(await settled(), 0);
});

test('a cut is no end', async () => {
  const s = await listen('milgi', {}, (socket) => { socket.write('half of it', () => socket._transport.end()); });
  const socket = await secured(connect('milgi', s));
  let got = '';
  socket.on('data', (chunk) => { got += chunk; });
  socket.on('end', () => assert.fail('the end of something that was cut'));
  const [error] = await once(socket, 'error');
  assert.equal(error.code, 'ECONNRESET');
  assert.equal(error.milgi, 'MILGI_ETRUNCATED');
  assert.equal(got, 'half of it');
  await close(s);
  assert.equal(await settled(), 0);
});

test('a socket that is destroyed without an end is cut for its peer', async () => {
  const s = await listen('milgi', {}, (socket) => {
    socket.resume().on('end', () => s.emit('told', 'an end')).on('error', (error) => s.emit('told', error.milgi));
  });
  const told = once(s, 'told');
  const socket = await secured(connect('milgi', s));
  socket.write('half of it', () => socket.destroy());
  assert.equal((await told)[0], 'MILGI_ETRUNCATED');
  await close(s);
  assert.equal(await settled(), 0);
});

test('a socket is finished when all it has written is with the network', async () => {
  const s = await listen('milgi', {}, (socket) => socket.pause());
  const socket = await secured(connect('milgi', s));
  const piece = Buffer.alloc(16_000, 1);
  let written = 0, stays = 0;
  // Until what is written is taken, and stays where it was taken to.
  while (stays < 50) {
    await new Promise((resolve) => { setTimeout(resolve, stays ? 2 : 0); });
    if (socket._stream.pending()) {
      stays++;
      continue;
    }
    stays = 0;
    await new Promise((resolve) => { socket.write(piece, resolve); });
    written += piece.length;
    assert.ok(written < 64_000_000, 'nothing ever stayed');
  }
  socket.end();
  await new Promise((resolve) => { setTimeout(resolve, 50); });
  assert.equal(socket.writableFinished, false);
  const there = sum(s.sockets[0]);
  s.sockets[0].resume();
  await once(socket, 'finish');
  assert.equal((await there).len, written);
  await close(s);
  assert.equal(await settled(), 0);
});

test('a server whose client goes away without a word does not fall over it', async () => {
  const s = milgi.createServer({ key: certs.server.key, cert: certs.server.cert });
  s.on('secureConnection', (socket) => { socket.resume().on('close', () => s.emit('gone')); });
  s.listen(0);
  await once(s, 'listening');
  const gone = once(s, 'gone');
  const socket = await secured(connect('milgi', s));
  socket.on('error', () => {});
  socket._transport.end();
  await gone;
  await close(s);
});

test('records go behind what was written in the clear', async () => {
  const LEN = 9_000_000; // it waits in the transport
  const tcp = net.createServer((raw) => {
    raw.write(Buffer.alloc(LEN, 1));
    const socket = new milgi.TLSSocket(raw, { isServer: true, key: certs.server.key, cert: certs.server.cert });
    socket.on('error', () => {});
  });
  tcp.listen(0, '127.0.0.1');
  await once(tcp, 'listening');
  const raw = net.connect(tcp.address().port, '127.0.0.1');
  raw.write('no ClientHello: it is answered at once');
  await once(raw, 'readable');
  await new Promise((resolve) => { setTimeout(resolve, 50); }); // long since
  const got = await all(raw);
  assert.equal(got.indexOf(0x15), LEN); // the alert
  assert.ok(got.subarray(0, LEN).every((byte) => byte === 1));
  tcp.close();
  assert.equal(await settled(), 0);
});

test('records go to no other socket that has the number of one that was closed', async () => {
  let stray = 0;
  const plain = net.createServer((socket) => {
    socket.on('data', (chunk) => { stray += chunk.length; });
    socket.on('error', () => {});
  });
  plain.listen(0, '127.0.0.1');
  await once(plain, 'listening');
  const s = await listen('milgi', {}, (socket) => socket.resume());
  const socket = await secured(connect('milgi', s));
  const { fd } = socket._transport._handle;
  await new Promise((resolve) => { setTimeout(resolve, 1); }); // the engine's turn is behind all that this does
  socket.write('not for you');
  socket._transport.destroy();
  const others = Array.from({ length: 16 }, () => net.connect(plain.address().port, '127.0.0.1'));
  await Promise.all(others.map((other) => once(other, 'connect')));
  assert.ok(others.some((other) => other._handle.fd === fd), 'else this shows nothing');
  await new Promise((resolve) => { setImmediate(() => setImmediate(resolve)); });
  await Promise.all(others.map((other) => once(other.end(), 'close')));
  assert.equal(stray, 0);
  await close(plain);
  await close(s);
  assert.equal(await settled(), 0);
});

test('TLS over any Duplex, and TLS over TLS', async () => {
  function ends() {
    const both = [0, 1].map((i) => new Duplex({
      read() {},
      write(chunk, encoding, done) { both[1 - i].push(chunk); setImmediate(done); },
      final(done) { both[1 - i].push(null); done(); },
    }));
    return both;
  }
  const [a, b] = ends();
  const server = new milgi.TLSSocket(a, { isServer: true, key: certs.server.key, cert: certs.server.cert });
  const client = milgi.connect({ socket: b, ca: certs.ca.cert, servername: 'localhost' });
  await once(client, 'secureConnect');
  const inner = new milgi.TLSSocket(server, { isServer: true, key: certs.server.key, cert: certs.server.cert });
  const outer = milgi.connect({ socket: client, ca: certs.ca.cert, servername: 'localhost' });
  await once(outer, 'secureConnect');
  inner.pipe(inner);
  const got = sum(outer);
  await send(outer, 300_000);
  assert.deepEqual(await got, { len: 300_000, hash: digest(300_000) });
  assert.equal(await settled(), 0);
});

test('TLS over the TLS of Node', async () => {
  const s = await listen('node', {}, (below) => {
    const socket = new milgi.TLSSocket(below, { isServer: true, key: certs.server.key, cert: certs.server.cert });
    socket.pipe(socket);
  });
  const below = await secured(connect('node', s));
  const socket = await secured(milgi.connect({ socket: below, ca: certs.ca.cert, servername: 'localhost' }));
  const got = sum(socket);
  await send(socket, 300_000);
  assert.deepEqual(await got, { len: 300_000, hash: digest(300_000) });
  await close(s);
  assert.equal(await settled(), 0);
});

async function bringsMuch(bring) {
  // What the server sends is kept, and comes in two pieces.
  let kept = null;
  const [a, b] = [0, 1].map((i) => new Duplex({
    read() {},
    write(chunk, encoding, done) {
      if (i || !kept)
        [b, a][i].push(chunk);
      else
        kept.push(chunk);
      setImmediate(done);
    },
    final(done) { setImmediate(done); },
  }));
  const server = new milgi.TLSSocket(a, { isServer: true, key: certs.server.key, cert: certs.server.cert });
  const client = milgi.connect({ socket: b, ca: certs.ca.cert, servername: 'localhost', allowHalfOpen: true });
  await once(client, 'secureConnect');
  const before = milgi.stats().memory;
  kept = [];
  await send(server, 2_000_000);
  await once(server, 'finish');
  const all = Buffer.concat(kept);
  bring(b, all.subarray(0, 1_200_000));
  bring(b, all.subarray(1_200_000));
  bring(b, null);
  await new Promise((resolve) => { setTimeout(resolve, 50); });
  assert.ok(milgi.stats().memory - before < 1_000_000, `${milgi.stats().memory - before} bytes of chunks`);
  assert.deepEqual(await sum(client), { len: 2_000_000, hash: digest(2_000_000) });
  client.destroy();
  server.destroy();
  assert.equal(await settled(), 0);
}

test('a transport may bring more than is wanted, and its end at once', async () => {
  await bringsMuch((b, chunk) => b.push(chunk));
  await bringsMuch((b, chunk) => chunk ? b.emit('data', chunk) : b.emit('end')); // it does not pause
});

test('a socket that is full is waited for', async () => {
  const s = await listen('milgi', {}, (socket) => socket._transport.pause()), there = once(s, 'secureConnection');
  const socket = await secured(connect('milgi', s));
  await there;
  const { fd } = socket._transport._handle, block = Buffer.alloc(65536);
  let error = null;
  socket.on('error', (e) => { error = e; });
  await new Promise((resolve) => { setTimeout(resolve, 20); });
  assert.throws(() => { for (;;) fs.writeSync(fd, block); }, { code: 'EAGAIN' }); // which is no TLS, and nobody reads it
  socket.write('x');
  await new Promise((resolve) => { setTimeout(resolve, 50); });
  assert.equal(error, null);
  socket.destroy();
  await close(s);
  assert.equal(await settled(), 0);
});

test('a server takes connections that were accepted elsewhere', async () => {
  const tlsServer = milgi.createServer({ key: certs.server.key, cert: certs.server.cert }, (socket) => socket.pipe(socket));
  const tcp = net.createServer((socket) => tlsServer.emit('connection', socket));
  tcp.listen(0, '127.0.0.1');
  await once(tcp, 'listening');
  const socket = await secured(connect('node', tcp));
  socket.end('hello');
  assert.equal(String(await all(socket)), 'hello');
  tcp.close();
  assert.equal(await settled(), 0);
});

test('destroyed in every state, with a handshake in flight, leaves nothing behind', async () => {
  const s = await listen('milgi', {}, (socket) => socket.resume());
  const first = await secured(connect('milgi', s)); // for which the engine has opened its own
  await once(first.destroy(), 'close');
  const before = descriptors();
  for (let i = 0; i < 40; i++) {
    const socket = connect('milgi', s);
    socket.on('error', () => {});
    const when = i % 5;
    if (when === 0)
      socket.destroy();
    else if (when === 1)
      socket.once('connect', () => socket.destroy());
    else if (when === 2)
      socket.once('connect', () => setImmediate(() => socket.destroy()));
    else if (when === 3)
      socket.once('secureConnect', () => { socket.write('x'); socket.destroy(); });
    else
      socket.once('secureConnect', () => socket.resetAndDestroy());
    await once(socket, 'close');
  }
  await close(s);
  assert.equal(await settled(), 0);
  await new Promise((resolve) => { setTimeout(resolve, 50); });
  assert.ok(descriptors() <= before, `${descriptors()} descriptors, ${before} before`);
});

test('many connections at once', async () => {
  const n = Number(process.env.MILGI_TESTS_CROWD || 60);
  const s = await listen('milgi', {}, (socket) => socket.pipe(socket));
  const answers = await Promise.all(Array.from({ length: n }, async (_, i) => {
    const socket = connect('milgi', s);
    await secured(socket);
    socket.end(`number ${i}`);
    return String(await all(socket));
  }));
  assert.deepEqual(answers, Array.from({ length: n }, (_, i) => `number ${i}`));
  await close(s);
  assert.equal(await settled(), 0);
});

test('what is read goes into a buffer of the application\'s, which may pause it', async () => {
  const size = 6_000_000, s = await listen('milgi', {}, (socket) => socket.end(Buffer.alloc(size, 'abc')));
  for (const [pauses, buffer] of [[false, Buffer.alloc(640)], [true, () => new Uint8Array(10000)]]) {
    const got = [];
    let paused = 0, over = false;
    const socket = connect('milgi', s, { onread: { buffer, callback(n, from) {
      assert.equal(socket.isPaused(), false);
      got.push(Buffer.from(from.subarray(0, n)));
      if (!pauses || got.length % 10)
        return true;
      setTimeout(() => {
        assert.equal(over, false);
        assert.ok(paused > 1 || socket.bytesRead < size / 2, 'it is read on in a pause');
        socket.resume();
      }, paused++ ? 1 : 300);
      return false;
    } } });
    socket.on('data', () => assert.fail('it has a buffer'));
    await once(socket, 'end');
    over = true;
    assert.equal(Buffer.concat(got).compare(Buffer.alloc(size, 'abc')), 0);
    assert.equal(paused > 5, pauses);
    socket.destroy();
  }
  await close(s);
});

test('a chain is sent with its issuers from options.ca, and shown from one to the next', async () => {
  const s = await listen('milgi', { ...certs.below, ca: [certs.other.cert, Buffer.concat([certs.ca.cert, certs.between.cert])] });
  for (const library of ['milgi', 'node']) {
    const socket = await secured(connect(library, s));
    const names = [];
    for (let at = socket.getPeerCertificate(true); names.length < 4; at = at.issuerCertificate)
      names.push(at.subject.CN);
    assert.deepEqual(names, ['below', 'between', 'ca', 'ca']);
    if (library === 'milgi')
      assert.equal(socket.getPeerX509Certificate().issuerCertificate.subject, 'CN=between');
    socket.destroy();
  }
  await close(s);
});

test('a server may pause its sockets, and have them half-open', async () => {
  const s = await listen('milgi', { pauseOnConnect: true, allowHalfOpen: true }), there = once(s, 'secureConnection');
  const socket = await secured(connect('milgi', s, { allowHalfOpen: true })), [other] = await there;
  assert.deepEqual([other.isPaused(), other.allowHalfOpen], [true, true]);
  socket.end('hello');
  const heard = all(other);
  other.resume();
  assert.equal((await heard).toString(), 'hello');
  other.end('still here');
  assert.equal((await all(socket)).toString(), 'still here');
  await close(s);
});

test('the name may be given later, before the handshake', async () => {
  const s = await listen('milgi', { ...certs.other }), there = once(s, 'secureConnection');
  const transport = net.connect(s.address().port, '127.0.0.1');
  const socket = new milgi.TLSSocket(transport, { ca: certs.ca.cert, host: 'localhost' });
  socket.setServername('other.example');
  await once(socket, 'secureConnect');
  assert.equal((await there)[0].servername, 'other.example');
  socket.destroy();
  await close(s);
});

test('pipeline() ends as it does with other sockets', async () => {
  const s = await listen('milgi', {}, (socket) => socket.pipe(socket));
  const socket = await secured(connect('milgi', s));
  const got = all(socket);
  await new Promise((resolve, reject) => pipeline(Readable.from(bytes(200_000)), socket, (error) =>
    error ? reject(error) : resolve()));
  assert.equal((await got).length, 200_000);
  await close(s);
  assert.equal(await settled(), 0);
});

test('timeouts are told, and only of what is idle', async () => {
  const s = await listen('milgi', {}, (socket) => socket.resume());
  const socket = await secured(connect('milgi', s));
  socket.setTimeout(30);
  await once(socket, 'timeout');
  socket.destroy();
  await close(s);
});

after(async () => assert.equal(await settled(), 0));
