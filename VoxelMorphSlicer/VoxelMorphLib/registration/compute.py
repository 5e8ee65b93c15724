"""Any request of the application, computed in this process."""

from __future__ import annotations

from ..core.image import Image
from ..core.progress import Progress
from .cache import RegistrationCache
from .register import register
from .result import Registration
from .template import make_template
from .template_request import Request, TemplateRequest


def compute(request: Request, progress: Progress, cache: RegistrationCache) -> Registration | Image:
    """Register, or make a template; networks stay in the cache for the next request.

    Raises:
        VoxelMorphError: as `register` and `make_template`.
    """
    if isinstance(request, TemplateRequest):
        return make_template(request, progress, cache.networks)
    return register(request, progress, cache)
