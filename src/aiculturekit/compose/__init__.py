"""The composition root: settings -> machine -> applications, stores, sights, places. Only this package sees all parts."""

from aiculturekit.compose.parts import Parts as Parts
from aiculturekit.compose.parts import compose as compose
