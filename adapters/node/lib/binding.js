// SPDX-License-Identifier: Apache-2.0
// The native half, and the one function that it calls. The numbers are those of addon.h.
'use strict';

const path = require('node:path');

const native = require(process.env.MILGI_ADDON || path.join(__dirname, '..', 'milgi.node'));

// A signature of a key that is elsewhere: begun in a later tick, never from inside the engine.
const signers = new Map(); // name -> function
const EVENT_SIGN = 11;

const HASHES = { sha256: 'sha256', sha384: 'sha384', sha512: 'sha512' };

function sign([number, scheme, name], data) {
  const signer = signers.get(name);
  const hash = HASHES[scheme.slice(scheme.lastIndexOf('_') + 1)] || null;
  process.nextTick(async () => {
    let signature;
    try {
      signature = signer && await signer({ scheme, hash, data });
    } catch (error) {
      process.emitWarning(`a signature was refused: ${error && error.message}`, 'MilgiWarning');
    }
    native.signed(number, signature);
  });
}

function emit(kind, stream, a, b) {
  if (kind === EVENT_SIGN)
    return sign(a, b);
  return stream.owner.told(kind, a, b);
}

let started = false;
const options = { device: undefined, linger: 0 };

// Before the first connection: which device the handshakes' slow work goes to, beside the loop's own thread.
function configure({ device, linger } = {}) {
  if (started)
    throw Object.assign(new Error('connections have been made already'), { code: 'ERR_INVALID_STATE' });
  if (device !== undefined)
    options.device = String(device);
  if (linger !== undefined)
    options.linger = Number(linger);
}

function start() {
  if (started)
    return native;
  const { availableParallelism, cpus } = require('node:os');
  const threads = Math.max(1, Math.min(4, (availableParallelism?.() ?? cpus().length) - 1)); // one is the loop's
  native.start(emit, options.device ?? process.env.MILGI_NODE_DEVICE ?? `pool:${threads}`, options.linger);
  started = true;
  return native;
}

module.exports = { native, start, configure, signers };
