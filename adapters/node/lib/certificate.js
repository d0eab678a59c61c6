// SPDX-License-Identifier: Apache-2.0
// Certificates in Node's shapes, and the chain that is sent.
'use strict';

const crypto = require('node:crypto');
const tls = require('node:tls');

// A certificate and those behind it as getPeerCertificate() shows them. What Node cannot read, though our library can, has
// nothing but |raw|: a peer's certificates are no reason for an exception.
function legacy(chain, detailed) {
  if (!chain || !chain.length)
    return {};
  const objects = (detailed ? chain : chain.slice(0, 1)).map((der) => {
    try {
      const x = new crypto.X509Certificate(der), object = x.toLegacyObject();
      if (detailed && x.checkIssued(x))
        object.issuerCertificate = object;
      return object;
    } catch {
      return { raw: der };
    }
  });
  for (let i = 0; i + 1 < objects.length; i++)
    objects[i].issuerCertificate = objects[i + 1];
  return objects[0];
}

// Node's words for a name that is not in |certificate|, where it has any: it takes a CN, which we do not.
function nodesWords(host, certificate) {
  try {
    return tls.checkServerIdentity(host, certificate);
  } catch {
    return undefined;
  }
}

// The first of |chain|, from which one goes on to its issuer's; undefined: there is none.
function objects(chain) {
  const found = chain.map((der) => new crypto.X509Certificate(der));
  found.forEach((x, i) => Object.defineProperty(x, 'issuerCertificate', { value: found[i + 1], configurable: true }));
  return found[0];
}

function certificates(bytes) {
  return (bytes.toString('latin1').match(/-----BEGIN CERTIFICATE-----[^]+?-----END CERTIFICATE-----/g) ?? []).flatMap((text) => {
    try {
      return [new crypto.X509Certificate(text)];
    } catch {
      return []; // the library says what is wrong with it
    }
  });
}

// A chain whose issuers are in options.ca is sent with them, as node:tls does.
function completed(cert, ca) {
  let last = ca.length ? certificates(cert).at(-1) : undefined;
  const known = last ? ca.flatMap(certificates) : [], more = [];
  while (last && !last.checkIssued(last) && more.length <= known.length) {
    const issuer = known.find((c) => last.checkIssued(c) && last.verify(c.publicKey));
    if (issuer)
      more.push(issuer);
    last = issuer;
  }
  return more.length ? Buffer.concat([cert, ...more.map((c) => Buffer.from(`\n${c}`))]) : cert;
}

module.exports = { legacy, objects, nodesWords, completed };
