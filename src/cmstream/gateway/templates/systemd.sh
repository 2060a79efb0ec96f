# systemd, for cmstream gateway
#
# These are commands: read them, then run them as root, by sh. They write the units and start them.
{% include 'systemd_store.sh' %}
{% if home %}
#
# {{ program }} is in a home folder, where the user cmstream can't reach it: install cmstream in
# /opt, for example, and change ExecStart.
{% endif %}
{% for name, place in sockets.items() %}

cat > /etc/systemd/system/cmstream-gateway-{{ name }}.socket <<'END'
[Unit]
Description=Socket of the mail gateway cmstream ({{ place.protocol }})

[Socket]
# systemd holds the socket: while the gateway starts again, clients wait instead of failing.
{% if place.path %}
ListenStream={{ place.path }}
# Whoever belongs to the group may connect.
SocketUser=cmstream
SocketGroup={{ settings.socket_group or 'cmstream' }}
SocketMode={{ settings.socket_mode }}
{% else %}
ListenStream={{ '[' ~ place.host ~ ']' if ':' in place.host else place.host }}:{{ place.port }}
{% endif %}
FileDescriptorName={{ name }}
Service=cmstream-gateway.service

[Install]
WantedBy=sockets.target
END
{% endfor %}

cat > /etc/systemd/system/cmstream-gateway.service <<'END'
[Unit]
Description=Mail gateway cmstream, which seals mail
{% for name in sockets %}
Requires=cmstream-gateway-{{ name }}.socket
After=cmstream-gateway-{{ name }}.socket
{% endfor %}
After=network.target postgresql.service

[Service]
# It says itself when it can take mail.
Type=notify
ExecStart={{ lines | join(' \\\n    ') }}
# Reads TLS certificates again, and opens the log file again.
ExecReload=/bin/kill -HUP $MAINPID
Restart=on-failure
RestartSec=1
# What has been begun is finished first.
TimeoutStopSec={{ seconds }}
LimitNOFILE=65536
{% include 'user_and_rights.service' %}


[Install]
WantedBy=multi-user.target
END

systemctl daemon-reload
# What runs already, with other options, ends first. Disable its sockets that aren't needed any more.
systemctl stop 'cmstream-gateway*'
{% for name in sockets %}
systemctl enable --now cmstream-gateway-{{ name }}.socket
{% endfor %}
systemctl enable --now cmstream-gateway.service
