// SPDX-License-Identifier: Apache-2.0
// node:tls and Milgi in the same process, one after the other, several times: throughput, handshakes, and how long the loop is
// held up while clients storm in on an RSA-4096 key. scripts/bench node; --json FILE keeps the figures, --only storm leaves out the
// rest.
'use strict';

const { spawn, spawnSync } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');
const net = require('node:net');
const os = require('node:os');
const { monitorEventLoopDelay } = require('node:perf_hooks');
const tls = require('node:tls');
const path = require('node:path');
const { Worker } = require('node:worker_threads');
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
const BARE = { createServer: (options, each) => net.createServer({ allowHalfOpen: true }, (s) => s.on('end', () => s.end()) && each(s)) };
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

// Another process with |n| clients that connect again and again; ends when what is returned is called. It has a lower rank than
// the server, as far as they share a processor: clients are elsewhere, in life.
async function storming(server, n, rate = 0, bare = false) {
  const args = ['-n', 10 - (APART ? RANK : 0), ...(APART ? ['taskset', '-c', OTHERS] : []), process.execPath, __filename, '--storm',
    server.address().port, n, rate, bare];
  const child = spawn('nice', args, { stdio: ['pipe', 'pipe', 'inherit'] });
  await once(child.stdout, 'data');
  return async () => { child.stdin.end(); await once(child, 'exit'); };
}

// A message a millisecond from another thread, with the time at which it was sent. A timer of libuv's is no measure for less than
// a millisecond: it counts whole ones, so that one that is looked at shortly before it is due waits for one more.
const MESSENGER = `
  const { parentPort, workerData } = require('node:worker_threads');
  const forever = new Int32Array(new SharedArrayBuffer(4));
  while (!Atomics.load(workerData, 0)) {
    Atomics.wait(forever, 0, 0, 1);
    parentPort.postMessage(process.hrtime.bigint());
  }`;

async function messages() {
  const stop = new Int32Array(new SharedArrayBuffer(4)), before = threads(), late = [];
  const worker = new Worker(MESSENGER, { eval: true, workerData: stop });
  worker.on('message', (sent) => { late.push(Number(process.hrtime.bigint() - sent) / 1e6); });
  await once(worker, 'message');
  elsewhere(before, ['-f', '-p', '1']); // first on its processor: what it says it must have sent
  return { late, async end() { Atomics.store(stop, 0, 1); await once(worker, 'exit'); } };
}

// How late the loop is, in ms, while clients storm in; and how many were served.
async function delay(library, rate) {
  let n = 0;
  const server = await listen(library, { key: certs.rsa4096.key, cert: certs.rsa4096.cert }, (socket) => {
    n++;
    socket.on('error', () => {});
    socket.resume();
  });
  const storm = await storming(server, Number(option('clients', 32)), rate, library === BARE);
  const messenger = await messages();
  await new Promise((resolve) => { setTimeout(resolve, 500); });
  const histogram = monitorEventLoopDelay({ resolution: 1 });
  n = messenger.late.length = 0;
  histogram.enable();
  const begun = performance.now();
  await new Promise((resolve) => { setTimeout(resolve, SECONDS * 2000); });
  histogram.disable();
  const served = n / (performance.now() - begun) * 1000, late = messenger.late.sort((a, b) => a - b);
  const message = (share) => late[Math.floor((late.length - 1) * share)];
  const found = { m50: message(0.5), m90: message(0.9), m99: message(0.99), rate: served };
  await messenger.end();
  await storm();
  server.close();
  const of = (ns) => ns / 1e6 - 1; // beyond the timer's own millisecond
  return { p50: of(histogram.percentile(50)), p90: of(histogram.percentile(90)), p99: of(histogram.percentile(99)),
    max: of(histogram.max), ...found };
}

function storm(port, n, rate, bare) {
  // Whoever they meet they are the same: Node's own.
  const options = { port: Number(port), host: '127.0.0.1', rejectUnauthorized: false, maxVersion: 'TLSv1.3' };
  process.stdin.resume().on('end', () => process.exit(0));
  console.log('go');
  function once_(then) {
    const socket = (bare === 'true' ? net : tls).connect(options, () => socket.end());
    socket.on('error', () => {});
    socket.on('close', then);
    socket.resume();
  }
  if (Number(rate)) {
    let begun = 0;
    setInterval(() => {
      for (; begun < performance.now() * rate / 1000; begun++)
        once_(() => {});
    }, 1);
    return;
  }
  for (let i = 0; i < Number(n); i++)
    once_(function again() { once_(again); });
}

