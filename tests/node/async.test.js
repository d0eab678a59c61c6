// SPDX-License-Identifier: Apache-2.0
// Questions that are answered later: names, protocols, keys, certificates, sessions, tickets.
'use strict';

const assert = require('node:assert/strict');
const crypto = require('node:crypto');
const { once } = require('node:events');
const { test, after } = require('node:test');
const v8 = require('node:v8');
const vm = require('node:vm');
const { milgi, certs, PAIRS, listen, connect, secured, failure, all, close, settled } = require('./rig');

const soon = () => new Promise((resolve) => { setTimeout(resolve, 5); });

test('SNICallback: a promise, a callback, nothing, an error', async () => {
  const other = milgi.createSecureContext({ key: certs.other.key, cert: certs.other.cert });
  for (const SNICallback of [async () => { await soon(); return other; }, (name, done) => setImmediate(done, null, other)])
    for (const client of ['milgi', 'node']) {
      const s = await listen('milgi', { SNICallback });
      const socket = await secured(connect(client, s, { servername: 'other.example' }));
      assert.equal(socket.getPeerCertificate().subject.CN, 'other');
      assert.equal(socket.authorized, true);
      socket.destroy();
      await close(s);
    }
  const s = await listen('milgi', { SNICallback: async () => undefined });
  const socket = await secured(connect('milgi', s));
  assert.equal(socket.getPeerCertificate().subject.CN, 'server');
  socket.destroy();
  await close(s);
  const bad = await listen('milgi', { SNICallback: async () => { throw new Error('no such name'); } });
  const told = once(bad, 'refused');
  const error = await failure(connect('milgi', bad));
  assert.equal(error.code, 'ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE');
  assert.equal((await told)[0].message, 'no such name');
  await close(bad);
});

test('addContext: by name, with a wildcard, the last that fits', async () => {
  const s = await listen('milgi', {});
  s.addContext('*.example', { key: certs.other.key, cert: certs.other.cert });
  const socket = await secured(connect('node', s, { servername: 'other.example' }));
  assert.equal(socket.getPeerCertificate().subject.CN, 'other');
  assert.equal(s.sockets.length || await once(s, 'secureConnection').then(() => 1), 1);
  assert.equal(s.sockets[0].servername, 'other.example');
  socket.destroy();
  for (const servername of ['a.other.example', 'other.example.org']) { // of which it is just a part
    const another = await secured(connect('milgi', s, { servername, rejectUnauthorized: false }));
    assert.equal(another.getPeerCertificate().subject.CN, 'server');
    another.destroy();
  }
  await close(s);
});

test('ALPN: a list, and a callback that takes its time', async () => {
  for (const [server, client] of PAIRS) {
    const s = await listen(server, { ALPNProtocols: ['b', 'a'] });
    const socket = await secured(connect(client, s, { ALPNProtocols: ['a', 'b'] }));
    assert.equal(socket.alpnProtocol, 'b');
    socket.destroy();
    const none = await secured(connect(client, s));
    assert.equal(none.alpnProtocol, false);
    none.destroy();
    await close(s);
  }
  const s = await listen('milgi', { ALPNCallback: async ({ servername, protocols }) => {
    await soon();
    return servername === 'localhost' && protocols.includes('x') ? 'x' : undefined;
  } });
  const socket = await secured(connect('node', s, { servername: 'localhost', ALPNProtocols: ['w', 'x'] }));
  assert.equal(socket.alpnProtocol, 'x');
  socket.destroy();
  const error = await failure(connect('milgi', s, { ALPNProtocols: ['w'] }));
  assert.equal(error.code, 'ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL');
  await close(s);
  const strange = await listen('milgi', { ALPNCallback: () => 'z' });
  const told = once(strange, 'refused');
  await failure(connect('milgi', strange, { ALPNProtocols: ['w'] }));
  assert.equal((await told)[0].code, 'ERR_TLS_ALPN_CALLBACK_INVALID_RESULT');
  await close(strange);
});

