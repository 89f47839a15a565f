"""Where candidate cues come from; each source is a function of what was asked."""

from collections.abc import Callable, Mapping

from cnnaudit.auditing.asked import Asked
from cnnaudit.auditing.attribution_clusters import attribution_cues
from cnnaudit.auditing.backgrounds import background_cues
from cnnaudit.auditing.cues import Cue
from cnnaudit.auditing.patches import patch_cues
from cnnaudit.auditing.places import place_cues
from cnnaudit.auditing.properties import property_cues

SOURCES: Mapping[str, Callable[[Asked], list[Cue]]] = {
    "recurring patches": patch_cues,
    "fixed places": place_cues,
    "attribution clusters": attribution_cues,
    "background": background_cues,
    "properties": property_cues,
}
