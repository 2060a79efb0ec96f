# They need a user cmstream:
#   useradd --system --home-dir {{ store.home | shell }} --shell /usr/sbin/nologin cmstream
{% if store.file %}
#
{% if not store.usual %}
# The store's folder must be that user's, and hold nothing else:
#   install --directory --owner=cmstream --group={{ store.owner }} --mode={{ store.mode }} {{ store.home | shell }}
#
{% endif %}
# A store that is there already must be that user's too. Root may change its accounts:
#   chown cmstream:{{ store.owner }} {{ store.file | string | shell }}*
{% endif %}