test('a key whose signatures are made elsewhere, by promises', async () => {
  let signed = 0;
  const sign = async ({ scheme, hash, data }) => {
    signed++;
    await soon();
    const pss = scheme.startsWith('rsa_pss');
    return crypto.sign(hash, data, { key: certs.rsa.key, ...(pss && {
      padding: crypto.constants.RSA_PKCS1_PSS_PADDING, saltLength: crypto.constants.RSA_PSS_SALTLEN_DIGEST }) });
  };
  for (const maxVersion of ['TLSv1.2', 'TLSv1.3']) {
    const s = await listen('milgi', { cert: certs.rsa.cert, key: undefined, sign, maxVersion });
    const socket = await secured(connect('node', s));
    assert.equal(socket.getPeerCertificate().subject.CN, 'rsa');
    assert.equal(socket.authorized, true);
    socket.destroy();
    await close(s);
  }
  assert.equal(signed, 2);
});

test('an answer is heard when it comes', async () => {
  const sign = async ({ hash, data }) => { await soon(); return crypto.sign(hash, data, certs.server.key); };
  const s = await listen('milgi', { cert: certs.server.cert, key: undefined, sign });
  const begun = Date.now();
  for (let i = 0; i < 40; i++) {
    const socket = await secured(connect('milgi', s));
    socket.destroy();
  }
  assert.ok(Date.now() - begun < 20_000, 'only when the engine looks by itself, every second');
  await close(s);
});

test('a key that nobody but a handshake remembers is not forgotten before it has signed', async () => {
  v8.setFlagsFromString('--expose_gc');
  const gc = vm.runInNewContext('gc');
  const rubbish = async () => {
    for (let i = 0; i < 5; i++) {
      gc();
      await new Promise((resolve) => { setImmediate(resolve); });
    }
  };
  const signs = async ({ hash, data }) => { await rubbish(); return crypto.sign(hash, data, certs.server.key); };
  const s = await listen('milgi', { requestCert: true, ca: certs.ca.cert, SNICallback: async () => {
    await rubbish();
    return milgi.createSecureContext({ cert: certs.server.cert, sign: signs, ca: certs.ca.cert });
  } });
  for (const options of [{ cert: certs.client.cert, sign: ({ hash, data }) => crypto.sign(hash, data, certs.client.key) },
    { clientCertificate: async () => milgi.createSecureContext({ cert: certs.client.cert,
      sign: async ({ hash, data }) => { await rubbish(); return crypto.sign(hash, data, certs.client.key); } }) }]) {
    const seen = once(s, 'secureConnection');
    const socket = await secured(connect('milgi', s, options));
    assert.equal((await seen)[0].getPeerCertificate().subject.CN, 'client');
    socket.destroy();
  }
  await close(s);
});

test('a server without a certificate says so', async () => {
  const s = await listen('milgi', { key: undefined, cert: undefined });
  const told = once(s, 'refused');
  await failure(connect('milgi', s));
  assert.equal((await told)[0].code, 'ERR_SSL_NO_SHARED_CIPHER');
  await close(s);
});

test('a key that refuses, or is another, ends the handshake', async () => {
  const refuses = [async () => { throw new Error('locked'); }, () => Buffer.alloc(0), () => crypto.randomBytes(70)];
  for (const sign of refuses) {
    const s = await listen('milgi', { cert: certs.server.cert, key: undefined, sign });
    const told = once(s, 'refused');
    const error = await failure(connect('milgi', s));
    assert.equal(error.code, 'ERR_SSL_TLSV1_ALERT_INTERNAL_ERROR');
    assert.equal((await told)[0].milgi, 'MILGI_EDEVICE');
    await close(s);
  }
});

