"""Scene nodes to library objects and back, in one place to import from."""

from .node_geometry import volume_geometry
from .result_nodes import set_provenance, set_roles, write_registration
from .transform_nodes import transform_from_node, transform_to_node
from .volume_nodes import image_from_node, image_to_node, label_map_from_node, show_like

__all__ = [
    "image_from_node",
    "image_to_node",
    "label_map_from_node",
    "set_provenance",
    "set_roles",
    "show_like",
    "transform_from_node",
    "transform_to_node",
    "volume_geometry",
    "write_registration",
]
