"""`@behaviour("Namespace patching")`: the name in Kubernetes' list of the behaviour that a test re-expresses. Where the list
has a name twice, words of the name in the suite follow."""

import pytest

behaviour = pytest.mark.behaviour
