/* SPDX-License-Identifier: Apache-2.0 */
/* A TLS client and server of the JDK, for the interoperability matrix. */

import java.io.FileInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.security.KeyStore;
import java.security.MessageDigest;
import java.security.Principal;
import java.security.PrivateKey;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import javax.net.ssl.ExtendedSSLSession;
import javax.net.ssl.KeyManager;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SNIHostName;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLParameters;
import javax.net.ssl.SSLPeerUnverifiedException;
import javax.net.ssl.SSLSocket;
import javax.net.ssl.SSLSocketFactory;
import javax.net.ssl.TrustManagerFactory;
import javax.net.ssl.X509ExtendedKeyManager;

/**
 * A TLS 1.3 client or server on JSSE for the interoperability tests: stdin and stdout are the connection's ends for a
 * client; a server plays one part for one connection. The last line of stderr is a JSON report. Options are pairs
 * "--name value"; the groups are chosen by the system property jdk.tls.namedGroups.
 */
public final class Peer {
    private static final char[] PASSWORD = "milgi-test".toCharArray();
    private static final Map<String, String> options = new HashMap<>();
    private static final StringBuilder report = new StringBuilder();

    private static void note(String key, Object value) {
        String text = String.valueOf(value).replace("\\", "\\\\").replace("\"", "\\\"").replace("\n", " ");
        report.append(report.length() == 0 ? "" : ",").append('"').append(key).append("\":\"").append(text).append('"');
    }

    private static SSLContext context() throws Exception {
        KeyStore keys = KeyStore.getInstance("PKCS12");
        keys.load(null, null);
        if (options.containsKey("store")) {
            try (InputStream in = new FileInputStream(options.get("store"))) {
                keys.load(in, PASSWORD);
            }
        }
        KeyManagerFactory own = KeyManagerFactory.getInstance("PKIX");
        own.init(keys, PASSWORD);
        KeyStore roots = KeyStore.getInstance("PKCS12");
        roots.load(null, null);
        if (options.containsKey("ca")) {
            try (InputStream in = new FileInputStream(options.get("ca"))) {
                int n = 0;
                for (Certificate c : CertificateFactory.getInstance("X.509").generateCertificates(in)) {
                    roots.setCertificateEntry("root" + n++, c);
                }
            }
        }
        TrustManagerFactory trust = TrustManagerFactory.getInstance("PKIX");
        trust.init(roots);
        SSLContext made = SSLContext.getInstance("TLS");
        KeyManager[] managers = {new OneKey((X509ExtendedKeyManager) own.getKeyManagers()[0])};
        made.init(options.containsKey("store") ? managers : null, options.containsKey("ca") ? trust.getTrustManagers() : null, null);
        return made;
    }

    /** Offers the one key also to a server that names other authorities: it is the server that must refuse. */
    private static final class OneKey extends X509ExtendedKeyManager {
        private final X509ExtendedKeyManager inner;

        OneKey(X509ExtendedKeyManager inner) {
            this.inner = inner;
        }

        @Override
        public String chooseClientAlias(String[] types, Principal[] issuers, Socket socket) {
            return inner.chooseClientAlias(types, null, socket);
        }

        @Override
        public String chooseServerAlias(String type, Principal[] issuers, Socket socket) {
            return inner.chooseServerAlias(type, issuers, socket);
        }

        @Override
        public X509Certificate[] getCertificateChain(String alias) {
            return inner.getCertificateChain(alias);
        }

        @Override
        public PrivateKey getPrivateKey(String alias) {
            return inner.getPrivateKey(alias);
        }

        @Override
        public String[] getClientAliases(String type, Principal[] issuers) {
            return inner.getClientAliases(type, null);
        }

        @Override
        public String[] getServerAliases(String type, Principal[] issuers) {
            return inner.getServerAliases(type, issuers);
        }
    }

    private static void configure(SSLSocket s) {
        SSLParameters p = s.getSSLParameters();
        p.setProtocols(new String[] {"1.2".equals(options.get("version")) ? "TLSv1.2" : "TLSv1.3"});
        if (options.containsKey("suites")) {
            p.setCipherSuites(options.get("suites").split(","));
        }
        if (options.containsKey("alpn")) {
            p.setApplicationProtocols(options.get("alpn").split(","));
        }
        if (options.containsKey("connect")) {
            p.setServerNames(List.of(new SNIHostName(options.get("name"))));
            p.setEndpointIdentificationAlgorithm("HTTPS");
        } else if ("required".equals(options.get("client-auth"))) {
            p.setNeedClientAuth(true);
        } else if ("optional".equals(options.get("client-auth"))) {
            p.setWantClientAuth(true);
        }
        s.setSSLParameters(p);
    }

