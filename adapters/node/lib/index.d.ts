// SPDX-License-Identifier: Apache-2.0
/// <reference types="node" />
import * as http from 'node:http';
import * as http2Module from 'node:http2';
import * as httpsModule from 'node:https';
import * as net from 'node:net';
import * as tls from 'node:tls';
import { X509Certificate, KeyObject } from 'node:crypto';
import { Duplex } from 'node:stream';

declare namespace milgi {
  type Pem = string | Buffer;
  type Key = Pem | KeyObject | { pem: Pem; passphrase?: string };
  type Maybe<T> = T | Promise<T>;

  /** What is to be signed: |data| by |scheme| ("ecdsa_secp256r1_sha256" ...), whose hash is |hash|; null: it has none. */
  interface SignRequest { scheme: string; hash: string | null; data: Buffer }

  interface SecureContextOptions {
    /** Chains in PEM, leaf first. */
    cert?: Pem | Pem[];
    /** Private keys in PEM, or URIs "pkcs11:..." and "keyless:..." where the addon has such a device. */
    key?: Key | Key[];
    passphrase?: string;
    /** In the place of |key|: makes the signatures, as TLS carries them (ECDSA in DER). */
    sign?: (request: SignRequest) => Maybe<Buffer>;
    ca?: Pem | Pem[];
    /** CRLs in PEM: a peer is refused that is in one, or of whom none speaks. */
    crl?: Pem | Pem[];
    ciphers?: string;
    ecdhCurve?: string;
    sigalgs?: string;
    minVersion?: 'TLSv1.2' | 'TLSv1.3' | tls.SecureVersion;
    maxVersion?: 'TLSv1.2' | 'TLSv1.3' | tls.SecureVersion;
  }

  class SecureContext {
    constructor(options?: SecureContextOptions);
    readonly context: this;
  }

  interface CommonOptions extends SecureContextOptions {
    secureContext?: SecureContext;
    ALPNProtocols?: string[] | Uint8Array[] | Uint8Array;
    rejectUnauthorized?: boolean;
    allowHalfOpen?: boolean;
    /** After the chain and the name were found good, or with rejectUnauthorized: false; nothing but true accepts the peer. */
    verify?: (certificate: tls.DetailedPeerCertificate, socket: TLSSocket) => Maybe<boolean>;
  }

  interface ConnectionOptions extends CommonOptions {
    host?: string; port?: number | string; path?: string; family?: number; localAddress?: string;
    lookup?: net.LookupFunction; socket?: Duplex; servername?: string; session?: Buffer; timeout?: number;
    requestOCSP?: boolean; signal?: AbortSignal; onread?: net.OnReadOpts; autoSelectFamily?: boolean; keepAlive?: boolean; noDelay?: boolean;
    /** Besides our own check, never in its place. */
    checkServerIdentity?: (host: string, certificate: tls.DetailedPeerCertificate) => Maybe<Error | undefined | void>;
    /** The certificate to show, once the server has said whose it takes. */
    clientCertificate?: (about: { authorities: Buffer[] }) => Maybe<SecureContext | undefined>;
  }

  interface ServerOptions extends CommonOptions {
    requestCert?: boolean;
    handshakeTimeout?: number;
    sessionTimeout?: number;
    ticketKeys?: Buffer;
    pauseOnConnect?: boolean; noDelay?: boolean; keepAlive?: boolean; keepAliveInitialDelay?: number;
    SNICallback?: (servername: string, callback: (error: Error | null, context?: SecureContext) => void) =>
      void | Promise<SecureContext | undefined>;
    ALPNCallback?: (about: { servername: string; protocols: string[] }) => Maybe<string | undefined>;
    /** Tickets of sessions, in the place of those that the ticket keys seal; null: none for this one. */
    sealTickets?: (sessions: Buffer[]) => Maybe<Array<Buffer | null>>;
    openTicket?: (tickets: Buffer[]) => Maybe<{ index: number; session: Buffer } | null | undefined>;
  }

  interface SocketOptions extends ConnectionOptions, Omit<ServerOptions, keyof CommonOptions> { isServer?: boolean }

  /** Why a connection ended: |code| is Node's name where there is one, |milgi| the library's. */
  interface TLSError extends Error {
    code: string; milgi?: string; reason?: string; alert?: string; op?: string; deviceCode?: number;
  }

