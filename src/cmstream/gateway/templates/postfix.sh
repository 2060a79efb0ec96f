{% macro takes_back(more='') %}
postconf -M {{ (back ~ '/inet=' ~ back ~ ' inet n - n - - smtpd') | shell }}
postconf -P \
  {{ (back ~ '/inet/smtpd_proxy_filter=') | shell }} \
  {{ (back ~ '/inet/content_filter=') | shell }} \
  {{ (back ~ '/inet/smtpd_milters=') | shell }} \
  {{ (back ~ '/inet/mynetworks=127.0.0.0/8,[::1]/128') | shell }} \
  {{ (back ~ '/inet/smtpd_client_restrictions=') | shell }} \
  {{ (back ~ '/inet/smtpd_helo_restrictions=') | shell }} \
  {{ (back ~ '/inet/smtpd_sender_restrictions=') | shell }} \
  {{ (back ~ '/inet/smtpd_relay_restrictions=') | shell }} \
  {{ (back ~ '/inet/smtpd_recipient_restrictions=permit_mynetworks,reject') | shell }} \
  {{ (back ~ '/inet/smtpd_data_restrictions=') | shell }} \
  {{ (back ~ '/inet/smtpd_end_of_data_restrictions=') | shell }} \
  {{ (back ~ '/inet/smtpd_authorized_xforward_hosts=127.0.0.0/8,[::1]/128') | shell }} \
  {{ (back ~ '/inet/smtpd_tls_security_level=none') | shell }} \
  {{ (back ~ '/inet/smtpd_sasl_auth_enable=no') | shell }} \
  {{ (back ~ '/inet/smtpd_client_connection_count_limit=0') | shell }} \
  {{ (back ~ '/inet/smtpd_hard_error_limit=1000') | shell }} \
  {{ (back ~ '/inet/message_size_limit=0') | shell }} \
  {{ (back ~ '/inet/receive_override_options=no_unknown_recipient_checks,no_header_body_checks' ~ more) | shell }}
{%- endmacro %}
# Postfix, for cmstream gateway
{% for one in settings.listen %}
#   --listen {{ one }}
{% endfor %}
{% if settings.next_hop %}
#   --next {{ settings.next_hop }}
{% endif %}
#
# These are commands: read them, then run them as root, all by sh or one by one. Each changes
# main.cf or master.cf. At the end: postfix check && postfix reload

{% if lmtp %}
{% if refilled %}
# --- LMTP, after the queue ---
{% else %}
# --- LMTP: between Postfix and the mailboxes ---
{% endif %}

# Postfix breaks lines of more than 998 bytes. It must not, or it changes what is sealed.
postconf -e 'lmtp_line_length_limit = 0'
{% if refilled %}

# All mail goes through the gateway once it is in the queue, and comes back to an smtpd of its own.
postconf -e {{ ('content_filter = lmtp:' ~ lmtp) | shell }}
# Only this machine may use it. A sealed message is longer, and has passed the limit of length
# before. Aliases are expanded before the gateway, and must not be again.
{{ takes_back(',no_address_mappings') }}
{% if milter %}
# The milter below is for bounces alone: mail from sendmail(1) passes the filter.
postconf -P 'pickup/unix/receive_override_options=no_milters'
{% endif %}
{% else %}

# Mail for virtual_mailbox_domains goes through the gateway.
postconf -e {{ ('virtual_transport = lmtp:' ~ lmtp) | shell }}
# If the mailboxes are those of users in mydestination, this one counts instead:
#postconf -e {{ ('mailbox_transport = lmtp:' ~ lmtp) | shell }}
{% endif %}

# Postfix waits longer for the reply to a message than the gateway waits for the next server.
# Otherwise it would send a message again that has been stored.
postconf -e 'lmtp_data_done_timeout = {{ seconds }}s'
{% if wrapped %}

# The gateway speaks TLS from the first byte on.
postconf -e 'lmtp_tls_wrappermode = yes'
{% endif %}
{% if tls %}
postconf -e 'lmtp_tls_security_level = encrypt'
{% endif %}
{% if settings.xforward %}

# The gateway learns the queue id and the client, and writes them to its log.
postconf -e 'lmtp_send_xforward_command = yes'
{% endif %}
{% if not refilled %}

# Dovecot adds Delivered-To only where a message has one recipient. The gateway gives each account
# a message of its own, but recipients without an account share one. If they need the field too:
#postconf -e 'lmtp_destination_recipient_limit = 1'
{% endif %}

{% endif %}
{% if smtp %}
# --- SMTP, before the queue: no plaintext on the disk ---

# All that comes by SMTP goes through the gateway while its client waits. The gateway sees
# addresses before Postfix expands virtual_alias_maps: give accounts their aliases in cmstream too,
# or mail for an alias is left as it is.
postconf -e {{ ('smtpd_proxy_filter = ' ~ smtp) | shell }}
# With speed_adjust Postfix would write the message to a file first, in plaintext, and it forbids
# what the gateway does: to refuse single recipients.
postconf -e 'smtpd_proxy_options ='
# Longer than the gateway waits for the next server.
postconf -e 'smtpd_proxy_timeout = {{ seconds }}s'