test('a client goes while its server signs', async () => {
  let begun, let_go;
  const gate = new Promise((resolve) => { let_go = resolve; });
  const started = new Promise((resolve) => { begun = resolve; });
  const s = await listen('milgi', { cert: certs.server.cert, key: undefined, sign: async ({ hash, data }) => {
    begun();
    await gate;
    return crypto.sign(hash, data, certs.server.key);
  } });
  const socket = connect('milgi', s);
  socket.on('error', () => {});
  await started;
  socket.destroy();
  await once(s, 'refused');
  let_go();
  await close(s);
  assert.equal(await settled(), 0);
});

test('client certificates: required, wished, from a promise, and what the server sees', async () => {
  for (const [server, client] of PAIRS) {
    const s = await listen(server, { requestCert: true, ca: certs.ca.cert });
    const seen = once(s, 'secureConnection');
    const socket = await secured(connect(client, s, { key: certs.client.key, cert: certs.client.cert }));
    const [there] = await seen;
    assert.equal(there.authorized, true);
    assert.equal(there.getPeerCertificate().subject.CN, 'client');
    assert.equal(there.getPeerCertificate(true).issuerCertificate?.subject.CN ?? 'ca', 'ca');
    socket.destroy();
    await close(s);
  }
  const s = await listen('milgi', { requestCert: true, rejectUnauthorized: false, ca: certs.ca.cert });
  const seen = once(s, 'secureConnection');
  const socket = await secured(connect('milgi', s));
  assert.equal((await seen)[0].authorized, false);
  assert.deepEqual((await seen)[0].getPeerCertificate(), {});
  socket.destroy();
  const again = once(s, 'secureConnection');
  const second = await secured(connect('milgi', s, { clientCertificate: async ({ authorities }) => {
    await soon();
    assert.ok(authorities.length > 0);
    return milgi.createSecureContext({ key: certs.client.key, cert: certs.client.cert });
  } }));
  assert.equal((await again)[0].getPeerCertificate().subject.CN, 'client');
  second.destroy();
  await close(s);
});

test('rejectUnauthorized: false: a client is judged, and let in', async () => {
  const s = await listen('milgi', { requestCert: true, rejectUnauthorized: false, ca: certs.ca.cert });
  const found = [];
  for (const client of ['milgi', 'node'])
    for (const credentials of [certs.client, certs.alone, null]) {
      const seen = once(s, 'secureConnection');
      const socket = await secured(connect(client, s, credentials && { key: credentials.key, cert: credentials.cert }));
      const [there] = await seen;
      found.push([there.authorized, there.authorizationError, there.getPeerCertificate().subject?.CN]);
      socket.destroy();
    }
  const expected = [[true, null, 'client'], [false, 'DEPTH_ZERO_SELF_SIGNED_CERT', 'alone'],
    [false, 'UNABLE_TO_GET_ISSUER_CERT', undefined]];
  assert.deepEqual(found, [...expected, ...expected]);
  await close(s);
});

test('checkServerIdentity and verify have a say of their own', async () => {
  const s = await listen('milgi', {});
  const error = await failure(connect('milgi', s, { checkServerIdentity: (host, cert) =>
    Object.assign(new Error(`pinned: ${host} ${cert.subject.CN}`), { code: 'PINNED' }) }));
  assert.equal(error.code, 'PINNED');
  assert.equal(error.message, 'pinned: localhost server');
  const socket = await secured(connect('milgi', s, { checkServerIdentity: () => undefined,
    verify: async () => { await soon(); return true; } }));
  assert.equal(socket.authorized, true);
  socket.destroy();
  for (const verify of [async () => false, () => undefined, soon, () => 1, () => null]) {
    const refused = await failure(connect('milgi', s, { verify }));
    assert.equal(refused.code, 'ERR_MILGI_PEER_REFUSED');
  }
  assert.equal((await failure(connect('milgi', s, { checkServerIdentity: () => 'no' }))).code,
    'ERR_TLS_CERT_ALTNAME_INVALID');
  await assert.rejects(secured(connect('milgi', s, { rejectUnauthorized: false, verify: () => false })),
    { code: 'ERR_MILGI_PEER_REFUSED' });
  const any = await secured(connect('milgi', s, { rejectUnauthorized: false, ca: undefined,
    verify: (certificate) => certificate.subject.CN === 'server', checkServerIdentity: () => new Error('not asked') }));
  assert.equal(any.authorized, false);
  assert.equal(any.authorizationError, 'UNABLE_TO_VERIFY_LEAF_SIGNATURE');
  any.destroy();
  const other = await secured(connect('milgi', s, { rejectUnauthorized: false,
    checkServerIdentity: () => Object.assign(new Error('another'), { code: 'PINNED' }) }));
  assert.equal(other.authorized, false);
  assert.equal(other.authorizationError, 'PINNED');
  other.destroy();
  await close(s);
});

