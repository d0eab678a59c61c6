// SPDX-License-Identifier: Apache-2.0

// A TLS 1.3 client on Node's tls for the interoperability tests: stdin goes to the peer, the peer to stdout, and the end
// of stdin is passed on as close_notify. The last line of stderr is a JSON report.
'use strict';
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

const [host, port] = option.connect.split(':');
const settings = {
  host, port: Number(port), servername: option.name, ca: fs.readFileSync(option.ca),
  minVersion: 'TLSv1.3', allowHalfOpen: true,
};
if (option.version === '1.2') Object.assign(settings, { minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2' });
if (option.cert) Object.assign(settings, { cert: fs.readFileSync(option.cert), key: fs.readFileSync(option.key) });
if (option.alpn) settings.ALPNProtocols = option.alpn.split(',');
if (option.suites) settings.ciphers = option.suites.split(',').join(':');
if (option.groups) settings.ecdhCurve = option.groups;

function talk() {
  const socket = tls.connect(settings, () => {
    Object.assign(report, {
      protocol: socket.getProtocol(), suite: socket.getCipher().standardName,
      group: socket.getEphemeralKeyInfo().name, alpn: socket.alpnProtocol || '',
    });
    process.stdin.pipe(socket);
  });
  socket.on('error', finish);
  socket.pipe(process.stdout, { end: false });

  let open = 2;
  const half = () => { if (--open === 0) finish(); };
  socket.on('end', half);
  socket.on('finish', half);
}

// A session, from a connection that asks for a page.
function begin() {
  const first = tls.connect(settings, () => {
    first.write('GET / HTTP/1.1\r\nHost: milgi.test\r\nConnection: close\r\n\r\n');
  });
  first.on('session', (session) => { settings.session = session; });
  first.on('error', finish);
  first.resume();
  first.on('end', () => { first.end(); talk(); });
}

if (option.again === '1') begin(); else talk();
