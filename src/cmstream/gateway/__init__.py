"""The mail gateway: it takes mail by LMTP, SMTP or as a milter, seals it as the certificate store
says, and hands it on. It keeps no queue.

An optional part: ``pip install 'cmstream[gateway]'``.
"""
