"""How alike the templates of two units are: SpikeInterface's cosine, without its compiler.

Its own computation is compiled in every process anew, for seconds; one product of matrices gives
the same numbers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from spikefleet.signal.units.stored_extensions import storing

if TYPE_CHECKING:
    from spikeinterface.core import SortingAnalyzer


def store_similarity(analyzer: SortingAnalyzer) -> None:
    """Store ``template_similarity``, (U, U): the cosine of average templates, without a lag.

    0 for two units that share no channel, and for one without a template.
    """
    templates = analyzer.get_extension("templates").get_templates()
    flat = templates.reshape(len(templates), -1)
    norms = np.linalg.norm(flat, axis=1)
    products = np.outer(norms, norms)
    cosine = np.divide(flat @ flat.T, products, out=np.zeros_like(products), where=products > 0)
    if analyzer.sparsity is not None:
        mask = analyzer.sparsity.mask.astype(np.float32)
        cosine[mask @ mask.T == 0] = 0.0
    with storing(analyzer, "template_similarity", method="cosine", support="union") as extension:
        extension.set("similarity", cosine.astype(np.float32))