  class TLSSocket extends Duplex {
    constructor(transport: Duplex, options?: SocketOptions);
    /** Before the handshake: whom it is with, in the place of options.servername. */
    setServername(name: string): void;
    readonly encrypted: true;
    authorized: boolean;
    authorizationError: string | null;
    alpnProtocol: string | false | null;
    servername: string | false | null;
    readonly secureConnecting: boolean;
    readonly connecting: boolean;
    readonly pending: boolean;
    readonly readyState: string;
    readonly bytesRead: number;
    readonly bytesWritten: number;
    readonly bufferSize: number;
    readonly timeout: number;
    readonly remoteAddress?: string; readonly remotePort?: number; readonly remoteFamily?: string;
    readonly localAddress?: string; readonly localPort?: number; readonly localFamily?: string;
    getProtocol(): 'TLSv1.2' | 'TLSv1.3' | null;
    getCipher(): { name: string; standardName: string; version: string } | undefined;
    getEphemeralKeyInfo(): { type?: string; name?: string } | null;
    getPeerSignatureScheme(): string | null;
    getPeerCertificate(detailed: true): tls.DetailedPeerCertificate;
    getPeerCertificate(detailed?: false): tls.PeerCertificate;
    getPeerX509Certificate(): X509Certificate | undefined;
    getCertificate(): object;
    getX509Certificate(): X509Certificate | undefined;
    getSession(): Buffer | undefined;
    isSessionReused(): boolean;
    exportKeyingMaterial(length: number, label: string, context?: Buffer): Buffer;
    updateKeys(askPeer?: boolean): void;
    setTimeout(ms: number, callback?: () => void): this;
    setNoDelay(on?: boolean): this;
    setKeepAlive(on?: boolean, delay?: number): this;
    ref(): this;
    unref(): this;
    address(): net.AddressInfo | {};
    destroySoon(): void;
    resetAndDestroy(): this;
    on(event: 'secureConnect' | 'secure' | 'connect' | 'ready' | 'timeout' | 'end' | 'drain' | 'finish', listener: () => void): this;
    on(event: 'session' | 'keylog', listener: (bytes: Buffer) => void): this;
    on(event: 'OCSPResponse', listener: (response: Buffer | null) => void): this;
    on(event: 'data', listener: (chunk: Buffer) => void): this;
    on(event: 'close', listener: (hadError: boolean) => void): this;
    on(event: 'error', listener: (error: TLSError) => void): this;
    on(event: string | symbol, listener: (...args: any[]) => void): this;
  }

  interface Secured {
    addContext(servername: string, context: SecureContext | SecureContextOptions): void;
    setSecureContext(options: SecureContextOptions): void;
    getTicketKeys(): Buffer;
    setTicketKeys(keys: Buffer): void;
  }

  class Server extends net.Server {
    constructor(options?: ServerOptions, listener?: (socket: TLSSocket) => void);
    addContext(servername: string, context: SecureContext | SecureContextOptions): void;
    setSecureContext(options: SecureContextOptions): void;
    getTicketKeys(): Buffer;
    setTicketKeys(keys: Buffer): void;
    on(event: 'secureConnection', listener: (socket: TLSSocket) => void): this;
    on(event: 'tlsClientError', listener: (error: TLSError, socket: TLSSocket) => void): this;
    on(event: 'keylog', listener: (line: Buffer, socket: TLSSocket) => void): this;
    on(event: 'newSession', listener: (id: Buffer, session: Buffer, done: () => void) => void): this;
    on(event: 'resumeSession', listener: (id: Buffer, done: (error: Error | null, session?: Buffer | null) => void) => void): this;
    on(event: string | symbol, listener: (...args: any[]) => void): this;
  }

  class Agent extends httpsModule.Agent {}

  function connect(options: ConnectionOptions, callback?: () => void): TLSSocket;
  function connect(port: number, host?: string, options?: ConnectionOptions, callback?: () => void): TLSSocket;
  function connect(port: number, options?: ConnectionOptions, callback?: () => void): TLSSocket;
  function createServer(listener?: (socket: TLSSocket) => void): Server;
  function createServer(options: ServerOptions, listener?: (socket: TLSSocket) => void): Server;
  function createSecureContext(options?: SecureContextOptions): SecureContext;
  /** TLS before a net.Server of any kind: what listened for its connections gets secure ones. */
  function secure<S extends net.Server>(server: S, options: ServerOptions): S & Secured;
  /** Before the first connection: the device of slow handshake work ("pool:4", "" for none), and how long ends linger. */
  function configure(options: { device?: string; linger?: number }): void;
  function getCiphers(): string[];
  const checkServerIdentity: typeof tls.checkServerIdentity;
  const rootCertificates: readonly string[];
  const DEFAULT_MIN_VERSION: string;
  const DEFAULT_MAX_VERSION: string;
  const version: string;
  function stats(): { connections: number; streams: number; ops: number; orphans: number; memory: number; turns: number;
    devices: Array<Record<string, number | string>> };
  function dump(): string;

  namespace https {
    const Agent: typeof milgi.Agent;
    class Server extends http.Server {
      constructor(options?: ServerOptions & http.ServerOptions, listener?: http.RequestListener);
    }
    const globalAgent: milgi.Agent;
    const request: typeof httpsModule.request;
    const get: typeof httpsModule.get;
    function createServer(options: ServerOptions & http.ServerOptions, listener?: http.RequestListener): http.Server & Secured;
  }
  namespace http2 {
    function createSecureServer(options: ServerOptions & http2Module.ServerOptions & { allowHTTP1?: boolean },
      listener?: (request: http2Module.Http2ServerRequest, response: http2Module.Http2ServerResponse) => void):
      http2Module.Http2Server & Secured;
    function connect(authority: string | URL, options?: ConnectionOptions & http2Module.ClientSessionOptions,
      listener?: (session: http2Module.ClientHttp2Session) => void): http2Module.ClientHttp2Session;
  }
}

export = milgi;
