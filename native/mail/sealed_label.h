/* Header blocks of sealed messages, where they are as most programs write them. What isn't is left
 * to Python: labels.py, mime.py and header_restorer.py, whose rules these are. */
#ifndef CMSTREAM_SEALED_LABEL_H
#define CMSTREAM_SEALED_LABEL_H

#include "header.h"

/* Whether the header block says plainly that CMS in base64 follows: one Content-Type
 * application/pkcs7-mime or x-pkcs7-mime, one Content-Transfer-Encoding, and a blank line at the
 * end. */
bool sealed_label_is_plain(const uint8_t *message, const struct header *header);

/* Whether a message is the fields from outside and the entity behind them, as it is: that has a
 * header block with a blank line at its end, which protects no fields, and no MIME-Version. */
bool sealed_entity_is_plain(const uint8_t *entity, size_t len);

#endif
