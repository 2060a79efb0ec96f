"""What can be wrong with an archive as a whole."""

from __future__ import annotations

from ..errors import CmstreamError


class ArchiveError(CmstreamError):
    """An archive that can't be worked on as it is.

    Codes: ``busy``, ``damaged-manifest``, ``no-archive``, ``no-package``, ``no-source``,
    ``not-empty``, ``overlap``, ``same-name``, ``unreachable``, ``unsupported-place``.
    """
