"""The methods: a plain function each, in an explicit dict.

A new one is a function in a file of its own and an entry in `METHODS`; the command line's choices,
the page's cards and the parametrised tests follow from the dict.
"""

from collections.abc import Callable
from dataclasses import dataclass

from cnnaudit.attribution.ablation_cam import ablation_cam
from cnnaudit.attribution.cam import grad_cam, grad_cam_plus_plus, hires_cam, layer_cam
from cnnaudit.attribution.deep_lift import deep_lift
from cnnaudit.attribution.gradients import input_x_gradient, saliency, smoothgrad
from cnnaudit.attribution.guided_backprop import guided_backprop
from cnnaudit.attribution.integrated_gradients import integrated_gradients
from cnnaudit.attribution.kernel_shap import kernel_shap
from cnnaudit.attribution.lime import lime
from cnnaudit.attribution.lime_package import to_lime_package
from cnnaudit.attribution.occlusion import occlusion
from cnnaudit.attribution.query import Query
from cnnaudit.attribution.rise import rise
from cnnaudit.attribution.score_cam import score_cam
from cnnaudit.attribution.shapley import shapley
from cnnaudit.attribution.sufficient import sufficient
from cnnaudit.attribution.yardsticks import edges, random
from cnnaudit.results import Attribution, MethodCard

MethodFunction = Callable[..., Attribution]
"""`method(query, *, option=default, …) -> Attribution`."""


@dataclass(frozen=True, slots=True)
class Method:
    """A method's function, and what a reader must know about it.

    Attributes:
        shares_gradient: one backward pass serves it and others.
        thorough: it asks hundreds of questions more for what another method answers too, and is run when named.
        baseline: a yardstick, no explanation.
    """

    function: MethodFunction
    title: str
    unit: str
    signed: bool
    says: str
    cannot_say: str
    paper: str
    shares_gradient: bool = False
    thorough: bool = False
    baseline: bool = False

    def card(self, name: str) -> MethodCard:
        """What goes on the page."""
        return MethodCard(
            name, self.title, self.says, self.cannot_say, self.unit, self.signed, self.baseline, self.paper
        )


_SLOPE = "score per unit of pixel value"

