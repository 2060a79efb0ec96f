#!/bin/sh
# One recipient of a kind that a reader doesn't know costs the others their mail.
#
# Tried: node-forge 1.4.3, cryptography 50.0.2; the messages are OpenSSL's (3.0, any version does).
#
# Behaviour: each library opens a message that is for two RSA keys. It refuses the same message, in
# the parser and before it looks for its own key, when the second recipient has an elliptic-curve key
# (KeyAgreeRecipientInfo) or a password (PasswordRecipientInfo), although the RSA recipient stands
# in it as before. node-forge: "Cannot read PKCS#7 RecipientInfo"; cryptography: "UnexpectedTag".
#
# An expert expects that the reader skips what it doesn't know: RFC 5652 section 6.2 says that all
# implementations MUST gracefully handle unimplemented alternatives of RecipientInfo.
#
# What follows: while somebody reads with such a library, seal a message for each kind of key, not
# one message for all.
set -eu

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

npm install --silent --no-audit --no-fund node-forge@1.4.3
python3 -m venv venv
venv/bin/pip install -q cryptography==50.0.2

for name in alice bob; do
    openssl req -x509 -newkey rsa:2048 -nodes -keyout $name.key -out $name.pem -days 30 \
        -subj "/CN=$name" 2> /dev/null
done
openssl ecparam -name prime256v1 -genkey -noout -out curve.key
openssl req -x509 -new -key curve.key -out curve.pem -days 30 -subj /CN=curve
printf 'the boat' > text

seal() { # the file, then further arguments and recipients beside alice
    out=$1
    shift
    openssl cms -encrypt -aes256 -binary -in text -outform DER -out "$out" "$@" alice.pem
}
seal two-rsa bob.pem
seal rsa-and-curve curve.pem
seal rsa-and-password -pwri_password secret

cat > forge.js <<'JS'
const forge = require('node-forge'), fs = require('fs');
try {
    const message = fs.readFileSync(process.argv[2], 'binary');
    const parsed = forge.pkcs7.messageFromAsn1(forge.asn1.fromDer(message));
    const certificate = forge.pki.certificateFromPem(fs.readFileSync('alice.pem', 'utf8'));
    const key = forge.pki.privateKeyFromPem(fs.readFileSync('alice.key', 'utf8'));
    parsed.decrypt(parsed.findRecipient(certificate), key);
    console.log(parsed.content.getBytes());
} catch (error) {
    console.log(error.message);
}
JS
cat > pyca.py <<'PY'
import pathlib, sys
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key, pkcs7

read = lambda name: pathlib.Path(name).read_bytes()
key = load_pem_private_key(read("alice.key"), None)
certificate = x509.load_pem_x509_certificate(read("alice.pem"))
try:
    print(pkcs7.pkcs7_decrypt_der(read(sys.argv[1]), certificate, key, []).decode())
except ValueError as error:
    print(error)
PY

changed=0
expect() { # a message, the reader, a part of what it says
    said=$($2 "$1")
    printf '%-17s %-19s %s\n' "$1" "$2" "$said"
    case $said in
        *"$3"*) ;;
        *) echo "  changed: it used to say: $3"; changed=1 ;;
    esac
}
expect two-rsa 'node forge.js' 'the boat'
expect two-rsa 'venv/bin/python pyca.py' 'the boat'
for message in rsa-and-curve rsa-and-password; do
    openssl cms -decrypt -binary -inform DER -in $message -inkey alice.key -recip alice.pem |
        cmp - text # the message is good
    expect $message 'node forge.js' 'Cannot read PKCS#7 RecipientInfo'
    expect $message 'venv/bin/python pyca.py' UnexpectedTag
done
exit $changed
