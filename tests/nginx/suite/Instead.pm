# SPDX-License-Identifier: Apache-2.0
#
# Loaded ahead of a test of nginx's own: its nginx.conf has Milgi's modules in the place of nginx's TLS, for those who listen.
package Instead;
use strict;
use warnings;

my %directive = (certificate => 'certificate', certificate_key => 'certificate_key', verify_client => 'verify_client',
    client_certificate => 'client_certificate', session_tickets => 'tickets', alpn => 'alpn',
    handshake_timeout => 'handshake_timeout', crl => 'crl', password_file => 'password_file');
my $variables = join '|', qw(protocol cipher curve server_name alpn_protocol session_reused client_verify client_s_dn client_i_dn);

my $ours = !$ENV{MILGI_MODULES} ? '' : join '', map {"load_module $ENV{MILGI_MODULES}/$_.so;\n"} qw(ngx_milgi_module ngx_stream_milgi_module);

# A server's own text: TLS is for all servers of an address of |$tls|, and HTTP/2 a word of "listen" in nginx 1.22.
sub server {
    my ($text, $tls) = @_;
    my $on = grep { $text =~ /^\s*listen\s+\Q$_\E[\s;]/m } keys %$tls;
    $text =~ s/^(\s*listen\s[^;]*?)\s+ssl\b/$1/gm;
    $text =~ s/^(\s*listen\s[^;]*);/$1 http2;/gm if $text =~ s/^\s*http2\s+on;//m;
    $text =~ s/\{/{\n        milgi on;/ if $on;
    return $text;
}

sub instead {
    my ($conf) = @_;
    $conf =~ s/^load_module ([^;]+);\n/-e $1 ? $& : ''/gme; # of all that nginx could have, what is here
    return $conf unless $ENV{MILGI_MODULES};
    my $block = qr/(\{(?:[^{}]++|(?1))*\})/;
    my %tls = map { $_ => 1 } $conf =~ /^\s*listen\s+(\S+)(?=[^;]*\sssl\b)/gm;
    $conf =~ s/(?<![\w])server\s*$block/'server ' . server($1, \%tls)/ge;
    $conf =~ s/(?<![\w\$])ssl_(\w+)(?=\s)/exists $directive{$1} ? "milgi_$directive{$1}" : "ssl_$1"/ge;
    $conf =~ s/\$ssl_($variables)\b/\$milgi_$1/g;
    $conf =~ s/^(?=daemon|events|http|stream)/$ours/m;
    $conf =~ s/^((?:http|stream)\s*\{)/$1\n    milgi_policy compatible;/gm;
    return $conf;
}

require Test::Nginx;
my $write = \&Test::Nginx::write_file;
{
    no warnings 'redefine';
    *Test::Nginx::write_file = sub ($$) {
        my ($self, $name, $content) = @_;
        return $write->($self, $name, $name eq 'nginx.conf' ? instead($content) : $content);
    };
}

1;
