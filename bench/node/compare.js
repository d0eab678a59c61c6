// SPDX-License-Identifier: Apache-2.0
// node:tls and Milgi in the same process, one after the other, several times: throughput, handshakes, and how long the loop is
// held up while clients storm in on an RSA-4096 key. scripts/bench node; --json FILE keeps the figures.
'use strict';

const { execFileSync, spawn, spawnSync } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');
const os = require('node:os');
const { monitorEventLoopDelay } = require('node:perf_hooks');
const tls = require('node:tls');
const path = require('node:path');
const milgi = require(path.join(__dirname, '../../adapters/node'));
const certs = require(path.join(__dirname, '../../tests/node/certs'));

const option = (name, otherwise) => {
  const at = process.argv.indexOf(`--${name}`);
  return at < 0 ? otherwise : process.argv[at + 1];
};
// Loop, workers and clients on processors of their own: else it is the system's slices that are measured.
const APART = os.cpus().length > 1 && spawnSync('taskset', ['--version']).status === 0;
const ROUNDS = Number(option('rounds', 5)), SECONDS = Number(option('seconds', 2));
const EVEN = 80; // a second: what the slower of the two can serve
const LIBRARIES = { 'node:tls': tls, milgi };
const median = (list) => [...list].sort((a, b) => a - b)[list.length >> 1];

async function listen(library, options, each) {
  const server = library.createServer(options, each);
  server.on('tlsClientError', () => {});
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server;
}

const EC = { key: certs.server.key, cert: certs.server.cert };
const client = (library, server, options) => library.connect({ port: server.address().port, host: '127.0.0.1',
  servername: 'localhost', ca: certs.ca.cert, ...options });

// One connection of |library| with itself, |piece| bytes at a time one way: MB/s.
async function throughput(library, piece) {
  let got = 0;
  const server = await listen(library, EC, (socket) => {
    socket.on('data', (chunk) => { got += chunk.length; });
    socket.on('error', () => {});
  });
  const socket = client(library, server);
  await once(socket, 'secureConnect');
  socket.on('error', () => {});
  const bytes = Buffer.alloc(piece, 1), until = performance.now() + SECONDS * 1000, begun = performance.now();
  await new Promise((resolve) => {
    (function more() {
      do {
        if (performance.now() > until)
          return resolve();
      } while (socket.write(bytes));
      socket.once('drain', more);
    })();
  });
  const rate = got / (performance.now() - begun) / 1000;
  socket.destroy();
  server.close();
  return rate;
}

// Handshakes a second at a server of |library| in this process; the clients, eight at a time, are in another.
async function handshakes(library) {
  let n = 0;
  const server = await listen(library, EC, (socket) => { n++; socket.on('error', () => {}); socket.resume(); });
  const storm = await storming(server, 8);
  n = 0;
  const begun = performance.now();
  await new Promise((resolve) => { setTimeout(resolve, SECONDS * 1000); });
  const rate = n / (performance.now() - begun) * 1000;
  await storm();
  server.close();
  return rate;
}

// Another process with |n| clients that connect again and again; ends when what is returned is called.
async function storming(server, n, rate = 0) {
  const args = [process.execPath, __filename, '--storm', server.address().port, n, rate];
  const child = spawn(APART ? 'taskset' : 'env', [...(APART ? ['-c', '1'] : []), ...args],
    { stdio: ['pipe', 'pipe', 'inherit'] });
  await once(child.stdout, 'data');
  return async () => { child.stdin.end(); await once(child, 'exit'); };
}

// How late the loop is, in ms, while clients storm in; and how many were served.
async function delay(library, rate) {
  let n = 0;
  const server = await listen(library, { key: certs.rsa4096.key, cert: certs.rsa4096.cert }, (socket) => {
    n++;
    socket.on('error', () => {});
    socket.resume();
  });
  const storm = await storming(server, Number(option('clients', 32)), rate);
  const histogram = monitorEventLoopDelay({ resolution: 1 });
  n = 0;
  histogram.enable();
  const begun = performance.now();
  await new Promise((resolve) => { setTimeout(resolve, SECONDS * 2000); });
  histogram.disable();
  const served = n / (performance.now() - begun) * 1000;
  await storm();
  server.close();
  const of = (ns) => ns / 1e6 - 1; // beyond the timer's own millisecond
  return { p50: of(histogram.percentile(50)), p90: of(histogram.percentile(90)), p99: of(histogram.percentile(99)), max: of(histogram.max), rate: served };
}