METHODS: dict[str, Method] = {
    "grad_cam": Method(
        grad_cam,
        title="Grad-CAM",
        unit="score per place of the layer's map",
        signed=False,
        says="Where the layer's maps that raise the score are active.",
        cannot_say="It is as coarse as the layer's map, shows nothing that speaks against the target, and can "
        "light up places that the network does not use, because each map has one weight for all places.",
        paper="Selvaraju et al. 2017, arXiv:1610.02391",
        shares_gradient=True,
    ),
    "grad_cam_plus_plus": Method(
        grad_cam_plus_plus,
        title="Grad-CAM++",
        unit="arbitrary",
        signed=False,
        says="Like Grad-CAM, with weights meant to cover several instances of an object.",
        cannot_say="Its values have no unit, and it shows nothing that speaks against the target.",
        paper="Chattopadhay et al. 2018, arXiv:1710.11063",
        shares_gradient=True,
    ),
    "hires_cam": Method(
        hires_cam,
        title="HiResCAM",
        unit="score per place of the layer's map",
        signed=True,
        says="Each place's own first-order share in the score, for and against; exact where only average "
        "pooling and one linear layer follow.",
        cannot_say="It is as coarse as the layer's map, and each place has seen more of the picture than it covers.",
        paper="Draelos and Carin 2020, arXiv:2011.08891",
        shares_gradient=True,
    ),
    "layer_cam": Method(
        layer_cam,
        title="LayerCAM",
        unit="score per place of the layer's map",
        signed=False,
        says="Where active places of the layer's maps raise the score, each with its own weight.",
        cannot_say="It shows nothing that speaks against the target, and drops negative slopes without a theory why.",
        paper="Jiang et al. 2021, IEEE TIP 30",
        shares_gradient=True,
    ),
    "ablation_cam": Method(
        ablation_cam,
        title="Ablation-CAM",
        unit="score × activation",
        signed=False,
        says="Where those of the layer's maps are active without which the score falls: measured, not a slope.",
        cannot_say="It is as coarse as the layer's map, silences one map at a time, so that what two maps both "
        "carry goes unnoticed, and shows nothing that speaks against the target.",
        paper="Desai and Ramaswamy 2020, WACV",
    ),
    "score_cam": Method(
        score_cam,
        title="Score-CAM",
        unit="activation",
        signed=False,
        says="Where those of the layer's maps are active that alone show enough of the picture for a high score.",
        cannot_say="It is as coarse as the layer's map, and a softmax of the scores often leaves a few maps to "
        "stand for all; it shows nothing that speaks against the target.",
        paper="Wang et al. 2020, arXiv:1910.01279",
    ),
    "occlusion": Method(
        occlusion,
        title="Occlusion",
        unit="score lost when hidden",
        signed=True,
        says="What the score really loses when a window is hidden: a measurement, not an estimate.",
        cannot_say="It sees one window at a time, so evidence that stands in two places goes unnoticed; and a "
        "hidden window is itself something new to the network.",
        paper="Zeiler and Fergus 2014, arXiv:1311.2901",
    ),
    "lime": Method(
        lime,
        title="LIME",
        unit="score gained when shown",
        signed=True,
        says="How much each segment adds to the score, on average over many half-hidden copies of the picture.",
        cannot_say="It depends on the segments and on what hides them, and a linear model may not fit.",
        paper="Ribeiro et al. 2016, arXiv:1602.04938",
    ),
    "kernel_shap": Method(
        kernel_shap,
        title="KernelSHAP",
        unit="score",
        signed=True,
        says="Each segment's fair share in the score above that of the fill: its mean effect over all orders in "
        "which segments are shown; the shares add up.",
        cannot_say="It depends on the segments and on what hides them, and most of the pictures asked about are "
        "ones that the network has never seen.",
        paper="Lundberg and Lee 2017, arXiv:1705.07874; Covert and Lee 2021, arXiv:2012.01536",
        thorough=True,
    ),
    "shapley": Method(
        shapley,
        title="Shapley values",
        unit="score",
        signed=True,
        says="The same shares as KernelSHAP's, measured step by step while segments are shown in random orders.",
        cannot_say="It takes many pictures an order, so its intervals are wide; and it depends on the segments and on "
        "what hides them.",
        paper="Castro et al. 2009, Computers & Operations Research 36; Mitchell et al. 2022, arXiv:2104.12199",
        thorough=True,
    ),
    "sufficient": Method(
        sufficient,
        title="Sufficient set",
        unit="probability when shown alone",
        signed=False,
        says="The fewest segments found that alone are still called the target; and, as a part, the fewest whose "
        "loss ends the prediction. Both are verified by asking the network.",
        cannot_say="Other sets may do as well, or smaller ones that the search did not meet; and a part on its own "
        "is a picture that the network has never seen.",
        paper="after Ribeiro et al. 2016, arXiv:1602.04938; Carter et al. 2019, arXiv:1810.03805",
    ),
    "rise": Method(
        rise,
        title="RISE",
        unit="score gained when shown",
        signed=True,
        says="How much higher the score is on average, over random smooth masks, when a pixel is shown.",
        cannot_say="It is blurred by the masks' own size, noisy unless they are many, and the half-hidden pictures "
        "are ones that the network has never seen.",
        paper="Petsiuk et al. 2018, arXiv:1806.07421",
        thorough=True,
    ),
    "integrated_gradients": Method(
        integrated_gradients,
        title="Integrated gradients",
        unit="score",
        signed=True,
        says="Each pixel's share in the difference of the score to an empty picture; the shares add up to it.",
        cannot_say="The answer depends on what counts as empty, and the pictures in between are ones that "
        "the network has never seen.",
        paper="Sundararajan et al. 2017, arXiv:1703.01365",
    ),
    "deep_lift": Method(
        deep_lift,
        title="DeepLIFT",
        unit="score",
        signed=True,
        says="Each pixel's share in the difference of the score to a black picture, passed back layer by layer.",
        cannot_say="Dark pixels get little by construction, because the baseline is black.",
        paper="Shrikumar et al. 2017, arXiv:1704.02685",
    ),
    "input_x_gradient": Method(
        input_x_gradient,
        title="Input × gradient",
        unit="score",
        signed=True,
        says="A first guess at each pixel's share in the score, from the slope at this picture.",
        cannot_say="Dark pixels get nothing by construction, and a slope says little about larger changes.",
        paper="Shrikumar et al. 2016, arXiv:1605.01713",
        shares_gradient=True,
    ),
    "saliency": Method(
        saliency,
        title="Saliency",
        unit=_SLOPE,
        signed=False,
        says="Which pixels would move the score most if they changed a little.",
        cannot_say="It is sensitivity, not evidence: it says neither for or against, nor what the pixel adds now.",
        paper="Simonyan et al. 2013, arXiv:1312.6034",
        shares_gradient=True,
    ),
    "smoothgrad": Method(
        smoothgrad,
        title="SmoothGrad",
        unit=_SLOPE,
        signed=False,
        says="Saliency with the slope averaged over noisy copies of the picture.",
        cannot_say="It describes a smoothed network, not the one that made the prediction.",
        paper="Smilkov et al. 2017, arXiv:1706.03825",
    ),
    "guided_backprop": Method(
        guided_backprop,
        title="Guided backpropagation",
        unit=_SLOPE,
        signed=False,
        says="Fine structure that excites the network on the way to the score.",
        cannot_say="It is no evidence for the prediction: it stays nearly the same for other classes and for "
        "random weights (Adebayo et al. 2018), and mostly redraws edges.",
        paper="Springenberg et al. 2014, arXiv:1412.6806",
    ),
    "random": Method(
        random,
        title="Random noise",
        unit="arbitrary",
        signed=False,
        says="Nothing: noise that knows neither picture nor network.",
        cannot_say="Anything. A method that does no better than this explains nothing.",
        paper="",
        baseline=True,
    ),
    "edges": Method(
        edges,
        title="Edges of the picture",
        unit="pixel value per pixel",
        signed=False,
        says="Where the picture has edges, without asking the network.",
        cannot_say="Anything about the network. A heatmap that looks like this may owe its looks to the picture.",
        paper="Adebayo et al. 2018, arXiv:1810.03292",
        baseline=True,
    ),
}

__all__ = ["METHODS", "Method", "MethodFunction", "Query", "to_lime_package"]
