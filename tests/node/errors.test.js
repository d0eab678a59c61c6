// SPDX-License-Identifier: Apache-2.0
// What goes wrong, by the names that users of node:tls look for.
'use strict';

const assert = require('node:assert/strict');
const crypto = require('node:crypto');
const { once } = require('node:events');
const net = require('node:net');
const { test, after } = require('node:test');
const { milgi, certs, listen, connect, secured, failure, close, settled, all } = require('./rig');

async function refusedWith(code, clientOptions, serverOptions, more) {
  const s = await listen('milgi', serverOptions);
  const told = once(s, 'refused');
  const error = await failure(connect('milgi', s, clientOptions));
  assert.equal(error.code, code);
  const [other] = await told;
  more?.(error, other);
  await close(s);
  return error;
}

test('a name that is not in the certificate', async () => {
  const error = await refusedWith('ERR_TLS_CERT_ALTNAME_INVALID', { servername: 'example.org' }, {}, (_, other) =>
    assert.equal(other.code, 'ERR_SSL_SSLV3_ALERT_BAD_CERTIFICATE'));
  assert.equal(error.host, 'example.org');
  assert.match(error.cert.subjectaltname, /localhost/);
  assert.match(error.message, /altnames/);
});

test('an address that is not in the certificate', () => refusedWith('ERR_TLS_CERT_ALTNAME_INVALID',
  { servername: '127.0.0.2' }));

test('a certificate that nobody vouches for', () => refusedWith('DEPTH_ZERO_SELF_SIGNED_CERT', {},
  { key: certs.alone.key, cert: certs.alone.cert }, (_, other) =>
    assert.equal(other.code, 'ERR_SSL_TLSV1_ALERT_UNKNOWN_CA')));

test('an authority that is not trusted', async () => {
  const error = await refusedWith('UNABLE_TO_VERIFY_LEAF_SIGNATURE', { ca: undefined });
  assert.match(error.message, /unable to verify the first certificate/);
  // With its issuer, which is not trusted either.
  await refusedWith('UNABLE_TO_GET_ISSUER_CERT_LOCALLY', { ca: undefined }, { ...certs.below, cert: certs.below.chain });
});

test('what is no TLS has the name by which it is known', async () => {
  const plain = net.createServer((socket) => socket.on('error', () => {}).end('HTTP/1.1 400 Bad Request\r\n\r\n'));
  plain.listen(0, '127.0.0.1');
  await once(plain, 'listening');
  const error = await failure(connect('milgi', plain));
  assert.equal(error.code, 'ERR_SSL_WRONG_VERSION_NUMBER');
  assert.equal(error.milgi, 'MILGI_EPROTO');
  assert.match(error.message, /wrong version number/);
  plain.close();
});