// --- who runs where: the main thread has a processor to itself, all others have the rest ---

const OTHERS = `1-${os.cpus().length - 1}`, RANK = -15;
const threads = () => new Set(fs.readdirSync('/proc/self/task'));

function may(...command) {
  return spawnSync(command[0], command.slice(1).map(String)).status === 0;
}

function elsewhere(before, rank) {
  for (const thread of APART ? threads() : []) {
    if (before.has(thread))
      continue;
    may('taskset', '-cp', OTHERS, thread);
    if (rank)
      may('chrt', ...rank, thread);
  }
}

// V8's own threads are among those that go. What else the machine does has a lower rank than the loop, where that is allowed.
function apart() {
  if (!APART)
    return;
  milgi.createServer({});
  elsewhere(new Set([String(process.pid)]));
  may('taskset', '-cp', '0', process.pid);
  may('renice', '-n', RANK, '-p', process.pid);
}

async function main() {
  apart();
  certs.rsa4096 = certs.make('rsa4096', { issuer: certs.ca, kind: 'rsa4096' });
  const result = { cpu: os.cpus()[0].model, cpus: os.cpus().length, load: os.loadavg()[0], node: process.version,
    openssl: process.versions.openssl, date: new Date().toISOString(), figures: {} };
  const figures = {}, keep = (name, found, prefix = '') => {
    for (const [key, value] of Object.entries(found))
      ((figures[name] ??= {})[prefix + key] ??= []).push(value);
  };
  for (let round = 0; round < ROUNDS; round++) {
    for (const [name, library] of Object.entries(LIBRARIES)) {
      if (option('only') !== 'storm')
        keep(name, { mb16k: await throughput(library, 65536), mb1k: await throughput(library, 1024),
          handshakes: await handshakes(library) });
      keep(name, await delay(library));
      keep(name, await delay(library, EVEN), 'even_');
    }
    keep('bare', await delay(BARE, figures.milgi.rate.at(-1)));
    keep('bare', await delay(BARE, EVEN), 'even_');
  }
  for (const [name, f] of Object.entries(figures))
    result.figures[name] = Object.fromEntries(Object.entries(f).map(([key, list]) => [key, median(list)]));
  const [a, b, bare] = Object.values(result.figures);
  console.log(`${result.cpu}, ${result.cpus} CPUs, load ${result.load.toFixed(1)}; node ${result.node}, OpenSSL ${
    result.openssl}; medians of ${ROUNDS}`);
  const row = (text, key, digits, better) => a[key] !== undefined && console.log([text.padEnd(46), a[key].toFixed(digits).padStart(10),
    b[key].toFixed(digits).padStart(10), (b[key] / a[key]).toFixed(3).padStart(8), (bare[key]?.toFixed(digits) ?? '').padStart(8), better]
    .join(' ').trimEnd());
  console.log(''.padEnd(46), 'node:tls'.padStart(10), 'milgi'.padStart(10), 'ratio'.padStart(8), 'no TLS'.padStart(8));
  row('one connection, 64 KiB writes, MB/s', 'mb16k', 0, 'more is better');
  row('one connection, 1 KiB writes, MB/s', 'mb1k', 0, 'more is better');
  row('full handshakes/s, P-256', 'handshakes', 0, 'more is better');
  for (const [text, prefix] of [['RSA-4096 storm', ''], [`RSA-4096, ${EVEN} a second`, 'even_']]) {
    row(`${text}: handshakes/s`, `${prefix}rate`, 0, prefix ? '' : 'more is better');
    for (const [what, keys] of [['a message waits', 'm'], ['delay of a timer', 'p']])
      for (const percent of [50, 90, 99])
        row(`${text}: ${what}, p${percent} ms`, `${prefix}${keys}${percent}`, 3, 'less is better');
    row(`${text}: delay, most, ms`, `${prefix}max`, 1, 'less is better');
  }
  const round = (f, i) => ({ p50_ms: f.m50[i], p90_ms: f.m90[i], p99_ms: f.m99[i], handshakes_per_s: f.rate[i] });
  const shown = { host: 'Node.js', what: 'how long a message waits for the event loop', machine: `${result.cpu}, ${result.cpus} CPUs`,
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