function storm(port, n, rate) {
  // Whoever they meet they are the same: Node's own.
  const options = { port: Number(port), host: '127.0.0.1', rejectUnauthorized: false, maxVersion: 'TLSv1.3' };
  process.stdin.resume().on('end', () => process.exit(0));
  console.log('go');
  function once_(then) {
    const socket = tls.connect(options, () => socket.end());
    socket.on('error', () => {});
    socket.on('close', then);
    socket.resume();
  }
  if (Number(rate)) {
    setInterval(once_, 1000 / Number(rate), () => {});
    return;
  }
  for (let i = 0; i < Number(n); i++)
    once_(function again() { once_(again); });
}

// The main thread to itself, the device's threads to the other processors.
function apart() {
  if (!APART)
    return;
  const before = new Set(fs.readdirSync('/proc/self/task'));
  milgi.createServer({});
  for (const thread of fs.readdirSync('/proc/self/task'))
    if (!before.has(thread))
      execFileSync('taskset', ['-cp', `1-${os.cpus().length - 1}`, thread]);
  execFileSync('taskset', ['-cp', '0', String(process.pid)]);
}

async function main() {
  apart();
  certs.rsa4096 = certs.make('rsa4096', { issuer: certs.ca, kind: 'rsa4096' });
  const result = { cpu: os.cpus()[0].model, cpus: os.cpus().length, load: os.loadavg()[0], node: process.version,
    openssl: process.versions.openssl, date: new Date().toISOString(), figures: {} };
  const figures = {};
  for (let round = 0; round < ROUNDS; round++)
    for (const [name, library] of Object.entries(LIBRARIES)) {
      const f = figures[name] ??= { mb16k: [], mb1k: [], handshakes: [], p50: [], p90: [], p99: [], max: [], rate: [], even50: [], even99: [], even: [] };
      f.mb16k.push(await throughput(library, 65536));
      f.mb1k.push(await throughput(library, 1024));
      f.handshakes.push(await handshakes(library));
      const d = await delay(library);
      for (const key of ['p50', 'p90', 'p99', 'max', 'rate'])
        f[key].push(d[key]);
      const even = await delay(library, EVEN);
      f.even50.push(even.p50);
      f.even99.push(even.p99);
      f.even.push(even.rate);
    }
  for (const [name, f] of Object.entries(figures))
    result.figures[name] = Object.fromEntries(Object.entries(f).map(([key, list]) => [key, median(list)]));
  const [a, b] = Object.values(result.figures);
  console.log(`${result.cpu}, ${result.cpus} CPUs, load ${result.load.toFixed(1)}; node ${result.node}, OpenSSL ${
    result.openssl}; medians of ${ROUNDS}`);
  const row = (text, key, digits, better) => console.log(text.padEnd(46), a[key].toFixed(digits).padStart(10),
    b[key].toFixed(digits).padStart(10), (b[key] / a[key]).toFixed(2).padStart(7), better);
  console.log(''.padEnd(46), 'node:tls'.padStart(10), 'milgi'.padStart(10), 'ratio'.padStart(7));
  row('one connection, 64 KiB writes, MB/s', 'mb16k', 0, 'more is better');
  row('one connection, 1 KiB writes, MB/s', 'mb1k', 0, 'more is better');
  row('full handshakes/s, P-256', 'handshakes', 0, 'more is better');
  row('RSA-4096 storm: handshakes/s', 'rate', 0, 'more is better');
  row('RSA-4096 storm: delay of the loop, p50 ms', 'p50', 2, 'less is better');
  row('RSA-4096 storm: delay of the loop, p99 ms', 'p99', 2, 'less is better');
  row('RSA-4096 storm: delay of the loop, most, ms', 'max', 2, 'less is better');
  row(`RSA-4096, ${EVEN} a second: handshakes/s`, 'even', 0, '');
  row(`RSA-4096, ${EVEN} a second: delay, p50 ms`, 'even50', 2, 'less is better');
  row(`RSA-4096, ${EVEN} a second: delay, p99 ms`, 'even99', 2, 'less is better');
  const round = (f, i) => ({ p50_ms: f.p50[i], p90_ms: f.p90[i], p99_ms: f.p99[i], handshakes_per_s: f.rate[i] });
  const shown = { host: 'Node.js', what: 'delay of the event loop', machine: `${result.cpu}, ${result.cpus} CPUs`,
    versions: `Node.js ${result.node}, OpenSSL ${result.openssl}`, // as bench/delay/page has it
    rounds: figures.milgi.p50.map((_, i) => ({ ours: round(figures.milgi, i), host: round(figures['node:tls'], i) })) };
  if (option('json'))
    fs.writeFileSync(option('json'), JSON.stringify({ ...result, ...shown, all: figures }, null, 1));
  process.exit(0);
}

if (process.argv[2] === '--storm')
  storm(...process.argv.slice(3));
else
  main();