async function session(client, s, options) {
  const socket = connect(client, s, options);
  const got = once(socket, 'session');
  await secured(socket);
  socket.resume();
  socket.write('x');
  const [bytes] = await got;
  socket.end();
  await once(socket, 'close');
  return bytes;
}

for (const [server, client] of PAIRS)
  for (const maxVersion of ['TLSv1.2', 'TLSv1.3'])
    test(`resumption: ${client} at ${server}, ${maxVersion}`, async () => {
      const s = await listen(server, { maxVersion }, (socket) => socket.pipe(socket));
      const bytes = await session(client, s);
      assert.ok(Buffer.isBuffer(bytes));
      const seen = once(s, 'secureConnection');
      const socket = await secured(connect(client, s, { session: bytes }));
      assert.equal(socket.isSessionReused(), true);
      assert.equal(socket.authorized, true);
      socket.end();
      assert.equal((await seen)[0].isSessionReused(), true);
      await close(s);
    });

test('what is no session is not offered, and does no harm', async () => {
  const s = await listen('milgi', {});
  const socket = await secured(connect('milgi', s, { session: Buffer.from('nothing') }));
  assert.equal(socket.isSessionReused(), false);
  socket.destroy();
  await close(s);
});

test('servers with the same ticket keys take each other\'s tickets', async () => {
  const ticketKeys = crypto.randomBytes(48);
  const a = await listen('milgi', { ticketKeys }, (socket) => socket.pipe(socket));
  const b = await listen('milgi', {}, (socket) => socket.pipe(socket));
  const bytes = await session('milgi', a);
  const no = await secured(connect('milgi', b, { session: bytes }));
  assert.equal(no.isSessionReused(), false);
  no.destroy();
  b.setTicketKeys(a.getTicketKeys());
  const bytes2 = await session('milgi', a);
  const yes = await secured(connect('milgi', b, { session: bytes2 }));
  assert.equal(yes.isSessionReused(), true);
  yes.destroy();
  await close(a);
  await close(b);
});

test('servers that share a context do not share their ticket keys', async () => {
  const secureContext = milgi.createSecureContext({ key: certs.server.key, cert: certs.server.cert });
  const ticketKeys = crypto.randomBytes(48);
  const a = await listen('milgi', { secureContext }, (socket) => socket.pipe(socket));
  const b = await listen('milgi', { secureContext, ticketKeys }, (socket) => socket.pipe(socket));
  const c = await listen('milgi', { ticketKeys }, (socket) => socket.pipe(socket));
  const resumed = async (s, bytes) => {
    const socket = await secured(connect('milgi', s, { session: bytes }));
    socket.destroy();
    return socket.isSessionReused();
  };
  assert.equal(await resumed(b, await session('milgi', a)), false);
  assert.equal(await resumed(a, await session('milgi', a)), true);
  assert.equal(await resumed(c, await session('milgi', b)), true);
  for (const s of [a, b, c])
    await close(s);
});

test('ticket keys that are changed again and again, and protocols that are always others, are not kept', async () => {
  const secureContext = milgi.createSecureContext({ key: certs.server.key, cert: certs.server.cert, ca: certs.ca.cert });
  const s = await listen('milgi', { secureContext }, (socket) => socket.resume());
  for (let i = 0; i < 40; i++) {
    s.setTicketKeys(crypto.randomBytes(48));
    const socket = await secured(connect('milgi', s, { secureContext, ALPNProtocols: [`p${i}`] })
      .on('error', () => {})).catch(() => {});
    socket?.destroy();
  }
  assert.ok(secureContext._configs.size <= 16);
  assert.ok([...secureContext._configs.keys()].every((key) => key.startsWith('0')), 'a server\'s, with its keys');
  await close(s);
});

