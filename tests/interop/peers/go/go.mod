module milgi.test/peer

go 1.19
