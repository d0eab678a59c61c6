// SPDX-License-Identifier: Apache-2.0
// An HTTPS server whose private key is held by somebody who answers later, and a client that asks it: node main.js
//
// main.js [PORT CERT KEY]    serves on PORT until it is stopped; without arguments it makes a certificate by the openssl
//                            command, asks itself, and ends.
'use strict';

const crypto = require('node:crypto');
const fs = require('node:fs');
const milgi = require(process.env.MILGI_PACKAGE || 'milgi');

// The key is wherever you like: a token, another process, a service. Here it waits for a moment and signs.
function remoteKey(key) {
  return async ({ scheme, hash, data }) => {
    await new Promise((resolve) => { setTimeout(resolve, 20); });
    const pss = scheme.startsWith('rsa_pss') && { padding: crypto.constants.RSA_PKCS1_PSS_PADDING,
      saltLength: crypto.constants.RSA_PSS_SALTLEN_DIGEST };
    return crypto.sign(hash, data, { key, ...pss });
  };
}

function serve(port, cert, key) {
  const server = milgi.https.createServer({ cert, sign: remoteKey(key), ALPNProtocols: ['http/1.1'] }, (req, res) => {
    const { socket } = req;
    res.setHeader('content-type', 'text/plain');
    res.write(`${socket.getProtocol()} ${socket.getCipher().standardName}\n`);
    req.pipe(res); // what was sent comes back, no faster than it is read
  });
  server.on('tlsClientError', (error) => console.error(`refused: ${error.code} ${error.message}`));
  return new Promise((resolve) => { server.listen(port, '127.0.0.1', () => resolve(server)); });
}

async function selfTest() {
  const { execFileSync } = require('node:child_process');
  const [keyFile, certFile] = ['key', 'cert'].map((name) => `/tmp/milgi-example-${process.pid}-${name}.pem`);
  execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2',
    '-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost', '-keyout', keyFile, '-out', certFile],
  { stdio: 'ignore' });
  const [key, cert] = [keyFile, certFile].map((file) => fs.readFileSync(file));
  [keyFile, certFile].forEach((file) => fs.unlinkSync(file));

  const server = await serve(0, cert, key);
  const body = crypto.randomBytes(2_000_000);
  const request = milgi.https.request({ port: server.address().port, host: 'localhost', family: 4, method: 'POST', ca: cert,
    agent: new milgi.Agent() });
  request.end(body);
  const response = await new Promise((resolve, reject) => { request.on('response', resolve).on('error', reject); });
  const chunks = [];
  for await (const chunk of response) { // a slow reader: the server waits for it
    chunks.push(chunk);
    await new Promise((resolve) => { setTimeout(resolve, 1); });
  }
  const got = Buffer.concat(chunks), line = got.indexOf('\n');
  console.log(String(got.subarray(0, line)));
  console.log(got.subarray(line + 1).equals(body) ? `${body.length} bytes came back` : 'something else came back');

  // Our direction ends, the server's goes on until it has answered.
  const socket = milgi.connect({ port: server.address().port, host: 'localhost', family: 4, ca: cert, allowHalfOpen: true });
  socket.end('GET /half-close HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n');
  let answer = '';
  for await (const chunk of socket)
    answer += chunk;
  console.log(answer.split('\r\n')[0]);
  server.close();
}

const [port, certFile, keyFile] = process.argv.slice(2);
if (port)
  serve(Number(port), fs.readFileSync(certFile), fs.readFileSync(keyFile)).then((server) =>
    console.log(`port ${server.address().port}`));
else
  selfTest();
