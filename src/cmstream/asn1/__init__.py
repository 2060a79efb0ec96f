"""ASN.1 as CMS, certificates and PKCS #12 files are written in it: a small bounded reader."""
