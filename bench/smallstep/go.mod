module smallstep_peer

go 1.25

require github.com/smallstep/pkcs7 v0.2.3
