// SPDX-License-Identifier: Apache-2.0
// The addon has its own crypto: nothing of it is Node's, and nothing of it is seen from outside.
'use strict';

const assert = require('node:assert/strict');
const { execFileSync, spawnSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { Duplex } = require('node:stream');
const { test } = require('node:test');
const v8 = require('node:v8');
const vm = require('node:vm');
const { Worker } = require('node:worker_threads');

const addon = process.env.MILGI_ADDON || path.join(__dirname, '../../adapters/node/milgi.node');
const has = (command) => spawnSync(command, ['--version']).status === 0;

function symbols(which) {
  return execFileSync('nm', ['-D', which, addon], { encoding: 'utf8', maxBuffer: 64 << 20 }).trim().split('\n')
    .map((line) => line.trim().split(/\s+/)).filter(([kind]) => kind !== 'w').map((words) => words.at(-1));
}

test('nothing goes out but what Node calls', { skip: !has('nm') && 'no nm' }, () => {
  const out = symbols('--defined-only').filter((name) => !/^(napi_register_module_v1|node_api_module_get_api_version_v1)$/
    .test(name));
  assert.deepEqual(out, []);
});

test('nothing comes in but Node-API, libuv and the C library', { skip: !has('nm') && 'no nm' }, () => {
  const strange = symbols('--undefined-only').filter((name) => !/@GLIBC_|^napi_|^node_api_|^uv_|^p11_kit_/.test(name));
  assert.deepEqual(strange, []);
});

test('its EVP and RSA are its own where Node has others', { skip: !has('nm') && 'no nm' }, () => {
  const node = execFileSync('nm', ['-D', '--defined-only', process.execPath], { encoding: 'utf8', maxBuffer: 64 << 20 });
  const inside = fs.readFileSync(addon).includes('AWS-LC') || fs.readFileSync(addon).includes('AWSLC');
  assert.ok(inside || !/ EVP_sha256/.test(node) || symbols('--undefined-only').every((name) => !/^(EVP|RSA)_/.test(name)));
  assert.ok(symbols('--undefined-only').every((name) => !/^(EVP|RSA|EC|BN|X509|CRYPTO|OPENSSL)_/.test(name)));
});

test('each Worker has an engine of its own, and goes without a trace', async () => {
  const code = `
    const { parentPort, workerData } = require('node:worker_threads');
    const { milgi, listen, connect, secured, all } = require(workerData);
    (async () => {
      const s = await listen('milgi', {}, (socket) => socket.pipe(socket));
      const socket = await secured(connect('milgi', s));
      socket.write('hello');
      socket.once('data', (chunk) => { parentPort.postMessage(String(chunk)); });
    })();`; // nothing is closed: the environment goes with all that is open
  const before = fs.readdirSync('/proc/self/fd').length;
  await Promise.all([0, 1, 2].map(async () => {
    const worker = new Worker(code, { eval: true, workerData: path.join(__dirname, 'rig.js') });
    await new Promise((resolve, reject) => {
      worker.once('message', (text) => { assert.equal(text, 'hello'); resolve(); });
      worker.once('error', reject);
    });
    await worker.terminate();
  }));
  await new Promise((resolve) => { setTimeout(resolve, 100); });
  assert.ok(fs.readdirSync('/proc/self/fd').length <= before + 2);
});

function run(code) {
  return spawnSync(process.execPath, ['-e', `const { milgi, listen, connect, secured, certs } = require(${
    JSON.stringify(path.join(__dirname, 'rig.js'))}); const { once } = require('node:events');
    (async () => { ${code} })();`], { timeout: 60000, encoding: 'utf8' });
}

test('what a listener throws is an uncaught exception, and the connection lives', () => {
  const { status, stdout, stderr } = run(`const s = await listen('milgi', {}, (socket) => socket.pipe(socket));
    const socket = await secured(connect('milgi', s));
    process.on('uncaughtException', (error) => { console.log(error.message); socket.write('two'); });
    socket.once('data', () => {
      socket.once('data', (chunk) => { console.log(String(chunk)); process.exit(0); });
      throw new Error('thrown');
    });
    socket.write('one');`);
  assert.equal(stdout, 'thrown\ntwo\n', stderr);
  assert.equal(status, 0);
});

test('a question that cannot be asked is answered: no', () => {
  // An exception where it is passed on, as for want of memory or stack: whoever waits for the handshake is not left waiting.
  const told = (more) => `process.on('uncaughtException', (error) => console.log(error.message));
    s.on('refused', (error) => { console.log(error.milgi); process.exit(0); });
    setTimeout(() => { console.log('nobody has answered'); process.exit(1); }, 7000); // sooner than an op is over
    ${more}
    connect('milgi', s).on('error', () => {});`;
  const sign = run(`const s = await listen('milgi', { cert: certs.server.cert, key: undefined, sign: () => Buffer.alloc(70) });
    const { lastIndexOf } = String.prototype;
    ${told(`String.prototype.lastIndexOf = function thrown() {
      String.prototype.lastIndexOf = lastIndexOf;
      throw new Error('thrown');
    };`)}`);
  assert.equal(sign.stdout, 'thrown\nMILGI_EDEVICE\n', sign.stderr);
  const decision = run(`const s = await listen('milgi', { SNICallback: async () => undefined });
    ${told('milgi.TLSSocket.prototype._asked = () => { throw new Error(\'thrown\'); };')}`);
  assert.equal(decision.stdout, 'thrown\nMILGI_EREFUSED\n', decision.stderr);
});

test('a process ends by itself when its connections have ended, and by exit() while they have not', () => {
  const both = `const s = await listen('milgi', {}, (socket) => socket.resume());
    const socket = await secured(connect('milgi', s));`;
  const ended = run(`${both} socket.end(); s.close(); process.on('exit', () => console.log('over'));`);
  assert.equal(ended.stdout, 'over\n', ended.stderr);
  assert.equal(ended.status, 0);
  const givenUp = run(`const s = await listen('milgi');
    const socket = connect('milgi', s).on('error', () => {});
    socket.once('connect', () => { socket.destroy(); s.close(); });`); // in the handshake
  assert.equal(givenUp.status, 0, givenUp.stderr);
  const exits = run(`${both} socket.write('x'); process.exit(3);`);
  assert.equal(exits.status, 3, exits.stderr);
  const idle = run(`${both} socket.unref(); s.sockets[0]?.unref(); s.unref(); s.on('secureConnection', (x) => x.unref());`);
  assert.equal(idle.status, 0, idle.stderr);
});

test('a handshake keeps the process, and who has nobody else to keep it', () => {
  const { status, stdout, stderr } = run(`const { Duplex } = require('node:stream');
    const both = [0, 1].map((i) => new Duplex({
      read() {}, write(chunk, encoding, done) { both[1 - i].push(chunk); done(); } }));
    const SNICallback = (name, answer) => { setTimeout(answer, 50).unref(); };
    new milgi.TLSSocket(both[0], { isServer: true, ...certs.server, SNICallback }).on('error', () => {});
    milgi.connect({ socket: both[1], ca: certs.ca.cert, servername: 'localhost' }, () => console.log('secure'));`);
  assert.equal(stdout, 'secure\n', stderr);
  assert.equal(status, 0);
});

test('what is made in one way has one shape, by which V8 finds its properties', () => {
  const { milgi, certs } = require('./rig');
  v8.setFlagsFromString('--allow-natives-syntax');
  const alike = vm.runInThisContext('(a, b) => %HaveSameMap(a, b)');
  const pipe = () => new Duplex({ read() {}, write: (chunk, encoding, callback) => callback() });
  class Sub extends milgi.TLSSocket {}
  for (const make of [
    () => new milgi.TLSSocket(pipe(), { isServer: true, ...certs.server }),
    () => milgi.TLSSocket(pipe(), { isServer: true, ...certs.server }),
    () => new Sub(pipe(), { isServer: true, ...certs.server }),
  ]) {
    const sockets = Array.from({ length: 20 }, make); // V8 makes up its mind with the first few
    assert.ok(alike(sockets[18], sockets[19]));
    assert.ok(sockets[0] instanceof milgi.TLSSocket);
    sockets.forEach((socket) => socket.on('error', () => {}).destroy());
  }
  assert.ok(new Sub(pipe(), { isServer: true, ...certs.server }).destroy() instanceof Sub);
});
