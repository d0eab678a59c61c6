// SPDX-License-Identifier: Apache-2.0

// A TLS 1.3 client or server on crypto/tls for the interoperability tests. As a client it wires stdin and stdout to the
// connection; as a server it plays one of a few parts for one connection. Its last line of stderr is a JSON report.
package main

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"reflect"
	"strings"
	"time"
)

type report struct {
	Error    string `json:"error,omitempty"`
	Protocol string `json:"protocol,omitempty"`
	Suite    string `json:"suite,omitempty"`
	Group    string `json:"group,omitempty"`
	Staple   bool   `json:"staple,omitempty"`
	ALPN     string `json:"alpn"`
	Client   string `json:"client,omitempty"`
	Bytes    int64  `json:"bytes"`
	SHA256   string `json:"sha256,omitempty"`
}

// The hybrid is tls.X25519MLKEM768, which there is from Go 1.24 on.
var groupIDs = map[string]tls.CurveID{
	"x25519": tls.X25519, "p256": tls.CurveP256, "p384": tls.CurveP384, "hybrid": 4588,
}

func finish(r report, err error) {
	if err != nil {
		r.Error = err.Error()
	}
	line, _ := json.Marshal(r)
	fmt.Fprintf(os.Stderr, "\nPEER %s\n", line)
	if err != nil {
		os.Exit(1)
	}
	os.Exit(0)
}

func check(err error) {
	if err != nil {
		finish(report{}, err)
	}
}

func pool(path string) *x509.CertPool {
	pem, err := os.ReadFile(path)
	check(err)
	certs := x509.NewCertPool()
	if !certs.AppendCertsFromPEM(pem) {
		check(errors.New("no certificate in " + path))
	}
	return certs
}

func list(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, ",")
}

func version(v uint16) string {
	if v == tls.VersionTLS13 {
		return "TLS 1.3"
	}
	return fmt.Sprintf("%#04x", v)
}

// group is empty before Go 1.25, which does not tell it.
func group(state *tls.ConnectionState) string {
	field := reflect.ValueOf(state).Elem().FieldByName("CurveID")
	if !field.IsValid() {
		return ""
	}
	return field.Interface().(fmt.Stringer).String()
}

func describe(c *tls.Conn) report {
	state := c.ConnectionState()
	r := report{Protocol: version(state.Version), Suite: tls.CipherSuiteName(state.CipherSuite),
		Group: group(&state), ALPN: state.NegotiatedProtocol, Staple: len(state.OCSPResponse) > 0}
	if len(state.PeerCertificates) > 0 {
		r.Client = state.PeerCertificates[0].Subject.String()
	}
	return r
}

// pipe copies stdin to the peer and the peer to stdout; end of stdin is passed on as close_notify.
func pipe(c *tls.Conn) error {
	sent := make(chan error, 1)
	go func() {
		_, err := io.Copy(c, os.Stdin)
		if e := c.CloseWrite(); err == nil {
			err = e
		}
		sent <- err
	}()
	if _, err := io.Copy(os.Stdout, c); err != nil {
		return err
	}
	os.Stdout.Close()
	return <-sent
}

// begin makes a session by asking for a page, so that the next connection can resume it.
func begin(config *tls.Config, address string) {
	config.ClientSessionCache = tls.NewLRUClientSessionCache(4)
	c, err := tls.Dial("tcp", address, config)
	check(err)
	fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: milgi.test\r\nConnection: close\r\n\r\n")
	_, err = io.Copy(io.Discard, c)
	check(err)
	c.Close()
}

func client(config *tls.Config, address string) {
	conn, err := net.DialTimeout("tcp", address, 10*time.Second)
	check(err)
	c := tls.Client(conn, config)
	check(c.HandshakeContext(context.Background()))
	r := describe(c)
	finish(r, pipe(c))
}

// The parts of a server. Each returns what it read.
func echo(c *tls.Conn) (int64, []byte, error) {
	hash := sha256.New()
	n, err := io.Copy(c, io.TeeReader(c, hash))
	if err != nil {
		return n, nil, err
	}
	return n, hash.Sum(nil), c.CloseWrite()
}

