#!/bin/sh
# AES-GCM by PKI.js is a form of its own, which OpenSSL refuses.
#
# Tried: PKI.js 4.0.0 on Node.js 20; OpenSSL 3.0 reads.
#
# Behaviour: EnvelopedData.encrypt({name: "AES-GCM"}) writes a plain EnvelopedData. The parameters
# of the cipher are a bare OCTET STRING of 16 bytes, and the tag is the end of the content. OpenSSL
# reads the same program's AES-CBC and stops at the parameters of this: "data is wrong". PKI.js opens
# its own form.
#
# An expert expects AuthEnvelopedData (RFC 5083) with a field for the tag, and GCMParameters, a
# SEQUENCE of nonce and tag length, with a nonce of 12 bytes (RFC 5084 section 3.2); or an error.
#
# What follows: a message like this needs PKI.js to open it; the name of its cipher alone
# (aes-256-gcm in EnvelopedData) tells it from one that any reader of RFC 5084 opens.
set -eu

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

npm install --silent --no-audit --no-fund pkijs@4.0.0
openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out certificate.pem -days 30 \
    -subj /CN=alice 2> /dev/null

cat > seal.js <<'JS'
const pkijs = require('pkijs'), fs = require('fs'), { webcrypto } = require('crypto');
pkijs.setEngine('node', new pkijs.CryptoEngine({ name: 'node', crypto: webcrypto }));

const der = (pem) => Buffer.from(pem.replace(/-----[^-]+-----|\s/g, ''), 'base64');

async function main(name, out) {
    const certificate = pkijs.Certificate.fromBER(der(fs.readFileSync('certificate.pem', 'utf8')));
    const envelope = new pkijs.EnvelopedData();
    envelope.addRecipientByCertificate(certificate, { oaepHashAlgorithm: 'SHA-256' });
    await envelope.encrypt({ name, length: 256 }, Buffer.from('the boat'));
    const whole = new pkijs.ContentInfo({
        contentType: '1.2.840.113549.1.7.3',
        content: envelope.toSchema(),
    });
    fs.writeFileSync(out, Buffer.from(whole.toSchema().toBER(false)));

    const key = der(fs.readFileSync('key.pem', 'utf8'));
    const opened = await envelope.decrypt(0, {
        recipientCertificate: certificate,
        recipientPrivateKey: key,
    });
    console.log(`${name}: PKI.js opens it: ${Buffer.from(opened)}`);
}
main(process.argv[2], process.argv[3]);
JS

open() { openssl cms -decrypt -binary -inform DER -in "$1" -inkey key.pem -recip certificate.pem; }

node seal.js AES-CBC cbc
echo "AES-CBC: OpenSSL opens it: $(open cbc)"

node seal.js AES-GCM gcm | tee said
grep -q 'opens it: the boat' said
echo "AES-GCM: the algorithm and its parameters:"
openssl asn1parse -inform DER -in gcm | grep -A 1 ':aes-256-gcm' | tee parameters
grep -q 'l=  16 prim: OCTET STRING' parameters

if open gcm > /dev/null 2> error; then
    echo 'changed: OpenSSL opens it'
    exit 1
fi
echo "AES-GCM: OpenSSL: $(grep -m 1 -o 'asn1 encoding.*data is wrong' error)"
