// SPDX-License-Identifier: Apache-2.0

// A TLS client or server on the tls of Node, or Bun, for the interoperability tests. Of a client stdin goes to the peer, the peer to
// stdout, and the end of stdin is passed on as close_notify; a server plays one part for one connection, or two. The last
// line of stderr is a JSON report.
'use strict';
const crypto = require('crypto');
const fs = require('fs');
const tls = require('tls');

const option = {};
for (let i = 2; i + 1 < process.argv.length; i += 2) option[process.argv[i].slice(2)] = process.argv[i + 1];

const report = {};
function finish(error) {
  if (error) report.error = `${error.code || ''} ${error.message || error}`;
  process.stdout.write('', () => {       // what is still buffered goes out before
    fs.writeSync(2, `\nPEER ${JSON.stringify(report)}\n`);
    process.exit(error ? 1 : 0);
  });
}

function describe(socket) {
  const shown = socket.getPeerCertificate();
  Object.assign(report, {
    protocol: socket.getProtocol(), suite: socket.getCipher().standardName,
    group: (socket.getEphemeralKeyInfo() || {}).name, alpn: socket.alpnProtocol || '',
    client: shown && shown.subject ? shown.subject.CN : '',
  });
}

const settings = { ca: fs.readFileSync(option.ca), minVersion: 'TLSv1.3', allowHalfOpen: true };
if (option.version === '1.2') Object.assign(settings, { minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2' });
if (option.cert) Object.assign(settings, { cert: fs.readFileSync(option.cert), key: fs.readFileSync(option.key) });
if (option.alpn) settings.ALPNProtocols = option.alpn.split(',');
// OpenSSL's security level as everywhere else here: keys that are too weak are for Milgi to find.
if (option.suites) {
  const suites = option.suites.split(',');
  if (option.version !== '1.2') suites.push('DEFAULT@SECLEVEL=0');
  settings.ciphers = suites.join(':');
}
if (option.groups) settings.ecdhCurve = option.groups;

function connect(then) {
  const socket = tls.connect(settings, then);
  socket.on('OCSPResponse', (response) => { if (response) report.staple = 'yes'; });
  socket.on('error', finish);
  return socket;
}

function talk() {
  const socket = connect(() => {
    describe(socket);
    process.stdin.pipe(socket);
  });
  socket.pipe(process.stdout, { end: false });

  let open = 2;
  const half = () => { if (--open === 0) finish(); };
  socket.on('end', half);
  socket.on('finish', half);
}

// A session, from a connection that asks for a page.
function begin() {
  const first = connect(() => {
    first.write('GET / HTTP/1.1\r\nHost: milgi.test\r\nConnection: close\r\n\r\n');
  });
  first.on('session', (session) => { settings.session = session; });
  first.resume();
  first.on('end', () => { first.end(); talk(); });
}

function client() {
  const [host, port] = option.connect.split(':');
  Object.assign(settings, { host, port: Number(port), servername: option.name, requestOCSP: option.staple === '1' });
  if (option.again === '1') begin(); else talk();
}

const parts = {
  echo(socket) { socket.pipe(socket); },
  collect(socket, hash) {
    socket.on('end', () => { socket.end(`collected ${report.bytes} ${hash.copy().digest('hex')}\n`); });
  },
  greet(socket) { socket.end('greetings\n'); },
};

function play(socket, last) {
  const hash = crypto.createHash('sha256');
  report.bytes = 0;
  describe(socket);
  socket.on('data', (data) => { hash.update(data); report.bytes += data.length; });
  parts[option.part || 'echo'](socket, hash);

  let open = 2;
  const half = () => {
    if (--open === 0 && last) {
      report.sha256 = hash.digest('hex');
      finish();
    }
  };
  socket.on('end', half);
  socket.on('finish', half);
}

function server() {
  settings.honorCipherOrder = false;     // the client's preference, of groups too
  let left = Number(option.connections || 1);
  if (!option.suites && !process.versions.bun) settings.ciphers = 'DEFAULT@SECLEVEL=0';
  if (option['client-auth']) {
    Object.assign(settings, { requestCert: true, rejectUnauthorized: option['client-auth'] === 'required' });
  }
  const listener = tls.createServer(settings, (socket) => {
    socket.on('error', finish);
    play(socket, --left === 0);
  });
  if (option.staple) listener.on('OCSPRequest', (cert, issuer, answer) => answer(null, fs.readFileSync(option.staple)));
  listener.on('tlsClientError', finish);
  listener.listen(0, '127.0.0.1', () => { console.log(`listening on 127.0.0.1:${listener.address().port}`); });
}

if (option.listen) server(); else client();
