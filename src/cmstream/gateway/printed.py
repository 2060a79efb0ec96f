NAMES = ("postfix", "dovecot", "exim", "opensmtpd", "systemd")


def printed(name, settings):
    return name