# Recipients who need another copy are put off (452), and Postfix counts each as an error of the
# client. After 20 errors it would end the session, and the message would reach nobody.
postconf -e 'smtpd_hard_error_limit = 1000'
# Exim tries recipients that were put off at once only where CHUNKING isn't announced.
postconf -e 'smtpd_discard_ehlo_keywords = chunking'
{% if back %}

# The gateway gives mail back here, and from here it goes into the queue. Only this machine may
# use it. A sealed message is longer, and has passed the limit of length before.
{{ takes_back() }}
{% elif hop %}

# {{ hop }} gets the mail. It must not be an smtpd that has this smtpd_proxy_filter, or mail goes round
# in circles.
{% endif %}

{% if filter %}
# Mail from sendmail(1) has no client to wait, and takes the way after the queue. One recipient for
# each message, so that none is put off; and lines of any length.
postconf -M 'cmstream/unix=cmstream unix - - n - 20 smtp'
postconf -P \
  'cmstream/unix/smtp_line_length_limit=0' \
  'cmstream/unix/smtp_data_done_timeout={{ seconds }}s' \
  'cmstream/unix/smtp_send_xforward_command=yes' \
  'cmstream/unix/smtp_tls_security_level=none'
postconf -e 'cmstream_destination_recipient_limit = 1'
postconf -P {{ ('pickup/unix/content_filter=cmstream:' ~ filter) | shell }}
# The gateway gives it back to the smtpd above, where aliases are expanded, so they must not be here:
# whoever is in an alias would get the mail twice.
postconf -P 'pickup/unix/receive_override_options=no_address_mappings{{ ',no_milters' if milter }}'

# --- or SMTP, after the queue ---

# Simpler for clients, but mail lies in the queue in plaintext until the gateway has it. Then leave
# smtpd_proxy_filter empty, and let all mail take the way of that from sendmail(1):
#postconf -e 'smtpd_proxy_filter ='
#postconf -e {{ ('content_filter = cmstream:' ~ filter) | shell }}
{% if back %}
# Aliases are expanded before the gateway then, and must not be again:
#postconf -P 'pickup/unix/receive_override_options={{ 'no_milters' if milter }}'
#postconf -P {{ (back ~ '/inet/receive_override_options=no_unknown_recipient_checks,no_header_body_checks,no_address_mappings') | shell }}
{% endif %}
{% elif milter %}
# Mail from sendmail(1) doesn't come here: it passes the milter below.
{% else %}
# Mail from sendmail(1) doesn't come here, and stays as it is. For it, Postfix needs a place with a
# port: add --listen smtp:127.0.0.1:10026.
{% endif %}

{% endif %}
{% if milter %}
# --- Milter{{ ', for what passes no smtpd and no filter' if filters }} ---

{% if not filters %}
# Mail from clients, and mail from sendmail(1): the one without the other leaves mail unsealed. If
# there are other milters, keep them in both lists, before this one: they read what it seals.
postconf -e {{ ('smtpd_milters = ' ~ milter) | shell }}
{% endif %}
postconf -e {{ ('non_smtpd_milters = ' ~ milter) | shell }}
# Bounces that Postfix writes hold the mail that comes back. Without this they pass no milter.
postconf -e 'internal_mail_filter_classes = bounce'
# While the gateway is away, {{ 'they wait' if filters else 'clients are told to try again' }}. Otherwise mail would pass unsealed.
postconf -e 'milter_default_action = tempfail'
postconf -e 'milter_protocol = 6'
{% if not filters %}
# Recipients who need another copy are put off (452), and Postfix counts each as an error of the
# client. After 20 errors it would end the session, and the message would reach nobody.
postconf -e 'smtpd_hard_error_limit = 1000'
# Exim tries recipients that were put off at once only where CHUNKING isn't announced.
postconf -e 'smtpd_discard_ehlo_keywords = chunking'
{% endif %}

{% elif filters %}
# Bounces that Postfix writes hold the mail that comes back, pass no smtpd and no filter, and aren't
# sealed. To have them sealed, add --listen milter:127.0.0.1:10025, to the gateway and here.

{% endif %}
{% if milter or filters %}
# A sealed message is longer. Postfix has counted the mail as it came, and must not refuse it now: smtpd
# and sendmail(1) keep message_size_limit, cleanup has none.
postconf -P 'cleanup/unix/message_size_limit=0'

{% endif %}
{% for one in outside %}
# {{ one.path }} lies outside of /var/spool/postfix. Programs of Postfix that live in a chroot, as
# Debian sets them up, don't see it. Move the socket below that folder, or end the chroot:
#{{ ' postconf -F lmtp/unix/chroot=n' if one.lmtp else ' postconf -F smtp/inet/chroot=n cleanup/unix/chroot=n' }}
{% endfor %}