test('arguments that make no sense are refused in Node\'s words', async () => {
  const type = (fn, message = /^The /) => assert.throws(fn, { name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE', message });
  for (const name of ['ciphers', 'ecdhCurve', 'sigalgs', 'passphrase', 'privateKeyEngine', 'clientCertEngine'])
    type(() => milgi.createSecureContext({ [name]: 1 }),
      `The "options.${name}" property must be of type string. Received type number (1)`);
  for (const name of ['handshakeTimeout', 'sessionTimeout'])
    type(() => milgi.createServer({ [name]: 'abcd' }),
      `The "options.${name}" property must be of type number. Received type string ('abcd')`);
  type(() => milgi.createServer({ ticketKeys: 'abcd' }), /"options.ticketKeys" property must be an instance of Buffer/);
  assert.throws(() => milgi.createServer({ ticketKeys: Buffer.alloc(1) }), { code: 'ERR_INVALID_ARG_VALUE' });
  type(() => milgi.createServer('so'), 'The "options" argument must be of type object. Received type string (\'so\')');
  type(() => new milgi.TLSSocket(new (require('node:events'))()), /instance of Duplex/);
  assert.throws(() => milgi.createSecureContext({ clientCertEngine: 'e' }), { code: 'ERR_CRYPTO_CUSTOM_ENGINE_NOT_SUPPORTED' });
  for (const ciphers of ['no-such-cipher', 'aes256-sha', 'AES256-SHA', '!aNULL', 'NULL', 'kRSA'])
    assert.throws(() => milgi.createSecureContext({ ciphers }), { code: 'ERR_SSL_NO_CIPHER_MATCH' }, ciphers);
  for (const ciphers of ['HIGH:!aNULL', 'ECDHE+AESGCM', 'no-such-cipher:ECDHE-RSA-AES128-GCM-SHA256', 'DEFAULT@SECLEVEL=2'])
    milgi.createSecureContext({ ciphers });

  const s = await listen('milgi'), there = once(s, 'secureConnection'), socket = await secured(connect('milgi', s));
  const [other] = await there;
  for (const args of [['10', 'a'], [10, null], [10, 'a', 'text'], [10, 'a', 1]])
    type(() => socket.exportKeyingMaterial(...args));
  for (const length of [0, -3, 1.5])
    assert.throws(() => socket.exportKeyingMaterial(length, 'a'), { name: 'RangeError', code: 'ERR_OUT_OF_RANGE' });
  assert.notDeepEqual(socket.exportKeyingMaterial(32, 'a', new Uint8Array([1])), socket.exportKeyingMaterial(32, 'a'));
  type(() => socket.setServername(1));
  assert.throws(() => socket.setServername('too.late'), { code: 'ERR_INVALID_STATE' });
  assert.throws(() => other.setServername('a'), { code: 'ERR_TLS_SNI_FROM_SERVER' });
  socket.destroy();
  await close(s);
});

test('a certificate that was taken back', async () => {
  const good = certs.crl('good', certs.ca), revoked = certs.crl('revoked', certs.ca, certs.server, certs.client);
  const elsewhere = certs.crl('elsewhere', certs.alone);
  await refusedWith('CERT_REVOKED', { crl: revoked }, {}, (_, other) =>
    assert.equal(other.code, 'ERR_SSL_SSLV3_ALERT_CERTIFICATE_REVOKED'));
  await refusedWith('CERT_REVOKED', { crl: [elsewhere, revoked.toString()] });
  await refusedWith('UNABLE_TO_GET_CRL', { crl: elsewhere });
  await refusedWith('UNABLE_TO_VERIFY_LEAF_SIGNATURE', { ca: undefined, crl: good });
  assert.throws(() => milgi.createSecureContext({ ca: certs.ca.cert, crl: certs.ca.cert }), /CERTIFICATE/);
  for (const [crl, ok] of [[good, true], [revoked, false]]) {
    const s = await listen('milgi', { requestCert: true, ca: certs.ca.cert, crl });
    const told = once(s, 'refused');
    const socket = connect('milgi', s, { key: certs.client.key, cert: certs.client.cert, crl: good });
    if (ok)
      (await secured(socket)).end();
    else
      assert.equal((await failure(socket)).code, 'ERR_SSL_SSLV3_ALERT_CERTIFICATE_REVOKED');
    if (!ok)
      assert.equal((await told)[0].code, 'CERT_REVOKED');
    await close(s);
  }
});

test('no protocol in common', () => refusedWith('ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL',
  { ALPNProtocols: ['a'] }, { ALPNProtocols: ['b'] }));

test('no version in common', () => refusedWith('ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION', { maxVersion: 'TLSv1.2' },
  { minVersion: 'TLSv1.3' }));

test('no certificate where one is required', async () => {
  const s = await listen('milgi', { requestCert: true, ca: certs.ca.cert });
  const told = once(s, 'refused');
  const error = await failure(connect('milgi', s));
  assert.equal(error.code, 'ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED');
  await told;
  await close(s);
});

test('nobody listens', async () => {
  const s = await listen('milgi', {});
  const address = s.address();
  await close(s);
  const error = await failure(milgi.connect({ port: address.port, host: '127.0.0.1' }));
  assert.equal(error.code, 'ECONNREFUSED');
  assert.equal(error.syscall, 'connect');
});

test('a server that closes before anything is said', async () => {
  const tcp = net.createServer((socket) => { socket.resume(); socket.end(); });
  tcp.listen(0, '127.0.0.1');
  await once(tcp, 'listening');
  const error = await failure(connect('milgi', tcp));
  assert.equal(error.code, 'ECONNRESET');
  assert.match(error.message, /before secure TLS connection was established/);
  tcp.close();
});

test('garbage instead of a hello, from either side', async () => {
  const tcp = net.createServer((socket) => { socket.on('error', () => {}); socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'); });
  tcp.listen(0, '127.0.0.1');
  await once(tcp, 'listening');
  const error = await failure(connect('milgi', tcp));
  assert.equal(error.milgi, 'MILGI_EPROTO');
  tcp.close();

  const s = await listen('milgi', {});
  const told = once(s, 'refused');
  const raw = net.connect(s.address().port, '127.0.0.1');
  raw.on('error', () => {});
  raw.end('GET / HTTP/1.1\r\n\r\n');
  raw.resume();
  assert.equal((await told)[0].milgi, 'MILGI_EPROTO');
  await once(raw, 'close');
  await close(s);
});

test('a handshake that is cut in the middle', async () => {
  const s = await listen('milgi', {});
  const told = once(s, 'refused');
  const raw = net.connect(s.address().port, '127.0.0.1');
  raw.on('error', () => {});
  raw.end(Buffer.from('160301010001', 'hex'));
  assert.equal((await told)[0].code, 'ECONNRESET');
  await close(s);
});

test('a client that says nothing at all, or stops', async () => {
  const s = await listen('milgi', { handshakeTimeout: 50 });
  for (const said of ['', '16']) {
    const told = once(s, 'refused');
    const raw = net.connect(s.address().port, '127.0.0.1');
    raw.on('error', () => {});
    raw.write(Buffer.from(said, 'hex'));
    assert.equal((await told)[0].code, 'ERR_TLS_HANDSHAKE_TIMEOUT');
    raw.destroy();
  }
  await close(s);
});

test('a garbled record ends the connection with an alert', async () => {
  const s = await listen('milgi', {}, (socket) => socket.resume());
  const socket = await secured(connect('milgi', s));
  socket._transport.write(Buffer.from('17030300200000000000000000000000000000000000000000000000000000000000000000',
    'hex'));
  const error = await failure(socket);
  assert.equal(error.code, 'ERR_SSL_SSLV3_ALERT_BAD_RECORD_MAC');
  assert.equal(s.errors[0].milgi, 'MILGI_EBADRECORD');
  await close(s);
});

test('who is asked for is known of a handshake that fails; a socket without our server tells by itself', async () => {
  const s = await listen('milgi', { SNICallback: async () => { throw new Error('nobody'); } });
  const told = once(s, 'tlsClientError');
  await failure(connect('milgi', s, { servername: 'who.example' }));
  assert.equal((await told)[1].servername, 'who.example');
  await close(s);

  const tcp = net.createServer((transport) => {
    const socket = new milgi.TLSSocket(transport, { isServer: true, key: certs.server.key, cert: certs.server.cert });
    socket.on('error', (error) => tcp.emit('told', error));
  });
  tcp.listen(0, '127.0.0.1');
  await once(tcp, 'listening');
  const error = once(tcp, 'told');
  net.connect(tcp.address().port, '127.0.0.1').on('error', () => {}).end('not TLS at all').resume();
  assert.equal((await error)[0].milgi, 'MILGI_EPROTO');
  tcp.close();
});

test('a connection is given up: AbortSignal', async () => {
  const s = await listen('milgi', {});
  const controller = new AbortController();
  const socket = connect('milgi', s, { signal: controller.signal });
  controller.abort();
  assert.equal((await failure(socket)).code, 'ABORT_ERR');
  await close(s);
});

test('a certificate that Node cannot read is no exception', async () => {
  const { legacy } = require(`${process.env.MILGI_PACKAGE || '../../adapters/node'}/lib/socket`);
  const der = new crypto.X509Certificate(certs.server.cert).raw, rubbish = Buffer.from('3003020101', 'hex');
  assert.deepEqual(legacy([rubbish], true), { raw: rubbish });
  assert.deepEqual(legacy([der, rubbish], true).issuerCertificate, { raw: rubbish });
  assert.equal(legacy([der, rubbish]).subject.CN, 'server');
  const silent = net.createServer(() => {});
  silent.listen(0, '127.0.0.1');
  await once(silent, 'listening');
  const socket = connect('milgi', silent);
  await once(socket, 'connect');
  const told = failure(socket);
  socket._ended({ name: 'MILGI_EVERIFY', code: 62, error: -1, alert: 256, chain: [rubbish] });
  assert.equal((await told).code, 'ERR_TLS_CERT_ALTNAME_INVALID');
  assert.deepEqual((await told).cert, { raw: rubbish });
  socket._stream.drop(); // it has not ended in truth
  const other = connect('milgi', silent, { verify: () => assert.fail('there is nothing to judge') });
  await assert.rejects(other._judge({ chain: [rubbish] }), { code: 'ERR_MILGI_PEER_REFUSED' });
  other.destroy();
  silent.close();
});

test('verification is off only where that is said, and it shows', async () => {
  const s = await listen('milgi', { key: certs.alone.key, cert: certs.alone.cert });
  const socket = await secured(connect('milgi', s, { rejectUnauthorized: false, ca: undefined }));
  assert.equal(socket.authorized, false);
  assert.equal(socket.authorizationError, 'DEPTH_ZERO_SELF_SIGNED_CERT');
  assert.equal(socket.getPeerCertificate().subject.CN, 'alone');
  socket.destroy();
  const nobody = new milgi.TLSSocket(net.connect(s.address().port, '127.0.0.1'), { rejectUnauthorized: false });
  await secured(nobody);
  assert.equal(nobody.authorized, false);
  assert.equal(nobody.authorizationError, 'MILGI_NOT_VERIFIED');
  nobody.destroy();
  await close(s);
  const good = await listen('milgi', {});
  for (const [servername, code] of [['localhost', null], ['example.org', 'ERR_TLS_CERT_ALTNAME_INVALID']]) {
    const reported = await secured(connect('milgi', good, { rejectUnauthorized: false, servername }));
    assert.equal(reported.authorized, !code);
    assert.equal(reported.authorizationError, code);
    reported.destroy();
  }
  await close(good);
});

test('options that make no sense are refused where they are given', () => {
  const throws = (options, code) => assert.throws(() => milgi.createSecureContext(options), { code });
  throws({ key: certs.client.key, cert: certs.server.cert }, 'ERR_OSSL_X509_KEY_VALUES_MISMATCH');
  throws({ cert: certs.server.cert }, 'ERR_INVALID_ARG_VALUE');
  throws({ cert: 'nothing', key: certs.server.key }, 'MILGI_EPARSE');
  throws({ ca: 5 }, 'ERR_INVALID_ARG_TYPE');
  throws({ ciphers: 'AES256-SHA' }, 'ERR_SSL_NO_CIPHER_MATCH');
  throws({ maxVersion: 'TLSv1.1' }, 'ERR_TLS_INVALID_PROTOCOL_VERSION');
  throws({ minVersion: 'SSLv9' }, 'ERR_TLS_INVALID_PROTOCOL_VERSION');
  throws({ pfx: Buffer.alloc(1) }, 'ERR_FEATURE_UNAVAILABLE_ON_PLATFORM');
  assert.throws(() => milgi.createServer({ SNICallback: 5 }), { code: 'ERR_INVALID_ARG_TYPE' });
  assert.throws(() => milgi.createServer({ ticketKeys: Buffer.alloc(5) }), { code: 'ERR_INVALID_ARG_VALUE' });
  assert.throws(() => milgi.connect({ port: 1, host: 'a b' }), { code: 'MILGI_EINVAL' });
  assert.throws(() => milgi.configure({ device: 'cpu' }), { code: 'ERR_INVALID_STATE' });
});

after(async () => assert.equal(await settled(), 0));
