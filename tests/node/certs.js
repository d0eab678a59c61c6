// SPDX-License-Identifier: Apache-2.0
// Certificates for the tests, made by the openssl command into a directory of their own.
'use strict';

const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'milgi-node-'));
process.on('exit', () => fs.rmSync(dir, { recursive: true, force: true }));

function openssl(...args) {
  execFileSync('openssl', args, { cwd: dir, stdio: ['ignore', 'ignore', 'pipe'] });
}

const KEYS = { ec: ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256'],
  rsa: ['-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:2048'],
  rsa4096: ['-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:4096'] };

function read(name) {
  return fs.readFileSync(path.join(dir, name));
}

// A certificate for |names| ("DNS:a,IP:b"), signed by |issuer|, or by itself.
function make(name, { names = 'DNS:localhost,IP:127.0.0.1', issuer, kind = 'ec', ca = false, days = 30 } = {}) {
  openssl('genpkey', ...KEYS[kind], '-out', `${name}.key`);
  openssl('req', '-new', '-key', `${name}.key`, '-subj', `/CN=${name}`, '-out', `${name}.csr`);
  const ext = ca ? 'basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n' :
    `basicConstraints=CA:FALSE\nsubjectAltName=${names}\n`;
  fs.writeFileSync(path.join(dir, `${name}.ext`), ext);
  const by = issuer ? ['-CA', `${issuer.name}.pem`, '-CAkey', `${issuer.name}.key`, '-CAcreateserial'] :
    ['-signkey', `${name}.key`];
  openssl('x509', '-req', '-in', `${name}.csr`, ...by, '-days', String(days), '-extfile', `${name}.ext`,
    '-out', `${name}.pem`);
  return { name, key: read(`${name}.key`), cert: read(`${name}.pem`) };
}

const ca = make('ca', { ca: true });
const server = make('server', { issuer: ca });
const client = make('client', { issuer: ca, names: 'email:client@example.org' });
const other = make('other', { issuer: ca, names: 'DNS:other.example' });
const rsa = make('rsa', { issuer: ca, kind: 'rsa' });
const alone = make('alone');

// A CRL of |issuer|, with these certificates in it.
function crl(name, issuer, ...revoked) {
  const conf = `[ca]\ndefault_ca = a\n[a]\ndatabase = ${name}.txt\ndefault_md = sha256\n`;
  fs.writeFileSync(path.join(dir, `${name}.conf`), conf);
  fs.writeFileSync(path.join(dir, `${name}.txt`), '');
  const of = ['ca', '-config', `${name}.conf`, '-cert', `${issuer.name}.pem`, '-keyfile', `${issuer.name}.key`];
  for (const one of revoked)
    openssl(...of, '-revoke', `${one.name}.pem`);
  openssl(...of, '-gencrl', '-crldays', '1', '-out', `${name}.crl`);
  return read(`${name}.crl`);
}

const between = make('between', { issuer: ca, ca: true });
const below = make('below', { issuer: between });
below.chain = Buffer.concat([below.cert, between.cert]);

module.exports = { crl, make, ca, server, client, other, rsa, alone, between, below };
