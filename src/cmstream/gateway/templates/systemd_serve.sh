# systemd, for cmstream serve
#
# These are commands: read them, then run them as root, by sh. They write the unit and start it.
{% include 'systemd_store.sh' %}
#
# The first start says in its log how the administrator gets in:
#   journalctl -u cmstream-serve
{% if home %}
#
# {{ program }} is in a home folder, where the user cmstream can't reach it: install cmstream in
# /opt, for example, and change ExecStart.
{% endif %}
{% if store.group and store.file %}
#
# The gateway's unit, if there is one, needs the same Group and UMask{{ ', and StateDirectoryMode' if store.usual }}. 'cmstream gateway --print
# systemd' takes them from the store's folder: print it again once this server has started.
{% endif %}
{% if notify %}
#
# The mail command runs with the rights of this unit. Postfix's sendmail needs others, of the group
# postdrop: take one that hands mail over by SMTP, such as msmtp.
{% endif %}

cat > /etc/systemd/system/cmstream-serve.service <<'END'
[Unit]
Description=Web page and HTTP API of the certificate store cmstream
After=network-online.target postgresql.service
Wants=network-online.target

[Service]
ExecStart={{ lines | join(' \\\n    ') }}
Restart=on-failure
RestartSec=1
# What has been begun is finished first.
TimeoutStopSec={{ seconds }}
{% include 'user_and_rights.service' %}


[Install]
WantedBy=multi-user.target
END

systemctl daemon-reload
systemctl enable cmstream-serve.service
systemctl restart cmstream-serve.service
