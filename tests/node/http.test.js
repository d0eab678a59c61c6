// SPDX-License-Identifier: Apache-2.0
// HTTP/1.1 and HTTP/2, ours and Node's on either side.
'use strict';

const assert = require('node:assert/strict');
const { once } = require('node:events');
const http = require('node:http');
const http2 = require('node:http2');
const https = require('node:https');
const { test, after } = require('node:test');
const { milgi, certs, all, settled, bytes } = require('./rig');

const CREDENTIALS = { key: certs.server.key, cert: certs.server.cert };

async function serve(server) {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server.address().port;
}

function stop(server) {
  server.closeAllConnections?.();
  return new Promise((resolve) => { server.close(resolve); });
}

async function echo(req, res) {
  const body = await all(req);
  res.setHeader('x-url', req.url);
  res.setHeader('x-encrypted', String(Boolean(req.socket.encrypted)));
  res.end(body);
}

async function post(library, port, agent, body, path = '/') {
  const req = library.request({ port, host: 'localhost', family: 4, method: 'POST', path, agent, ca: certs.ca.cert });
  req.end(body);
  const [res] = await once(req, 'response');
  return { res, body: await all(res), req };
}

for (const [name, createServer] of [['milgi', milgi.https.createServer], ['node', https.createServer]])
  for (const client of ['milgi', 'node']) {
    if (name === client && name === 'node')
      continue;
    test(`https: ${client}'s agent at ${name}'s server, one connection for several requests`, async () => {
      const server = createServer(CREDENTIALS, echo);
      let connections = 0;
      server.on('secureConnection', () => connections++);
      const port = await serve(server);
      const agent = new (client === 'milgi' ? milgi.Agent : https.Agent)({ keepAlive: true, maxSockets: 1 });
      for (let i = 0; i < 3; i++) {
        const { res, body, req } = await post(https, port, agent, `request ${i}`, `/${i}`);
        assert.equal(String(body), `request ${i}`);
        assert.equal(res.headers['x-url'], `/${i}`);
        assert.equal(res.headers['x-encrypted'], 'true');
        assert.equal(req.reusedSocket, i > 0);
      }
      assert.equal(connections, 1);
      const big = Buffer.concat([...bytes(500_000)]);
      assert.ok((await post(https, port, agent, big)).body.equals(big));
      agent.destroy();
      await stop(server);
    });
  }

test('https.get() of the package, without an agent, and its global one', async () => {
  const server = milgi.https.createServer(CREDENTIALS, (req, res) => res.end('here'));
  const port = await serve(server);
  for (const agent of [false, undefined]) {
    const req = milgi.https.get(`https://localhost:${port}/`, { agent, ca: certs.ca.cert, family: 4 });
    const [res] = await once(req, 'response');
    assert.ok(res.socket instanceof milgi.TLSSocket);
    assert.equal(String(await all(res)), 'here');
  }
  milgi.https.globalAgent.destroy();
  await stop(server);
});

test('the agent resumes sessions', async () => {
  const server = milgi.https.createServer(CREDENTIALS, (req, res) => res.end(String(req.socket.isSessionReused())));
  const port = await serve(server);
  const agent = new milgi.Agent({ keepAlive: false });
  assert.equal(String((await post(https, port, agent, '')).body), 'false');
  assert.equal(String((await post(https, port, agent, '')).body), 'true');
  agent.destroy();
  await stop(server);
});

test('http.createServer() behind a server of ours, by its events', async () => {
  const inner = http.createServer(echo);
  const server = milgi.createServer(CREDENTIALS, (socket) => inner.emit('connection', socket));
  const port = await serve(server);
  const agent = new https.Agent();
  assert.equal(String((await post(https, port, agent, 'through')).body), 'through');
  agent.destroy();
  await stop(server);
});

test('a request that fails: the agent hands on why', async () => {
  const server = milgi.https.createServer({ key: certs.alone.key, cert: certs.alone.cert }, echo);
  const port = await serve(server);
  const req = https.get({ port, host: 'localhost', family: 4, agent: new milgi.Agent(), ca: certs.ca.cert });
  const [error] = await once(req, 'error');
  assert.equal(error.code, 'DEPTH_ZERO_SELF_SIGNED_CERT');
  await stop(server);
});

test('upgrades: the socket is the application\'s', async () => {
  const server = milgi.https.createServer(CREDENTIALS);
  server.on('upgrade', (req, socket, head) => {
    socket.write('HTTP/1.1 101 Switching Protocols\r\nupgrade: echo\r\nconnection: upgrade\r\n\r\n');
    socket.write(head);
    socket.pipe(socket);
  });
  const port = await serve(server);
  const req = https.request({ port, host: 'localhost', family: 4, agent: new milgi.Agent(), ca: certs.ca.cert,
    headers: { connection: 'upgrade', upgrade: 'echo' } });
  req.end();
  const [, socket] = await once(req, 'upgrade');
  socket.end('raw bytes');
  assert.equal(String(await all(socket)), 'raw bytes');
  await stop(server);
});

async function fetch2(session, path, body) {
  const stream = session.request({ ':path': path, ':method': 'POST' });
  stream.end(body);
  const [headers] = await once(stream, 'response');
  return { headers, body: await all(stream) };
}

for (const [name, createSecureServer] of [['milgi', milgi.http2.createSecureServer],
  ['node', http2.createSecureServer]])
  for (const [client, connect] of [['milgi', milgi.http2.connect], ['node', http2.connect]]) {
    if (name === client && name === 'node')
      continue;
    test(`http2: ${client} at ${name}`, async () => {
      const server = createSecureServer({ ...CREDENTIALS, allowHTTP1: true });
      server.on('stream', async (stream, headers) => {
        const body = await all(stream);
        stream.respond({ ':status': 200, 'x-path': headers[':path'] });
        stream.end(body);
      });
      server.on('request', (req, res) => { if (req.httpVersion === '1.1') res.end('one'); });
      const port = await serve(server);
      const session = connect(`https://localhost:${port}`, { ca: certs.ca.cert, family: 4 });
      const big = Buffer.concat([...bytes(300_000)]);
      const answers = await Promise.all([fetch2(session, '/a', 'first'), fetch2(session, '/b', big)]);
      assert.equal(session.alpnProtocol, 'h2');
      assert.equal(session.encrypted, true);
      assert.equal(String(answers[0].body), 'first');
      assert.equal(answers[0].headers['x-path'], '/a');
      assert.ok(answers[1].body.equals(big));
      session.close();
      await once(session, 'close');
      const agent = new https.Agent();
      assert.equal(String((await post(https, port, agent, '')).body), 'one');
      agent.destroy();
      await stop(server);
    });
  }

test('an agent tells apart for whom, and with what, a connection is', async () => {
  const agent = new milgi.Agent({ keepAlive: true }), a = () => true, b = () => true;
  const names = [{}, { verify: a }, { verify: b }, { clientCertificate: a }, { sign: a },
    { secureContext: milgi.createSecureContext() }].map((options) => agent.getName({ host: 'x', port: 1, ...options }));
  assert.equal(new Set(names).size, names.length);
  assert.equal(agent.getName({ host: 'x', port: 1, verify: a }), names[1]);
  assert.equal(names[0], https.globalAgent.getName({ host: 'x', port: 1 }));
});

after(async () => assert.equal(await settled(), 0));