    private static void describe(SSLSocket s) {
        ExtendedSSLSession session = (ExtendedSSLSession) s.getSession();
        note("protocol", session.getProtocol());
        note("suite", session.getCipherSuite());
        note("alpn", s.getApplicationProtocol());
        if (s.getUseClientMode() && !session.getStatusResponses().isEmpty()) {
            note("staple", "yes");
        }
        try {
            note("client", ((X509Certificate) session.getPeerCertificates()[0]).getSubjectX500Principal());
        } catch (SSLPeerUnverifiedException e) {
            note("client", "");
        }
    }

    private static long copy(InputStream in, OutputStream out, MessageDigest hash) throws IOException {
        byte[] block = new byte[1 << 16];
        long total = 0;
        for (int n = in.read(block); n >= 0; n = in.read(block)) {
            if (hash != null) {
                hash.update(block, 0, n);
            }
            if (out != null) {
                out.write(block, 0, n);
                out.flush();
            }
            total += n;
        }
        return total;
    }

    private static SSLSocket open(SSLSocketFactory factory) throws Exception {
        String[] address = options.get("connect").split(":");
        Socket tcp = new Socket();
        tcp.connect(new InetSocketAddress(address[0], Integer.parseInt(address[1])), 10_000);
        SSLSocket s = (SSLSocket) factory.createSocket(tcp, options.get("name"), tcp.getPort(), true);
        configure(s);
        s.startHandshake();
        return s;
    }

    private static void client() throws Exception {
        SSLSocketFactory factory = context().getSocketFactory();
        if ("1".equals(options.get("again"))) { // a session, from a connection that asks for a page
            try (SSLSocket first = open(factory)) {
                String request = "GET / HTTP/1.1\r\nHost: milgi.test\r\nConnection: close\r\n\r\n";
                first.getOutputStream().write(request.getBytes(StandardCharsets.US_ASCII));
                copy(first.getInputStream(), null, null);
            }
        }
        SSLSocket s = open(factory);
        describe(s);
        Throwable[] failure = new Throwable[1];
        Thread sender = new Thread(() -> {
            try {
                copy(System.in, s.getOutputStream(), null);
                s.shutdownOutput();
            } catch (Throwable e) {
                failure[0] = e;
            }
        });
        sender.setDaemon(true);
        sender.start();
        copy(s.getInputStream(), System.out, null);
        System.out.close();
        sender.join();
        if (failure[0] != null) {
            throw new IOException("sending: " + failure[0]);
        }
        s.close();
    }

    private static void server() throws Exception {
        try (ServerSocket listener = new ServerSocket(0, 8, InetAddress.getByName("127.0.0.1"))) {
            System.out.println("listening on 127.0.0.1:" + listener.getLocalPort());
            System.out.flush();
            SSLSocketFactory factory = context().getSocketFactory();
            for (int left = Integer.parseInt(options.getOrDefault("connections", "1")); left > 0; left--) {
                report.setLength(0);
                SSLSocket s = (SSLSocket) factory.createSocket(listener.accept(), null, true);
                s.setUseClientMode(false);
                configure(s);
                s.startHandshake();
                describe(s);
                play(s);
                s.close();
            }
        }
    }

    private static void play(SSLSocket s) throws Exception {
        MessageDigest hash = MessageDigest.getInstance("SHA-256");
        OutputStream out = s.getOutputStream();
        long n;
        switch (options.getOrDefault("part", "echo")) {
            case "collect":
                n = copy(s.getInputStream(), null, hash);
                String sum = HexFormat.of().formatHex(hash.digest());
                out.write(("collected " + n + " " + sum + "\n").getBytes(StandardCharsets.US_ASCII));
                s.shutdownOutput();
                note("sha256", sum);
                break;
            case "greet":
                out.write("greetings\n".getBytes(StandardCharsets.US_ASCII));
                out.flush();
                s.shutdownOutput();
                n = copy(s.getInputStream(), null, hash);
                note("sha256", HexFormat.of().formatHex(hash.digest()));
                break;
            default:
                n = copy(s.getInputStream(), out, hash);
                s.shutdownOutput();
                note("sha256", HexFormat.of().formatHex(hash.digest()));
        }
        note("bytes", n);
    }

    public static void main(String[] args) {
        for (int i = 0; i + 1 < args.length; i += 2) {
            options.put(args[i].substring(2), args[i + 1]);
        }
        int status = 0;
        try {
            if (options.containsKey("connect")) {
                client();
            } else {
                server();
            }
        } catch (Throwable e) {
            note("error", e);
            status = 1;
        }
        System.err.println("\nPEER {" + report + "}");
        System.err.flush();
        Runtime.getRuntime().halt(status);
    }
}