func collect(c *tls.Conn) (int64, []byte, error) {
	hash := sha256.New()
	n, err := io.Copy(hash, c)
	if err != nil {
		return n, nil, err
	}
	fmt.Fprintf(c, "collected %d %s\n", n, hex.EncodeToString(hash.Sum(nil)))
	return n, hash.Sum(nil), c.CloseWrite()
}

func greet(c *tls.Conn) (int64, []byte, error) {
	fmt.Fprint(c, "greetings\n")
	if err := c.CloseWrite(); err != nil {
		return 0, nil, err
	}
	hash := sha256.New()
	n, err := io.Copy(hash, c)
	return n, hash.Sum(nil), err
}

// truncate ends the TCP stream in order but without close_notify.
func truncate(c *tls.Conn) (int64, []byte, error) {
	fmt.Fprint(c, "greetings\n")
	tcp := c.NetConn().(*net.TCPConn)
	if err := tcp.CloseWrite(); err != nil {
		return 0, nil, err
	}
	n, err := io.Copy(io.Discard, tcp)
	return n, nil, err
}

var parts = map[string]func(*tls.Conn) (int64, []byte, error){
	"echo": echo, "collect": collect, "greet": greet, "truncate": truncate,
}

func server(config *tls.Config, address, part string, connections int) {
	listener, err := net.Listen("tcp", address)
	check(err)
	fmt.Printf("listening on %s\n", listener.Addr())
	for ; connections > 1; connections-- {
		conn, err := listener.Accept()
		check(err)
		_, _, err = parts[part](tls.Server(conn, config))
		check(err)
		conn.Close()
	}
	conn, err := listener.Accept()
	check(err)
	c := tls.Server(conn, config)
	if err := c.HandshakeContext(context.Background()); err != nil {
		conn.(*net.TCPConn).CloseWrite() // the alert must not be lost in a reset
		io.Copy(io.Discard, conn)
		finish(report{}, err)
	}
	r := describe(c)
	n, sum, err := parts[part](c)
	r.Bytes, r.SHA256 = n, hex.EncodeToString(sum)
	conn.Close()
	finish(r, err)
}

func main() {
	os.Setenv("GODEBUG", "tlsmlkem=1") // off by default for a module of an older Go
	connect := flag.String("connect", "", "address to connect to")
	listen := flag.String("listen", "", "address to listen on")
	name := flag.String("name", "", "server name")
	ca := flag.String("ca", "", "trusted authorities")
	cert := flag.String("cert", "", "certificate chain")
	key := flag.String("key", "", "private key")
	alpn := flag.String("alpn", "", "protocols")
	groups := flag.String("groups", "", "groups")
	auth := flag.String("client-auth", "", "required or optional")
	version := flag.String("max-version", "", "1.2 to refuse TLS 1.3")
	staple := flag.String("staple", "", "OCSP response of the server's certificate")
	connections := flag.Int("connections", 1, "how many the server takes")
	again := flag.Bool("again", false, "the client asks for a page first, and then resumes")
	part := flag.String("part", "echo", "what the server does: echo, collect, greet or truncate")
	flag.Parse()

	config := &tls.Config{MinVersion: tls.VersionTLS13, NextProtos: list(*alpn), ServerName: *name}
	if *version == "1.2" {
		config.MinVersion, config.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
	}
	for _, g := range list(*groups) {
		config.CurvePreferences = append(config.CurvePreferences, groupIDs[g])
	}
	if *cert != "" {
		pair, err := tls.LoadX509KeyPair(*cert, *key)
		check(err)
		if *staple != "" {
			pair.OCSPStaple, err = os.ReadFile(*staple)
			check(err)
		}
		config.Certificates = []tls.Certificate{pair}
		// also when the server names other authorities: it is the server that must refuse
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	}
	if *connect != "" {
		config.RootCAs = pool(*ca)
		if *again {
			begin(config, *connect)
		}
		client(config, *connect)
	}
	if *auth != "" {
		config.ClientCAs = pool(*ca)
		config.ClientAuth = tls.RequireAndVerifyClientCert
		if *auth == "optional" {
			config.ClientAuth = tls.VerifyClientCertIfGiven
		}
	}
	server(config, *listen, *part, *connections)
}