test('tickets that are sealed elsewhere, by promises', async () => {
  const store = new Map();
  const s = await listen('milgi', {
    sealTickets: async (sessions) => {
      await soon();
      return sessions.map((bytes) => { const id = crypto.randomBytes(16); store.set(id.toString('hex'), bytes); return id; });
    },
    openTicket: async (tickets) => {
      await soon();
      const index = tickets.findIndex((t) => store.has(t.toString('hex')));
      return index < 0 ? null : { index, session: store.get(tickets[index].toString('hex')) };
    },
  }, (socket) => socket.pipe(socket));
  for (const client of ['milgi', 'node']) {
    const bytes = await session(client, s);
    const socket = await secured(connect(client, s, { session: bytes }));
    assert.equal(socket.isSessionReused(), true);
    socket.destroy();
  }
  await close(s);
});

test('sessions by ID in a store of one\'s own: newSession, resumeSession', async () => {
  const store = new Map();
  const s = await listen('milgi', { maxVersion: 'TLSv1.2', sealTickets: () => [] }, (socket) => socket.pipe(socket));
  s.on('newSession', (id, bytes, done) => { store.set(id.toString('hex'), bytes); setImmediate(done); });
  s.on('resumeSession', (id, done) => setImmediate(done, null, store.get(id.toString('hex')) ?? null));
  const socket = await secured(connect('node', s, { secureOptions: crypto.constants.SSL_OP_NO_TICKET }));
  const bytes = socket.getSession();
  socket.end();
  await once(socket, 'close');
  assert.equal(store.size, 1);
  const again = await secured(connect('node', s, { session: bytes, secureOptions: crypto.constants.SSL_OP_NO_TICKET }));
  assert.equal(again.isSessionReused(), true);
  again.destroy();
  await close(s);
});

test('the key log: of each connection to whoever listens to it', async () => {
  for (const [server, client] of PAIRS) {
    const s = await listen(server, {}, (socket) => socket.resume());
    const there = [], here = [];
    const silent = await secured(connect(client, s));
    s.on('keylog', (line, socket) => there.push(`${line}${socket.remotePort}`));
    const socket = connect(client, s);
    socket.on('keylog', (line) => here.push(`${line}${socket.localPort}`));
    await secured(socket);
    socket.write('x');
    while (there.length < 5 || here.length < 5)
      await soon();
    assert.deepEqual(here.map((line) => line.split(' ')[0]).sort(), ['CLIENT_HANDSHAKE_TRAFFIC_SECRET', 'CLIENT_TRAFFIC_SECRET_0',
      'EXPORTER_SECRET', 'SERVER_HANDSHAKE_TRAFFIC_SECRET', 'SERVER_TRAFFIC_SECRET_0']);
    assert.deepEqual(there.sort(), here.sort());
    silent.destroy();
    socket.destroy();
    await close(s);
  }
});

test('exporters and key updates', async () => {
  const s = await listen('milgi', {}, (socket) => socket.pipe(socket));
  const socket = await secured(connect('node', s));
  const there = s.sockets[0] ?? (await once(s, 'secureConnection'))[0];
  assert.deepEqual(there.exportKeyingMaterial(32, 'label', Buffer.from('context')),
    socket.exportKeyingMaterial(32, 'label', Buffer.from('context')));
  assert.deepEqual(there.exportKeyingMaterial(32, 'label'), socket.exportKeyingMaterial(32, 'label'));
  there.updateKeys(true);
  socket.end('behind new keys');
  assert.equal(String(await all(socket)), 'behind new keys');
  await close(s);
});

after(async () => assert.equal(await settled(), 0));
